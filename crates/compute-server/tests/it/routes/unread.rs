//! What is active has changed, and cannot be read: what is known is used for a while, and that is said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use compute::Manager;
use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_server::{Server, Storage, router};
use compute_state::{Catalogue, Draft, File, State, TenantName, Vault};
use serde_json::json;
use tower::ServiceExt as _;

use crate::{Answer, dev};

const AWAY: &str = "x-compute-state-away";
/// With time for a machine that does other things.
const SOON: Duration = Duration::from_secs(60);

async fn asked(server: &Server, method: &str, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path).body(Body::from("{}")).unwrap();
    Answer::read(router(server.clone()).oneshot(request).await.unwrap()).await
}

/// Sends documents until an answer is so, and each before it as it was; the answer.
async fn until(
    server: &Server,
    before: impl Fn(&Answer) -> bool,
    so: impl Fn(&Answer) -> bool,
) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = asked(server, "POST", "/stacks/s/1").await;
        if so(&answer) {
            return answer;
        }
        assert!(before(&answer), "{} {:?}: {}", answer.status, answer.headers, answer.text());
        assert!(begun.elapsed() < SOON, "it stays {}: {}", answer.status, answer.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A server on a database, and the two versions that another one kept there: the first of them is active, and known.
async fn served(cluster: &Cluster, stale: Duration) -> (Server, Arc<dyn Catalogue>, [Draft; 2]) {
    let address = cluster.database("one");
    let open = || {
        let settings = PostgresSettings { stale, ..PostgresSettings::default() };
        Arc::new(PostgresState::open(&address, settings).unwrap())
    };
    let vault = Vault::new(&"5a".repeat(32)).unwrap();
    let storage = Storage { store: "memory:".to_owned(), state: open(), records: None, vault };
    let server = Server::open_on(storage, Manager::builder(), dev()).unwrap();
    let other = open().tenant(&TenantName::default()).unwrap().catalogue().unwrap();
    let [first, second] = [1, 2].map(|number| {
        let file = File::new("1/a.txcl", format!("EMIT .a = {number}"));
        other.draft(&"s".parse().unwrap(), &[file]).unwrap()
    });
    other.activate(std::slice::from_ref(&first)).unwrap();
    until(&server, |answer| answer.status == 404, |answer| says(answer, 1) && !is_said(answer))
        .await;
    (server, other, [first, second])
}

fn says(answer: &Answer, number: u32) -> bool {
    answer.status == 200 && answer.json() == json!({ "a": number })
}

fn is_said(answer: &Answer) -> bool {
    answer.headers.contains_key(AWAY)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_anew_is_used_for_a_while_and_says_so() {
    let cluster = Cluster::start();
    let (server, other, [_, second]) = served(&cluster, Duration::from_secs(2)).await;

    // The database answers, and reads no versions: it has no memory for that.
    other.activate(&[second]).unwrap();
    cluster.sql(
        "one",
        "CREATE FUNCTION compute.fails() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no memory' USING ERRCODE = '53200'; END $$;
        CREATE POLICY fails ON compute.versions AS RESTRICTIVE USING (compute.fails())",
    );
    until(&server, |answer| says(answer, 1), |answer| says(answer, 1) && is_said(answer)).await;
    let ready = asked(&server, "GET", "/readyz").await;
    assert!(
        ready.status == 200 && ready.text().starts_with("ready, with what"),
        "{}",
        ready.text()
    );
    let refused =
        until(&server, |answer| says(answer, 1) && is_said(answer), |answer| answer.status != 200)
            .await;
    refused.is_problem(503, "unavailable");

    cluster.sql("one", "DROP POLICY fails ON compute.versions");
    let back = until(&server, |answer| answer.status == 503, |answer| answer.status == 200).await;
    assert!(says(&back, 2) && !is_said(&back), "{:?}: {}", back.headers, back.text());
    assert_eq!(asked(&server, "GET", "/readyz").await.text(), "ready");
}

/// What hangs is waited for by one, and not by all.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_slow_to_be_read_anew_holds_one_document_at_a_time() {
    let cluster = Cluster::start();
    let (server, other, [_, second]) = served(&cluster, Duration::from_secs(600)).await;
    other.activate(&[second]).unwrap();
    // Longer than a server waits for an answer.
    cluster.sql(
        "one",
        "CREATE FUNCTION compute.hangs() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(3600); RETURN true; END $$;
        CREATE POLICY hangs ON compute.versions AS RESTRICTIVE USING (compute.hangs())",
    );
    until(&server, |answer| says(answer, 1), |answer| says(answer, 1) && is_said(answer)).await;
    // Each second one finds out whether it can be read, one at a time: while that waits, all others are answered.
    let (told, mut answers) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..40 {
        let (server, told) = (server.clone(), told.clone());
        tokio::time::sleep(Duration::from_millis(50)).await;
        tokio::spawn(async move {
            let answer = asked(&server, "POST", "/stacks/s/1").await;
            told.send(says(&answer, 1) && is_said(&answer)).unwrap();
        });
    }
    for number in 1..40 {
        let answer = tokio::time::timeout(Duration::from_secs(8), answers.recv()).await;
        assert_eq!(answer.unwrap_or_else(|_| panic!("{number} were answered")), Some(true));
    }
    assert!(answers.recv().await.unwrap());
    cluster.sql("one", "DROP POLICY hangs ON compute.versions");
    until(&server, |answer| says(answer, 1), |answer| says(answer, 2) && !is_said(answer)).await;
}
