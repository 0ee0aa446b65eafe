//! What a server lives through: callers who mean it no good, and being killed again and again under load.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use compute::{Algorithm, Ref, Seed};
use reqwest::blocking::Client;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::server::Served;

/// How many connections do nothing, and how many send their head a byte at a time.
const IDLE: usize = 10_000;
const SLOW: usize = 200;
/// How many bytes the largest body has.
const BODY: u64 = 1 << 30;
const STACKS: usize = 4;

/// Callers who mean it no good; prints what they got, and the server's memory.
pub(crate) fn siege() -> Result<()> {
    let files = Resource::Nofile;
    let most = getrlimit(files).maximum;
    setrlimit(files, Rlimit { current: most, maximum: most })?;
    let served = Served::start(&["--dev", "--idle-timeout", "5s"])?;
    let client = Client::new();
    let module = crate::server::spin()?;
    crate::server::put(&client, &served.url, None, &module)?;
    let memory = || resident(&served);
    let told = |what: &str, got: &str| -> Result<()> {
        println!("{what:<52} {got:<34} {:>4} MiB", memory()? >> 20);
        Ok(())
    };
    println!("{:<52} {:<34} resident\n", "", "answer");
    told("at rest", "")?;

    let announced = raw(&served, format!("PUT /v1/computes/sha256/{} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BODY}\r\n\r\n", "0".repeat(64)).as_bytes())?;
    told("a body that is announced with 1 GiB", &announced)?;
    told("a body of 1 GiB in pieces", &pieces(&served)?)?;
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "x-a: b\r\n".repeat(100_000));
    told("100,000 headers", &raw(&served, many.as_bytes())?)?;
    let large = format!("GET /healthz HTTP/1.1\r\nx-a: {}\r\n\r\n", "b".repeat(64 << 20));
    told("a header of 64 MiB", &raw(&served, large.as_bytes())?)?;
    for path in [
        "/run/sha256/..%2f..%2f..%2fetc%2fpasswd",
        "/stacks/..%2f..%2fetc",
        "/v1/traces/..%2f..%2fcatalogue",
        "/v1/stacks/%2e%2e/versions/1/files/..%2f../passwd",
    ] {
        let method = if path.starts_with("/v1") { "GET" } else { "POST" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        told(path, &raw(&served, request.as_bytes())?)?;
    }

    let (began, address) = (Instant::now(), address(&served));
    let idle: Vec<_> = (0..IDLE).filter_map(|_| TcpStream::connect(address).ok()).collect();
    told(&format!("{} idle connections", idle.len()), &answers(&client, &served)?)?;
    // All of them are ended by the server.
    let ended = idle.into_iter().all(|mut stream| {
        stream.set_read_timeout(Some(Duration::from_secs(30))).is_ok()
            && !matches!(stream.read(&mut [0; 512]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    });
    ensure!(ended, "idle connections are not ended");
    told(
        &format!("all of them ended within {:.1?}", began.elapsed()),
        &answers(&client, &served)?,
    )?;

    let began = Instant::now();
    let mut slow: Vec<_> = (0..SLOW).filter_map(|_| TcpStream::connect(address).ok()).collect();
    while !slow.is_empty() && began.elapsed() < Duration::from_secs(60) {
        slow.retain_mut(|stream| stream.write_all(b"x").is_ok());
        std::thread::sleep(Duration::from_millis(500));
    }
    ensure!(slow.is_empty(), "{} slow connections live", slow.len());
    told(
        &format!("{SLOW} slow-loris clients, ended within {:.1?}", began.elapsed()),
        &answers(&client, &served)?,
    )
}

fn address(served: &Served) -> &str {
    served.url.trim_start_matches("http://")
}

/// The status line that these bytes get, or that the connection was closed.
fn raw(served: &Served, bytes: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(address(served))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let _ = stream.write_all(bytes);
    Ok(status(&mut stream))
}

fn status(stream: &mut TcpStream) -> String {
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).unwrap_or(0);
    let text = String::from_utf8_lossy(&answer[..read]);
    text.lines().next().map_or_else(|| "closed".to_owned(), str::to_owned)
}

/// A body that does not say how long it is.
fn pieces(served: &Served) -> Result<String> {
    let mut stream = TcpStream::connect(address(served))?;
    let head = format!(
        "PUT /v1/computes/sha256/{} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
        "0".repeat(64)
    );
    stream.write_all(head.as_bytes())?;
    let piece = [&b"100000\r\n"[..], &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for _ in 0..BODY >> 20 {
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
    Ok(status(&mut stream))
}

/// Whether it still answers.
fn answers(client: &Client, served: &Served) -> Result<String> {
    let began = Instant::now();
    let status = client.get(format!("{}/healthz", served.url)).send()?.status();
    Ok(format!("another caller gets {} in {:.1?}", status.as_u16(), began.elapsed()))
}

fn resident(served: &Served) -> Result<u64> {
    let id = served.running.as_ref().context("it runs")?.0.id();
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
}

/// What the server answered with 200.
#[derive(Default)]
struct Accepted {
    uploaded: Mutex<Vec<Ref>>,
    /// For each stack: the version that was answered to be active, and the last that was asked for.
    active: Mutex<BTreeMap<String, (u64, u64)>>,
    runs: AtomicU64,
    documents: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Mixed load for so many seconds, while the server is killed and started again at random moments.
pub(crate) fn soak(seconds: u64) -> Result<()> {
    let mut served = Served::start(&["--dev"])?;
    let accepted = Arc::new(Accepted::default());
    let stop = Arc::new(AtomicBool::new(false));
    let numbers = Arc::new(AtomicU32::new(0));
    let workers: Vec<_> = (0..STACKS)
        .map(|stack| {
            let (accepted, stop, numbers, url) = (
                Arc::clone(&accepted),
                Arc::clone(&stop),
                Arc::clone(&numbers),
                served.url.clone(),
            );
            std::thread::spawn(move || {
                let client = Client::new();
                while !stop.load(Ordering::Relaxed) {
                    if work(&client, &url, &format!("s{stack}"), &accepted, &numbers).is_none() {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            })
        })
        .collect();
    let (began, mut kills) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        let random = u64::from(Seed::random().as_bytes()[0]);
        std::thread::sleep(Duration::from_millis(300 + random * 10));
        // Dropping it kills it with SIGKILL.
        served.restart()?;
        kills += 1;
        check(&served, &accepted, 50)?;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?;
    }
    check(&served, &accepted, usize::MAX)?;
    let verified = served.command(&["verify"])?.stdout(std::process::Stdio::null()).status()?;
    ensure!(verified.success(), "`compute verify` found damage");
    let uploaded = lock(&accepted.uploaded).len();
    let activated: u64 = lock(&accepted.active).values().map(|(answered, _)| answered).sum();
    println!(
        "killed {kills} times in {:.0?}: {uploaded} uploads and {activated} activations accepted, {} runs and {} documents answered; nothing missing, nothing corrupt",
        began.elapsed(),
        accepted.runs.load(Ordering::Relaxed),
        accepted.documents.load(Ordering::Relaxed),
    );
    Ok(())
}

/// One round of what a caller does; nothing when the server is gone.
fn work(
    client: &Client,
    url: &str,
    stack: &str,
    accepted: &Accepted,
    numbers: &AtomicU32,
) -> Option<()> {
    let module = compute_guests::numbered_echo(numbers.fetch_add(1, Ordering::Relaxed));
    let reference = Ref::of(Algorithm::Sha256, &module);
    let digest = reference.digest().to_owned();
    let put = client.put(format!("{url}/v1/computes/sha256/{digest}")).body(module);
    if put.send().ok()?.status() != 200 {
        return None;
    }
    lock(&accepted.uploaded).push(reference.clone());
    for _ in 0..5 {
        let answer =
            client.post(format!("{url}/run/sha256/{digest}")).body("{\"a\":1}").send().ok()?;
        let (status, text) = (answer.status(), answer.text().ok()?);
        if status == 200 {
            accepted.runs.fetch_add(1, Ordering::Relaxed);
        }
        if status != 200 || text != "{\"a\":1}" {
            lock(&accepted.wrong).push(format!("a run got {status}: {text}"));
        }
    }
    let rule = format!("EXEC \"{reference}\" EMIT .digest = \"{digest}\"");
    let files = json!({ "files": [{ "path": "100/a.txcl", "text": rule }] });
    let draft = client.post(format!("{url}/v1/stacks/{stack}/drafts")).json(&files).send().ok()?;
    let number = draft.json::<Value>().ok()?["number"].as_u64()?;
    lock(&accepted.active).entry(stack.to_owned()).or_default().1 = number;
    let path = format!("{url}/v1/stacks/{stack}/versions/{number}/activate");
    if client.post(path).send().ok()?.status() != 200 {
        return None;
    }
    lock(&accepted.active).entry(stack.to_owned()).or_default().0 = number;
    let answer = client.post(format!("{url}/stacks/{stack}")).body("{\"n\":1}").send().ok()?;
    let (status, document) = (answer.status(), answer.json::<Value>().ok()?);
    accepted.documents.fetch_add(1, Ordering::Relaxed);
    if status != 200 || document["digest"] != digest.as_str() {
        lock(&accepted.wrong).push(format!("a document got {status}: {document}"));
    }
    Some(())
}

/// That all that was accepted is there: some of the artifacts, each byte of them, and every active version.
fn check(served: &Served, accepted: &Accepted, most: usize) -> Result<()> {
    let client = Client::new();
    let uploaded = lock(&accepted.uploaded).clone();
    for reference in uploaded.iter().rev().take(most) {
        let path = format!("{}/v1/computes/sha256/{}", served.url, reference.digest());
        let answer = client.get(path).send()?;
        ensure!(answer.status() == 200, "{reference} was accepted, and is gone");
        ensure!(
            Ref::of(Algorithm::Sha256, &answer.bytes()?) == *reference,
            "{reference} is corrupt"
        );
    }
    let before = lock(&accepted.active).clone();
    let stacks: Value = client.get(format!("{}/v1/stacks", served.url)).send()?.json()?;
    let after = lock(&accepted.active).clone();
    for (stack, (answered, _)) in before {
        let found = stacks["stacks"].as_array().context("stacks")?;
        let found = found.iter().find(|one| one["stack"] == stack.as_str());
        let active = found.and_then(|one| one["active"].as_u64()).unwrap_or_default();
        // One that was asked for and not answered may be active, too.
        let most = after.get(&stack).map_or(0, |(_, asked)| *asked);
        ensure!(
            (answered..=most).contains(&active),
            "{stack}: version {answered} was active, and now {active} is"
        );
    }
    let wrong = lock(&accepted.wrong);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
