//! Answers that are none of a server, or of a bad one: each ends in an error that says so.

use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use compute::{Algorithm, Ref};
use compute_client::blocking::Client;
use compute_client::{Error, ErrorKind, Retries};
use compute_store::{Store as _, StoreError};

use crate::fake::{Fake, STACKS, answer, problem};

#[test]
fn a_redirect_is_not_followed_with_a_token() {
    let thief = Fake::new(&[&answer(200, "", STACKS)]);
    for status in [301, 302, 307, 308] {
        let location = format!("location: {}/v1/stacks\r\n", thief.url);
        let fake = Fake::new(&[&answer(status, &location, "")]);
        let error = fake.builder().token("secret").build().unwrap().stacks().unwrap_err();
        assert!(matches!(error, Error::UnexpectedAnswer { status: told, .. } if told == status));
        assert!(fake.requests()[0].contains("authorization: Bearer secret"));
    }
    assert!(thief.requests().is_empty());
}

#[test]
fn an_answer_without_end_is_cut_off() {
    let endless = |status: &'static str, headers: &'static str| {
        Fake::on(TcpListener::bind("127.0.0.1:0").unwrap(), move |_, stream| {
            let _ = write!(stream, "HTTP/1.1 {status}\r\n{headers}connection: close\r\n\r\n");
            while stream.write_all(&[b' '; 4096]).is_ok() {}
        })
    };
    for (status, headers) in
        [("200 OK", ""), ("200 OK", "content-length: 99999999999\r\n"), ("500 Error", "")]
    {
        let fake = endless(status, headers);
        let client = fake.builder().max_answer(100_000).build().unwrap();
        let error = client.stacks().unwrap_err();
        let Error::AnswerTooLarge { url, limit: 100_000 } = &error else { panic!("{error:?}") };
        assert_eq!(*url, format!("{}/v1/stacks", fake.url));
        assert_eq!(error.kind(), ErrorKind::TooLarge);
    }
    // An artifact has 32 MiB at most, however much else may have.
    let error = endless("200 OK", "").client().artifact(&some_ref()).unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { limit: 33_554_432, .. }), "{error:?}");
}

#[test]
fn a_strange_answer_is_told_with_its_url() {
    for told in [
        answer(200, "", "<html>a router's page</html>"),
        answer(200, "", r#"{"stacks":7}"#),
        answer(404, "", "<html>not here</html>"),
        answer(500, "", r#"{"code":7}"#),
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_owned(),
    ] {
        let fake = Fake::new(&[&told]);
        let error = fake.client().stacks().unwrap_err();
        let Error::UnexpectedAnswer { url, .. } = &error else { panic!("{error:?}: {told}") };
        assert_eq!(*url, format!("{}/v1/stacks", fake.url));
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.to_string().contains("another version"), "{error}");
        assert_eq!(fake.requests().len(), 1);
    }
    // No HTTP at all.
    let fake = Fake::new(&["SSH-2.0-OpenSSH_9.9\r\n"]);
    assert_eq!(fake.client().stacks().unwrap_err().kind(), ErrorKind::Unavailable);
    // What stands between may say 401 in words of its own.
    let fake = Fake::new(&[&answer(401, "", "log in")]);
    assert_eq!(fake.client().stacks().unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[test]
fn a_deadline_covers_the_whole_answer() {
    let silent = Fake::on(TcpListener::bind("127.0.0.1:0").unwrap(), |_, _| {
        std::thread::park_timeout(Duration::from_secs(60));
    });
    let dripping = Fake::on(TcpListener::bind("127.0.0.1:0").unwrap(), |_, stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b" ").is_ok() {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    for fake in [silent, dripping] {
        let limit = Duration::from_millis(200);
        let begun = Instant::now();
        let error = fake.builder().timeout(limit).build().unwrap().stacks().unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(20));
        assert_eq!(error.kind(), ErrorKind::Deadline);
        let Error::Deadline { url, limit: told, .. } = &error else { panic!("{error:?}") };
        assert_eq!((url.as_str(), *told), (format!("{}/v1/stacks", fake.url).as_str(), limit));
    }
}

#[test]
fn bytes_are_not_believed() {
    let reference = some_ref();
    let fake = Fake::new(&[&answer(200, "", "other bytes")]);
    let client = fake.client();
    for error in
        [client.artifact(&reference).unwrap_err(), client.attachment(&reference).unwrap_err()]
    {
        assert!(matches!(error, Error::Digest { .. }), "{error:?}");
    }
    let manifest = format!(
        r#"{{"ref":"{reference}","engine":"wasm","alg":"sha256","digest":"{}","size":3,"created":"2026-01-01T00:00:00Z"}}"#,
        reference.digest()
    );
    let fake = Fake::new(&[&answer(200, "", &manifest), &answer(200, "", "other bytes")]);
    let store = fake.client().store();
    let error = pollster::block_on(store.get(&reference)).unwrap_err();
    assert!(matches!(error, StoreError::Digest(_)), "{error:?}");
    let error = pollster::block_on(store.attachment(&reference)).unwrap_err();
    assert!(matches!(error, StoreError::Digest(_)), "{error:?}");
}

#[test]
fn a_list_that_goes_round_ends() {
    let page = answer(200, "", &format!(r#"{{"computes":[],"next":"{}"}}"#, some_ref()));
    let fake = Fake::new(&[&page]);
    let listed: Vec<_> = fake.client().manifests().collect();
    assert!(matches!(listed[..], [Err(Error::UnexpectedAnswer { .. })]), "{listed:?}");
    assert_eq!(fake.requests().len(), 2);
}

#[test]
fn what_cannot_be_sent_is_not() {
    let fake = Fake::new(&[&answer(204, "", "")]);
    for error in [
        fake.client().delete_secret("..").unwrap_err(),
        fake.client().revoke_token("").unwrap_err(),
        fake.builder().token("a\nb").build().unwrap_err(),
        Client::builder("ftp://x").build().unwrap_err(),
        Client::builder("nonsense").build().unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert!(fake.requests().is_empty());
    // What has a meaning in a path has none in a name.
    fake.client().delete_secret("a/../?b").unwrap();
    assert!(fake.requests()[0].starts_with("DELETE /v1/secrets/a%2F..%2F%3Fb HTTP"));
}

#[test]
fn a_missing_token_is_hinted_at() {
    let fake = Fake::new(&[&problem(401, "unauthenticated", "")]);
    let error = fake.builder().token_hint("look under the mat").build().unwrap();
    let error = error.stacks().unwrap_err();
    assert_eq!(error.to_string(), "what happened; look under the mat");
    assert_eq!(fake.client().stacks().unwrap_err().to_string(), "what happened [unauthenticated]");
}

/// A client that waits may be used, and dropped, where nothing should wait; a future that is dropped ends its request.
#[tokio::test]
async fn a_blocking_client_works_in_an_async_program() {
    let fake = Fake::new(&[&answer(200, "", STACKS)]);
    let client = fake.builder().retries(Retries::NONE).build().unwrap();
    assert!(client.stacks().unwrap().is_empty());
    drop(client);
    let client = compute_client::Client::builder(&fake.url).build().unwrap();
    assert!(client.stacks().await.unwrap().is_empty());
}

fn some_ref() -> Ref {
    Ref::of(Algorithm::Sha256, b"the bytes")
}
