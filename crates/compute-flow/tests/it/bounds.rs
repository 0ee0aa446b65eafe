//! What a hostile document or stack may take: memory of one account, and time until its deadline.

use std::any::Any;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use compute::{Account, Mask};
use compute_flow::{
    Answer, CompileError, Detail, Helpers, Processor, ProcessorSettings, Reason, Request, Stack,
    Trace,
};
use compute_state::File;
use serde_json::{Value, json};

use crate::conformance::{request, snapshot};
use crate::runner::TestRunner;

type Rules = BTreeMap<String, String>;

fn rules(rules: &[(&str, &str)]) -> Rules {
    rules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn process(rules: &Rules, request: &Request) -> Answer {
    Processor::new(Arc::new(TestRunner)).process(&snapshot(rules), request)
}

fn failure(rules: &Rules, request: &Request) -> Box<compute_flow::Failure> {
    process(rules, request).result.map(|_| "an answer").unwrap_err()
}

/// Noughts and ones in no order: each part of them is another state of a hostile regular expression.
fn noise(length: usize) -> String {
    let mut seed = 1_u32;
    let next = |_| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if seed >> 31 == 0 { '0' } else { '1' }
    };
    (0..length).map(next).collect()
}

/// Many small objects: text that takes many times its bytes.
fn objects(count: usize) -> Value {
    json!({ "a": vec![json!({"": 0}); count] })
}

#[test]
fn a_document_is_shared_by_the_rules_that_receive_it() {
    let rules: Rules = (0..40)
        .map(|n| (format!("s/1/r{n:03}"), "EXEC \"compute://test/x_is_2\"".to_owned()))
        .collect();
    let mut request = request("s/0", &objects(10_000));
    // The document takes about 4 MiB; a copy for each rule would be 160 MiB.
    request.memory = Account::new("the request's memory", 8 << 20);
    for parallel in [1, 4] {
        let settings = ProcessorSettings { parallel, ..ProcessorSettings::default() };
        let processor = Processor::with_settings(Arc::new(TestRunner), settings);
        let answer = processor.process(&snapshot(&rules), &request);
        assert_eq!(answer.result.as_ref().unwrap()["x"], 2);
        assert!(request.memory.used() > 3 << 20, "the answer is charged until it is dropped");
        drop(answer);
        assert_eq!(request.memory.used(), 0);
    }
}

#[test]
fn memory_that_is_not_there_ends_a_document_at_once() {
    let many = |text: &str| -> Rules {
        (0..500).map(|n| (format!("s/1/r{n:04}"), text.replace('#', &n.to_string()))).collect()
    };
    let large = json!({ "a": vec!["some text"; 20_000] });
    let cases = [
        ("emits", many("EMIT .x# = .a"), large.clone()),
        ("selects", many("SELECT .a AS .b# EXEC \"compute://test/x_is_2\""), large.clone()),
        ("sets", many("SET .b = 1 EXEC \"compute://test/x_is_2\""), large.clone()),
        ("outputs", many("EXEC \"compute://test/received\""), large),
        ("literals", many(&format!("EMIT .x# = [{}]", "0,".repeat(4000))), json!({})),
        ("its own", rules(&[("s/1/a", "EMIT .x = 1")]), objects(400_000)),
    ];
    for (name, rules, input) in cases {
        let mut request = request("s/0", &input);
        request.memory = Account::new("the request's memory", 48 << 20);
        let began = Instant::now();
        let failure = failure(&rules, &request);
        assert_eq!(failure.reason.code(), "document_too_large", "{name}: {failure}");
        let told = failure.to_string();
        assert!(told.contains("has a limit of 50331648 bytes"), "{name}: {told}");
        assert!(began.elapsed() < Duration::from_secs(20), "{name}: {:?}", began.elapsed());
        assert_eq!(request.memory.used(), 0, "{name}");
    }
    // The document's own limit is told as such.
    let failure = failure(&rules(&[]), &request("s/0", &objects(400_000)));
    assert!(matches!(failure.reason, Reason::TooLarge { limit: 67_108_864, .. }), "{failure}");
}

#[test]
fn what_a_scope_makes_is_given_back_at_its_end() {
    // Each scope makes and drops about 3 MiB.
    let rules: Rules = (1..40)
        .map(|n| {
            let rule = "SELECT .a AS .b EXEC \"compute://test/x_is_2\" EMIT .b = 1";
            (format!("s/{n}/r"), rule.to_owned())
        })
        .collect();
    let mut request = request("s/0", &json!({ "a": vec!["some text"; 10_000] }));
    request.memory = Account::new("the request's memory", 16 << 20);
    assert_eq!(process(&rules, &request).result.unwrap()["b"], 1);
}

#[test]
fn deletions_are_quick_or_end_with_the_deadline() {
    let rules = rules(&[("s/1/a", "EMIT @delete = .d")]);
    let list = vec![json!(0); 100_000];
    let mut quick = request("s/0", &json!({ "a": list, "d": vec![".a.0"; 90_000] }));
    quick.memory = Account::unlimited();
    let answer = process(&rules, &quick).result.unwrap();
    assert_eq!(answer["a"].as_array().unwrap().len(), 10_000);
    let paths: Vec<_> = [".a.0", ".b.0"].into_iter().cycle().take(90_000).collect();
    let mut slow = request("s/0", &json!({ "a": list, "b": list, "d": paths }));
    slow.deadline = Some(Duration::from_millis(1000));
    slow.memory = Account::unlimited();
    let began = Instant::now();
    let failure = failure(&rules, &slow);
    assert!(matches!(failure.reason, Reason::Deadline { .. }), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn a_regular_expression_ends_with_the_deadline() {
    let text = noise(1_000_000);
    let regex = "/[01]*1[01]{1000}c/";
    let hostile = rules(&[("s/1/a", &format!("WHEN .x =~ {regex} EMIT .y = 1"))]);
    let mut request = request("s/0", &json!({ "x": text }));
    request.deadline = Some(Duration::from_millis(300));
    let began = Instant::now();
    let failure = failure(&hostile, &request);
    assert!(matches!(failure.reason, Reason::Deadline { .. }), "{failure}");
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_text_that_is_too_long_for_a_regular_expression_matches_nothing() {
    let rules = rules(&[
        ("s/1/a", "WHEN .x =~ /x/ EMIT .is = 1"),
        ("s/1/b", "WHEN .x !~ /y/ EMIT .is_not = 1"),
        ("s/1/c", "WHEN .l =~ /x/ EMIT .list = 1"),
    ]);
    for (length, expected) in [(1 << 20, true), ((1 << 20) + 1, false)] {
        let input = json!({ "x": "x".repeat(length), "l": ["x".repeat(length - 4)] });
        let answer = process(&rules, &request("s/0", &input)).result.unwrap();
        for key in ["is", "is_not", "list"] {
            assert_eq!(answer.get(key).is_some(), expected, "{key} {length}");
        }
    }
}

#[test]
fn the_deadline_counts_after_the_last_scope_and_in_conditions() {
    let slow = "WHEN .x =~ /[01]*1[01]{900}c/ || .z == 1 EMIT .y = 1";
    let many: Rules = (0..50).map(|n| (format!("s/1/r{n}"), slow.to_owned())).collect();
    let mut request = request("s/0", &json!({ "x": noise(200_000) }));
    request.deadline = Some(Duration::from_millis(200));
    let began = Instant::now();
    assert!(matches!(failure(&many, &request).reason, Reason::Deadline { .. }));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // The last scope's compute takes longer than the document may.
    let last = rules(&[("s/1/a", "EXEC \"compute://test/slow\"")]);
    request.deadline = Some(Duration::from_millis(10));
    assert!(matches!(failure(&last, &request).reason, Reason::Deadline { .. }));
}

#[test]
fn deep_outputs_are_told_and_their_trace_can_be_read() {
    let rules = rules(&[("s/1/a", "EXEC \"compute://test/deep\"")]);
    let mut request = request("s/0", &json!({}));
    request.detail = Detail::Full;
    let answer = process(&rules, &request);
    let failure = answer.result.unwrap_err();
    assert_eq!(failure.to_string(), "s/1/a: the output is nested deeper than 100 levels");
    let trace = answer.trace.unwrap();
    let read: Trace = serde_json::from_slice(&serde_json::to_vec(&trace).unwrap()).unwrap();
    assert_eq!(read, trace);
}

#[test]
fn a_trace_is_bounded_in_all_its_parts() {
    let many = |text: &str| -> Rules {
        (0..12).map(|n| (format!("s/1/r{n:02}"), text.to_owned())).collect()
    };
    let deletes: Rules =
        (1..30).map(|n| (format!("s/{n}/r"), "EMIT @delete = .d".to_owned())).collect();
    let paths: Vec<_> = (0..5000).map(|n| format!(".x.{}", "y".repeat(100 + n % 7))).collect();
    let redacts = "WITH redact = .d EXEC \"compute://test/x_is_2\"".to_owned();
    let cases = [
        ("events", many("EXEC \"compute://test/emits\""), json!({})),
        ("lines", many("EXEC \"compute://test/logs_much\""), json!({})),
        ("warnings", many("EXEC \"compute://test/writes_much\""), json!({})),
        ("deletions", deletes, json!({ "d": paths })),
        ("redactions", many(&redacts), json!({ "d": paths })),
        ("payloads", many("EXEC \"compute://test/x_is_2\""), json!({ "a": vec![7; 8000] })),
    ];
    for (name, rules, input) in cases {
        let mut request = request("s/0", &input);
        request.detail = Detail::Full;
        request.memory = Account::new("the request's memory", 512 << 20);
        let answer = process(&rules, &request);
        let text = serde_json::to_string(&answer.trace.unwrap()).unwrap();
        assert!(text.len() < 10 << 20, "{name}: {} bytes", text.len());
        let read: Trace = serde_json::from_str(&text).unwrap();
        assert_eq!(read.id, "r-1", "{name}");
        if !matches!(name, "deletions") {
            assert!(!read.steps.is_empty() && (read.dropped > 0 || name == "warnings"), "{name}");
        }
        assert!(answer.warnings.len() <= 101, "{name}");
    }
}

#[test]
fn masks_cover_keys_names_and_errors_and_what_the_tenant_keeps() {
    let with = "WITH secrets = \"KEY\" EXEC \"compute://test/emits\"";
    let rules =
        rules(&[("s/1/a", with), ("s/2/b", "WITH timeout = .note EXEC \"compute://test/env\"")]);
    let input = json!({ "s3cret": 1, "note": "s3cret", "tenant": "kept\"elsewhere" });
    let mut request = request("s/0", &input);
    request.detail = Detail::Full;
    // The tenant's mask knows the secret that the rule names, or does not.
    for mask in [Mask::new(["kept\"elsewhere"]), Mask::new(["kept\"elsewhere", "s3cret"])] {
        request.mask = Arc::new(mask);
        let trace = process(&rules, &request).trace.unwrap();
        let text = serde_json::to_string(&trace).unwrap();
        for hidden in ["s3cret", "elsewhere"] {
            assert!(!text.contains(hidden), "{hidden} in {text:.3000}");
        }
        assert_eq!(trace.steps[0].events[0].name, "about [redacted]");
        assert_eq!(trace.steps[0].events[0].data.get(), r#"{"[redacted]":"[redacted]"}"#);
        assert!(trace.error.unwrap().contains("[redacted]"));
    }
}

#[test]
fn callers_bring_no_answer_of_their_own() {
    let rules = rules(&[("s/1/a", "EMIT .x = @web.res.status")]);
    let input = json!({ "_txc": { "web": { "res": { "status": 500 } }, "kept": 1 } });
    let answer = process(&rules, &request("s/0", &input));
    assert_eq!((answer.web, answer.result.unwrap()), (None, json!({ "x": null })));
}

/// As many permits as there are, and how many were asked for.
#[derive(Debug, Default)]
struct Permits {
    asked: AtomicUsize,
}

impl Helpers for Permits {
    fn try_enter(&self) -> Option<Box<dyn Any + Send>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        None
    }
}

#[test]
fn no_thread_helps_without_a_permit() {
    let rules: Rules = (0..20)
        .map(|n| (format!("s/1/r{n:02}"), "EXEC \"compute://test/slow\"".to_owned()))
        .collect();
    let permits = Arc::new(Permits::default());
    let mut request = request("s/0", &json!({}));
    request.helpers = Some(Arc::clone(&permits) as Arc<dyn Helpers>);
    let settings = ProcessorSettings { parallel: 8, ..ProcessorSettings::default() };
    let processor = Processor::with_settings(Arc::new(TestRunner), settings);
    let answer = processor.process(&snapshot(&rules), &request).result.unwrap();
    assert_eq!(answer["done"].as_array().unwrap().len(), 20);
    assert_eq!(
        permits.asked.load(Ordering::SeqCst),
        1,
        "none was given, so no second was asked for"
    );
}

fn compile(files: &[File], time: Duration) -> Result<Stack, CompileError> {
    Stack::compile_until("s".parse().unwrap(), files, Some(Instant::now() + time))
}

#[test]
fn problems_share_their_file_and_are_bounded() {
    let bad: String = (0..60).map(|n| format!("EMITT .x{n} = 1\n")).collect();
    let bad = format!("{bad}#{}", "x".repeat(60_000));
    let files: Vec<_> =
        (0..240).map(|n| File::new(format!("100/r{n}.txcl"), bad.clone())).collect();
    let problems = Stack::compile("s".parse().unwrap(), &files).unwrap_err();
    assert_eq!(problems.len(), 201);
    assert!(Arc::ptr_eq(&problems[0].file, &problems[1].file));
    let last = problems.last().unwrap().to_string();
    assert!(last.ends_with("and more: 236 of the files were not looked at"), "{last}");
    // A word of 60,000 letters is not repeated.
    let word = File::new("100/r.txcl", format!("{} .x = 1", "Q".repeat(60_000)));
    let problems = Stack::compile("s".parse().unwrap(), &[word]).unwrap_err();
    assert!(problems.iter().all(|one| one.to_string().len() < 2000));
}

#[test]
fn compiling_is_bounded_in_memory_and_time() {
    let regexes = |count: usize, of: &str| -> String {
        let all: Vec<_> = (0..count).map(|n| format!(".x =~ /{of}{n}/")).collect();
        format!("WHEN {} EMIT .y = 1", all.join(" || "))
    };
    let files = |count: usize, text: &str| -> Vec<File> {
        (0..count).map(|n| File::new(format!("100/r{n}.txcl"), text)).collect()
    };
    let minute = Duration::from_secs(60);
    // Each rule is within its budget, all of them are not.
    let fits = regexes(4, ".{0,700}");
    assert!(compile(&files(1, &fits), minute).is_ok());
    let error = compile(&files(100, &fits), minute).unwrap_err();
    assert!(matches!(error, CompileError::TooLarge { limit: 33_554_432, .. }), "{error}");
    let began = Instant::now();
    let hostile = regexes(2500, ".{4000}");
    let error = compile(&files(20_000, &hostile), minute).unwrap_err();
    assert!(matches!(error, CompileError::TooLarge { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let late = compile(&files(20_000, "EMIT .x = 1"), Duration::from_millis(20)).unwrap_err();
    assert!(matches!(late, CompileError::Deadline), "{late}");
}
