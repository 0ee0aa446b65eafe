//! Each route: what it gives, and what it refuses.

mod deleted;
mod unread;

use serde_json::{Value, json};

use crate::{Home, dev, echo, path_of, spin};

#[tokio::test]
async fn an_artifact_is_put_looked_at_run_and_deleted() {
    let home = Home::new(dev());
    let module = echo();
    let path = path_of(&module);
    let at = format!("/v1/computes/{path}");
    home.send("HEAD", &at, "").await.headers.get("etag").ok_or(()).unwrap_err();

    for _ in 0..2 {
        let answer = home.send("PUT", &at, module.clone()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let digest = path.rsplit('/').next().unwrap();
        let expected = json!({
            "ref": format!("compute://{path}"), "alg": "sha256", "digest": digest,
            "engine": "wasm", "bytes": module.len(),
        });
        assert_eq!(answer.json(), expected);
    }
    let head = home.send("HEAD", &at, "").await;
    assert_eq!(
        (head.status.as_u16(), head.header("content-length")),
        (200, &*module.len().to_string())
    );
    let got = home.send("GET", &at, "").await;
    assert_eq!(got.body, module);
    assert!(
        got.header("cache-control").contains("immutable") && got.header("etag").contains("sha256-")
    );
    assert_eq!(
        home.send("GET", "/v1/computes", "").await.json()["computes"].as_array().unwrap().len(),
        1
    );

    let ran = home.send("POST", &format!("/run/{path}"), r#"{"a":1}"#).await;
    assert_eq!((ran.status.as_u16(), ran.text()), (200, r#"{"a":1}"#.to_owned()));
    assert_eq!((ran.header("x-compute-status"), ran.header("x-compute-memory")), ("ok", "65536"));
    assert!(ran.header("x-compute-wall").parse::<u64>().unwrap() > 0);

    assert_eq!(home.send("DELETE", &at, "").await.status, 204);
    home.send("DELETE", &at, "").await.is_problem(404, "not_found");
    assert_eq!(home.send("HEAD", &at, "").await.status, 404);
}

#[tokio::test]
async fn uploads_are_refused_in_the_order_of_the_contract() {
    let home = Home::new(dev());
    let digest = "0".repeat(64);
    let put = |path: String, body: Vec<u8>| {
        let home = &home;
        async move { home.send("PUT", &format!("/v1/computes/{path}"), body).await }
    };
    put(format!("md5/{digest}"), vec![0; 40 << 20]).await.is_problem(400, "unsupported_digest_alg");
    put(format!("sha256/{digest}"), vec![0; 40 << 20]).await.is_problem(413, "artifact_too_large");
    let wrong = put(format!("sha256/{digest}"), echo()).await.is_problem(400, "digest_mismatch");
    assert_eq!((&wrong["want"], &wrong["got"]), (&json!(digest), &json!(path_of(&echo())[7..])));

    for module in [
        b"no module at all".to_vec(),
        wat::parse_str(r#"(module (import "env" "open" (func)) (func (export "_start")))"#)
            .unwrap(),
        wat::parse_str(r#"(module (memory 65536) (func (export "_start")))"#).unwrap(),
    ] {
        put(path_of(&module), module.clone()).await.is_problem(422, "invalid_module");
        assert_eq!(
            home.send("HEAD", &format!("/v1/computes/{}", path_of(&module)), "").await.status,
            404
        );
    }
    let path = format!("{}?engine=cobol", path_of(&echo()));
    let unknown = put(path, echo()).await.is_problem(400, "unknown_engine");
    assert!(
        unknown["detail"].as_str().unwrap().contains("wasm"),
        "it says which there are: {unknown}"
    );
}

#[tokio::test]
async fn another_name_of_the_engine_is_the_engine() {
    let home = Home::new(dev());
    let artifact = compute::Artifact::new(compute::Algorithm::Sha256, "wasm", echo());
    let digest = artifact.digest();
    let path = format!("/v1/computes/sha256/{digest}");
    let put = home.send("PUT", &format!("{path}?engine=wazero"), echo()).await;
    assert_eq!((put.status.as_u16(), &put.json()["engine"]), (200, &"wasm".into()));
    // It is the same artifact, by either name.
    assert_eq!(home.send("PUT", &format!("{path}?engine=wasm"), echo()).await.status, 200);
    assert_eq!(home.send("POST", &format!("/run/sha256/{digest}"), "{}").await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_said_so() {
    let home = Home::new(dev());
    let path = format!("sha256/{}", "0".repeat(64));
    home.send("GET", &format!("/v1/computes/{path}"), "").await.is_problem(404, "not_found");
    home.send("POST", &format!("/run/{path}"), "{}")
        .await
        .is_problem(404, "missing_compute_artifact");
    home.send("POST", "/run/sha256/a%20b", "{}").await.is_problem(400, "invalid_ref");
    home.send("POST", "/run/sha256/..%2F..%2Fetc", "{}").await.is_problem(400, "invalid_ref");
    home.send("GET", "/v1/nothing", "").await.is_problem(404, "not_found");
    home.send("PATCH", "/v1/computes", "").await.is_problem(405, "method_not_allowed");
    home.send("POST", "/stacks/nowhere", "{}").await.is_problem(404, "unknown_stage");
    home.send("POST", "/stacks/a//b", "{}").await.is_problem(400, "invalid_stage");
    home.send("GET", "/v1/stacks/none", "").await.is_problem(404, "not_found");
    home.send("GET", "/v1/stacks/..%2Fx", "").await.is_problem(400, "invalid_stack");
    home.send("POST", "/v1/stacks/none/versions/1/activate", "").await.is_problem(404, "not_found");
    home.send("GET", "/v1/traces?last=x", "").await.is_problem(400, "invalid_query");
    home.send("POST", "/v1/stacks/s/versions/x/activate", "").await.is_problem(400, "invalid_path");
    home.send("GET", "/v1/stacks/%FF", "").await.is_problem(400, "invalid_path");
    home.send("GET", "/v1/traces/..%2F..%2Fcatalogue", "").await.is_problem(404, "not_found");
}

#[tokio::test]
async fn runs_have_limits_and_repeat() {
    let home = Home::new(dev());
    let path = home.put(&spin()).await;
    let run = format!("/run/{path}");
    let late = home.send_with("POST", &run, &[("x-compute-deadline", "50")], "{}").await;
    let problem = late.is_problem(504, "compute_failed");
    assert!(problem["detail"].as_str().unwrap().contains("wall limit"), "{problem}");
    assert_eq!(late.header("x-compute-status"), "wall-limit");

    home.send("POST", &run, vec![b' '; 5 << 20]).await.is_problem(413, "body_too_large");
    let echo = format!("/run/{}", home.put(&echo()).await);
    let not_json = home.send("POST", &echo, "{").await;
    assert!(!not_json.status.is_success(), "{}", not_json.text());
    for (name, value) in [
        ("x-compute-deadline", "soon"),
        ("x-compute-deadline", "0"),
        ("x-compute-seed", "12"),
        ("x-compute-now", "yesterday"),
        ("x-compute-now", "1969-01-01T00:00:00Z"),
    ] {
        let answer = home.send_with("POST", &echo, &[(name, value)], "{}").await;
        assert!(
            answer.is_problem(400, "invalid_header")["detail"].as_str().unwrap().contains(name)
        );
    }
}

#[tokio::test]
async fn documents_go_through_what_is_active_now() {
    let home = Home::new(dev());
    let echo = home.put(&echo()).await;
    home.apply("shop/eu", &format!("WHEN .n != null EXEC \"compute://{echo}\" EMIT .seen = true"));
    // The compute gives back the envelope, as it is no op.
    let answer =
        home.send_with("POST", "/stacks/shop/eu", &[("x-compute-rid", "r-7")], r#"{"n":1}"#).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-compute-rid")), (200, "r-7"));
    let document = answer.json();
    assert_eq!(
        (&document["n"], &document["seen"], &document["meta"]["rid"]),
        (&json!(1), &json!(true), &json!("r-7"))
    );

    // Another process activates another version.
    home.apply("shop/eu", "EMIT .version = 2, .at = &now(rfc3339), .id = &uuid()");
    let fixed = [
        ("x-compute-now", "2026-01-01T00:00:00Z"),
        ("x-compute-seed", "0000000000000000000000000000000000000000000000000000000000000001"),
    ];
    let again = home.send_with("POST", "/stacks/shop/eu/0", &fixed, "{}").await;
    assert_eq!(
        (&again.json()["version"], &again.json()["at"]),
        (&json!(2), &json!("2026-01-01T00:00:00Z"))
    );
    assert_eq!(home.send_with("POST", "/stacks/shop/eu", &fixed, "{}").await.body, again.body);

    let shown = home.send("GET", "/v1/stacks/shop%2Feu", "").await.json();
    assert_eq!(shown["versions"].as_array().unwrap().len(), 2);
    let back = home.send("POST", "/v1/stacks/shop%2Feu/versions/1/activate", "").await;
    let version = &back.json()["versions"][0];
    assert_eq!((&version["number"], &version["active"]), (&json!(1), &json!(true)));
    assert_eq!(home.send("POST", "/stacks/shop/eu", r#"{"n":1}"#).await.json()["seen"], true);
    let refused = home.send("DELETE", &format!("/v1/computes/{echo}"), "").await;
    let detail = refused.is_problem(409, "referenced")["detail"].clone();
    let detail = detail.as_str().unwrap();
    assert!(detail.starts_with("version 1 of the stack `shop/eu` names "), "{detail}");

    let trace = home.send("GET", "/v1/traces/r-7", "").await.json();
    assert_eq!(
        (&trace["status"], &trace["steps"][0]["op"]),
        (&json!("ok"), &json!("shop/eu/100/rule"))
    );
    assert_eq!(
        home.send("GET", "/v1/traces?last=2", "").await.json()["traces"].as_array().unwrap().len(),
        2
    );
}

#[tokio::test]
async fn a_document_says_what_its_answer_is() {
    let home = Home::new(dev());
    home.apply(
        "web",
        "EMIT @web.res.status = 201, @web.res.body_text = \"made\", @web.res.headers.location = \"/x\",\n\
         @web.res.headers.content-type = \"text/plain\", @web.res.headers.content-length = 9999,\n\
         @web.res.headers.\"bad name\" = 1, @web.res.headers.x-split = \"a\\r\\nset-cookie: b\"",
    );
    let answer = home.send("POST", "/stacks/web", "{}").await;
    assert_eq!((answer.status.as_u16(), answer.text()), (201, "made".to_owned()));
    assert_eq!((answer.header("location"), answer.header("content-type")), ("/x", "text/plain"));
    assert!(!answer.headers.contains_key("set-cookie") && !answer.headers.contains_key("x-split"));
    assert_ne!(answer.headers.get("content-length").map(|it| it.to_str().unwrap()), Some("9999"));
}

#[tokio::test]
async fn any_request_of_the_web_becomes_a_document() {
    let home = Home::new(dev());
    home.apply("hello-world", "EMIT .seen = @web.req, .src = @src, .tenant = @tenant, .rid = @rid");
    let headers =
        [("x-a", "1"), ("x-a", "2"), ("authorization", "Basic secret"), ("x-compute-rid", "r-1")];
    let answer =
        home.send_with("PUT", "/web/hello-world/a/b?q=1&q=%20&z=", &headers[..2], "hi").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let seen = &answer.json()["seen"];
    assert_eq!(
        (&seen["method"], &seen["path"], &seen["body_text"], &seen["body"]),
        (&json!("PUT"), &json!("/a/b"), &json!("hi"), &json!("aGk="))
    );
    assert_eq!(seen["query"], json!({ "q": ["1", " "], "z": "" }));
    assert_eq!(seen["headers"]["x-a"], json!(["1", "2"]));
    assert_eq!(seen["url"], json!({ "path": "/web/hello-world/a/b", "query": "q=1&q=%20&z=" }));
    let bytes = home.send("POST", "/web/hello-world", vec![0xff, 0]).await.json();
    assert_eq!((&bytes["seen"]["body"], &bytes["seen"]["path"]), (&json!("/wA="), &json!("/")));
    assert!(bytes["seen"].get("body_text").is_none() && bytes["src"] == "http");
    let named = home.send_with("GET", "/web/hello-world", &headers[3..], "").await.json();
    assert_eq!((&named["tenant"], &named["rid"]), (&json!("default"), &json!("r-1")));
    home.send("GET", "/web/nothing/x", "").await.is_problem(404, "not_found");
    home.send("TRACE", "/web/hello-world", "").await.is_problem(405, "method_not_allowed");
    for method in ["DELETE", "PATCH", "OPTIONS", "HEAD"] {
        assert_eq!(home.send(method, "/web/hello-world", "").await.status, 200, "{method}");
    }
    // A document does not say where it came from, and is told so of its request, too.
    let told = r#"{"_txc":{"src":"spoofed","rid":"spoofed","web":{"req":{"method":"spoofed"}}}}"#;
    let document = home.send("POST", "/stacks/hello-world", told).await.json();
    assert_eq!(document["src"], "http");
    assert!(!document.to_string().contains("spoofed"), "{document}");
}

#[tokio::test]
async fn an_answer_has_what_the_document_says_and_what_http_allows() {
    let home = Home::new(dev());
    home.apply("w", "EMIT @web.res = .r");
    let answer = async |wanted: Value| {
        home.send("POST", "/stacks/w", json!({ "r": wanted }).to_string()).await
    };
    let bytes = answer(json!({"status": "418", "body": "/wA", "headers": {"set-cookie": ["a=1", "b=2"], "x-n": 5}})).await;
    assert_eq!((bytes.status.as_u16(), &bytes.body[..]), (418, &[0xff, 0][..]));
    assert_eq!(bytes.header("content-type"), "application/octet-stream");
    let cookies: Vec<_> =
        bytes.headers.get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    assert_eq!((cookies, bytes.header("x-n")), (vec!["a=1", "b=2"], "5"));
    let text = answer(json!({"body": "aGVsbG8="})).await;
    assert_eq!(
        (text.text(), text.header("content-type")),
        ("hello".to_owned(), "text/plain; charset=utf-8")
    );
    let json = answer(json!({"body": {"a": 1}})).await;
    assert_eq!(
        (json.text(), json.header("content-type")),
        ("{\"a\":1}".to_owned(), "application/json")
    );
    answer(json!({"body": "no base64"})).await.is_problem(422, "body_not_base64");
    for status in [204, 205, 304] {
        let none = answer(json!({"status": status, "body_text": "x"})).await;
        assert_eq!((none.status.as_u16(), &none.body[..]), (status, &b""[..]));
        assert!(none.headers.get("content-length").is_none_or(|length| length == "0"));
    }
}

#[tokio::test]
async fn documents_that_fail_say_where() {
    let home = Home::new(dev());
    home.apply("s", "WHEN .loop == true EMIT @goto = \"100\"");
    let looped = home.send("POST", "/stacks/s", r#"{"loop":true}"#).await;
    let problem = looped.is_problem(422, "scope_ttl_exhausted");
    assert_eq!(problem["transitions"].as_array().unwrap().len(), 3);
    home.send("POST", "/stacks/s", "[1]").await.is_problem(400, "invalid_document");
    home.apply("f", "SELECT .l AS .x, .l AS .x.key");
    let failed =
        home.send("POST", "/stacks/f", r#"{"l":[1]}"#).await.is_problem(422, "expression_failed");
    assert_eq!(failed["op"], "f/100/rule");
}

#[tokio::test]
async fn an_activation_without_its_artifacts_changes_nothing() {
    let home = Home::new(dev());
    home.apply("s", "EMIT .a = 1");
    let files = [compute_state::File::new("100/rule.txcl", "EXEC \"compute://sha256/gone\"")];
    home.catalogue().draft(&"s".parse().unwrap(), &files).unwrap();
    let refused = home.send("POST", "/v1/stacks/s/versions/2/activate", "").await;
    let problem = refused.is_problem(422, "missing_compute_artifact");
    let first = &problem["problems"][0];
    assert_eq!(
        (&first["stack"], &first["scope"], &first["name"], &first["ref"]),
        (&json!("s"), &json!(100), &json!("rule"), &json!("compute://sha256/gone"))
    );
    assert_eq!(home.send("POST", "/stacks/s", "{}").await.json(), json!({"a": 1}));
}

/// All who ask at the same time are told the same: none of them holds a place from the others.
#[tokio::test(flavor = "multi_thread")]
async fn many_ask_whether_it_is_ready() {
    let home = Home::new(dev());
    home.send("GET", "/readyz", "").await;
    let asked = (0..200).map(|_| home.send("GET", "/readyz", ""));
    for answer in futures_util::future::join_all(asked).await {
        assert_eq!(answer.text(), "ready");
    }
}

#[tokio::test]
async fn it_says_whether_it_lives_and_takes_work() {
    let home = Home::new(dev());
    assert_eq!(home.send("GET", "/healthz", "").await.text(), "ok");
    assert_eq!(home.send("GET", "/readyz", "").await.text(), "ready");
}

#[tokio::test]
async fn a_list_goes_on_after_a_ref() {
    let home = Home::new(dev());
    let mut paths = [home.put(&echo()).await, home.put(&spin()).await];
    paths.sort();
    let [first, second] = paths.map(|path| format!("compute://{path}"));
    let listed = home.send("GET", "/v1/computes", "").await.json();
    let refs: Vec<_> =
        listed["computes"].as_array().unwrap().iter().map(|one| &one["ref"]).collect();
    assert_eq!((refs, &listed["next"]), (vec![&json!(first), &json!(second)], &json!(null)));
    let rest = home.send("GET", &format!("/v1/computes?after={first}"), "").await.json();
    let refs: Vec<_> = rest["computes"].as_array().unwrap().iter().map(|one| &one["ref"]).collect();
    assert_eq!(refs, [&json!(second)]);
    home.send("GET", "/v1/computes?after=x", "").await.is_problem(400, "invalid_query");
}

#[tokio::test]
async fn what_requests_take_of_memory_is_bounded_for_each_and_for_all() {
    let large = format!("\"{}\"", "x".repeat(300 << 10));
    let small = format!("\"{}\"", "x".repeat(40 << 10));
    let limits = [
        (256 << 10, 1 << 30, 429, "busy", "the memory of all requests"),
        (1 << 30, 256 << 10, 413, "request_too_large", "the memory of one request"),
    ];
    for (memory, request_memory, status, code, named) in limits {
        let settings = compute_server::Settings { memory, request_memory, ..dev() };
        let home = Home::new(compute_server::Settings { tenant_memory: 1 << 30, ..settings });
        let run = format!("/run/{}", home.put(&echo()).await);
        let refused = home.send("POST", &run, large.clone()).await;
        let problem = refused.is_problem(status, code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(named) && detail.contains("262144"), "{detail}");
        if status == 429 {
            assert_eq!(refused.header("retry-after"), "1");
        }
        for _ in 0..20 {
            let answer = home.send("POST", &run, small.clone()).await;
            assert_eq!(answer.status, 200, "what was taken is given back: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn what_a_schedule_or_a_job_will_run_is_not_deleted() {
    let home = Home::new(dev());
    let echo = home.put(&echo()).await;
    let (at, reference) = (format!("/v1/computes/{echo}"), format!("compute://{echo}"));
    let refused = async |by: &str| {
        let answer = home.send("DELETE", &at, "").await;
        let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
        answer.is_problem(409, "referenced");
        assert_eq!(detail, format!("{by} names {reference}"));
    };
    let job = json!({ "ref": reference, "input": 1, "run_after": "2200-01-01T00:00:00Z" });
    let job = home.send("POST", "/v1/jobs", job.to_string()).await.json();
    let id = job["id"].as_str().unwrap();
    refused(&format!("the job {id}, which has not ended,")).await;
    let schedule = json!({ "cron": "@yearly", "ref": reference }).to_string();
    assert_eq!(home.send("PUT", "/v1/schedules/nightly", schedule).await.status, 200);
    refused("the schedule `nightly`").await;
    home.send("DELETE", "/v1/schedules/nightly", "").await;
    home.send("POST", &format!("/v1/jobs/{id}/cancel"), "").await;
    assert_eq!(home.send("DELETE", &at, "").await.status, 204);
}
