//! What one tenant or one request can do to others: nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute::{Algorithm, Artifact};
use compute_server::{Quotas, Settings};
use compute_state::{File, TokenScope};
use serde_json::json;

use crate::access::{ask, token};
use crate::{Home, dev, echo, path_of};

/// A module that allows nothing, whatever it is asked.
fn deny() -> Vec<u8> {
    wat::parse_str(
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 0) "\10\00\00\00\11\00\00\00") (data (i32.const 16) "{\"allowed\":false}")
        (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
    )
    .unwrap()
}

/// A plugin, and a module that links to it.
pub(crate) fn linked() -> [Vec<u8>; 2] {
    let plugin = wat::parse_str(
        r#"(module (import "compute" "log" (func (param i32 i32 i32))) (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 0)) (func (export "load") (param i32 i32) (result i32) (i32.const 0))
        (func (export "call") (result i32) (i32.const 0)) (func (export "_start")) (@custom "compute:init" ""))"#,
    )
    .unwrap();
    let namespace = format!("compute://{}", path_of(&plugin));
    let op = wat::parse_str(format!(
        r#"(module (import "{namespace}" "memory" (memory 1)) (func (export "_initialize")))"#
    ))
    .unwrap();
    [plugin, op]
}

fn all(home: &Home, tenant: &str) -> String {
    token(home, tenant, &[TokenScope::Admin])
}

#[tokio::test]
async fn an_engine_that_is_not_the_servers_runs_nothing_for_anybody() {
    let home = Home::new(Settings::default());
    let [alice, bob] = ["alice", "bob"].map(|tenant| all(&home, tenant));
    let path = path_of(&deny());
    let module = STANDARD.encode(deny());
    let once =
        json!({"module": module, "engine": "identity", "input": {"allowed": true}}).to_string();
    let refused = ask(&home, &bob, "POST", "/v1/run", once).await;
    let problem = refused.is_problem(400, "unknown_engine");
    assert!(
        problem["detail"].as_str().unwrap().ends_with("the engines here are: wasm"),
        "{problem}"
    );
    let put = format!("/v1/computes/{path}?engine=identity");
    ask(&home, &bob, "PUT", &put, deny()).await.is_problem(400, "unknown_engine");
    let put = format!("/v1/computes/{path}");
    assert_eq!(ask(&home, &alice, "PUT", &put, deny()).await.status, 200);
    let run = format!("/run/{path}");
    let answer = ask(&home, &alice, "POST", &run, r#"{"allowed":true}"#).await;
    assert_eq!(answer.text(), r#"{"allowed":false}"#);
    ask(&home, &bob, "POST", &run, "{}").await.is_problem(404, "missing_compute_artifact");
}

#[tokio::test]
async fn what_the_program_carries_is_for_every_tenant_to_link_to() {
    let [plugin, op] = linked();
    let carried = Artifact::new(Algorithm::Sha256, "wasm", plugin.clone());
    let home = Home::carrying(Settings::default(), [carried]);
    for tenant in ["alice", "bob"].map(|tenant| all(&home, tenant)) {
        let path = path_of(&op);
        let put = ask(&home, &tenant, "PUT", &format!("/v1/computes/{path}"), op.clone()).await;
        assert_eq!(put.status, 200, "{}", put.text());
        let ran = ask(&home, &tenant, "POST", &format!("/run/{path}"), "{}").await;
        assert_eq!(ran.status, 200, "{}", ran.text());
        // To link to it is all: nobody has stored it.
        let plugin = format!("/v1/computes/{}", path_of(&plugin));
        assert_eq!(ask(&home, &tenant, "GET", &plugin, "").await.status, 404);
    }
}

#[tokio::test]
async fn what_another_tenant_has_loaded_is_not_there() {
    let home = Home::new(Settings::default());
    let [alice, bob] = ["alice", "bob"].map(|tenant| all(&home, tenant));
    let [plugin, op] = linked();
    for (module, tenant) in [(&plugin, &alice), (&op, &alice)] {
        let put = format!("/v1/computes/{}", path_of(module));
        let answer = ask(&home, tenant, "PUT", &put, module.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let put = format!("/v1/computes/{}", path_of(&op));
    ask(&home, &bob, "PUT", &put, op.clone()).await.is_problem(422, "missing_link");
    let once = json!({"module": STANDARD.encode(&op)}).to_string();
    ask(&home, &bob, "POST", "/v1/run", once).await.is_problem(422, "missing_link");
    // One that was deleted is gone for its own tenant, too, though it was loaded.
    let path = path_of(&deny());
    let put = format!("/v1/computes/{path}");
    assert_eq!(ask(&home, &alice, "PUT", &put, deny()).await.status, 200);
    assert_eq!(ask(&home, &alice, "POST", &format!("/run/{path}"), "").await.status, 200);
    assert_eq!(ask(&home, &alice, "DELETE", &put, "").await.status, 204);
    let gone = ask(&home, &alice, "POST", &format!("/run/{path}"), "").await;
    gone.is_problem(404, "missing_compute_artifact");
}

#[tokio::test]
async fn a_tenant_keeps_so_many_artifacts_and_so_many_bytes() {
    let quotas = [
        (Quotas { artifacts: 1, ..Quotas::default() }, "1 artifacts"),
        (Quotas { artifact_bytes: 1000, ..Quotas::default() }, "1000 bytes of artifacts"),
    ];
    for (quotas, told) in quotas {
        let home = Home::new(Settings { quotas, ..dev() });
        let first = home.put(&echo()).await;
        let second = wat::parse_str(format!(
            r#"(module (memory (export "memory") 1) (func (export "_start")) (@custom "x" "{}"))"#,
            "x".repeat(1000)
        ))
        .unwrap();
        let put = format!("/v1/computes/{}", path_of(&second));
        let over = home.send("PUT", &put, second.clone()).await.is_problem(409, "quota_exceeded");
        assert!(over["detail"].as_str().unwrap().contains(told), "{over}");
        // What is there already may be put again.
        assert_eq!(home.put(&echo()).await, first);
        if quotas.artifacts == 1 {
            home.send("DELETE", &format!("/v1/computes/{first}"), "").await;
            assert_eq!(home.send("PUT", &put, second).await.status, 200);
        }
    }
}

#[tokio::test]
async fn what_a_run_is_given_is_bounded_in_number_and_passed_on_as_it_is() {
    let home = Home::new(dev());
    let reference = format!("compute://{}", home.put(&echo()).await);
    let ask = |env: String, secrets: String| {
        home.send(
            "POST",
            "/v1/run",
            format!(r#"{{"ref":"{reference}","env":{env},"secrets":{secrets}}}"#),
        )
    };
    ask("[1]".into(), "{}".into()).await.is_problem(400, "invalid_input");
    let many: Vec<_> = (0..1001).map(|n| format!(r#""s{n}":"""#)).collect();
    let refused = ask("{}".into(), format!("{{{}}}", many.join(","))).await;
    let problem = refused.is_problem(400, "invalid_body");
    assert!(problem["detail"].as_str().unwrap().contains("more than 1000 secrets"), "{problem}");
    // As values this would take some hundred MiB; as it is, its bytes.
    let env = format!(r#"{{"a":[{}{{}}]}}"#, r#"{"":0},"#.repeat(300_000));
    assert_eq!(ask(env, "{}".into()).await.status, 200);
}

#[tokio::test]
async fn a_host_named_by_the_address_counts_as_one_named_by_a_header() {
    let home = Home::new(dev());
    home.send("GET", "http://evil.example/v1/stacks", "").await.is_problem(403, "forbidden");
    assert_eq!(home.send("GET", "http://localhost:7700/v1/stacks", "").await.status, 200);
    let both = [("host", "localhost")];
    let answer = home.send_with("GET", "http://evil.example/v1/stacks", &both, "").await;
    answer.is_problem(403, "forbidden");
}

#[tokio::test]
async fn one_tenants_many_ops_leave_the_series_of_another_alone() {
    let home = Home::new(Settings::default());
    let [alice, mallory] = ["alice", "mallory"].map(|tenant| all(&home, tenant));
    for (tenant, rules) in [(&mallory, 260), (&alice, 1)] {
        let put = format!("/v1/computes/{}", path_of(&deny()));
        assert_eq!(ask(&home, tenant, "PUT", &put, deny()).await.status, 200);
        let text = format!("EXEC \"compute://{}\"", path_of(&deny()));
        let files: Vec<_> = (0..rules)
            .map(|number| File::new(format!("100/rule{number}.txcl"), text.clone()))
            .map(|file| json!({"path": file.path, "text": file.text}))
            .collect();
        let draft = json!({ "files": files }).to_string();
        let made = ask(&home, tenant, "POST", "/v1/stacks/st/drafts", draft).await;
        assert_eq!(made.status, 201, "{}", made.text());
        let activate = "/v1/stacks/st/versions/1/activate";
        assert_eq!(ask(&home, tenant, "POST", activate, "").await.status, 200);
        let fired = ask(&home, tenant, "POST", "/stacks/st", "{}").await;
        assert_eq!(fired.status, 200, "{}", fired.text());
    }
    let operator = all(&home, "default");
    let metrics = ask(&home, &operator, "GET", "/metrics", "").await.text();
    let counts =
        metrics.lines().filter(|line| line.starts_with("compute_op_duration_seconds_count"));
    let (mut theirs, mut hers) = (0, 0);
    for line in counts {
        theirs += usize::from(line.contains("tenant=\"mallory\""));
        hers += usize::from(line.contains("tenant=\"alice\"") && line.contains("st/100/rule0"));
    }
    // The stack is one of them.
    assert_eq!((theirs, hers), (200, 1));
    assert!(metrics.contains("op=\"_other\""));
}

#[tokio::test]
async fn headers_that_hold_for_one_hop_or_are_the_servers_are_not_a_documents() {
    let home = Home::new(dev());
    home.apply("h", "EMIT @web.res.headers = .h, @web.res.body_text = \"b\"");
    let wanted = json!({"h": {
        "x-ok": "fine", "set-cookie": "a=b", "connection": "x-ok", "keep-alive": "timeout=5", "te": "trailers",
        "proxy-authenticate": "Basic", "proxy-connection": "close", "x-compute-rid": "spoofed",
        "x-compute-status": "spoofed", "traceparent": "spoofed", "transfer-encoding": "chunked", "upgrade": "h2c",
    }});
    let answer = home.send("POST", "/stacks/h", wanted.to_string()).await;
    assert_eq!((answer.header("x-ok"), answer.header("set-cookie")), ("fine", "a=b"));
    for (name, value) in &answer.headers {
        let (name, value) = (name.as_str(), value.to_str().unwrap());
        assert!(value != "spoofed", "{name}");
        let hop = ["connection", "keep-alive", "te", "proxy-authenticate", "proxy-connection"];
        assert!(!hop.contains(&name) && name != "upgrade" && name != "transfer-encoding", "{name}");
    }
}

#[tokio::test]
async fn the_rules_of_all_active_stacks_have_a_bound() {
    // A rule takes more than its text: a kilobyte at least.
    let home = Home::new(Settings { rule_memory: 40 << 10, ..dev() });
    let document = async |stack: &str| home.send("POST", &format!("/stacks/{stack}"), "{}").await;
    for stack in 0..10 {
        home.apply(&format!("s{stack}"), "EMIT .a = 1");
    }
    assert_eq!(document("s0").await.status, 200);
    let many = format!("EMIT {}.z = 1", ".a = 1, ".repeat(100));
    home.apply("s0", &many);
    let refused = document("s1").await;
    let problem = refused.is_problem(409, "quota_exceeded");
    assert!(
        problem["detail"].as_str().unwrap().contains("has a limit of 20480 bytes"),
        "{problem}"
    );
    assert_eq!(problem["limit"], 20_480);
    // Smaller ones can be made active all the same.
    home.apply("s0", "EMIT .a = 2");
    assert_eq!(document("s1").await.status, 200);
}

#[tokio::test]
async fn what_a_document_or_a_run_brings_along_is_bounded() {
    let home = Home::new(dev());
    home.apply("h", "EMIT @web.res.headers.a = .x, @web.res.headers.b = .x");
    let document = format!("{{\"x\":\"{}\"}}", "y".repeat(9000));
    let answer = home.send("POST", "/stacks/h", document).await;
    assert_eq!(answer.is_problem(422, "headers_too_large")["limit"], 16_384);
    let small = format!("{{\"x\":\"{}\"}}", "y".repeat(8000));
    assert_eq!(home.send("POST", "/stacks/h", small).await.status, 200);

    let secrets = serde_json::json!({ "K": "z".repeat(300_000) });
    let run = serde_json::json!({ "ref": format!("compute://sha256/{}", "0".repeat(64)), "secrets": secrets });
    let refused = home.send("POST", "/v1/run", run.to_string()).await;
    assert_eq!(refused.is_problem(413, "secret_too_large")["limit"], 262_144);

    let twice = r#"{"versions":[{"stack":"h","number":1},{"stack":"h","number":1}]}"#;
    home.send("POST", "/v1/activate", twice).await.is_problem(400, "invalid_body");

    // A version does not grow beyond what one may have by edits of single files.
    let draft = serde_json::json!({ "files": [{ "path": "1/a.txcl", "text": "EMIT .a = 2" }] });
    assert_eq!(home.send("POST", "/v1/stacks/v/drafts", draft.to_string()).await.status, 201);
    let large = "#".repeat(1 << 20);
    let mut last = None;
    for at in 0..17 {
        let path = format!("/v1/stacks/v/versions/1/files/1/f{at}.txcl");
        last = Some(home.send("PUT", &path, large.clone()).await);
    }
    let problem = last.unwrap().is_problem(409, "quota_exceeded");
    assert!(
        problem["detail"].as_str().unwrap().contains("bytes of files of a version"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_difference_is_charged_as_it_is_written() {
    let memory = 64 << 20;
    let home = Home::new(Settings {
        memory,
        tenant_memory: memory / 2,
        request_memory: memory / 4,
        ..dev()
    });
    let catalogue = home.location().catalogue().unwrap();
    let stack = "v".parse().unwrap();
    for byte in ["\u{1}", "\u{2}"] {
        let file =
            |number: u32| File { path: format!("100/r{number}.txcl"), text: byte.repeat(50_000) };
        catalogue.draft(&stack, &(0..40).map(file).collect::<Vec<_>>()).unwrap();
    }
    // 4 MB of text are 24 MB of JSON.
    let answer = home.send("GET", "/v1/stacks/v/diff?from=1&to=2", "").await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["code"], "request_too_large");
}
