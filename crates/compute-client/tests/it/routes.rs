//! Each method once, on a real server.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use compute::{Algorithm, Artifact, Ref};
use compute_client::api::{
    Actor, AuditOf, Draft, File, ProblemCode, Rollout, RunRequest, StackName, TokenRequest,
    TokenScope,
};
use compute_client::{CallOptions, ErrorKind, TraceDetail};
use compute_store::{NewArtifact, Store as _, StoreError};
use futures_util::TryStreamExt as _;
use serde_json::{Value, json};

use crate::served::{Served, echo, modules};

/// What the server answers, and the methods of this crate that ask it.
const ROUTES: [(&str, &str, &str); 63] = [
    ("get", "/healthz", "live"),
    ("get", "/readyz", "ready"),
    ("get", "/metrics", "metrics"),
    ("post", "/run/{alg}/{digest}", "invoke"),
    ("post", "/run/{alg}/{digest}/batch", "invoke_lines"),
    ("post", "/stacks/{stage}", "process"),
    ("post", "/stacks/{stage}/batch", "process_lines"),
    ("post", "/v1/run", "run"),
    ("post", "/v1/activate", "activate_all"),
    ("get", "/v1/attachments/{alg}/{digest}", "attachment"),
    ("get", "/v1/computes", "manifests"),
    ("get", "/v1/computes/{alg}/{digest}", "artifact"),
    ("put", "/v1/computes/{alg}/{digest}", "put_artifact"),
    ("delete", "/v1/computes/{alg}/{digest}", "delete_artifact"),
    ("head", "/v1/computes/{alg}/{digest}", "has_artifact"),
    ("put", "/v1/computes/{alg}/{digest}/attachments/{name}", "attach"),
    ("get", "/v1/computes/{alg}/{digest}/manifest", "manifest"),
    ("get", "/v1/audit", "audit"),
    ("get", "/v1/usage", "usage"),
    ("get", "/v1/secrets", "secrets"),
    ("put", "/v1/secrets/{name}", "set_secret"),
    ("delete", "/v1/secrets/{name}", "delete_secret"),
    ("get", "/v1/stacks", "stacks"),
    ("get", "/v1/stacks/{stack}", "versions"),
    ("get", "/v1/stacks/{stack}/diff", "diff"),
    ("post", "/v1/stacks/{stack}/drafts", "create_draft"),
    ("get", "/v1/stacks/{stack}/versions/{number}", "version"),
    ("delete", "/v1/stacks/{stack}/versions/{number}", "delete_version"),
    ("post", "/v1/stacks/{stack}/versions/{number}/activate", "activate"),
    ("get", "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", "file"),
    ("put", "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", "write_file"),
    ("delete", "/v1/stacks/{stack}/versions/{number}/files/{scope}/{file}", "delete_file"),
    ("post", "/v1/stacks/{stack}/versions/{number}/validate", "validate"),
    ("get", "/v1/jobs", "jobs"),
    ("post", "/v1/jobs", "submit_job"),
    ("get", "/v1/jobs/{id}", "wait_job"),
    ("post", "/v1/jobs/{id}/cancel", "cancel_job"),
    ("post", "/v1/jobs/{id}/retry", "retry_job"),
    ("get", "/v1/tokens", "tokens"),
    ("post", "/v1/tokens", "create_token"),
    ("delete", "/v1/tokens/{id}", "revoke_token"),
    ("get", "/v1/traces", "traces"),
    ("get", "/v1/record-policies", "record_policies"),
    ("put", "/v1/record-policies", "set_record_policy"),
    ("delete", "/v1/record-policies", "set_record_policy"),
    ("put", "/v1/stacks/{stack}/record-policy", "set_record_policy"),
    ("delete", "/v1/stacks/{stack}/record-policy", "set_record_policy"),
    ("get", "/v1/records", "records"),
    ("get", "/v1/records/{id}", "record"),
    ("get", "/v1/records/export", "export_records"),
    ("get", "/v1/shadows", "shadows"),
    ("get", "/v1/stacks/{stack}/shadow", "shadow"),
    ("put", "/v1/stacks/{stack}/shadow", "set_shadow"),
    ("delete", "/v1/stacks/{stack}/shadow", "remove_shadow"),
    ("get", "/v1/schedules", "schedules"),
    ("get", "/v1/schedules/{name}", "schedule"),
    ("put", "/v1/schedules/{name}", "set_schedule"),
    ("delete", "/v1/schedules/{name}", "delete_schedule"),
    ("get", "/v1/rollouts", "rollouts"),
    ("get", "/v1/stacks/{stack}/rollout", "rollout"),
    ("put", "/v1/stacks/{stack}/rollout", "set_rollout"),
    ("post", "/v1/stacks/{stack}/rollout/complete", "complete_rollout"),
    ("delete", "/v1/stacks/{stack}/rollout", "remove_rollout"),
];

#[test]
fn every_route_has_a_method_and_the_server_lives() {
    let served = Served::new();
    let client = served.client();
    assert_eq!(client.live().unwrap(), "ok");
    assert_eq!(client.ready().unwrap(), "ready");
    assert!(client.metrics().unwrap().contains("# TYPE"));
    let document = client.openapi().unwrap();
    let mut routes = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        routes.extend(
            methods.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())),
        );
    }
    let mut known: BTreeSet<_> =
        ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    known.insert(("get".to_owned(), "/v1/traces/{id}".to_owned()));
    assert_eq!(routes, known);
}

#[test]
fn computes_are_kept_and_run() {
    let served = Served::new();
    let client = served.client();
    let echo = echo();
    let reference = echo.reference();
    assert!(!client.has_artifact(reference).unwrap());
    assert_eq!(client.artifact(reference).unwrap_err().kind(), ErrorKind::NotFound);
    let uploaded = client.put_artifact(&echo).unwrap();
    assert_eq!((&uploaded.reference, uploaded.bytes), (reference, echo.wasm().len() as u64));
    assert!(client.has_artifact(reference).unwrap());
    assert_eq!(client.artifact(reference).unwrap(), *echo.wasm());
    let attached = client.attach(reference, "source.map", &b"the map"[..]).unwrap();
    assert_eq!(client.attachment(&attached).unwrap(), "the map");
    let manifest = client.manifest(reference).unwrap();
    assert_eq!(manifest.attachments["source.map"], attached);
    let listed: Result<Vec<_>, _> = client.manifests().collect();
    assert_eq!(listed.unwrap(), std::slice::from_ref(&manifest));
    let page = client.manifests_after(Some(reference)).unwrap();
    assert!(page.computes.is_empty() && page.next.is_none());

    let options = CallOptions {
        rid: Some("r-1".to_owned()),
        deadline: Some(Duration::from_secs(5)),
        fuel: Some(1_000_000),
        ..CallOptions::default()
    };
    let answer = client.invoke(reference, r#"{"a":1}"#, &options).unwrap();
    assert_eq!(
        (answer.status, answer.ended.as_str(), &answer.body[..]),
        (200, "ok", &b"{\"a\":1}"[..])
    );
    assert!(answer.fuel.unwrap() > 0 && answer.peak_memory > 0 && answer.wall > Duration::ZERO);
    let run = RunRequest {
        reference: Some(reference.clone()),
        input: Some(serde_json::value::RawValue::from_string("[7]".to_owned()).unwrap()),
        ..RunRequest::default()
    };
    let run = client.run(&run).unwrap();
    assert_eq!(run.output.unwrap().get(), "[7]");
    assert_eq!(run.metrics.status, "ok");

    let nothing = Artifact::new(Algorithm::Sha256, "wasm", &b"no module"[..]);
    let error = client.put_artifact(&nothing).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Refused, "invalid_module"));
    client.delete_artifact(reference).unwrap();
    assert_eq!(client.delete_artifact(reference).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn versions_are_drafted_changed_and_activated() {
    let served = Served::new();
    let client = served.client();
    let stack = "shop/eu".parse().unwrap();
    assert_eq!(client.versions(&stack).unwrap_err().kind(), ErrorKind::NotFound);
    let rule = File::new("100/greet.txcl", "EMIT .greeting = \"Hello\"");
    let first = client.create_draft(&stack, std::slice::from_ref(&rule)).unwrap();
    assert_eq!((first.number, first.active), (1, false));
    // Of the same files there is one version.
    assert_eq!(client.create_draft(&stack, std::slice::from_ref(&rule)).unwrap(), first);
    assert_eq!(client.version(&stack, 1).unwrap().files, [rule]);
    assert!(client.validate(&stack, 1).unwrap().valid);
    assert!(client.activate(&stack, 1).unwrap()[0].active);
    assert_eq!(client.stacks().unwrap()[0].active, Some(1));
    assert_eq!(client.delete_version(&stack, 1).unwrap_err().kind(), ErrorKind::Immutable);
    let error = client.write_file(&stack, 1, "100/greet.txcl", "").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Immutable);

    let second = client.create_draft(&stack, &[File::new("100/a.txcl", "EMIT .a = 1")]).unwrap();
    client.write_file(&stack, second.number, "200_B/b.txcl", "EMIT .b = 2").unwrap();
    assert_eq!(client.file(&stack, second.number, "200_B/b.txcl").unwrap(), "EMIT .b = 2");
    let changed = client.delete_file(&stack, second.number, "100/a.txcl").unwrap();
    assert_eq!(changed.rules, 1);
    let error = client.file(&stack, second.number, "100/a.txcl").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let changes = client.diff(&stack, 1, second.number).unwrap();
    let changes: Vec<_> =
        changes.iter().map(|one| (one.path.as_str(), one.change.as_str())).collect();
    assert_eq!(changes, [("100/greet.txcl", "removed"), ("200_B/b.txcl", "added")]);

    let gone = format!("compute://sha256/{}", "0".repeat(64));
    let other = "other".parse().unwrap();
    let rule = File::new("100/call.txcl", format!("EXEC \"{gone}\""));
    let broken = client.create_draft(&other, &[rule]).unwrap();
    assert!(!client.validate(&other, broken.number).unwrap().valid);
    let versions =
        [Draft::new(stack.clone(), second.number), Draft::new(other.clone(), broken.number)];
    let error = client.activate_all(&versions).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    let problems = error.problem().unwrap().activation_problems().unwrap();
    assert_eq!(problems[0].code, ProblemCode::MissingComputeArtifact);
    // All of them or none.
    assert_eq!(
        client.stacks().unwrap().iter().filter_map(|one| one.active).collect::<Vec<_>>(),
        [1]
    );
    client.activate_all(&versions[..1]).unwrap();
    client.delete_version(&other, broken.number).unwrap();
    assert_eq!(client.versions(&stack).unwrap().len(), 2);
}

#[test]
fn a_version_is_rolled_out_completed_and_taken_back() {
    let served = Served::new();
    let client = served.client();
    let stack: StackName = "shop".parse().unwrap();
    for number in 1..=2 {
        let rule = File::new("100/a.txcl", format!("EMIT .a = {number}"));
        client.create_draft(&stack, &[rule]).unwrap();
    }
    let (share, by) = ("10%".parse().unwrap(), ".customer.id".parse().unwrap());
    let rollout = Rollout { stack: stack.clone(), number: 2, share, by };
    assert_eq!(client.set_rollout(&rollout).unwrap_err().kind(), ErrorKind::Conflict);
    client.activate(&stack, 1).unwrap();
    assert_eq!(client.rollout(&stack).unwrap_err().kind(), ErrorKind::NotFound);
    client.set_rollout(&rollout).unwrap();
    assert_eq!(client.rollouts().unwrap(), std::slice::from_ref(&rollout));
    let report = client.rollout(&stack).unwrap();
    assert_eq!((report.number, report.share, &report.by), (2, rollout.share, &rollout.by));
    assert_eq!(report.active, 1);
    assert!(report.shadow.is_none());
    let absent = client.set_rollout(&Rollout { number: 9, ..rollout.clone() });
    assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.remove_rollout(&stack, 1).unwrap_err().kind(), ErrorKind::NotFound);
    client.remove_rollout(&stack, 2).unwrap();
    assert_eq!(client.remove_rollout(&stack, 2).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.complete_rollout(&stack, 2).unwrap_err().kind(), ErrorKind::NotFound);
    client.set_rollout(&rollout).unwrap();
    client.complete_rollout(&stack, 2).unwrap();
    assert_eq!(client.stacks().unwrap()[0].active, Some(2));
    assert!(client.rollouts().unwrap().is_empty());
}

#[test]
fn documents_leave_traces() {
    let served = Served::new();
    let client = served.client();
    let stack = "s".parse().unwrap();
    let rules = [
        File::new("100/a.txcl", "EMIT .greeting = \"Hello\""),
        File::new(
            "200/b.txcl",
            "WHEN .missing == true EMIT @web.res.status = 404, @web.res.body_text = \"none\"",
        ),
        File::new(
            "300/c.txcl",
            "WHEN .busy == true EMIT @web.res.status = 503, @web.res.headers.x-own = 7",
        ),
        File::new("400/d.txcl", "WHEN .fail == true SELECT .fail AS .x.0, .fail AS .x.key"),
    ];
    let draft = client.create_draft(&stack, &rules).unwrap();
    client.activate(&stack, draft.number).unwrap();
    let options = CallOptions {
        rid: Some("first".to_owned()),
        seed: Some("00".repeat(32).parse().unwrap()),
        now: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        trace: Some(TraceDetail::Full),
        ..CallOptions::default()
    };
    let answer = client.process("s", r#"{"n":1}"#, &options).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&answer.text()).unwrap(),
        json!({"n": 1, "greeting": "Hello"})
    );
    assert_eq!(answer.rid.as_deref(), Some("first"));
    assert_eq!(client.trace("fir").unwrap().id, "first");
    assert_eq!(client.trace("second").unwrap_err().kind(), ErrorKind::NotFound);
    // A document may say any status. It was answered all the same, and once.
    let fire = |document: &'static str| client.process("s/0", document, &CallOptions::default());
    let answer = fire(r#"{"missing":true}"#).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (404, "none"));
    let answer = fire(r#"{"busy":true}"#).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains(&("x-own".to_owned(), "7".to_owned())), "{answer:?}");
    let error = fire(r#"{"fail":true}"#).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Guest, "expression_failed"));
    assert!(error.problem().unwrap().rid.is_some());
    let error = client.process("none", Bytes::new(), &CallOptions::default()).unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::NotFound, "unknown_stage"));
    assert_eq!(client.traces(20).unwrap().len(), 5);
    assert_eq!(client.traces(1).unwrap().len(), 1);
}

#[test]
fn tokens_and_secrets_are_made_and_end() {
    let served = Served::new();
    let client = served.client();
    client.set_secret("key", "value").unwrap();
    assert_eq!(client.secrets().unwrap()[0].name, "key");
    client.delete_secret("key").unwrap();
    assert_eq!(client.delete_secret("key").unwrap_err().kind(), ErrorKind::NotFound);

    let reader = TokenRequest {
        name: "reader".to_owned(),
        scopes: [TokenScope::Read].into(),
        expires: None,
    };
    let made = client.create_token(&reader).unwrap();
    assert_eq!(client.tokens().unwrap().len(), 1);
    let theirs = served.builder().token(&made.token).build().unwrap();
    let theirs: compute_client::blocking::Client = theirs;
    assert!(theirs.stacks().unwrap().is_empty());
    assert_eq!(theirs.tokens().unwrap_err().kind(), ErrorKind::Forbidden);
    let told = client.audit(AuditOf::Tokens, None, 10).unwrap();
    assert_eq!((&*told.entries[0].what, &told.entries[0].who), ("token.create", &Actor::Dev));
    let mut head = told.gone.clone();
    let whole = client.audit(AuditOf::Stacks, Some(1), 1000).unwrap();
    assert_eq!((&*whole.entries[0].what, whole.entries[0].number), ("secret.delete", 2));
    for entry in &told.entries {
        head = head.followed_by(entry).unwrap();
    }
    assert_eq!(head, told.head);
    let used: u64 = client.usage(None, None).unwrap().iter().map(|day| day.used.requests).sum();
    assert!(used >= 8, "{used}");
    let long_ago = jiff::civil::date(1970, 1, 1);
    assert_eq!(client.usage(Some(long_ago), Some(long_ago)).unwrap(), []);
    client.revoke_token(&made.info.id).unwrap();
    assert_eq!(theirs.stacks().unwrap_err().kind(), ErrorKind::Unauthorized);
    // What has no body is told of all the same.
    let reference = Ref::of(Algorithm::Sha256, b"x");
    assert_eq!(theirs.has_artifact(&reference).unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn the_methods_are_futures_too() {
    let served = Served::new();
    let client: compute_client::Client = served.builder().build().unwrap();
    assert_eq!(client.live().await.unwrap(), "ok");
    for module in modules(3) {
        client.put_artifact(&module).await.unwrap();
    }
    let mut listed: Vec<_> =
        client.manifests().map_ok(|one| one.reference).try_collect().await.unwrap();
    let mut known: Vec<_> = modules(3).iter().map(|one| one.reference().clone()).collect();
    known.sort();
    assert_eq!(listed, known);
    let (first, second) = tokio::join!(client.artifact(&known[0]), client.artifact(&known[1]));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(client.trace("x").await.unwrap_err().kind(), ErrorKind::NotFound);
    let store = client.store();
    store.delete(&known[0]).await.unwrap();
    let missing = store.get(&known[0]).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing:?}");
    listed.remove(0);
    let left: Vec<_> = store.list().map_ok(|one| one.reference).try_collect().await.unwrap();
    assert_eq!(left, listed);
}

/// Polled without any runtime, as the store of a command is.
#[test]
fn the_artifacts_are_a_store() {
    let served = Served::new();
    let store = served.client().store();
    let mut new = NewArtifact::new(echo());
    new.attachments.insert("source.map".to_owned(), Bytes::from_static(b"map"));
    let manifest = pollster::block_on(store.put(&new)).unwrap();
    let reference = &manifest.reference;
    let stored = pollster::block_on(store.get(reference)).unwrap();
    assert_eq!(stored.artifact.wasm(), new.artifact.wasm());
    assert_eq!(pollster::block_on(store.head(reference)).unwrap(), manifest);
    let map = pollster::block_on(store.attachment(&manifest.attachments["source.map"])).unwrap();
    assert_eq!(map, "map");
    let listed: Vec<_> = pollster::block_on(store.list().try_collect()).unwrap();
    assert_eq!(listed, std::slice::from_ref(&manifest));
    pollster::block_on(store.delete(reference)).unwrap();
    let missing = pollster::block_on(store.head(reference)).unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing:?}");
}
