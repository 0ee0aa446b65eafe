//! Batches as jobs: split over whoever runs them, and put together in order.

use std::time::Duration;

use compute_server::run_jobs;
use compute_state::State as _;
use serde_json::{Value, json};

use super::{problem, submit, wait};
use crate::batches::moody;
use crate::{Home, dev, echo};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_gives_what_its_lines_give() {
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_millis(300));
    let home = Home::new(settings);
    home.apply("ids", "EMIT .id = &uuid(), .n = .n");
    let seed = "7".repeat(64);
    let inputs: Vec<Value> = (0..700).map(|n| json!({ "n": n })).collect();
    let now = "2026-01-31T12:00:00Z";
    let asked = json!({"stack": "ids", "inputs": inputs, "seed": seed, "now": now});
    let job = submit(&home, &asked).await;
    assert_eq!((&job["batch"], &job["state"]), (&json!(true), &json!("waiting")));
    // Another server has half of it.
    let other = home.another(dev());
    run_jobs(&home.server).unwrap();
    run_jobs(&other).unwrap();
    let ended = wait(&home, &job).await;
    assert_eq!(ended["state"], "done", "{ended}");
    assert_eq!(ended["parts"], json!({"all": 117, "ended": 117}));
    let output = ended["output"].as_array().unwrap();
    let lines: String = inputs.iter().map(|input| format!("{input}\n")).collect();
    let kind = ("content-type", "application/x-ndjson");
    let headers = [kind, ("x-compute-seed", &*seed), ("x-compute-now", now)];
    let sent = home.send_with("POST", "/stacks/ids/batch", &headers, lines).await;
    let sent = sent.text();
    let direct: Vec<Value> = sent.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.len(), direct.len()), (700, 700));
    for (number, (here, there)) in output.iter().zip(&direct).enumerate() {
        assert_eq!(here["output"], there["output"], "{number}");
        assert_eq!(here["output"]["n"], number);
    }
    // Nobody sees its parts.
    let listed = home.send("GET", "/v1/jobs?last=1000", "").await.json();
    assert_eq!(listed["jobs"].as_array().unwrap().len(), 1);
}

/// What fails is a line of its own, also what time fails as often as it may.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_stay_in_their_lines() {
    let mut settings = dev();
    settings.limits.wall = Some(Duration::from_millis(300));
    let home = Home::new(settings);
    let reference = format!("compute://{}", home.put(&moody()).await);
    run_jobs(&home.server).unwrap();
    for number in [3, 9] {
        let mut inputs: Vec<Value> = (0..number).map(|n| json!([n])).collect();
        inputs[1] = json!("spins");
        let asked = json!({"ref": reference, "inputs": inputs, "attempts": 1});
        let ended = wait(&home, &submit(&home, &asked).await).await;
        assert_eq!(ended["state"], "done", "{ended}");
        assert_eq!(ended.get("parts").is_some(), number > 4, "{ended}");
        for (at, answer) in ended["output"].as_array().unwrap().iter().enumerate() {
            if at == 1 {
                assert_eq!(answer["error"]["line"], 2, "{answer}");
                assert_eq!(answer["error"]["status"], 504, "{answer}");
            } else {
                assert_eq!(answer, &json!({"output": [at]}));
            }
        }
    }
}

/// A large output is an artifact of its tenant's.
#[tokio::test(flavor = "multi_thread")]
async fn large_outputs_are_in_the_store() {
    let mut settings = dev();
    settings.quotas.artifacts = 2;
    let home = Home::new(settings);
    home.put(&echo()).await;
    home.apply("mark", "EMIT .marked = true");
    run_jobs(&home.server).unwrap();
    let text = "x".repeat(300 << 10);
    let one = json!({"stack": "mark", "input": {"text": text}});
    let ended = wait(&home, &submit(&home, &one).await).await;
    assert_eq!((&ended["state"], ended.get("output")), (&json!("done"), None), "{ended}");
    let stored = ended["output_ref"].as_str().unwrap().to_owned();
    let path = format!("/v1/computes/{}", stored.strip_prefix("compute://").unwrap());
    let output = home.send("GET", &path, "").await;
    let expected = json!({"text": text, "marked": true});
    assert_eq!((output.header("content-type"), output.json()), ("application/json", expected));
    let run = home.send("POST", &format!("/run/{}", &path["/v1/computes/".len()..]), "1").await;
    assert!(run.status.is_client_error(), "{}", run.text());
    // The same once more takes no more room, and another has none.
    let again = wait(&home, &submit(&home, &one).await).await;
    assert_eq!(again["output_ref"], stored);
    let other = json!({"stack": "mark", "input": {"text": text, "n": 1}, "attempts": 1});
    let ended = wait(&home, &submit(&home, &other).await).await;
    assert_eq!(
        (&ended["state"], &ended["error"]["code"]),
        (&json!("failed"), &json!("quota_exceeded"))
    );
}

/// While somebody deletes the same output of a job that is not kept any more, none may have it: the job waits, and loses no attempt.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_at_this_moment_is_stored_later() {
    let home = Home::new(dev());
    home.apply("mark", "EMIT .marked = true");
    run_jobs(&home.server).unwrap();
    let one = json!({"stack": "mark", "input": {"text": "x".repeat(300 << 10)}, "attempts": 1});
    let ended = wait(&home, &submit(&home, &one).await).await;
    assert_eq!(ended["state"], "done", "{ended}");
    let queue = home.location().local_state().jobs().unwrap();
    assert_eq!(queue.sweep(Duration::ZERO, u64::MAX).unwrap().jobs, 1);
    assert_eq!(queue.gone_outputs(Duration::ZERO, 9).unwrap().len(), 1);
    let job = submit(&home, &one).await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    let waits = loop {
        let shown = home.send("GET", &path, "").await.json();
        if !["waiting", "running"].contains(&shown["state"].as_str().unwrap()) {
            break shown;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!((&waits["state"], &waits["tried"]), (&json!("scheduled"), &json!(0)), "{waits}");
}

/// What parts of a batch give is in the store as well where it is large, and no longer than the batch needs it.
#[tokio::test(flavor = "multi_thread")]
async fn large_parts_are_put_together() {
    let home = Home::new(dev());
    home.apply("mark", "EMIT .marked = true");
    run_jobs(&home.server).unwrap();
    let inputs: Vec<_> = (0..9).map(|n| json!({"text": "x".repeat(100 << 10), "n": n})).collect();
    let batch = json!({"stack": "mark", "inputs": inputs});
    let ended = wait(&home, &submit(&home, &batch).await).await;
    assert_eq!(ended["parts"], json!({"all": 3, "ended": 3}), "{ended}");
    let stored = ended["output_ref"].as_str().unwrap();
    let path = format!("/v1/computes/{}", stored.strip_prefix("compute://").unwrap());
    let output = home.send("GET", &path, "").await.json();
    for (n, answer) in output.as_array().unwrap().iter().enumerate() {
        assert_eq!(answer["output"]["n"], n);
    }
    assert_eq!(output.as_array().unwrap().len(), 9);
    let gone =
        home.location().local_state().jobs().unwrap().gone_outputs(Duration::ZERO, 9).unwrap();
    assert_eq!(gone.len(), 3, "those of its parts: {gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_bounded() {
    let home = Home::new(dev());
    let many = format!("[{}1]", "1,".repeat(100_000));
    let large = format!("[{}1]", format!("\"{}\",", "x".repeat(1 << 20)).repeat(16));
    for (inputs, status, code) in [
        ("[]", 400, "invalid_body"),
        ("{}", 400, "invalid_body"),
        ("[1,2", 400, "invalid_body"),
        (&*many, 413, "body_too_large"),
        (&*large, 413, "body_too_large"),
    ] {
        let body = format!(r#"{{"stack":"s","inputs":{inputs}}}"#);
        problem(&home.send("POST", "/v1/jobs", body).await, status, code);
    }
    let both = json!({"stack": "s", "inputs": [1], "input": 1});
    problem(&home.send("POST", "/v1/jobs", both.to_string()).await, 400, "invalid_body");
    // Nobody runs it: it is ended whole.
    let job = submit(&home, &json!({"stack": "s", "inputs": [{}, {}]})).await;
    let path = format!("/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
    assert_eq!(home.send("POST", &path, "").await.json()["state"], "cancelled");
    assert_eq!(wait(&home, &job).await["state"], "cancelled");
}
