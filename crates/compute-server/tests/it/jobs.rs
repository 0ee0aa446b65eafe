//! Jobs: kept until they have a result, the same wherever they run, and nobody's but their tenant's.

mod batches;
mod webhooks;

use std::time::Duration;

use compute_server::{Settings, run_jobs};
use compute_state::{
    Claim, JobState, JobWork, NewJob, State as _, StateQuotas, TenantName, TokenScope,
};
use serde_json::{Value, json};

use crate::batches::moody;
use crate::{Answer, Home, dev, echo};

/// The header that a tenant's token is sent in.
fn token(home: &Home, tenant: &str, scopes: &[TokenScope]) -> String {
    format!("Bearer {}", crate::access::token(home, tenant, scopes))
}

/// Submits a job, and gives back what is said of it.
async fn submit(home: &Home, body: &Value) -> Value {
    let answer = home.send("POST", "/v1/jobs", body.to_string()).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let job = answer.json();
    assert_eq!(answer.header("location"), format!("/v1/jobs/{}", job["id"].as_str().unwrap()));
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_fails_for_good_with_the_first_attempt() {
    let home = Home::new(dev());
    let gone = format!("compute://sha256/{}", "0".repeat(64));
    home.apply("broken", &format!("EXEC \"{gone}\""));
    run_jobs(&home.server).unwrap();
    for (asked, code) in [
        (json!({"ref": gone, "input": 1}), "missing_compute_artifact"),
        (json!({"stack": "broken", "input": {}}), "missing_compute_artifact"),
        (json!({"stack": "none", "input": {}}), "unknown_stage"),
    ] {
        let ended = wait(&home, &submit(&home, &asked).await).await;
        let told = (&ended["state"], &ended["error"]["code"], &ended["tried"]);
        assert_eq!(told, (&json!("failed"), &json!(code), &json!(1)), "{asked}: {ended}");
    }
}

/// A job at its end.
async fn wait(home: &Home, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}?wait_ms=30000", job["id"].as_str().unwrap());
    home.send("GET", &path, "").await.json()
}

fn problem(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (status, &json!(code)));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_end_with_what_they_answer() {
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_millis(300));
    let home = Home::new(settings);
    let reference = format!("compute://{}", home.put(&moody()).await);
    home.apply("clock", "EMIT .now = &now(nanos), .id = &uuid()");
    let run = submit(&home, &json!({"ref": reference, "input": {"a": [1, null]}})).await;
    assert_eq!((&run["state"], &run["ref"]), (&json!("waiting"), &json!(reference)));
    let seed = "7".repeat(64);
    let asked = json!({
        "stack": "clock", "input": {}, "seed": seed, "now": "2026-01-31T12:00:00.000000001Z", "priority": 9,
    });
    let document = submit(&home, &asked).await;
    let late = submit(&home, &json!({"ref": reference, "input": "spins", "attempts": 1})).await;
    let missing = json!({"ref": format!("compute://sha256/{}", "0".repeat(64)), "input": 1});
    let missing = submit(&home, &missing).await;
    // Nobody runs them yet.
    let shown = home.send("GET", &format!("/v1/jobs/{}", run["id"].as_str().unwrap()), "").await;
    assert_eq!(shown.json()["state"], "waiting");
    run_jobs(&home.server).unwrap();
    run_jobs(&home.server).unwrap();

    let run = wait(&home, &run).await;
    assert_eq!(
        (&run["state"], &run["output"]),
        (&json!("done"), &json!({"a": [1, null]})),
        "{run}"
    );
    assert_eq!((&run["tried"], &run["error"]), (&json!(1), &Value::Null));
    let document = wait(&home, &document).await;
    assert_eq!(document["output"]["now"], json!(1_769_860_800_000_000_001_u64), "{document}");
    assert_eq!(document["details"]["versions"], json!({"clock": 1}));
    // The same clock and seed give the same answer again, by a job or not.
    let again = wait(&home, &submit(&home, &asked).await).await;
    assert_eq!(again["output"], document["output"]);
    let headers =
        [("x-compute-seed", seed.as_str()), ("x-compute-now", "2026-01-31T12:00:00.000000001Z")];
    let direct = home.send_with("POST", "/stacks/clock", &headers, "{}").await;
    assert_eq!(direct.json(), document["output"]);
    let late = wait(&home, &late).await;
    assert_eq!(
        (&late["state"], &late["error"]["status"]),
        (&json!("failed"), &json!(504)),
        "{late}"
    );
    let missing = wait(&home, &missing).await;
    let told = (&missing["state"], &missing["error"]["code"], &missing["tried"]);
    assert_eq!(told, (&json!("failed"), &json!("missing_compute_artifact"), &json!(1)));

    let failed = home.send("GET", "/v1/jobs?state=failed", "").await.json();
    assert_eq!(failed["jobs"].as_array().unwrap().len(), 2);
    let all = home.send("GET", "/v1/jobs?last=1", "").await.json();
    assert_eq!((all["jobs"].as_array().unwrap().len(), &all["jobs"][0]["id"]), (1, &again["id"]));
    let before = format!("/v1/jobs?before={}", document["id"].as_str().unwrap());
    let before = home.send("GET", &before, "").await.json();
    assert_eq!(
        (before["jobs"].as_array().unwrap().len(), &before["jobs"][0]["id"]),
        (1, &run["id"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_may_be_sent_again() {
    let home = Home::new(dev());
    home.apply("s", "EMIT .id = &uuid()");
    let key = [("idempotency-key", "order 7")];
    let body = json!({"stack": "s", "input": {"n": 1}}).to_string();
    let first = home.send_with("POST", "/v1/jobs", &key, body.clone()).await;
    let second = home.send_with("POST", "/v1/jobs", &key, body).await;
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (202, 200));
    assert_eq!(first.json()["id"], second.json()["id"]);
    let other = json!({"stack": "s", "input": {"n": 2}}).to_string();
    let other = home.send_with("POST", "/v1/jobs", &key, other).await;
    problem(&other, 422, "idempotency_key_reused");
    assert_eq!(other.json()["job"], first.json()["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_and_tried_again() {
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_secs(60));
    let home = Home::new(settings);
    let reference = format!("compute://{}", home.put(&moody()).await);
    let later = json!({"ref": reference, "input": 1, "run_after": "2200-01-01T00:00:00Z"});
    let later = submit(&home, &later).await;
    assert_eq!(later["state"], "scheduled");
    run_jobs(&home.server).unwrap();
    let spins = submit(&home, &json!({"ref": reference, "input": "spins"})).await;
    let at = |job: &Value, what: &str| format!("/v1/jobs/{}{what}", job["id"].as_str().unwrap());
    while home.send("GET", &at(&spins, ""), "").await.json()["state"] != "running" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(home.server.load().0, 1);
    for job in [&spins, &later] {
        let cancelled = home.send("POST", &at(job, "/cancel"), "").await;
        assert_eq!(
            (cancelled.status.as_u16(), &cancelled.json()["state"]),
            (200, &json!("cancelled"))
        );
        problem(&home.send("POST", &at(job, "/cancel"), "").await, 409, "job_ended");
    }
    // Who ran it stops.
    while home.server.load().0 > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let again = home.send("POST", &at(&later, "/retry"), "").await;
    assert_eq!(again.json()["state"], "waiting");
    assert_eq!(wait(&home, &later).await["output"], 1);
    problem(&home.send("POST", &at(&later, "/retry"), "").await, 409, "job_not_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_anothers_jobs() {
    let home = Home::new(Settings::default());
    let one = token(&home, "one", &[TokenScope::Run, TokenScope::Read]);
    let two = token(&home, "two", &[TokenScope::Run, TokenScope::Read]);
    let reader = token(&home, "one", &[TokenScope::Read]);
    let body = json!({"stack": "s"}).to_string();
    let submitted =
        home.send_with("POST", "/v1/jobs", &[("authorization", &one)], body.clone()).await;
    assert_eq!(submitted.status, 202, "{}", submitted.text());
    let id = submitted.json()["id"].as_str().unwrap().to_owned();
    let two = [("authorization", two.as_str())];
    for (method, what) in [("GET", ""), ("POST", "/cancel"), ("POST", "/retry")] {
        let answer = home.send_with(method, &format!("/v1/jobs/{id}{what}"), &two, "").await;
        problem(&answer, 404, "not_found");
    }
    let listed = home.send_with("GET", "/v1/jobs", &two, "").await;
    assert_eq!(listed.json(), json!({"jobs": []}));
    let refused = home.send_with("POST", "/v1/jobs", &[("authorization", &reader)], body).await;
    problem(&refused, 403, "forbidden");
    let shown =
        home.send_with("GET", &format!("/v1/jobs/{id}"), &[("authorization", &reader)], "").await;
    assert_eq!(shown.json()["state"], "waiting");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_are_told() {
    let home = Home::new(dev());
    for (body, code) in [
        (json!({}), "invalid_body"),
        (
            json!({"stack": "s", "ref": format!("compute://sha256/{}", "0".repeat(64))}),
            "invalid_body",
        ),
        (json!({"stack": "a b"}), "invalid_stage"),
        (json!({"stack": "s", "priority": 10}), "invalid_body"),
        (json!({"stack": "s", "attempts": 0}), "invalid_body"),
        (json!({"stack": "s", "attempts": 21}), "invalid_body"),
        (json!({"stack": "s", "fuel": 0}), "invalid_body"),
        (json!({"stack": "s", "seed": "7"}), "invalid_body"),
        (json!({"stack": "s", "now": "1969-01-01T00:00:00Z"}), "invalid_body"),
        (json!({"stack": "s", "now": "2300-01-01T00:00:00Z"}), "invalid_body"),
        (
            json!({"stack": "s", "run_after": "2027-01-02T00:00:00Z", "deadline": "2027-01-01T00:00:00Z"}),
            "invalid_body",
        ),
        (json!({"stack": "s", "run_after_ms": 5, "deadline_ms": 5}), "invalid_body"),
        (json!({"stack": "s", "run_after_ms": u64::MAX}), "invalid_body"),
        (
            json!({"stack": "s", "deadline_ms": 5, "deadline": "2200-01-02T00:00:00Z"}),
            "invalid_body",
        ),
        (json!({"stack": "s", "runafter": "2027-01-02T00:00:00Z"}), "invalid_body"),
    ] {
        problem(&home.send("POST", "/v1/jobs", body.to_string()).await, 400, code);
    }
    let key = [("idempotency-key", "k".repeat(201))];
    let key = key.each_ref().map(|(name, value)| (*name, value.as_str()));
    problem(
        &home.send_with("POST", "/v1/jobs", &key, "{\"stack\":\"s\"}").await,
        400,
        "invalid_header",
    );
    let large = format!("{{\"stack\":\"s\",\"input\":\"{}\"}}", "x".repeat((4 << 20) + 1));
    problem(&home.send("POST", "/v1/jobs", large).await, 413, "body_too_large");
    problem(&home.send("GET", "/v1/jobs/1", "").await, 400, "invalid_job");
    problem(&home.send("GET", "/v1/jobs?state=gone", "").await, 400, "invalid_query");
    problem(&home.send("GET", "/v1/jobs?last=1001", "").await, 400, "invalid_query");
    let none = "/v1/jobs/0190163d-8694-739b-aea5-966c26f8ad91";
    problem(&home.send("GET", none, "").await, 404, "not_found");
    problem(&home.send("GET", &format!("{none}?wait_ms=60001"), "").await, 400, "invalid_query");
    problem(&home.send("GET", &format!("{none}?wait_ms=50"), "").await, 404, "not_found");
}

/// For who decides how many servers there are.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_how_many_there_are() {
    let home = Home::new(dev());
    for (stack, after) in [("a", 0), ("b", 0), ("c", 3_600_000)] {
        submit(&home, &json!({"stack": stack, "run_after_ms": after})).await;
    }
    let metrics = home.send("GET", "/metrics", "").await.text();
    for line in [
        r#"compute_jobs{state="waiting"} 2"#,
        r#"compute_jobs{state="scheduled"} 1"#,
        r#"compute_jobs{state="running"} 0"#,
    ] {
        assert!(metrics.contains(line), "no {line} in {metrics}");
    }
}

/// What another server had, and lost, is run here; what it gives afterwards is nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_another_server_left_is_run() {
    // One that was slow would be tried again.
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_secs(60));
    let home = Home::new(settings);
    let reference = format!("compute://{}", home.put(&echo()).await);
    let queue = home.location().local_state().jobs().unwrap();
    let job = NewJob::new(JobWork::Run(reference.parse().unwrap()), b"[1]".to_vec());
    let id = job.id;
    queue.submit(&[(TenantName::default(), job)]).unwrap();
    let claim = Claim {
        worker: "another",
        most: 1,
        most_each: 1,
        without_tells: &[],
        only_tells: &[],
        without_others: false,
        most_bytes: 1000,
        most_of_tenant: 10,
        lease: Duration::from_millis(50),
    };
    let claimed = queue.claim(&claim).unwrap().jobs;
    assert_eq!(claimed.len(), 1);
    run_jobs(&home.server).unwrap();
    let job = wait(&home, &json!({"id": id.to_string()})).await;
    assert_eq!((&job["output"], &job["tried"]), (&json!([1]), &json!(2)), "{job}");
    let late = compute_state::JobResult::new(b"2".to_vec(), b"{}".to_vec());
    let late = [(claimed[0].lease.clone(), compute_state::JobEnd::Done(late))];
    assert_eq!(queue.finish(&late).unwrap(), [false]);
    assert_eq!(wait(&home, &json!({"id": id.to_string()})).await["output"], json!([1]));
}

/// One tenant's many long jobs keep no place from another's.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_half_of_the_places() {
    let mut settings = Settings { max_jobs: 2, ..Settings::default() };
    settings.limits.wall = Some(Duration::from_secs(60));
    let home = Home::new(settings);
    let scopes = [TokenScope::Run, TokenScope::Read, TokenScope::Update];
    let (one, two) = (token(&home, "one", &scopes), token(&home, "two", &scopes));
    let module = moody();
    let path = crate::path_of(&module);
    for token in [&one, &two] {
        let headers = [("authorization", token.as_str())];
        let at = format!("/v1/computes/{path}");
        let put = home.send_with("PUT", &at, &headers, module.clone()).await;
        assert_eq!(put.status, 200);
    }
    run_jobs(&home.server).unwrap();
    let job =
        |input: Value| json!({"ref": format!("compute://{path}"), "input": input}).to_string();
    for _ in 0..10 {
        let headers = [("authorization", one.as_str())];
        let sent = home.send_with("POST", "/v1/jobs", &headers, job(json!("spins"))).await;
        assert_eq!(sent.status, 202);
    }
    let headers = [("authorization", two.as_str())];
    let sent = home.send_with("POST", "/v1/jobs", &headers, job(json!(7))).await.json();
    let shown = format!("/v1/jobs/{}?wait_ms=30000", sent["id"].as_str().unwrap());
    let ended = home.send_with("GET", &shown, &headers, "").await.json();
    assert_eq!((&ended["state"], &ended["output"]), (&json!("done"), &json!(7)), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_whose_token_submitted_it() {
    let home = Home::new(Settings::default());
    let acme = token(&home, "acme", &[TokenScope::Run, TokenScope::Read, TokenScope::Activate]);
    let headers = [("authorization", acme.as_str())];
    let job = json!({ "stack": "s", "input": {} }).to_string();
    let sent = home.send_with("POST", "/v1/jobs", &headers, job.clone()).await.json();
    let id = home.location().local_state().tokens().unwrap().list(None).unwrap()[0].id.clone();
    let who = json!({ "kind": "token", "id": id, "name": "test" });
    assert_eq!(sent["submitted_by"], who, "{sent}");
    let at = format!("/v1/jobs/{}", sent["id"].as_str().unwrap());
    let shown = home.send_with("GET", &at, &headers, "").await.json();
    let listed = home.send_with("GET", "/v1/jobs", &headers, "").await.json();
    assert_eq!((&shown["submitted_by"], &listed["jobs"][0]["submitted_by"]), (&who, &who));
    // A server for development knows nobody.
    let home = Home::new(dev());
    let sent = home.send("POST", "/v1/jobs", job).await.json();
    assert_eq!(sent.get("submitted_by"), None, "{sent}");
}

/// What is not said to be kept for ever is bounded.
#[test]
fn a_tenants_jobs_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let quotas = StateQuotas { jobs: 2, ..StateQuotas::default() };
    let state = compute_state::LocalState::new(folder.path()).with_quotas(quotas);
    let queue = state.jobs().unwrap();
    let job =
        || (TenantName::default(), NewJob::new(JobWork::Document("s".to_owned()), Vec::new()));
    let answers = queue.submit(&[job(), job(), job()]).unwrap();
    assert_eq!(answers.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(answers[0].as_ref().unwrap().info.state, JobState::Waiting);
}
