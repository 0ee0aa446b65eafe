//! Tokens, tenants and secrets: who may do what, and what nobody gets to see.

use std::collections::BTreeSet;

use compute_server::Settings;
use compute_state::{File, TenantName, TokenScope};
use serde_json::{Value, json};

use crate::{Answer, Home, dev, echo, path_of, spin};

pub(crate) fn token(home: &Home, tenant: &str, scopes: &[TokenScope]) -> String {
    let tokens = home.location().tokens().unwrap();
    let tenant: TenantName = tenant.parse().unwrap();
    let scopes: BTreeSet<_> = scopes.iter().copied().collect();
    tokens.create(Some(&tenant), "test", &scopes, None).unwrap().token
}

pub(crate) async fn ask(
    home: &Home,
    token: &str,
    method: &str,
    path: &str,
    body: impl Into<Vec<u8>>,
) -> Answer {
    let bearer = format!("Bearer {token}");
    home.send_with(method, path, &[("authorization", &bearer)], body.into()).await
}

/// Every operation that the description has, with something in the place of each parameter.
fn operations() -> Vec<(String, String, String)> {
    let document: Value = compute_server::openapi();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(scope) = operation["security"][0]["token"][0].as_str() else { continue };
            operations.push((method.to_uppercase(), path.clone(), scope.to_owned()));
        }
    }
    assert!(operations.len() > 25, "{}", operations.len());
    operations
}

fn filled(path: &str, fill: &[(&str, &str)]) -> String {
    let mut path = path.to_owned();
    for (name, value) in fill {
        path = path.replace(&format!("{{{name}}}"), value);
    }
    path
}

const ZERO: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const SOMETHING: [(&str, &str); 9] = [
    ("alg", "sha256"),
    ("digest", ZERO),
    ("stack", "s"),
    ("stage", "s"),
    ("number", "1"),
    ("scope", "100"),
    ("file", "a.txcl"),
    ("name", "n"),
    ("id", "i"),
];

#[tokio::test]
async fn every_route_asks_for_a_token_with_its_scope() {
    let home = Home::new(Settings::default());
    for (method, path, scope) in operations() {
        let path = filled(&path, &SOMETHING);
        let what = format!("{method} {path}");
        let without = home.send(&method, &path, "").await;
        assert_eq!(without.status, 401, "{what}");
        assert_eq!(without.header("www-authenticate"), "Bearer");
        let wrong = ask(&home, "compute_00_wrong", &method, &path, "").await;
        assert_eq!(wrong.status, 401, "{what}");
        let others: Vec<_> = TokenScope::ALL
            .into_iter()
            .filter(|one| one.name() != scope && *one != TokenScope::Admin)
            .collect();
        let other = ask(&home, &token(&home, "default", &others), &method, &path, "").await;
        assert_eq!(other.status, 403, "{what}");
        let scopes = [scope.parse().unwrap()];
        let right = ask(&home, &token(&home, "default", &scopes), &method, &path, "").await;
        assert!(![401, 403].contains(&right.status.as_u16()), "{what}: {}", right.status);
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_or_has_no_scheme_is_none() {
    let home = Home::new(Settings::default());
    let admin = token(&home, "default", &[TokenScope::Admin]);
    let made = ask(&home, &admin, "POST", "/v1/tokens", r#"{"name":"ci","scopes":["read"]}"#).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let made = made.json();
    let (new, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    assert_eq!(ask(&home, new, "GET", "/v1/stacks", "").await.status, 200);
    let listed = ask(&home, &admin, "GET", "/v1/tokens", "").await;
    assert_eq!(listed.json()["tokens"].as_array().unwrap().len(), 2);
    assert!(!listed.text().contains(new.splitn(3, '_').nth(2).unwrap()), "never shown again");
    assert_eq!(ask(&home, &admin, "DELETE", &format!("/v1/tokens/{id}"), "").await.status, 204);
    ask(&home, new, "GET", "/v1/stacks", "").await.is_problem(401, "unauthenticated");
    for header in [admin.clone(), format!("Basic {admin}"), "Bearer".to_owned(), String::new()] {
        let answer = home.send_with("GET", "/v1/stacks", &[("authorization", &header)], "").await;
        answer.is_problem(401, "unauthenticated");
    }
    let none = ask(&home, &admin, "POST", "/v1/tokens", r#"{"scopes":[]}"#).await;
    none.is_problem(400, "invalid_body");
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let home = Home::new(Settings::default());
    let (acme, other) =
        (token(&home, "acme", &[TokenScope::Admin]), token(&home, "other", &[TokenScope::Admin]));
    let module = echo();
    let path = path_of(&module);
    let stored = ask(&home, &acme, "PUT", &format!("/v1/computes/{path}"), module.clone()).await;
    assert_eq!(stored.status, 200, "{}", stored.text());
    let rule = json!({ "files": [{ "path": "100/a.txcl", "text": format!("EXEC \"compute://{path}\"") }] });
    let drafted = ask(&home, &acme, "POST", "/v1/stacks/s/drafts", rule.to_string()).await;
    assert_eq!(drafted.status, 201, "{}", drafted.text());
    let active = ask(&home, &acme, "POST", "/v1/stacks/s/versions/1/activate", "").await;
    assert_eq!(active.status, 200, "{}", active.text());
    let policy = json!({ "which": "all" }).to_string();
    assert_eq!(ask(&home, &acme, "PUT", "/v1/record-policies", policy.clone()).await.status, 204);
    // It is loaded now, in the one engine.
    let ran = ask(&home, &acme, "POST", &format!("/run/{path}"), "{}").await;
    assert_eq!(ran.status, 200, "{}", ran.text());
    let fired = home
        .send_with(
            "POST",
            "/stacks/s",
            &[("authorization", &format!("Bearer {acme}")), ("x-compute-rid", "r-1")],
            "{}",
        )
        .await;
    assert_eq!(fired.status, 200, "{}", fired.text());
    let value = json!({ "value": "of-acme" }).to_string();
    assert_eq!(ask(&home, &acme, "PUT", "/v1/secrets/KEY", value).await.status, 204);
    let job = json!({ "stack": "s", "input": { "of": "acme" } }).to_string();
    let job = ask(&home, &acme, "POST", "/v1/jobs", job).await.json();
    let job = job["id"].as_str().unwrap().to_owned();
    let schedule = json!({ "cron": "@daily", "stack": "s" }).to_string();
    let set = ask(&home, &acme, "PUT", "/v1/schedules/KEY", schedule).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let listed = ask(&home, &acme, "GET", "/v1/tokens", "").await.json();
    let id = listed["tokens"][0]["id"].as_str().unwrap().to_owned();

    let digest = path.rsplit('/').next().unwrap();
    let fill = [
        ("alg", "sha256"),
        ("digest", digest),
        ("stack", "s"),
        ("stage", "s"),
        ("number", "1"),
        ("scope", "100"),
        ("file", "a.txcl"),
        ("name", "KEY"),
        ("id", id.as_str()),
    ];
    for (method, path, _) in operations() {
        // The lists of a tenant that has nothing, and what makes something of its own.
        let own = [
            "/v1/computes",
            "/v1/stacks",
            "/v1/traces",
            "/v1/tokens",
            "/v1/secrets",
            "/v1/shadows",
            "/v1/rollouts",
            "/v1/records",
            "/v1/records/export",
            "/v1/record-policies",
            "/v1/audit",
            "/v1/usage",
            "/v1/jobs",
            "/v1/schedules",
        ];
        if own.contains(&path.as_str()) {
            if method == "GET" {
                let list = ask(&home, &other, &method, &path, "").await;
                let text = list.text();
                let seen = ["KEY", "acme", "r-1", "\"all\"", digest, job.as_str()];
                assert!(!seen.iter().any(|seen| text.contains(seen)), "{path}: {text}");
            }
            continue;
        }
        let body = match (method.as_str(), path.as_str()) {
            ("PUT", "/v1/computes/{alg}/{digest}") | ("POST", "/v1/stacks/{stack}/drafts") => {
                continue;
            }
            ("PUT", "/v1/secrets/{name}" | "/v1/schedules/{name}") => continue,
            (_, "/v1/activate") => r#"{"versions":[{"stack":"s","number":1}]}"#.to_owned(),
            ("PUT", "/v1/stacks/{stack}/record-policy") => policy.clone(),
            ("PUT", "/v1/stacks/{stack}/shadow") => json!({ "number": 1, "share": 1 }).to_string(),
            ("PUT", "/v1/stacks/{stack}/rollout") => {
                json!({ "number": 1, "share": 1, "by": ".a" }).to_string()
            }
            (_, "/v1/stacks/{stack}/rollout/complete") => json!({ "number": 1 }).to_string(),
            (_, "/v1/run") => json!({ "ref": format!("compute://sha256/{digest}") }).to_string(),
            _ => "{}".to_owned(),
        };
        let at = filled(&path, &fill);
        let at = at.replace(&format!("/traces/{id}"), "/traces/r-1");
        let at = at.replace(&format!("/records/{id}"), "/records/r-1");
        let at = at.replace(&format!("/jobs/{id}"), &format!("/jobs/{job}"));
        let at = at.replace("/diff", "/diff?from=1&to=1");
        let answer = ask(&home, &other, &method, &at, body).await;
        if path.starts_with("/run/") && path.ends_with("/batch") {
            // Each of its lines is told.
            let text = answer.text();
            assert!(text.contains("\"status\":404") && !text.contains("output"), "{text}");
            continue;
        }
        let expected = if path == "/metrics" { 403 } else { 404 };
        assert_eq!(answer.status, expected, "{method} {at}: {}", answer.text());
    }
    // A rule that names another's artifact does not become active.
    let drafted = ask(&home, &other, "POST", "/v1/stacks/s/drafts", rule.to_string()).await;
    assert_eq!(drafted.status, 201);
    let refused = ask(&home, &other, "POST", "/v1/stacks/s/versions/1/activate", "").await;
    refused.is_problem(422, "missing_compute_artifact");
    // All of it is still there.
    assert_eq!(ask(&home, &acme, "POST", &format!("/run/{path}"), "{}").await.status, 200);
    assert_eq!(ask(&home, &acme, "GET", "/v1/traces/r-1", "").await.status, 200);
    assert_eq!(ask(&home, &acme, "GET", "/v1/records/r-1", "").await.status, 200);
}

#[tokio::test]
async fn secrets_reach_the_rule_that_names_them_and_nobody_else() {
    let home = Home::new(dev());
    let echo = home.put(&echo()).await;
    let set = home.send("PUT", "/v1/secrets/API_KEY", r#"{"value":"hunter2-secret"}"#).await;
    assert_eq!(set.status, 204, "{}", set.text());
    let listed = home.send("GET", "/v1/secrets", "").await;
    assert_eq!(listed.json()["secrets"][0]["name"], "API_KEY");
    home.apply("named", &format!("EXEC \"compute://{echo}\" WITH secrets = \"API_KEY\""));
    home.apply("silent", &format!("EXEC \"compute://{echo}\""));
    // This compute gives back all that it receives.
    let named = home.send("POST", "/stacks/named", "{}").await;
    assert!(named.text().contains("hunter2-secret"), "{}", named.text());
    let silent = home.send("POST", "/stacks/silent", "{}").await;
    assert!(!silent.text().contains("hunter2"), "{}", silent.text());
    home.apply("absent", &format!("EXEC \"compute://{echo}\" WITH secrets = \"OTHER\""));
    home.send("POST", "/stacks/absent", "{}").await.is_problem(422, "missing_secret");

    // A rule that fails with it in its words.
    home.apply(
        "loud",
        &format!("EXEC \"compute://{}\" WITH secrets = \"API_KEY\"", home.put(&tells()).await),
    );
    let loud = home.send_with("POST", "/stacks/loud", &[("x-compute-trace", "full")], "{}").await;
    assert_eq!(loud.status, 422, "{}", loud.text());
    assert!(!loud.text().contains("hunter2"), "{}", loud.text());
    let rid = loud.header("x-compute-rid").to_owned();
    let trace = home.send("GET", &format!("/v1/traces/{rid}"), "").await;
    assert!(!trace.text().contains("hunter2"), "{}", trace.text());
    for answer in [&listed, &home.send("GET", "/v1/traces?last=100", "").await] {
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
    }
    // Another process sets it anew; the next document has it.
    home.catalogue().set_secret(&home.vault(), "API_KEY", "another-value").unwrap();
    assert!(home.send("POST", "/stacks/named", "{}").await.text().contains("another-value"));
    assert_eq!(home.send("DELETE", "/v1/secrets/API_KEY", "").await.status, 204);
    home.send("DELETE", "/v1/secrets/API_KEY", "").await.is_problem(404, "not_found");
    home.send("PUT", "/v1/secrets/a%2Fb", r#"{"value":"x"}"#).await.is_problem(400, "invalid_name");
    home.send("PUT", "/v1/secrets/a", r#"{"valu":"x"}"#).await.is_problem(400, "invalid_body");
}

/// A module that writes what it receives to standard error, and fails.
fn tells() -> Vec<u8> {
    wat::parse_str(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\00\10\00\00")
            (func (export "_start")
              (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
              (i32.store (i32.const 4) (i32.load (i32.const 8)))
              (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
              (unreachable)))"#,
    )
    .unwrap()
}

#[tokio::test]
async fn drafts_change_until_they_were_active() {
    let home = Home::new(dev());
    let files = json!({ "files": [{ "path": "100/a.txcl", "text": "EMIT .a = 1" }] }).to_string();
    let made = home.send("POST", "/v1/stacks/shop%2Feu/drafts", files.clone()).await;
    assert_eq!((made.status.as_u16(), &made.json()["number"]), (201, &json!(1)), "{}", made.text());
    assert_eq!(home.send("POST", "/v1/stacks/shop%2Feu/drafts", files).await.json()["number"], 1);
    let at = "/v1/stacks/shop%2Feu/versions/1";
    let file = format!("{at}/files/200/b.txcl");
    let written = home.send("PUT", &file, "EMIT .b = ").await;
    assert_eq!((written.status.as_u16(), &written.json()["rules"]), (200, &json!(2)));
    let validated = home.send("POST", &format!("{at}/validate"), "").await.json();
    assert_eq!(
        (&validated["valid"], &validated["problems"][0]["name"]),
        (&json!(false), &json!("b"))
    );
    home.send("POST", &format!("{at}/activate"), "").await.is_problem(422, "invalid_rule");
    home.send("PUT", &file, "EMIT .b = 2").await;
    assert_eq!(home.send("GET", &file, "").await.text(), "EMIT .b = 2");
    let shown = home.send("GET", at, "").await.json();
    assert_eq!(shown["files"][1], json!({ "path": "200/b.txcl", "text": "EMIT .b = 2" }));
    assert_eq!(home.send("POST", &format!("{at}/validate"), "").await.json()["valid"], true);
    assert_eq!(home.send("POST", &format!("{at}/activate"), "").await.status, 200);
    assert_eq!(home.send("POST", "/stacks/shop/eu", "{}").await.json(), json!({ "a": 1, "b": 2 }));
    home.send("PUT", &file, "").await.is_problem(409, "version_immutable");
    home.send("DELETE", &file, "").await.is_problem(409, "version_immutable");
    home.send("DELETE", at, "").await.is_problem(409, "version_immutable");

    let files = json!({ "files": [{ "path": "100/a.txcl", "text": "EMIT .a = 3" }] });
    home.send("POST", "/v1/stacks/shop%2Feu/drafts", files.to_string()).await;
    let diff = home.send("GET", "/v1/stacks/shop%2Feu/diff?from=1&to=2", "").await.json();
    let changes: Vec<_> =
        diff["files"].as_array().unwrap().iter().map(|one| &one["change"]).collect();
    assert_eq!(changes, ["changed", "removed"]);
    assert!(diff["files"][0]["diff"].as_str().unwrap().contains("+EMIT .a = 3"));
    let second = "/v1/stacks/shop%2Feu/versions/2";
    assert_eq!(home.send("DELETE", second, "").await.status, 204);
    home.send("GET", second, "").await.is_problem(404, "not_found");
    for path in ["..%2F..", "100%2Fa", "x"] {
        let at = format!("{at}/files/{path}/a.txcl");
        home.send("PUT", &at, "").await.is_problem(400, "invalid_rule_path");
    }
    let twice = json!({ "files": [{ "path": "100/a.txcl", "text": "" }, { "path": "100/a.txcl", "text": "" }] });
    home.send("POST", "/v1/stacks/t/drafts", twice.to_string())
        .await
        .is_problem(400, "invalid_body");
}

#[tokio::test]
async fn several_stacks_become_active_at_one_moment_or_none_does() {
    let home = Home::new(dev());
    for (stack, text) in [("a", "EMIT .a = 1"), ("b", "EXEC \"op://gone\"")] {
        let files = [File::new("100/rule.txcl", text)];
        home.catalogue().draft(&stack.parse().unwrap(), &files).unwrap();
    }
    let both = r#"{"versions":[{"stack":"a","number":1},{"stack":"b","number":1}]}"#;
    let refused = home.send("POST", "/v1/activate", both).await;
    refused.is_problem(422, "unresolved_op_ref");
    home.send("POST", "/stacks/a", "{}").await.is_problem(404, "unknown_stage");
    let one = r#"{"versions":[{"stack":"a","number":1}]}"#;
    assert_eq!(home.send("POST", "/v1/activate", one).await.status, 200);
    assert_eq!(home.send("POST", "/stacks/a", "{}").await.json(), json!({ "a": 1 }));
    home.send("POST", "/v1/activate", r#"{"versions":[]}"#).await.is_problem(400, "invalid_body");
}

#[tokio::test]
async fn something_runs_once_and_all_of_it_is_told() {
    use base64::Engine as _;
    let home = Home::new(dev());
    let module = base64::engine::general_purpose::STANDARD.encode(echo());
    let body = json!({ "module": module, "input": { "n": 12_345_678_901_234_567_890_u64 }, "fuel": 1_000_000,
        "now": "2026-01-01T00:00:00Z", "seed": ZERO });
    let answer = home.send("POST", "/v1/run", body.to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains(r#""output":{"n":12345678901234567890}"#), "{}", answer.text());
    let metrics = &answer.json()["metrics"];
    assert_eq!((&metrics["status"], &metrics["seed"]), (&json!("ok"), &json!(ZERO)));
    assert!(metrics["fuel"].as_u64().unwrap() > 0);
    // It is not stored.
    let at = format!("/v1/computes/{}", path_of(&echo()));
    assert_eq!(home.send("HEAD", &at, "").await.status, 404);
    let run = format!("/run/{}", path_of(&echo()));
    home.send("POST", &run, "{}").await.is_problem(404, "missing_compute_artifact");

    let tells = base64::engine::general_purpose::STANDARD.encode(tells());
    let body = json!({ "module": tells, "input": "said" });
    let failed = home.send("POST", "/v1/run", body.to_string()).await.json();
    assert_eq!(
        (&failed["stderr"], &failed["metrics"]["status"]),
        (&json!("\"said\""), &json!("trapped"))
    );
    assert!(failed["error"]["message"].as_str().unwrap().contains("unreachable"), "{failed}");
    for (body, code) in [
        (json!({}), "invalid_body"),
        (json!({ "module": "***" }), "invalid_body"),
        (json!({ "module": module, "wall_ms": 60_000 }), "limit_above_cap"),
        (json!({ "module": module, "memory": 1_u64 << 40 }), "limit_above_cap"),
        (json!({ "module": module, "wall_ms": 0 }), "invalid_body"),
        (json!({ "module": module, "engine": "cobol" }), "unknown_engine"),
        (json!({ "module": module, "surprise": 1 }), "invalid_body"),
    ] {
        home.send("POST", "/v1/run", body.to_string()).await.is_problem(400, code);
    }
}

#[tokio::test]
async fn a_web_page_cannot_use_a_server_without_tokens() {
    let home = Home::new(dev());
    for headers in [
        [("host", "localhost:7700"), ("accept", "*/*")],
        [("host", "127.0.0.1:7700"), ("origin", "http://localhost:3000")],
        [("host", "[::1]:7700"), ("accept", "*/*")],
    ] {
        assert_eq!(
            home.send_with("GET", "/v1/stacks", &headers, "").await.status,
            200,
            "{headers:?}"
        );
    }
    for headers in [
        [("host", "evil.example:7700"), ("accept", "*/*")],
        [("host", "localhost.evil.example"), ("accept", "*/*")],
        [("host", "localhost:7700"), ("origin", "https://evil.example")],
        [("host", "localhost:7700"), ("origin", "null")],
    ] {
        let answer = home.send_with("GET", "/v1/stacks", &headers, "").await;
        answer.is_problem(403, "forbidden");
    }
}

#[tokio::test]
async fn attachments_belong_to_their_artifact() {
    let home = Home::new(dev());
    let path = home.put(&echo()).await;
    let at = format!("/v1/computes/{path}");
    let attached = home.send("PUT", &format!("{at}/attachments/source-map"), "{}").await;
    assert_eq!(attached.status, 200, "{}", attached.text());
    let reference = attached.json()["ref"].as_str().unwrap().to_owned();
    let manifest = home.send("GET", &format!("{at}/manifest"), "").await.json();
    assert_eq!(manifest["attachments"]["source-map"], reference);
    let bytes = reference.replace("compute://", "/v1/attachments/");
    assert_eq!(home.send("GET", &bytes, "").await.text(), "{}");
    home.send("PUT", &format!("{at}/attachments/a%2Fb"), "").await.is_problem(400, "invalid_name");
    for number in 0..15 {
        let at = format!("{at}/attachments/a{number}");
        assert_eq!(home.send("PUT", &at, "x").await.status, 200);
    }
    let over = home.send("PUT", &format!("{at}/attachments/more"), "x").await;
    over.is_problem(409, "too_many_attachments");

    // They go with the last artifact that names them.
    let other = home.put(&spin()).await;
    let shared = home.send("PUT", &format!("/v1/computes/{other}/attachments/a"), "x").await;
    let shared = shared.json()["ref"].as_str().unwrap().replace("compute://", "/v1/attachments/");
    assert_eq!(home.send("DELETE", &at, "").await.status, 204);
    assert_eq!(home.send("GET", &bytes, "").await.status, 404);
    assert_eq!(home.send("GET", &shared, "").await.text(), "x");
    assert_eq!(home.send("DELETE", &format!("/v1/computes/{other}"), "").await.status, 204);
    assert_eq!(home.send("GET", &shared, "").await.status, 404);
}

#[tokio::test]
async fn answers_carry_a_trace_context_and_what_it_took() {
    let home = Home::new(dev());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    let path = format!("/run/{}", home.put(&echo()).await);
    let headers = [("traceparent", given.as_str()), ("x-compute-fuel", "1000000")];
    let answer = home.send_with("POST", &path, &headers, "{}").await;
    let parent = answer.header("traceparent");
    assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
    assert_ne!(parent, given, "the server's own span");
    assert!(answer.header("x-compute-fuel").parse::<u64>().unwrap() > 0);
    assert_eq!(home.send("GET", "/healthz", "").await.header("traceparent").len(), 55);
    home.apply("s", &format!("EXEC \"compute://{}\"", &path["/run/".len()..]));
    let answer = home.send("POST", "/stacks/s", "{}").await;
    assert_eq!(answer.header("x-compute-status"), "ok");
    assert!(answer.header("x-compute-memory").parse::<u64>().unwrap() >= 65_536);
    let metrics = home.send("GET", "/metrics", "").await.text();
    for line in [
        "compute_op_duration_seconds_count{op=\"s/100/rule\",status=\"ok\",tenant=\"default\"} 1",
        "compute_document_duration_seconds_count{stack=\"s\",status=\"ok\",tenant=\"default\"} 1",
        "compute_run_duration_seconds_count{status=\"ok\",tenant=\"default\"} 1",
        "compute_requests_waiting 0",
        "compute_cold_loads_total 1",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("http_server_request_duration_seconds_bucket{"), "{metrics}");
}

#[tokio::test]
async fn each_change_is_told_with_who_made_it() {
    let home = Home::new(Settings::default());
    let admin = token(&home, "acme", &[TokenScope::Admin]);
    let tokens = home.location().tokens().unwrap();
    let id = tokens.list(None).unwrap()[0].id.clone();
    let who = json!({ "kind": "token", "id": id, "name": "test" });
    let path = path_of(&echo());
    let rule = json!({ "files": [{ "path": "100/a.txcl", "text": "EMIT .a = 1" }] });
    let made = r#"{"name":"ci","scopes":["read"]}"#;
    let schedule = json!({ "cron": "@daily", "stack": "s", "input": { "key": "hunter2" } });
    let asked = [
        ("PUT", format!("/v1/computes/{path}"), echo()),
        ("POST", "/v1/stacks/s/drafts".to_owned(), rule.to_string().into_bytes()),
        ("POST", "/v1/stacks/s/versions/1/activate".to_owned(), Vec::new()),
        ("PUT", "/v1/secrets/KEY".to_owned(), br#"{"value":"hunter2-hunter2"}"#.to_vec()),
        ("POST", "/v1/tokens".to_owned(), made.as_bytes().to_vec()),
        ("PUT", "/v1/schedules/nightly".to_owned(), schedule.to_string().into_bytes()),
        ("DELETE", "/v1/schedules/nightly".to_owned(), Vec::new()),
        ("DELETE", format!("/v1/computes/{path}"), Vec::new()),
        // What is refused is told of nobody.
        ("POST", "/v1/stacks/s/versions/7/activate".to_owned(), Vec::new()),
        ("DELETE", "/v1/secrets/NONE".to_owned(), Vec::new()),
        ("DELETE", "/v1/schedules/nightly".to_owned(), Vec::new()),
        ("DELETE", format!("/v1/computes/{path}"), Vec::new()),
    ];
    for (method, path, body) in asked {
        ask(&home, &admin, method, &path, body).await;
    }
    let page = ask(&home, &admin, "GET", "/v1/audit", "").await;
    assert!(!page.text().contains("hunter2"), "{}", page.text());
    let told = page.json();
    let entries = told["entries"].as_array().unwrap();
    let what: Vec<_> = entries.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(what, ["draft.create", "activate", "secret.set", "artifact.delete"]);
    assert!(entries.iter().all(|one| one["who"] == who), "{told}");
    assert_eq!(entries[3]["subject"]["refs"][0], format!("compute://{path}"));
    assert_eq!(told["head"]["hash"], entries[3]["hash"]);
    let page = ask(&home, &admin, "GET", "/v1/audit?of=tokens&after=1", "").await.json();
    assert_eq!(page["entries"][0]["what"], "token.create");
    assert_eq!(page["entries"][0]["who"], who);
    // The first was made on this machine.
    let first = ask(&home, &admin, "GET", "/v1/audit?of=tokens", "").await.json();
    assert_eq!(first["entries"][0]["who"]["kind"], "local");
    let page = ask(&home, &admin, "GET", "/v1/audit?of=schedules", "").await;
    assert!(!page.text().contains("hunter2"), "{}", page.text());
    let told = page.json();
    let entries = told["entries"].as_array().unwrap();
    let what: Vec<_> = entries.iter().map(|one| (&one["what"], &one["who"])).collect();
    let [set, gone] = [json!("schedule.set"), json!("schedule.delete")];
    assert_eq!(what, [(&set, &who), (&gone, &who)]);
    assert_eq!(
        (&entries[0]["subject"]["name"], &entries[0]["subject"]["cron"]),
        (&json!("nightly"), &json!("@daily"))
    );
    // Another tenant has its own, and one that may not change tokens sees nothing.
    let other = token(&home, "other", &[TokenScope::Admin]);
    let page = ask(&home, &other, "GET", "/v1/audit", "").await.json();
    assert_eq!(page["head"]["number"], 0);
    let less = token(&home, "acme", &[TokenScope::Read, TokenScope::Activate]);
    ask(&home, &less, "GET", "/v1/audit", "").await.is_problem(403, "forbidden");
    for wrong in ["last=1001", "of=all", "after=-1", "more=1"] {
        let answer = ask(&home, &admin, "GET", &format!("/v1/audit?{wrong}"), "").await;
        answer.is_problem(400, "invalid_query");
    }
    // Without a token, on a server for development.
    let home = Home::new(dev());
    home.send("PUT", "/v1/secrets/KEY", r#"{"value":"value"}"#).await;
    let page = home.send("GET", "/v1/audit", "").await.json();
    assert_eq!(page["entries"][0]["who"], json!({ "kind": "dev" }));
}
