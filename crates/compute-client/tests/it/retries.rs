//! What is sent again, when, and what never is.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use compute_client::api::TokenRequest;
use compute_client::blocking::Client;
use compute_client::{CallOptions, ErrorKind, Retries};

use crate::QUICK;
use crate::fake::{Fake, STACKS, answer, problem};

#[test]
fn a_busy_server_is_asked_again_and_not_before_it_says() {
    let fake = Fake::new(&[&problem(429, "busy", "retry-after: 1\r\n"), &answer(200, "", STACKS)]);
    let begun = Instant::now();
    assert!(fake.client().stacks().unwrap().is_empty());
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn an_unavailable_server_is_asked_again_whatever_says_so() {
    let date = "retry-after: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    let fake = Fake::new(&[
        &problem(503, "unavailable", date),
        &answer(503, "", "<html>the gateway's own words</html>"),
        &answer(200, "", STACKS),
    ]);
    assert!(fake.client().stacks().unwrap().is_empty());
    assert_eq!(fake.requests().len(), 3);
}

#[test]
fn a_long_wait_is_told_and_not_waited() {
    for after in ["3600", "Tue, 01 Jan 2126 00:00:00 GMT"] {
        let fake = Fake::new(&[&problem(503, "unavailable", &format!("retry-after: {after}\r\n"))]);
        let error = fake.client().stacks().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let asked = error.problem().unwrap().retry_after.unwrap();
        assert!(asked >= Duration::from_secs(3600), "{asked:?}");
        assert_eq!(fake.requests().len(), 1);
    }
    // Nor one that goes beyond the client's own deadline.
    let fake = Fake::new(&[&problem(429, "busy", "retry-after: 2\r\n")]);
    let client = fake.builder().timeout(Duration::from_secs(1)).build().unwrap();
    assert_eq!(client.stacks().unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn retries_end() {
    let busy = problem(429, "busy", "");
    let fake = Fake::new(&[&busy]);
    let error = fake.client().stacks().unwrap_err();
    assert_eq!((error.kind(), error.to_string()), (ErrorKind::Busy, "what happened [busy]".into()));
    let problem = error.problem().unwrap();
    assert_eq!((problem.status, &problem.members["limit"]), (429, &7.into()));
    assert_eq!(fake.requests().len(), 5);
    let fake = Fake::new(&[&busy]);
    let client = fake.builder().retries(Retries::NONE).build().unwrap();
    assert_eq!(client.stacks().unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn what_is_refused_or_has_run_is_not_sent_again() {
    for (status, code, headers) in [
        (409, "version_immutable", "retry-after: 0\r\n"),
        (500, "internal", ""),
        (502, "bad_gateway", ""),
        // The document wanted this status, or its compute failed so.
        (503, "compute_failed", "x-compute-status: cancelled\r\n"),
        (429, "busy", "x-compute-status: ok\r\n"),
    ] {
        let fake = Fake::new(&[&problem(status, code, headers)]);
        let error = fake.client().process("s", "{}", &CallOptions::default()).unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(fake.requests().len(), 1, "{status} {code}");
    }
}

#[test]
fn a_token_is_made_once() {
    let new = TokenRequest { name: String::new(), scopes: [].into(), expires: None };
    let fake = Fake::new(&[&problem(429, "busy", ""), &problem(503, "unavailable", "")]);
    assert_eq!(fake.client().create_token(&new).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fake.requests().len(), 2);
}

/// A connection may end just when a request is sent on it, and nobody knows whether it arrived.
#[test]
fn what_is_lost_is_sent_again_where_twice_is_once() {
    let lost = |answered: String| {
        Fake::on(TcpListener::bind("127.0.0.1:0").unwrap(), move |number, stream| {
            if number > 0 {
                std::io::Write::write_all(stream, answered.as_bytes()).unwrap();
            }
        })
    };
    let fake = lost(answer(200, "", STACKS));
    assert!(fake.client().stacks().unwrap().is_empty());
    assert_eq!(fake.requests().len(), 2);
    let bytes = compute::Artifact::new(compute::Algorithm::Sha256, "wasm", &b"\0asm"[..]);
    let reference = bytes.reference();
    let uploaded = format!(
        r#"{{"ref":"{reference}","alg":"sha256","digest":"{}","engine":"wasm","bytes":4}}"#,
        reference.digest()
    );
    let fake = lost(answer(200, "", &uploaded));
    assert_eq!(fake.client().put_artifact(&bytes).unwrap().bytes, 4);
    assert_eq!(fake.requests().len(), 2);
    // What changes more each time is not, and neither is what runs.
    let new = TokenRequest { name: String::new(), scopes: [].into(), expires: None };
    let fake = lost(answer(200, "", "{}"));
    assert_eq!(fake.client().create_token(&new).unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(fake.requests().len(), 1);
    let fake = lost(answer(200, "", "{}"));
    fake.client().process("s", "{}", &CallOptions::default()).unwrap_err();
    assert_eq!(fake.requests().len(), 1);
}

#[test]
fn a_server_that_comes_up_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}");
    let told = |retries| {
        let client = Client::builder(&url).retries(retries).build().unwrap();
        let error = client.stacks().unwrap_err();
        assert!(error.is_refused(), "{error:?}");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        error.to_string()
    };
    assert_eq!(told(QUICK), format!("cannot reach {url}/: is a server running there?"));
    told(Retries { refused: false, ..Retries::DEFAULT });
    let patient = Retries { most: 1000, longest_wait: Duration::from_millis(50), ..QUICK };
    let waiting = std::thread::spawn({
        let client = Client::builder(&url).retries(patient).build().unwrap();
        move || client.stacks()
    });
    let fake = Fake::on(TcpListener::bind(address).unwrap(), |_, stream| {
        std::io::Write::write_all(stream, answer(200, "", STACKS).as_bytes()).unwrap();
    });
    assert!(waiting.join().unwrap().unwrap().is_empty());
    assert_eq!(fake.requests().len(), 1);
}
