//! Which documents get a version that answers a part of them, and that each sees one version throughout.

use std::sync::Arc;

use compute_flow::{Detail, Processor, Request, Snapshot, Stack};
use compute_state::{File, Rollout, StackName};
use serde_json::{Value, json};

use crate::runner::TestRunner;

fn version(name: &str, number: u32, rules: &[(&str, &str)]) -> Stack {
    let files: Vec<_> = rules.iter().map(|(path, text)| File::new(*path, *text)).collect();
    let stack = Stack::compile(name.parse().unwrap(), &files);
    stack.unwrap_or_else(|wrong| panic!("{}", wrong[0])).numbered(number)
}

fn rollout(stack: &str, number: u32, share: &str, by: &str) -> Rollout {
    let (stack, share, by) = (stack.parse().unwrap(), share.parse().unwrap(), by.parse().unwrap());
    Rollout { stack, number, share, by }
}

/// Version 1 of a stack that says `old`, and version 2 that says `new` to a share.
fn shared(share: &str, by: &str) -> Snapshot {
    let says = |number, what: &str| version("s", number, &[("1/a.txcl", what)]);
    let mut snapshot = Snapshot::from_iter([says(1, "EMIT .say = \"old\"")]);
    snapshot.roll_out(rollout("s", 2, share, by), says(2, "EMIT .say = \"new\""));
    snapshot
}

fn request(document: &Value) -> Request {
    let mut request = Request::new("s/0".parse().unwrap(), document.to_string().into_bytes());
    request.detail = Detail::Summary;
    request
}

fn is_new(snapshot: &Snapshot, document: &Value) -> bool {
    let answer = Processor::new(Arc::new(TestRunner)).process(snapshot, &request(document));
    let (trace, number) = (answer.trace.unwrap(), |new: bool| if new { 2 } else { 1 });
    let is_new = answer.result.unwrap()["say"] == "new";
    let stack: StackName = "s".parse().unwrap();
    assert_eq!(trace.numbers, [(stack, number(is_new))].into());
    assert_eq!(answer.rolled_out.len(), usize::from(is_new));
    is_new
}

fn customers() -> impl Iterator<Item = Value> {
    (0..2000).map(|id| json!({ "customer": { "id": format!("c-{id}") } }))
}

#[test]
fn a_share_gets_the_new_version_and_keeps_it_when_the_share_is_raised() {
    let mut had: Vec<Value> = Vec::new();
    // Of 2,000 values that are drawn once and for all, so many give or take: more than 4 standard deviations.
    for (share, expected) in [("1%", 20), ("10%", 200), ("20%", 400), ("50%", 1000), ("100%", 2000)]
    {
        let snapshot = shared(share, ".customer.id");
        let now: Vec<_> = customers().filter(|one| is_new(&snapshot, one)).collect();
        let off = now.len().abs_diff(expected);
        assert!(off <= 100 && (share != "100%" || off == 0), "{share}: {}", now.len());
        assert!(had.iter().all(|one| now.contains(one)), "{share} took it from some");
        had = now;
    }
}

#[test]
fn each_stack_draws_for_itself_and_each_path_by_its_own_value() {
    let says = |name, number, what: &str| version(name, number, &[("1/a.txcl", what)]);
    let mut snapshot = Snapshot::from_iter([
        says("s", 1, "EMIT .s = 1, @goto = \"t/0\""),
        says("t", 1, "EMIT .t = 1"),
    ]);
    snapshot.roll_out(rollout("s", 2, "50%", ".a"), says("s", 2, "EMIT .s = 2, @goto = \"t/0\""));
    snapshot.roll_out(rollout("t", 2, "50%", ".a"), says("t", 2, "EMIT .t = 2"));
    let processor = Processor::new(Arc::new(TestRunner));
    let mut seen = std::collections::BTreeSet::new();
    for id in 0..40 {
        let answer = processor.process(&snapshot, &request(&json!({ "a": id }))).result.unwrap();
        seen.insert((answer["s"].as_u64().unwrap(), answer["t"].as_u64().unwrap()));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn what_has_no_value_there_gets_the_active_version() {
    let snapshot = shared("100%", ".customer.id");
    for with in [json!("c"), json!(7), json!(1.5), json!(false), json!("")] {
        assert!(is_new(&snapshot, &json!({ "customer": { "id": with } })));
    }
    for without in [
        json!({}),
        json!({ "customer": 7 }),
        json!({ "customer": { "id": null } }),
        json!({ "customer": { "id": { "a": 1 } } }),
        json!({ "customer": { "id": ["c"] } }),
        json!({ "customer": { "id": "x".repeat(2000) } }),
    ] {
        assert!(!is_new(&snapshot, &without), "{without}");
    }
    // What whoever takes the document in says of it is in it, and a caller cannot say that.
    let snapshot = shared("100%", "@web.req.headers.x-customer");
    let mut request = request(&json!({}));
    request.stamp.insert("web".to_owned(), json!({ "req": { "headers": { "x-customer": "c" } } }));
    let answer = Processor::new(Arc::new(TestRunner)).process(&snapshot, &request);
    assert_eq!(answer.result.unwrap()["say"], "new");
    let claimed = json!({ "_txc": { "web": { "req": { "headers": { "x-customer": "c" } } } } });
    assert!(!is_new(&snapshot, &claimed));
}

#[test]
fn a_document_sees_one_version_though_its_rules_change_what_decided() {
    // The old version gives the document the id of one that gets the new one, and comes to the stack again.
    let snapshot = shared("10%", ".id");
    let ids: Vec<_> = (0..200).map(|id| json!({ "id": id })).collect();
    let chosen = ids.iter().find(|one| is_new(&snapshot, one)).unwrap()["id"].clone();
    let other = ids.iter().find(|one| !is_new(&snapshot, one)).unwrap();
    let first = format!("WHEN .seen != true EMIT .id = {chosen}, .seen = true, @goto = \"s/1\"");
    let last = |says: &str| format!("EMIT .say = {says:?}");
    let two = |number, says: &str| {
        version("s", number, &[("1/a.txcl", &first), ("2/a.txcl", &last(says))])
    };
    let mut snapshot = Snapshot::from_iter([two(1, "old")]);
    snapshot.roll_out(rollout("s", 2, "10%", ".id"), two(2, "new"));
    let answer = Processor::new(Arc::new(TestRunner)).process(&snapshot, &request(other));
    let document = answer.result.unwrap();
    assert_eq!((&document["id"], &document["say"]), (&chosen, &json!("old")));
    assert_eq!(answer.trace.unwrap().versions.len(), 1);
}

#[test]
fn an_active_version_is_for_all_documents() {
    let mut snapshot = shared("100%", ".id");
    let document = json!({ "id": 1 });
    assert!(is_new(&snapshot, &document));
    let size = snapshot.size();
    let stack = Arc::clone(snapshot.rolled_out(&"s".parse().unwrap()).unwrap());
    snapshot.insert(stack);
    assert!(snapshot.rolled_out(&"s".parse().unwrap()).is_none() && snapshot.size() < size);
    let answer = Processor::new(Arc::new(TestRunner)).process(&snapshot, &request(&document));
    assert_eq!(answer.result.unwrap()["say"], "new");
    assert!(answer.rolled_out.is_empty());
}
