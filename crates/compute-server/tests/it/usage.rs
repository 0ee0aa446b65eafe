//! What tenants use is counted by day, and told to nobody else.

mod allowance;

use compute_server::{Settings, run_jobs};
use compute_state::{State as _, TenantName, TokenScope, Usage};
use serde_json::{Value, json};

use crate::access::{ask, token};
use crate::{Home, dev, echo};

/// The sums of all days of an answer: a test may begin on one and end on the next.
fn sums(answer: &Value) -> Usage {
    let days = answer["days"].as_array().unwrap().iter();
    let used = days.map(|day| serde_json::from_value::<Usage>(day.clone()).unwrap());
    Usage::of(used.fold([0; Usage::FIELDS], |sums, used| {
        let numbers = used.numbers();
        std::array::from_fn(|at| sums[at] + numbers[at])
    }))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_is_counted() {
    let home = Home::new(dev());
    let path = home.put(&echo()).await;
    let reference = format!("compute://{path}");
    home.apply("s", &format!("EXEC \"{reference}\""));
    let before = sums(&home.send("GET", "/v1/usage", "").await.json());
    for _ in 0..2 {
        let fuel = [("x-compute-fuel", "1000000")];
        let ran = home.send_with("POST", &format!("/run/{path}"), &fuel, "{}").await;
        assert_eq!(ran.status, 200, "{}", ran.text());
    }
    assert_eq!(home.send("POST", "/stacks/s", "{}").await.status, 200);
    assert_eq!(home.send("POST", "/stacks/none", "{}").await.status, 404);
    let lines = [("content-type", "application/x-ndjson")];
    let batch = format!("/run/{path}/batch");
    let ran = home.send_with("POST", &batch, &lines, "{}\n{}\n{}\n").await;
    assert_eq!(ran.text().lines().count(), 3, "{}", ran.text());
    run_jobs(&home.server).unwrap();
    let job = json!({ "stack": "s", "input": {} }).to_string();
    let job = home.send("POST", "/v1/jobs", job).await.json();
    let wait = format!("/v1/jobs/{}?wait_ms=30000", job["id"].as_str().unwrap());
    assert_eq!(home.send("GET", &wait, "").await.json()["state"], "done");

    let answer = home.send("GET", "/v1/usage", "").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let after = sums(&answer.json());
    let [requests, documents, runs, jobs, wall, fuel] =
        std::array::from_fn(|at| after.numbers()[at] - before.numbers()[at]);
    // Each request once, this one too; a stack that there is not is no less of a document.
    assert_eq!((requests, documents, runs, jobs), (8, 3, 5, 1));
    assert!(wall > 0 && fuel > 0, "{after:?}");
    let counted = home.location().local_state().usage().unwrap();
    assert!(!counted.days(&TenantName::default(), None, None).unwrap().is_empty());

    let csv = home.send_with("GET", "/v1/usage", &[("accept", "text/csv")], "").await;
    assert!(csv.header("content-type").starts_with("text/csv"));
    let table = csv.text();
    let lines: Vec<_> = table.split("\r\n").collect();
    assert_eq!(lines[0], "day,requests,documents,runs,jobs,wall_us,fuel");
    assert_eq!((lines[1].split(',').count(), lines.last()), (7, Some(&"")));
}

#[tokio::test]
async fn usage_is_for_its_tenant() {
    let home = Home::new(Settings::default());
    let acme = token(&home, "acme", &[TokenScope::Read]);
    let other = token(&home, "other", &[TokenScope::Read]);
    for _ in 0..3 {
        ask(&home, &acme, "GET", "/v1/stacks", "").await;
    }
    let [acme_used, other_used] = [
        sums(&ask(&home, &acme, "GET", "/v1/usage", "").await.json()),
        sums(&ask(&home, &other, "GET", "/v1/usage", "").await.json()),
    ];
    assert_eq!((acme_used.requests, other_used.requests), (4, 1));
    let run = token(&home, "acme", &[TokenScope::Run]);
    ask(&home, &run, "GET", "/v1/usage", "").await.is_problem(403, "forbidden");
    let none = ask(&home, &acme, "GET", "/v1/usage?to=1970-01-01", "").await.json();
    assert_eq!(none, json!({ "days": [] }));
    for wrong in ["from=yesterday", "to=2026-02-30", "days=1"] {
        let answer = ask(&home, &acme, "GET", &format!("/v1/usage?{wrong}"), "").await;
        answer.is_problem(400, "invalid_query");
    }
}
