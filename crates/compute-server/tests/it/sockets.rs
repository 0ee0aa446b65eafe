//! What only a real connection shows: callers that go away, slow ones, and a shutdown.

use std::time::{Duration, Instant};

use compute_server::{Settings, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::{Home, echo, spin};

/// A server on a port of its own, and what stops it.
async fn start(home: &Home) -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
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
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Waits until a request works.
async fn working(home: &Home) {
    while home.server.load().0 == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_finishes_what_was_accepted() {
    let mut settings = Settings::default();
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
    let mut settings = Settings { places: 1, share: 1, ..Settings::default() };
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
    let home = Home::new(Settings { body: Duration::from_millis(200), ..Settings::default() });
    let path = format!("/run/{}", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 1000\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = answer(stream).await;
    assert!(text.starts_with("HTTP/1.1 408") && text.contains("body_too_slow"), "{text}");
}
