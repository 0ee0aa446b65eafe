//! What only a real connection shows: callers that go away, slow ones, and a shutdown.

use std::time::{Duration, Instant};

use compute_server::{Settings, serve};
use compute_state::TokenScope;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::access::token;
use crate::{Home, dev, echo, spin};

/// A server on a port of its own, and what stops it.
pub(crate) async fn start(
    home: &Home,
) -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel();
    let server = home.server.clone();
    let running = tokio::spawn(async move {
        serve(listener, server, async { drop(stopped.await) }).await.unwrap();
    });
    (address, stop, running)
}

async fn send(address: &str, path: &str, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until a request works.
async fn working(home: &Home) {
    for _ in 0..5000 {
        if home.server.load().0 > 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("no request works");
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_was_accepted() {
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_millis(400));
    let home = Home::new(settings);
    let path = format!("/run/{}", home.put(&spin()).await);
    let (address, stop, running) = start(&home).await;
    let under_way = send(&address, &path, "{}").await;
    working(&home).await;
    stop.send(()).unwrap();
    assert!(answer(under_way).await.starts_with("HTTP/1.1 504"), "it was answered");
    running.await.unwrap();
    assert!(TcpStream::connect(&address).await.is_err(), "it takes no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_stops_its_run() {
    let mut settings = Settings { max_concurrency: 1, max_tenant_concurrency: 1, ..dev() };
    settings.limits.wall = Some(Duration::from_secs(60));
    let home = Home::new(settings);
    let spin = format!("/run/{}", home.put(&spin()).await);
    let echo = format!("/run/{}", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    let gone = send(&address, &spin, "{}").await;
    working(&home).await;
    let begun = Instant::now();
    drop(gone);
    // The only place is free again, long before the spinning run's deadline.
    let text = answer(send(&address, &echo, "{\"a\":1}").await).await;
    assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("{\"a\":1}"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let home = Home::new(Settings { body_timeout: Duration::from_millis(200), ..dev() });
    let path = format!("/run/{}", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = answer(stream).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_too_slow"), "{text}");
}

/// Whoever is refused before its body has come reads why, and goes on with the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_wants_is_taken_all_the_same() {
    let home = Home::new(dev());
    let (address, _stop, _running) = start(&home).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..20 {
        let head = "POST /stacks/s HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer none\r\ncontent-length: 7\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(b"{\"x\":1}").await.unwrap();
        let number = stream.read(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..number]).into_owned();
        assert!(text.starts_with("HTTP/1.1 401"), "{text}");
        assert!(!text.contains("connection: close"), "{text}");
    }
}

/// Sends bytes and gives back what comes until the server closes the connection.
async fn answer_to(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may refuse before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut text = Vec::new();
    let _ = stream.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_or_is_a_bomb_is_refused() {
    let limits = (Duration::from_millis(300), Duration::from_millis(600));
    let home = Home::new(Settings { head_timeout: limits.0, idle_timeout: limits.1, ..dev() });
    let (address, _stop, _running) = start(&home).await;
    // Nothing at all, and the beginning of a head.
    for begun in ["", "GET /healthz HTTP/1.1\r\nhost: loc"] {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest));
        ended.await.expect("it is ended").ok();
    }
    // A head that comes a byte at a time, each soon enough for a connection that only must not be idle.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let begun = Instant::now();
    stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.unwrap();
    while stream.write_all(b"x").await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let many = format!("GET /healthz HTTP/1.1\r\n{}\r\n", "x-a: b\r\n".repeat(5000));
    let large = format!("GET /healthz HTTP/1.1\r\nx-a: {}\r\n\r\n", "b".repeat(1 << 20));
    for bomb in [many, large] {
        let text = answer_to(&address, bomb.as_bytes()).await;
        assert!(text.is_empty() || text.starts_with("HTTP/1.1 431"), "{text}");
    }
    let text = answer(send(&address, "/nothing", "").await).await;
    assert!(text.starts_with("HTTP/1.1 404"), "it still answers: {text}");
}

/// Between requests only idleness counts: whoever keeps connections is told of one limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_waits_for_its_next_request_as_long_as_it_may_be_idle() {
    let short = Duration::from_millis(200);
    let home = Home::new(Settings { head_timeout: short, ..dev() });
    let (address, _stop, _running) = start(&home).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..2 {
        tokio::time::sleep(short * 4).await;
        stream.write_all(b"GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let number = stream.read(&mut buffer).await.unwrap();
        let text = String::from_utf8_lossy(&buffer[..number]).into_owned();
        assert!(text.starts_with("HTTP/1.1 404"), "{text}");
    }
    // The head of its next one has its time, too.
    stream.write_all(b"GET /nothing HTTP/1.1\r\n").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut buffer)).await;
    assert_eq!(ended.expect("it is ended").unwrap_or(0), 0);
}

/// Nor is a request late that waits for the answer of the one before it, nor a connection of HTTP/2 that is made for later.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_others_is_no_late_head() {
    let short = Duration::from_millis(200);
    let home = Home::new(Settings { head_timeout: short, ..dev() });
    let (address, _stop, _running) = start(&home).await;
    let large = wat::parse_str(format!(
        r#"(module (memory (export "memory") 1) (func (export "_start")) (@custom "x" "{}"))"#,
        "x".repeat(24 << 20)
    ))
    .unwrap();
    let path = home.put(&large).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET /v1/computes/{path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 64 << 10];
    let mut read = stream.read(&mut buffer).await.unwrap();
    let last = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(last).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(short / 2).await;
        read += stream.read(&mut buffer).await.unwrap();
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(read + rest.len() > large.len(), "{read} and {}", rest.len());
    assert!(String::from_utf8_lossy(&rest).contains("HTTP/1.1 404"));

    let mut stream = TcpStream::connect(&address).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let begun = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat();
    stream.write_all(&begun).await.unwrap();
    tokio::time::sleep(short * 5).await;
    let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
    stream.write_all(&ping).await.unwrap();
    let mut text = Vec::new();
    while !text.ends_with(&ping[9..]) {
        let number = stream.read(&mut buffer).await.unwrap();
        assert!(number > 0, "it is ended");
        text.extend_from_slice(&buffer[..number]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_too_many_is_told_so_and_idle_ones_make_room() {
    let home = Home::new(Settings { max_connections: 2, ..dev() });
    let (address, _stop, _running) = start(&home).await;
    let request = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    // Those that do nothing, or send a head a byte at a time, make room at once.
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await;
        idle.push(stream);
    }
    let text = answer_to(&address, request).await;
    assert!(text.starts_with("HTTP/1.1 404"), "{text}");
    // Those that have a request at work do not.
    let begun = b"PUT /v1/secrets/A HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20\r\n\r\n{";
    let mut at_work = Vec::new();
    let mut text = String::new();
    for wait in 1..100 {
        // Reading them takes a moment; one that is not read yet makes room and comes again.
        for _ in 0..2 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let _ = stream.write_all(begun).await;
            at_work.push(stream);
        }
        tokio::time::sleep(Duration::from_millis(10 * wait)).await;
        text = answer_to(&address, request).await;
        if text.starts_with("HTTP/1.1 503") {
            break;
        }
    }
    assert!(text.starts_with("HTTP/1.1 503") && text.contains("\"code\":\"busy\""), "{text}");
    drop((idle, at_work));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_announced_too_large_is_not_read() {
    let home = Home::new(dev());
    let (address, _stop, _running) = start(&home).await;
    let head = "PUT /v1/computes/sha256/00 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1073741824\r\n\r\n";
    let text = answer_to(&address, head.as_bytes()).await;
    assert!(text.starts_with("HTTP/1.1 413") && text.contains("artifact_too_large"), "{text}");
}

/// That the server ends this connection before long, whatever the other side does not do.
async fn is_ended(mut stream: TcpStream) {
    let begun = Instant::now();
    // A ping now and then keeps it from being idle; what is written fails once it is closed.
    while stream.write_all(&[0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]).await.is_ok() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is not ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A connection of HTTP/2 that asks for something so many times, and takes none of the answers: its window is nothing.
async fn unread(address: &str, path: &str, times: u8) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let settings = [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0];
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(settings);
    bytes.extend([0, 0, 0, 4, 1, 0, 0, 0, 0]);
    let mut head = vec![0x82, 0x86, 4, path.len() as u8];
    head.extend(path.as_bytes());
    head.extend([1, 9]);
    head.extend(b"localhost");
    for stream in 0..times {
        bytes.extend([0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1 + 2 * stream]);
        bytes.extend(&head);
    }
    stream.write_all(&bytes).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_keep_no_others_out() {
    let home = Home::new(Settings { dev: false, max_requests: 160, ..dev() });
    let token = token(&home, "acme", &[TokenScope::Run]);
    let (address, _stop, _running) = start(&home).await;
    let get = async |path: &str, headers: &str| {
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n");
        answer_to(&address, head.as_bytes()).await
    };
    let mut connections = Vec::new();
    // Many on few connections, and one on each of many.
    for (times, streams) in [(4, 60), (60, 1)] {
        for _ in 0..times {
            connections.push(unread(&address, "/openapi.json", streams).await);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        for number in 0..20 {
            // Whoever has a token does not meet those who have none; and they do not keep one another out.
            let known = get("/v1/traces/none", &format!("authorization: Bearer {token}\r\n")).await;
            assert!(known.starts_with("HTTP/1.1 403"), "{number}: {known}");
            let stranger = get("/healthz", "").await;
            assert!(stranger.starts_with("HTTP/1.1 200"), "{number}: {stranger}");
            connections.push(unread(&address, "/openapi.json", streams).await);
        }
    }
}

/// Whether the server lives is told whatever others do who ask the same: a request without its body, answers that are not taken.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_keeps_others_from_asking_whether_the_server_lives() {
    const UNSENT: &[u8] = b"POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n";
    const PROBE: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let home = Home::new(Settings { dev: false, ..dev() });
    let (address, _stop, _running) = start(&home).await;
    let mut held = Vec::new();
    for round in 0..20 {
        for _ in 0..64 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(UNSENT).await.unwrap();
            held.push(stream);
        }
        let text = answer_to(&address, PROBE).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{round}: {text}");
        if round == 0 {
            // There is room for its text, too.
            assert!(text.ends_with("ok"), "{text}");
        }
    }
    let head = b"POST /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 1\r\n\r\n.";
    let refused = answer_to(&address, head).await;
    assert!(refused.starts_with("HTTP/1.1 405"), "{refused}");
    for round in 0..20 {
        held.push(unread(&address, "/healthz", 100).await);
        let text = answer_to(&address, PROBE).await;
        assert!(text.starts_with("HTTP/1.1 200"), "{round}: {text}");
    }
}

/// Nor do strangers keep one another out with bodies that they announce and do not send.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_do_not_come_keep_no_others_out() {
    const UNSENT: &[u8] = b"POST /nothing HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\n\r\n";
    const OTHER: &[u8] = b"GET /nothing HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let home = Home::new(Settings { dev: false, max_requests: 64, ..dev() });
    let (address, _stop, _running) = start(&home).await;
    let mut held = Vec::new();
    for round in 0..20 {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(UNSENT).await.unwrap();
            held.push(stream);
        }
        let text = answer_to(&address, OTHER).await;
        assert!(text.starts_with("HTTP/1.1 404"), "{round}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_reads_end_their_connections() {
    let home = Home::new(Settings { answer_timeout: Duration::from_millis(300), ..dev() });
    let path = format!("/run/{}", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    // On HTTP/1, a large answer that is not read, but for a few bytes now and then.
    let body = format!("\"{}\"", "x".repeat((4 << 20) - 2));
    let stream = send(&address, &path, &body).await.into_std().unwrap();
    let mut drip = TcpStream::from_std(stream).unwrap();
    let begun = Instant::now();
    let mut byte = [0; 64];
    let mut taken = 0;
    while let Ok(bytes @ 1..) = drip.read(&mut byte).await {
        taken += bytes;
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not ended");
        tokio::time::sleep(Duration::from_millis(20)).await;
        if begun.elapsed() > Duration::from_secs(3) {
            // What the system had taken already is read at once.
            let mut rest = Vec::new();
            let _ = drip.read_to_end(&mut rest).await;
            taken += rest.len();
            break;
        }
    }
    assert!(taken < body.len(), "the answer was cut off: {taken} of {}", body.len());
    is_ended(unread(&address, "/openapi.json", 50).await).await;
    let text = answer(send(&address, "/nothing", "").await).await;
    assert!(text.starts_with("HTTP/1.1 404"), "it still answers: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_share_a_connection_of_http_2() {
    use http_body_util::{BodyExt as _, Full};
    use hyper_util::rt::{TokioExecutor, TokioIo};
    let home = Home::new(dev());
    let path = format!("/run/{}", home.put(&echo()).await);
    let (address, stop, running) = start(&home).await;
    let stream = TokioIo::new(TcpStream::connect(&address).await.unwrap());
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    let answers = (0..50).map(|number| {
        let mut sender = sender.clone();
        let request = hyper::Request::post(format!("http://localhost{path}"));
        let request = request.body(Full::new(bytes::Bytes::from(number.to_string()))).unwrap();
        tokio::spawn(async move {
            sender.ready().await.unwrap();
            let answer = sender.send_request(request).await.unwrap();
            assert_eq!(answer.status(), 200);
            answer.into_body().collect().await.unwrap().to_bytes()
        })
    });
    let answers: Vec<_> = answers.collect();
    for (number, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), number.to_string());
    }
    // An idle connection does not hold up the end.
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), running).await.expect("it ends").unwrap();
}
