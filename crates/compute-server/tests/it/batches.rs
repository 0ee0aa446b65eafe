//! Batches: a line of the answer for each line of the body, in order, while it comes; and what they keep from others: nothing.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use compute::{RecordKeep, Seed};
use compute_server::Settings;
use compute_state::{RecordPolicy, Recorded, TokenScope};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tower::ServiceExt as _;

use crate::access::{ask, token};
use crate::sockets::start;
use crate::{Answer, Home, dev, echo};

const NDJSON: (&str, &str) = ("content-type", "application/x-ndjson");

/// A module that gives back its input, and never ends if that is a text.
pub(crate) fn moody() -> Vec<u8> {
    let echo = include_str!("../../../compute-cli/tests/cmd/guests/echo.wat");
    let spin = "(if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 34)) (then (loop (br 0))))";
    let (before, write) = echo.split_once("(drop (call $fd_write").unwrap();
    wat::parse_str(format!("{before}{spin}(drop (call $fd_write{write}")).unwrap()
}

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), NDJSON.1);
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_has_a_line_in_order_and_mistakes_stay_in_theirs() {
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_millis(400));
    let home = Home::new(settings);
    let path = format!("/run/{}/batch", home.put(&moody()).await);
    let mut body = b"\xef\xbb\xbf{\"a\":1}\r\n\r\n  \t \n\"spins\"\n{\"a\":\n".to_vec();
    body.extend(b"\"\xff\"\n[2]\n");
    body.extend(std::iter::repeat_n(b'7', (4 << 20) + 100));
    body.extend(b"\n");
    body.extend(b"[".repeat(100));
    body.extend(b"]".repeat(100));
    // And the last has no end.
    body.extend(b"\r\n{\"a\": \t3}");
    let answer = home.send_with("POST", &path, &[], body).await;
    let found = lines(&answer);
    assert_eq!(found.len(), 8, "{}", answer.text());
    assert_eq!(found[0], json!({"output": {"a": 1}}));
    let wrong = |at: usize, status: u16, code: &str| {
        let error = &found[at]["error"];
        assert_eq!((&error["status"], &error["code"]), (&json!(status), &json!(code)), "{error}");
        assert_eq!((&error["type"], &error["line"]), (&json!("about:blank"), &json!(at + 1)));
        assert!(error["detail"].is_string() && found[at]["output"].is_null());
    };
    wrong(1, 504, "compute_failed");
    wrong(2, 400, "invalid_input");
    wrong(3, 400, "invalid_input");
    assert_eq!(found[4], json!({"output": [2]}));
    wrong(5, 413, "line_too_large");
    assert!(answer.text().lines().nth(6).unwrap().starts_with("{\"output\":[[[["));
    assert_eq!(found[7], json!({"output": {"a": 3}}));
    for nothing in ["", "\n", "\r\n \n"] {
        assert!(lines(&home.send_with("POST", &path, &[], nothing).await).is_empty());
    }
    let none = format!("/run/sha256/{}/batch", "0".repeat(64));
    let missing = lines(&home.send_with("POST", &none, &[], "1\n2").await);
    assert_eq!(missing.len(), 2);
    assert_eq!(missing[1]["error"]["code"], "missing_compute_artifact");
    let rid = "r".repeat(108);
    let long = home.send_with("POST", &path, &[("x-compute-rid", &rid)], "1").await;
    long.is_problem(400, "invalid_header");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_documents_can_be_repeated_alone() {
    let home = Home::new(dev());
    home.apply("shop", "EMIT .at = &now(\"nanos\"), .drawn = &uuid(), .id = @rid");
    home.catalogue()
        .set_record_policy(
            None,
            Some(RecordPolicy { which: Recorded::All, keep: RecordKeep::Bytes }),
        )
        .unwrap();
    let seed = Seed::new([7; 32]);
    let (text, now) = (seed.to_string(), ("x-compute-now", "2026-01-31T12:00:00Z"));
    let headers = [NDJSON, now, ("x-compute-seed", &*text), ("x-compute-rid", "r")];
    let body = "{\"n\":1}\n\n{\"n\":2}\n7\n{\"n\":4}\n";
    let batch = || home.send_with("POST", "/stacks/shop/batch", &headers, body);
    let found = lines(&batch().await);
    assert_eq!(found.len(), 4);
    assert_eq!(found[2]["error"]["code"], "invalid_document");
    assert_eq!(found[2]["error"]["line"], 3);
    for (at, n) in [(0, 1), (1, 2), (3, 4)] {
        let (seed, rid) = (seed.of_line(n).to_string(), format!("r-{n}"));
        let headers = [now, ("x-compute-seed", &*seed), ("x-compute-rid", &*rid)];
        let alone =
            home.send_with("POST", "/stacks/shop", &headers, json!({ "n": n }).to_string()).await;
        assert_eq!(alone.status, 200, "{}", alone.text());
        assert_eq!(found[at]["output"], alone.json());
        assert_eq!(found[at]["rid"], rid);
        assert_eq!(found[at]["record"], alone.header("x-compute-record"));
    }
    assert_ne!(found[0]["output"]["drawn"], found[1]["output"]["drawn"]);
    assert_eq!(lines(&batch().await), found);
    // Each has a trace, by its id.
    let trace = home.send("GET", "/v1/traces/r-2", "").await;
    assert_eq!(trace.json()["id"], "r-2", "{}", trace.text());
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let deep = lines(&home.send_with("POST", "/stacks/shop/batch", &headers, deep).await);
    assert_eq!(deep[0]["error"]["status"], 413, "{deep:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_may_be_called_batch() {
    let home = Home::new(dev());
    for stack in ["shop", "shop/batch"] {
        home.apply(stack, &format!("EMIT .went = \"{stack}\""));
    }
    let alone = home.send("POST", "/stacks/shop/batch", "{}").await;
    assert_eq!(alone.json()["went"], "shop/batch");
    let kind = ("content-type", "application/X-NDJSON; charset=utf-8");
    let went = async |path: &str| {
        lines(&home.send_with("POST", path, &[kind], "{}").await)[0]["output"]["went"].clone()
    };
    assert_eq!(went("/stacks/shop/batch").await, "shop");
    assert_eq!(went("/stacks/shop/100/batch").await, "shop");
    assert_eq!(went("/stacks/shop/batch/batch").await, "shop/batch");
    let wrong = home.send_with("POST", "/stacks//batch", &[kind], "{}").await;
    wrong.is_problem(400, "invalid_stage");
    // Whoever forgets the type is told.
    let forgot = home.send("POST", "/stacks/other/batch", "{}\n").await;
    let problem = forgot.is_problem(404, "unknown_stage");
    assert!(problem["detail"].as_str().unwrap().contains("application/x-ndjson"), "{problem}");
    let unknown = lines(&home.send_with("POST", "/stacks/other/batch", &[kind], "{}").await);
    assert_eq!(unknown[0]["error"]["code"], "unknown_stage");
}

/// A batch that never ends: a first line, and then numbers for as long as they are taken. How many were is counted.
async fn endless(
    home: &Home,
    token: &str,
    path: &str,
    first: &'static str,
) -> (Arc<AtomicUsize>, axum::body::BodyDataStream) {
    let count = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&count);
    let body = futures_util::stream::repeat_with(move || {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let line = if number == 0 { first.to_owned() } else { number.to_string() };
        Ok::<_, Infallible>(Bytes::from(line + "\n"))
    });
    let request = Request::post(path).header(NDJSON.0, NDJSON.1);
    let request = request.header("authorization", format!("Bearer {token}"));
    let response = home.router().oneshot(request.body(Body::from_stream(body)).unwrap()).await;
    (count, response.unwrap().into_body().into_data_stream())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_read_than_is_worked_on_and_whoever_reads_nothing_holds_no_sandbox() {
    let mut settings =
        Settings { max_concurrency: 4, max_tenant_concurrency: 3, ..Settings::default() };
    settings.limits.wall = Some(Duration::from_millis(300));
    let home = Home::new(settings);
    let [alice, bob] = ["alice", "bob"].map(|tenant| token(&home, tenant, &[TokenScope::Admin]));
    for token in [&alice, &bob] {
        let path = format!("/v1/computes/{}", crate::path_of(&moody()));
        assert_eq!(ask(&home, token, "PUT", &path, moody()).await.status, 200);
    }
    let run = format!("/run/{}", crate::path_of(&moody()));
    let (count, mut answers) = endless(&home, &alice, &format!("{run}/batch"), "\"spins\"").await;
    // As long as the first line takes its time, those behind it wait: as many as there may be sandboxes.
    let first = loop {
        if let Poll::Ready(first) = futures_util::poll!(answers.next()) {
            break first.unwrap().unwrap();
        }
        assert_eq!(count.load(Ordering::Relaxed), 3);
        tokio::task::yield_now().await;
    };
    assert!(String::from_utf8_lossy(&first).contains("compute_failed"), "{first:?}");
    // Now the reader goes away. What was begun ends, and holds no sandbox.
    while home.server.load() != (0, 0) {
        tokio::task::yield_now().await;
    }
    let taken = count.load(Ordering::Relaxed);
    for token in [&alice, &bob] {
        assert_eq!(ask(&home, token, "POST", &run, "5").await.text(), "5");
    }
    assert_eq!(count.load(Ordering::Relaxed), taken);
    // Who comes back reads the rest, in order.
    for number in 1..50 {
        let line = answers.next().await.unwrap().unwrap();
        assert_eq!(line, format!("{{\"output\":{number}}}\n"));
    }
    // And who leaves gives all back.
    drop(answers);
    let operator = token(&home, "default", &[TokenScope::Admin]);
    loop {
        let metrics = ask(&home, &operator, "GET", "/metrics", "").await.text();
        let memory = metrics.lines().find(|line| line.starts_with("compute_requests_memory"));
        if memory.unwrap().ends_with(" 0") {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_answered_during_a_batch_and_its_lines_wait() {
    let mut settings = Settings {
        max_concurrency: 3,
        max_tenant_concurrency: 2,
        max_queue: 1,
        ..Settings::default()
    };
    settings.limits.wall = Some(Duration::from_millis(100));
    let home = Home::new(settings);
    let [alice, bob] = ["alice", "bob"].map(|tenant| token(&home, tenant, &[TokenScope::Admin]));
    for token in [&alice, &bob] {
        let path = format!("/v1/computes/{}", crate::path_of(&moody()));
        assert_eq!(ask(&home, token, "PUT", &path, moody()).await.status, 200);
    }
    let run = format!("/run/{}", crate::path_of(&moody()));
    // Two batches of lines that take all of their time: none of them is sent away, whoever waits already.
    let batches: Vec<_> = (0..2)
        .map(|_| {
            let request = Request::post(format!("{run}/batch"));
            let request = request.header("authorization", format!("Bearer {alice}"));
            let request = request.body(Body::from("\"spins\"\n".repeat(12))).unwrap();
            let router = home.router();
            tokio::spawn(async move { Answer::read(router.oneshot(request).await.unwrap()).await })
        })
        .collect();
    while home.server.load().0 < 2 {
        tokio::task::yield_now().await;
    }
    for _ in 0..10 {
        assert_eq!(ask(&home, &bob, "POST", &run, "5").await.text(), "5");
        assert!(home.server.load().0 <= 2, "one tenant has its share of the places");
    }
    for batch in batches {
        let found = lines(&batch.await.unwrap());
        assert_eq!(found.len(), 12);
        for line in found {
            assert_eq!(line["error"]["code"], "compute_failed", "{line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_are_bounded_and_whoever_leaves_makes_room() {
    let home = Home::new(Settings { max_requests: 16, ..Settings::default() });
    let alice = token(&home, "alice", &[TokenScope::Admin]);
    let path = format!("/run/{}/batch", crate::path_of(&echo()));
    let first = endless(&home, &alice, &path, "0").await;
    let second = endless(&home, &alice, &path, "0").await;
    ask(&home, &alice, "POST", &path, "1").await.is_problem(429, "busy");
    drop(first);
    assert_eq!(ask(&home, &alice, "POST", &path, "").await.status, 200);
    drop(second);
    let reader = token(&home, "alice", &[TokenScope::Read]);
    ask(&home, &reader, "POST", &path, "1").await.is_problem(403, "forbidden");
}

async fn connect(
    address: &str,
    path: &str,
) -> (BufReader<tokio::net::tcp::OwnedReadHalf>, tokio::net::tcp::OwnedWriteHalf) {
    let (read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\ncontent-type: application/x-ndjson\r\n\r\n"
    );
    write.write_all(head.as_bytes()).await.unwrap();
    (BufReader::new(read), write)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ends_when_its_token_does() {
    let home = Home::new(Settings::default());
    let alice = token(&home, "alice", &[TokenScope::Admin]);
    let path = crate::path_of(&echo());
    let put = ask(&home, &alice, "PUT", &format!("/v1/computes/{path}"), echo()).await;
    assert_eq!(put.status, 200);
    let (_, mut answers) = endless(&home, &alice, &format!("/run/{path}/batch"), "0").await;
    assert_eq!(answers.next().await.unwrap().unwrap(), "{\"output\":0}\n");
    let listed = ask(&home, &alice, "GET", "/v1/tokens", "").await.json();
    let id = listed["tokens"][0]["id"].as_str().unwrap();
    assert_eq!(ask(&home, &alice, "DELETE", &format!("/v1/tokens/{id}"), "").await.status, 204);
    let last = loop {
        let line: Value = serde_json::from_slice(&answers.next().await.unwrap().unwrap()).unwrap();
        if line["output"].is_null() {
            break line;
        }
    };
    assert_eq!(last["error"]["code"], "unauthenticated", "{last}");
    assert!(answers.next().await.is_none());
}

async fn chunk(to: &mut (impl tokio::io::AsyncWrite + Unpin), text: &str) {
    to.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await.unwrap();
}

/// The next line that is no head and no length of a chunk.
async fn line(from: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> String {
    loop {
        let mut line = String::new();
        assert!(from.read_line(&mut line).await.unwrap() > 0, "it ended");
        if line.starts_with("{\"") {
            return line;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_before_the_body_has_ended_and_a_shutdown_ends_it() {
    // Nothing moves for longer than a connection may be idle, and longer than an answer may be unread.
    let short = Duration::from_millis(100);
    let home = Home::new(Settings { idle_timeout: short, answer_timeout: short, ..dev() });
    let path = format!("/run/{}/batch", home.put(&echo()).await);
    let (address, stop, running) = start(&home).await;
    let (mut read, mut write) = connect(&address, &path).await;
    for n in 1..4 {
        chunk(&mut write, &format!("{n}\n{n}")).await;
        assert_eq!(line(&mut read).await, format!("{{\"output\":{n}}}\n"));
        tokio::time::sleep(3 * short).await;
        chunk(&mut write, "0\n").await;
        assert_eq!(line(&mut read).await, format!("{{\"output\":{n}0}}\n"));
    }
    stop.send(()).unwrap();
    let last: Value = serde_json::from_str(&line(&mut read).await).unwrap();
    let error = &last["error"];
    assert_eq!((&error["code"], &error["line"]), (&json!("unavailable"), &json!(7)));
    let mut rest = String::new();
    read.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the answer has its end: {rest:?}");
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_to_be_told_to_go_on_is_told() {
    let home = Home::new(dev());
    let path = format!("/run/{}/batch", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    let mut stream = BufReader::new(TcpStream::connect(&address).await.unwrap());
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = String::new();
    stream.read_line(&mut first).await.unwrap();
    assert_eq!(first, "HTTP/1.1 100 Continue\r\n");
    stream.write_all(b"7").await.unwrap();
    assert_eq!(line(&mut stream).await, "{\"output\":7}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_wait_for_memory_that_others_take() {
    // Less than two of these lines need, and enough for one.
    let settings = Settings { memory: 12 << 20, tenant_memory: 12 << 20, ..dev() };
    let home = Home::new(Settings { request_memory: 11 << 20, ..settings });
    let path = format!("/run/{}/batch", home.put(&echo()).await);
    let body = format!("\"{}\"\n", "x".repeat(2 << 20)).repeat(3);
    let found = lines(&home.send_with("POST", &path, &[], body).await);
    // The module answers with the first of it, which is no JSON: each was run.
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|line| line["error"]["code"] == "compute_failed"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_which_nothing_comes_ends() {
    let home = Home::new(Settings { body_timeout: Duration::from_millis(200), ..dev() });
    let path = format!("/run/{}/batch", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    let (mut read, mut write) = connect(&address, &path).await;
    // Blank lines keep it open, for as long as they come.
    for _ in 0..6 {
        chunk(&mut write, "\n").await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    chunk(&mut write, "1\n{").await;
    assert_eq!(line(&mut read).await, "{\"output\":1}\n");
    let last: Value = serde_json::from_str(&line(&mut read).await).unwrap();
    assert_eq!(
        (&last["error"]["code"], &last["error"]["line"]),
        (&json!("body_too_slow"), &json!(2))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_batch_that_nobody_reads_end_it() {
    let short = Duration::from_millis(300);
    let home = Home::new(Settings { answer_timeout: short, idle_timeout: short, ..dev() });
    let path = format!("/run/{}/batch", home.put(&echo()).await);
    let (address, _stop, _running) = start(&home).await;
    let (read, mut write) = connect(&address, &path).await;
    // A client that sends all before it reads: at some time neither goes on, and the server ends it.
    let text = format!("\"{}\"\n", "x".repeat(50_000)).repeat(4);
    let sending = async {
        for _ in 0..1000 {
            write.write_all(format!("{:x}\r\n{text}\r\n", text.len()).as_bytes()).await?;
        }
        Ok::<_, std::io::Error>(())
    };
    let sent = tokio::time::timeout(Duration::from_secs(60), sending).await.expect("it is ended");
    assert!(sent.is_err(), "not all of it was taken");
    drop(read);
}
