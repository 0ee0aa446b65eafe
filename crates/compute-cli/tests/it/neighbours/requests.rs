//! Requests that are many, large, slow or unfinished.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::field::{Field, MALLORY};
use super::rules::pattern;
use super::{all_answered, at_once, modules};

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A connection of HTTP/2 with a hundred requests on it. The method is a number of HPACK's table.
fn connection(
    field: &Field,
    settings: &[u8],
    method: u8,
    path: &str,
    token: Option<&str>,
) -> Result<TcpStream> {
    let mut head = vec![method, 0x86, 4];
    text(&mut head, path);
    head.push(1);
    text(&mut head, "localhost");
    if let Some(token) = token {
        head.push(0);
        text(&mut head, "authorization");
        text(&mut head, &format!("Bearer {token}"));
    }
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, settings));
    bytes.extend(frame(4, 1, 0, &[]));
    for at in 0..100 {
        bytes.extend(frame(1, 5, 1 + 2 * at, &head));
    }
    let mut stream = field.connect()?;
    stream.write_all(&bytes)?;
    Ok(stream)
}

fn text(out: &mut Vec<u8>, text: &str) {
    match text.len() {
        short @ ..127 => out.push(short as u8),
        long => out.extend([127, (long - 127) as u8]),
    }
    out.extend(text.as_bytes());
}

pub(super) fn validations(field: &Field) -> Result<()> {
    let number = match field.draft(MALLORY, "validations", &vec![pattern(".{4000}", 2500); 8]) {
        Ok(number) => number,
        // Refusing so much at once is an answer, too.
        Err(_) => field.draft(MALLORY, "validations", &vec![pattern("[a-z]{100}", 200); 8])?,
    };
    let path = format!("/v1/stacks/validations/versions/{number}/validate");
    let token = Some(field.token(MALLORY));
    let held = at_once(6, |_| connection(field, &[], 0x83, &path, token));
    std::thread::sleep(Duration::from_secs(2));
    drop(held);
    all_answered(
        at_once(16, |_| field.ask(MALLORY, "POST", &path, b"")),
        &[200, 413, 422, 429, 504],
    )
}

pub(super) fn env(field: &Field) -> Result<()> {
    let path = field.put(MALLORY, &modules::says("{}")?)?;
    let body = format!(
        r#"{{"ref":"compute://{path}","env":{{"a":[{}0]}}}}"#,
        r#"{"":0},"#.repeat(6_500_000)
    );
    // Its bytes are taken, or are too many; as values they would be three gigabytes.
    field.ask(MALLORY, "POST", "/v1/run", body.as_bytes())?.is(&[200, 413, 422, 429, 504])?;
    let secrets: String = (0..1_000_000).map(|at| format!(r#""k{at}":"","#)).collect();
    let body = format!(r#"{{"ref":"compute://{path}","secrets":{{{secrets}"z":""}}}}"#);
    field.ask(MALLORY, "POST", "/v1/run", body.as_bytes())?.is(&[400])
}

pub(super) fn unread(field: &Field) -> Result<()> {
    let path = format!("/run/{}", field.put(MALLORY, &modules::echo(false)?)?);
    let body = format!("\"{}\"", "x".repeat((4 << 20) - 10));
    let mut held = Vec::new();
    for _ in 0..100 {
        let mut stream = field.connect()?;
        stream.write_all(field.head(MALLORY, "POST", &path, &[], body.len()).as_bytes())?;
        let _ = stream.write_all(body.as_bytes());
        held.push(stream);
    }
    std::thread::sleep(Duration::from_secs(1));
    drop(held);
    Ok(())
}

pub(super) fn no_window(field: &Field) -> Result<()> {
    let none = [0, 4, 0, 0, 0, 0];
    let held = at_once(20, |_| connection(field, &none, 0x82, "/openapi.json", None));
    let count = held.iter().filter(|one| one.is_ok()).count();
    ensure!(count == 20, "{count} connections");
    std::thread::sleep(Duration::from_secs(1));
    Ok(())
}

/// Keeps connections full of what is sent to them, without a token: what begins each, and what follows over and over.
fn flood(field: &Field, connections: usize, first: &[u8], then: &[u8]) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(2);
    let sent = at_once(connections, |_| {
        let mut stream = field.connect()?;
        stream.set_nonblocking(true)?;
        let mut waiting = first.to_vec();
        while Instant::now() < end {
            if waiting.is_empty() {
                waiting.extend(then);
            }
            match stream.write(&waiting) {
                Ok(sent) if sent > 0 => drop(waiting.drain(..sent)),
                Err(error) if error.kind() != ErrorKind::WouldBlock => break,
                _ => {
                    // What comes back is not kept waiting.
                    let _ = stream.read(&mut [0; 16 << 10]);
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        }
        Ok(())
    });
    sent.into_iter().collect()
}

/// What a connection of HTTP/2 begins with.
fn preface() -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    bytes.extend(frame(4, 1, 0, &[]));
    bytes
}

pub(super) fn idle_frames(field: &Field) -> Result<()> {
    let updates = frame(8, 0, 0, &1_u32.to_be_bytes()).repeat(5000);
    flood(field, 40, &preface(), &updates)?;
    flood(field, 40, &preface(), &frame(6, 0, 0, b"12345678").repeat(4000))
}

pub(super) fn named_headers(field: &Field) -> Result<()> {
    let mut head = vec![0x82, 0x86, 4];
    text(&mut head, "/healthz");
    head.push(1);
    text(&mut head, "localhost");
    // A header of four thousand bytes that is kept, and then is named in three bytes.
    let mut first = head.clone();
    first.extend([0x40, 1, b'x', 127, 0xbd, 0x1d]);
    first.extend([b'y'; 3900]);
    head.extend([0xbe; 3]);
    let mut begin = preface();
    begin.extend(frame(1, 5, 1, &first));
    let many: Vec<_> = (1..20_000).flat_map(|at| frame(1, 5, 1 + 2 * at, &head)).collect();
    begin.extend(many);
    flood(field, 40, &begin, &[])
}

pub(super) fn refused(field: &Field) -> Result<()> {
    let request = "POST /v1/run HTTP/1.1\r\nhost: a\r\nauthorization: Bearer compute_0123456789abcdef_x\r\ncontent-length: 0\r\n\r\n";
    flood(field, 40, b"", request.repeat(200).as_bytes())
}

pub(super) fn leaving(field: &Field) -> Result<()> {
    let path = format!("/run/{}", field.put(MALLORY, &modules::spin()?)?);
    let token = Some(field.token(MALLORY));
    // Each connection has a hundred that wait, and leaves.
    for _ in 0..3 {
        let held = at_once(20, |_| connection(field, &[], 0x83, &path, token));
        std::thread::sleep(Duration::from_millis(600));
        drop(held);
    }
    Ok(())
}

pub(super) fn slow_bodies(field: &Field) -> Result<()> {
    let digest = "0".repeat(64);
    let routes = [
        ("POST", "/v1/run".to_owned()),
        ("POST", format!("/run/sha256/{digest}")),
        ("PUT", format!("/v1/computes/sha256/{digest}")),
        ("POST", "/stacks/s".into()),
        ("POST", "/v1/stacks/s/drafts".into()),
        ("POST", "/v1/activate".into()),
        ("PUT", "/v1/secrets/s".into()),
        ("POST", "/v1/tokens".into()),
    ];
    let mut held = Vec::new();
    for at in 0..240 {
        let (method, path) = &routes[at % routes.len()];
        let mut stream = field.connect()?;
        stream.write_all(field.head(MALLORY, method, path, &[], 10_000).as_bytes())?;
        stream.write_all(&[b'['; 5000])?;
        held.push(stream);
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        for stream in &mut held {
            let _ = stream.write_all(b" ");
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

pub(super) fn paths(field: &Field) -> Result<()> {
    let long = "a".repeat(300);
    for path in [
        format!("/v1/attachments/sha256/{long}"),
        format!("/v1/computes/sha256/{long}"),
        "/v1/attachments/foo/bar".into(),
        "/v1/computes/x/y".into(),
        "/v1/traces/..%2f..%2fcatalogue".into(),
        "/v1/stacks/..%2f..".into(),
        "/v1/stacks/%00".into(),
        "/v1/attachments/..%2f..%2fetc/passwd".into(),
        format!("/v1/traces/{long}"),
    ] {
        field.ask(MALLORY, "GET", &path, b"")?.is(&[400, 404])?;
    }
    // Two lengths, or a length and pieces, are no request.
    for head in [
        "Content-Length: 3\r\nContent-Length: 5\r\n\r\nabcde",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ] {
        let mut stream = field.connect()?;
        write!(stream, "POST /run/sha256/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        ensure!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    Ok(())
}
