//! Jobs: on a real server, and where a server goes away.

use std::net::TcpListener;
use std::time::Duration;

use compute_client::ErrorKind;
use compute_client::api::{JobRequest, JobState};
use futures_util::TryStreamExt as _;
use serde_json::value::RawValue;

use crate::fake::{Fake, answer, problem};
use crate::served::{Served, echo};

const ID: &str = "0190163d-8694-739b-aea5-966c26f8ad91";

fn raw(text: &str) -> Option<Box<RawValue>> {
    Some(RawValue::from_string(text.to_owned()).unwrap())
}

/// A job that runs this compute on `[7]`.
fn run() -> JobRequest {
    let reference = echo().reference().clone();
    JobRequest { reference: Some(reference), input: raw("[7]"), ..JobRequest::default() }
}

/// The answer of a server that is asked about a job.
fn told(status: u16, state: &str) -> String {
    answer(
        status,
        "content-type: application/json\r\n",
        &format!(
            r#"{{"id":"{ID}","stack":"s","state":"{state}","priority":5,"tried":1,"attempts":5,"created":"2026-01-01T00:00:00Z","now":"2026-01-01T00:00:00Z","seed":"00","output":null}}"#
        ),
    )
}

#[test]
fn jobs_are_submitted_waited_for_ended_and_tried_again() {
    let served = Served::new();
    let client = served.client();
    client.put_artifact(&echo()).unwrap();
    let submitted = client.submit_job(&run(), Some("order 7")).unwrap();
    assert!(!submitted.was_there);
    let id = submitted.job.id;
    let again = client.submit_job(&run(), Some("order 7")).unwrap();
    assert_eq!((again.job.id, again.was_there), (id, true));
    let other = JobRequest { input: raw("[8]"), ..run() };
    let error = client.submit_job(&other, Some("order 7")).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "idempotency_key_reused"));
    let ended = client.wait_job(id, None).unwrap();
    assert_eq!((ended.head.state, ended.output.unwrap().get()), (JobState::Done, "[7]"));
    assert_eq!(client.job(id).unwrap().head, ended.head);
    assert_eq!(client.cancel_job(id).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(client.retry_job(id).unwrap_err().kind(), ErrorKind::Conflict);

    // Without a key each is one of its own.
    let later = JobRequest { run_after_ms: Some(86_400_000), ..run() };
    let [one, two] = [(); 2].map(|()| client.submit_job(&later, None).unwrap().job);
    assert_ne!(one.id, two.id);
    let waited = client.wait_job(one.id, Some(Duration::from_millis(20))).unwrap();
    assert_eq!(waited.head.state, JobState::Scheduled);
    assert_eq!(client.cancel_job(one.id).unwrap().state, JobState::Cancelled);
    assert_eq!(client.retry_job(one.id).unwrap().state, JobState::Waiting);
    assert_eq!(client.wait_job(one.id, None).unwrap().head.state, JobState::Done);

    let ids = |state| -> Vec<_> { client.jobs(state).map(|job| job.unwrap().id).collect() };
    assert_eq!(ids(None), [two.id, one.id, id]);
    assert_eq!(ids(Some(JobState::Scheduled)), [two.id]);
    let page = client.jobs_before(None, Some(two.id), 1).unwrap();
    assert_eq!(page.iter().map(|job| job.id).collect::<Vec<_>>(), [one.id]);
    let none = ID.parse().unwrap();
    for error in [
        client.wait_job(none, None).unwrap_err(),
        client.cancel_job(none).unwrap_err(),
        client.retry_job(none).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn the_methods_are_futures_too() {
    let served = Served::new();
    let client: compute_client::Client = served.builder().build().unwrap();
    client.put_artifact(&echo()).await.unwrap();
    let job = client.submit_job(&run(), None).await.unwrap().job;
    let ended = client.wait_job(job.id, None).await.unwrap();
    assert_eq!(ended.output.unwrap().get(), "[7]");
    let listed: Vec<_> = client.jobs(None).try_collect().await.unwrap();
    assert_eq!(listed, [ended.head]);
}

/// What may have arrived is sent again, and known by its key.
#[test]
fn a_job_whose_answer_was_lost_is_submitted_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fake = Fake::on(listener, |number, stream| {
        use std::io::Write as _;
        if number > 0 {
            stream.write_all(told(200, "waiting").as_bytes()).unwrap();
        }
    });
    let submitted = fake.client().submit_job(&run(), None).unwrap();
    assert!(submitted.was_there);
    let keys: Vec<_> = fake.requests().iter().map(|request| key(request)).collect();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
    fake.client().submit_job(&run(), None).unwrap();
    assert_ne!(key(&fake.requests()[2]), keys[0]);
}

fn key(request: &str) -> String {
    let line = request.lines().find(|line| line.starts_with("idempotency-key: "));
    line.unwrap_or_else(|| panic!("no key in {request}")).to_owned()
}

#[test]
fn a_job_is_waited_for_while_its_server_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let fake = Fake::on(listener, |number, stream| {
        use std::io::Write as _;
        let answer = match number {
            0 => told(200, "running"),
            1 => return,
            2 => problem(503, "draining", "retry-after: 3600\r\n"),
            _ => told(200, "done"),
        };
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let ended = fake.client().wait_job(ID.parse().unwrap(), None).unwrap();
    assert_eq!((ended.head.state, ended.output.unwrap().get()), (JobState::Done, "null"));
    assert!(fake.requests()[0].contains("?wait_ms=30000 "), "{:?}", fake.requests());
    // One that was never there is not waited for.
    let fake = Fake::new(&[&problem(503, "unavailable", "retry-after: 3600\r\n")]);
    let error = fake.client().wait_job(ID.parse().unwrap(), None).unwrap_err();
    assert_eq!((error.kind(), fake.requests().len()), (ErrorKind::Unavailable, 1));
}
