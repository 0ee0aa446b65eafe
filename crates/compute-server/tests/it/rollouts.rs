//! Versions that answer a part of a stack's documents: set, raised, completed and taken back, and what answers say of it.

use compute_server::Settings;
use compute_state::File;
use serde_json::{Value, json};

use crate::{Answer, Home, dev, echo};

const SET: &str = "/v1/stacks/s/rollout";
const COMPLETE: &str = "/v1/stacks/s/rollout/complete";

/// A server whose stack `s` has the version 1, which is active, and the version 2, which is not.
fn home(settings: Settings, rules: [&str; 2]) -> Home {
    let home = Home::new(settings);
    home.apply("s", rules[0]);
    draft(&home, rules[1]);
    home
}

fn draft(home: &Home, rule: &str) {
    let files = [File::new("100/rule.txcl", rule)];
    home.catalogue().draft(&"s".parse().unwrap(), &files).unwrap();
}

fn says(what: &str) -> String {
    format!("EMIT .say = \"{what}\"")
}

async fn set(home: &Home, number: u32, share: f64) -> Answer {
    let body = json!({ "number": number, "share": share, "by": ".customer.id" });
    home.send("PUT", SET, body.to_string()).await
}

/// What the stack says to a customer, and by which version.
async fn said(home: &Home, customer: &Value) -> (String, String) {
    let document = json!({ "customer": { "id": customer } });
    let answer = home.send("POST", "/stacks/s", document.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let version = answer.header("x-compute-versions").to_owned();
    (answer.json()["say"].as_str().unwrap().to_owned(), version)
}

/// Which of the customers get the version 2.
async fn customers(home: &Home) -> Vec<usize> {
    let mut new = Vec::new();
    for customer in 0..100 {
        match said(home, &json!(format!("c-{customer}"))).await {
            (say, version) if say == "one" => assert_eq!(version, "s@1"),
            (say, version) => {
                assert_eq!((say.as_str(), version.as_str()), ("two", "s@2"));
                new.push(customer);
            }
        }
    }
    new
}

#[tokio::test]
async fn a_version_is_rolled_out_step_by_step() {
    let home = home(dev(), [&says("one"), &says("two")]);
    assert!(customers(&home).await.is_empty());
    assert_eq!(set(&home, 2, 0.1).await.status, 204);
    let few = customers(&home).await;
    // Of 100 values that are drawn once and for all.
    assert!((2..25).contains(&few.len()), "{few:?}");
    assert_eq!(set(&home, 2, 0.5).await.status, 204);
    let half = customers(&home).await;
    assert!((30..70).contains(&half.len()), "{half:?}");
    assert!(few.iter().all(|one| half.contains(one)), "{few:?}, {half:?}");
    for nobody in [json!(null), json!({}), json!(["c-1"])] {
        assert_eq!(said(&home, &nobody).await.0, "one");
    }
    let shown = home.send("GET", SET, "").await.json();
    let rollout = json!({ "stack": "s", "number": 2, "share": 0.5, "by": ".customer.id" });
    let report = json!({ "number": 2, "share": 0.5, "by": ".customer.id", "active": 1 });
    assert_eq!(shown, report);
    assert_eq!(home.send("GET", "/v1/rollouts", "").await.json()["rollouts"], json!([rollout]));
    // The trace says it, too.
    let document = json!({ "customer": { "id": format!("c-{}", half[0]) } }).to_string();
    let headers = [("x-compute-rid", "r-1"), ("x-compute-trace", "summary")];
    home.send_with("POST", "/stacks/s", &headers, document).await;
    let trace = home.send("GET", "/v1/traces/r-1", "").await.json();
    assert_eq!(trace["numbers"], json!({ "s": 2 }));
    let hash = home.catalogue().info(&"s".parse().unwrap(), 2).unwrap().hash;
    assert_eq!(trace["versions"], json!({ "s": hash }));

    // Another version in its place has the same customers; taken back, none.
    draft(&home, "EMIT .say = \"two\", .also = 1");
    assert_eq!(set(&home, 3, 0.1).await.status, 204);
    let document = json!({ "customer": { "id": format!("c-{}", few[0]) } }).to_string();
    let answer = home.send("POST", "/stacks/s", document).await;
    assert_eq!((answer.header("x-compute-versions"), &answer.json()["also"]), ("s@3", &json!(1)));
    // Only the one that is meant, where it is said which.
    home.send("DELETE", &format!("{SET}?number=2"), "").await.is_problem(404, "not_found");
    assert_eq!(home.send("GET", SET, "").await.status, 200);
    assert_eq!(home.send("DELETE", &format!("{SET}?number=3"), "").await.status, 204);
    assert!(customers(&home).await.is_empty());
    home.send("DELETE", SET, "").await.is_problem(404, "not_found");
    home.send("GET", SET, "").await.is_problem(404, "not_found");

    // Completed, it is active: only if it is what is meant.
    assert_eq!(set(&home, 2, 0.1).await.status, 204);
    home.send("POST", COMPLETE, r#"{"number":3}"#).await.is_problem(404, "not_found");
    assert_eq!(customers(&home).await, few);
    assert_eq!(home.send("POST", COMPLETE, r#"{"number":2}"#).await.status, 204);
    assert_eq!(customers(&home).await.len(), 100);
    assert_eq!(home.send("GET", "/v1/stacks", "").await.json()["stacks"][0]["active"], 2);
    home.send("POST", COMPLETE, r#"{"number":2}"#).await.is_problem(404, "not_found");
    // Whatever becomes active ends it: who goes back does not wait.
    assert_eq!(set(&home, 1, 1.0).await.status, 204);
    assert!(customers(&home).await.is_empty());
    assert_eq!(home.send("POST", "/v1/stacks/s/versions/2/activate", "").await.status, 200);
    assert_eq!(customers(&home).await.len(), 100);
    home.send("GET", SET, "").await.is_problem(404, "not_found");
}

#[tokio::test]
async fn what_cannot_be_active_is_not_rolled_out() {
    let echo_path = crate::path_of(&echo());
    let exec = format!("EXEC \"compute://{echo_path}\"");
    let home = home(dev(), [&says("one"), &exec]);
    let refused = set(&home, 2, 0.1).await.is_problem(422, "missing_compute_artifact");
    assert_eq!(refused["problems"][0]["stack"], "s");
    set(&home, 1, 0.1).await.is_problem(409, "conflict");
    set(&home, 9, 0.1).await.is_problem(404, "not_found");
    for wrong in [
        json!({ "number": 2, "share": 0, "by": ".a" }),
        json!({ "number": 2, "share": 1.5, "by": ".a" }),
        json!({ "number": 2, "share": 0.1 }),
        json!({ "number": 2, "share": 0.1, "by": "" }),
        json!({ "number": 2, "share": 0.1, "by": "EMIT .a" }),
        json!({ "number": 2, "share": 0.1, "by": format!(".{}", "a".repeat(600)) }),
        json!({ "number": 2, "share": 0.1, "by": ".a".repeat(65) }),
        json!({ "number": 2, "share": 0.1, "by": ".a", "more": 1 }),
    ] {
        home.send("PUT", SET, wrong.to_string()).await.is_problem(400, "invalid_body");
    }
    let long = json!({ "number": 2, "share": 0.1, "by": ".a".repeat(4096) }).to_string();
    assert_eq!(home.send("PUT", SET, long).await.status, 413);
    let none = json!({ "number": 1, "share": 0.1, "by": ".a" }).to_string();
    home.send("PUT", "/v1/stacks/other/rollout", none).await.is_problem(404, "not_found");
    home.send("GET", SET, "").await.is_problem(404, "not_found");

    // While it answers documents, what it runs stays, and so do its rules.
    home.put(&echo()).await;
    assert_eq!(set(&home, 2, 1.0).await.status, 204);
    let at = format!("/v1/computes/{echo_path}");
    assert_eq!(home.send("DELETE", &at, "").await.status, 409);
    let file = "/v1/stacks/s/versions/2/files/100/rule.txcl";
    home.send("PUT", file, says("three")).await.is_problem(409, "version_immutable");
    let document = json!({ "customer": { "id": 1 } }).to_string();
    let answer = home.send("POST", "/stacks/s", document).await;
    assert_eq!(answer.header("x-compute-versions"), "s@2");
}

#[tokio::test]
async fn the_request_of_the_web_decides_as_it_came() {
    let home =
        home(dev(), ["EMIT @web.res.body_text = \"one\"", "EMIT @web.res.body_text = \"two\""]);
    let by = json!({ "number": 2, "share": 1, "by": "@web.req.headers.x-customer" });
    assert_eq!(home.send("PUT", SET, by.to_string()).await.status, 204);
    let with = home.send_with("GET", "/web/s/a", &[("x-customer", "c-1")], "").await;
    assert_eq!((with.text().as_str(), with.header("x-compute-versions")), ("two", "s@2"));
    let without = home.send("GET", "/web/s/a", "").await;
    assert_eq!((without.text().as_str(), without.header("x-compute-versions")), ("one", "s@1"));
    // A document cannot say what its request was.
    let claims = json!({ "_txc": { "web": { "req": { "headers": { "x-customer": "c-1" } } } } });
    let claims = home.send("POST", "/stacks/s", claims.to_string()).await;
    assert_eq!(claims.header("x-compute-versions"), "s@1");
}

#[tokio::test]
async fn a_version_that_has_no_room_keeps_the_active_one_from_nobody() {
    let home = home(Settings { rule_memory: 40 << 10, ..dev() }, [&says("one"), &says("two")]);
    let many = format!("EMIT {}.z = 1", ".a = 1, ".repeat(100));
    draft(&home, &many);
    assert_eq!(set(&home, 2, 0.1).await.status, 204);
    assert!(!customers(&home).await.is_empty());
    assert_eq!(set(&home, 3, 1.0).await.status, 204);
    let answer = home.send("POST", "/stacks/s", "{\"customer\":{\"id\":1}}").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-compute-versions")), (200, "s@1"));
    assert_eq!(home.send("DELETE", SET, "").await.status, 204);
    assert_eq!(said(&home, &json!("c")).await.0, "one");
}

#[tokio::test]
async fn a_shadow_goes_on_with_what_the_active_version_answers() {
    let home = home(dev(), [&says("one"), &says("two")]);
    assert_eq!(set(&home, 2, 1.0).await.status, 204);
    let shadow = json!({ "number": 2, "share": 1 }).to_string();
    assert_eq!(home.send("PUT", "/v1/stacks/s/shadow", shadow).await.status, 204);
    let counts = async || home.send("GET", SET, "").await.json()["shadow"].clone();
    for customer in 0..5 {
        assert_eq!(said(&home, &json!(customer)).await.0, "two");
    }
    let seen = counts().await;
    assert_eq!((&seen["documents"], &seen["skipped"]), (&json!(0), &json!(0)), "{seen}");
    // One that has no value there gets the active version, and the other one as its shadow.
    assert_eq!(said(&home, &json!(null)).await.0, "one");
    let seen = loop {
        let seen = counts().await;
        if seen["documents"] != 0 || seen["skipped"] != 0 {
            break seen;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(seen["different"], seen["documents"], "{seen}");
    // A shadow of another version says nothing of this one.
    draft(&home, &says("three"));
    let shadow = json!({ "number": 3, "share": 1 }).to_string();
    assert_eq!(home.send("PUT", "/v1/stacks/s/shadow", shadow).await.status, 204);
    assert_eq!(counts().await, Value::Null);
}
