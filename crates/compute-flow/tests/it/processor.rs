//! What holds of every document: it repeats, it is bounded, and its trace tells no secrets.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use compute::{Cancel, Limits, Seed};
use compute_flow::{Detail, EventKind, Processor, ProcessorSettings, Reason};
use serde_json::json;

use crate::conformance::{request, snapshot};
use crate::runner::TestRunner;

fn files(rules: &[(&str, &str)]) -> BTreeMap<String, String> {
    rules.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn processor(settings: ProcessorSettings) -> Processor {
    Processor::with_settings(Arc::new(TestRunner), settings)
}

#[test]
fn answers_and_traces_repeat_whatever_the_scheduling() {
    let mut rules = BTreeMap::new();
    for n in 0..12 {
        let name = char::from(b'a' + n * 2);
        rules.insert(format!("s/1/{name}"), "EXEC \"compute://test/slow\"".to_owned());
        rules.insert(
            format!("s/2/{name}"),
            "EXEC \"compute://test/seed\" EMIT .ids = &array(&uuid())".into(),
        );
    }
    let snapshot = snapshot(&rules);
    let mut request = request("s/0", &json!({}));
    request.detail = Detail::Full;
    let run = |parallel| {
        let settings = ProcessorSettings { parallel, ..ProcessorSettings::default() };
        let answer = processor(settings).process(&snapshot, &request);
        (answer.result.unwrap(), answer.trace.unwrap().settled())
    };
    let alone = run(1);
    assert_eq!(alone.0["done"].as_array().unwrap().len(), 12);
    assert_eq!(alone.0["ids"].as_array().unwrap().len(), 12);
    for _ in 0..5 {
        assert_eq!(run(8), alone);
    }
}

#[test]
fn another_seed_gives_other_numbers_and_each_use_its_own() {
    let rules = files(&[
        ("s/1/a", "EXEC \"compute://test/seed\" EMIT .a = .seed, .id = &uuid()"),
        ("s/2/a", "EXEC \"compute://test/seed\" EMIT .b = .seed, .other = &uuid()"),
    ]);
    let snapshot = snapshot(&rules);
    let processor = processor(ProcessorSettings::default());
    let mut request = request("s/0", &json!({}));
    let first = processor.process(&snapshot, &request).result.unwrap();
    assert_ne!(first["a"], first["b"]);
    assert_ne!(first["id"], first["other"]);
    request.seed = Seed::new([8; 32]);
    let second = processor.process(&snapshot, &request).result.unwrap();
    assert_ne!(first["a"], second["a"]);
    assert_ne!(first["id"], second["id"]);
}

#[test]
fn traces_mask_what_rules_say_and_never_show_secrets() {
    let rules = files(&[
        (
            "s/1/a",
            "WITH secrets = \"KEY\", redact = \"customer.email\", omit = \"card\"\nEXEC \"compute://test/secrets\"",
        ),
        ("s/2/b", "EXEC \"compute://test/echo\""),
    ]);
    let mut request = request(
        "s/0",
        &json!({"customer": {"email": "ada@example.com", "name": "Ada"}, "card": "4111-secret-card", "note": "s3cret"}),
    );
    request.detail = Detail::Full;
    let answer = processor(ProcessorSettings::default()).process(&snapshot(&rules), &request);
    // The document itself is left alone.
    assert_eq!(answer.result.unwrap()["customer"]["email"], "ada@example.com");
    let trace = answer.trace.unwrap();
    let text = serde_json::to_string(&trace).unwrap();
    for hidden in ["ada@", "secret-card", "s3cret"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    assert!(text.contains("[redacted]") && text.contains("\"name\":\"Ada\""), "{text}");
    assert_eq!(trace.steps.len(), 2);
    assert_eq!(trace.steps[0].log[0].text, "the key is \"[redacted]\"");
    // A trace reads back as what it was.
    assert_eq!(serde_json::from_str::<compute_flow::Trace>(&text).unwrap(), trace);
}

#[test]
fn a_trace_tells_the_way_and_what_failed() {
    let rules = files(&[
        ("s/1/a", "EMIT @goto = \"3\""),
        ("s/3/b", "EXEC \"compute://test/throws\""),
        ("s/3/c", "EXEC \"compute://test/x_is_2\""),
    ]);
    let mut request = request("s/0", &json!({}));
    request.detail = Detail::Summary;
    let answer = processor(ProcessorSettings::default()).process(&snapshot(&rules), &request);
    let failure = answer.result.unwrap_err();
    assert_eq!(failure.op.as_deref(), Some("s/3/b"));
    assert_eq!(failure.to_string(), "s/3/b: Error: as it should");
    let trace = answer.trace.unwrap();
    assert_eq!(trace.status, "compute_failed");
    assert_eq!(trace.work, 10 + 10 + 2 * 25);
    assert!(trace.events.iter().any(|event| matches!(event.kind, EventKind::Jump { .. })));
    let statuses: Vec<_> = trace.steps.iter().map(|one| (&*one.op, &*one.status)).collect();
    assert_eq!(statuses, [("s/1/a", "ok"), ("s/3/b", "trapped"), ("s/3/c", "ok")]);
    assert!(trace.request.is_none() && trace.steps[0].rule.is_empty(), "it is a summary");
}

#[test]
fn budgets_say_where_the_document_was() {
    let rules = files(&[("s/1/a", "EMIT @goto = \"t/1\""), ("t/1/b", "EMIT @goto = \"s/1\"")]);
    let answer = processor(ProcessorSettings::default())
        .process(&snapshot(&rules), &request("s/0", &json!({})));
    let failure = answer.result.unwrap_err();
    assert!(matches!(failure.reason, Reason::ScopeTtl { limit: 500 }), "{failure}");
    assert_eq!(failure.transitions.len(), 3);
    let told = failure.to_string();
    assert!(told.contains("the last stage was s/1") && told.contains("s/1 → t/1"), "{told}");
}

#[test]
fn metered_work_counts() {
    let rules = files(&[("s/1/a", "EXEC \"compute://test/x_is_2\"")]);
    let limits = Limits { fuel: Some(1 << 40), ..Limits::DEFAULT };
    let mut request = request("s/0", &json!({}));
    request.detail = Detail::Summary;
    let metered = processor(ProcessorSettings { limits, ..ProcessorSettings::default() });
    let work = metered.process(&snapshot(&rules), &request).trace.unwrap().work;
    // 3,000,000 of fuel are 3 ms.
    assert_eq!(work, 10 + 25 + 3 * 10);
    let settings = ProcessorSettings { limits, work: 50, ..ProcessorSettings::default() };
    let failure = processor(settings).process(&snapshot(&rules), &request).result.unwrap_err();
    assert!(matches!(failure.reason, Reason::Fuel { limit: 50 }), "{failure}");
}

#[test]
fn times_are_bounded() {
    let rules = files(&[
        ("s/1/a", "EXEC \"compute://test/wall\""),
        ("s/2/b", "WITH timeout = \"200ms\" EXEC \"compute://test/wall\" EMIT .b = .wall_ms"),
        ("s/3/c", "WITH timeout = 1500 EXEC \"compute://test/wall\" EMIT .c = .wall_ms"),
    ]);
    let answer = processor(ProcessorSettings::default())
        .process(&snapshot(&rules), &request("s/0", &json!({})));
    let document = answer.result.unwrap();
    assert_eq!((&document["b"], &document["c"]), (&json!(200), &json!(1500)));

    let settings =
        ProcessorSettings { deadline: Duration::from_millis(1), ..ProcessorSettings::default() };
    let rules = files(&[("s/1/a", "EXEC \"compute://test/slow\""), ("s/2/b", "EMIT .b = 1")]);
    let failure = processor(settings)
        .process(&snapshot(&rules), &request("s/0", &json!({})))
        .result
        .unwrap_err();
    assert!(matches!(failure.reason, Reason::Deadline { .. }), "{failure}");
    // A request may ask for less than the settings say.
    let mut hurried = request("s/0", &json!({}));
    hurried.deadline = Some(Duration::from_millis(1));
    let failure = processor(ProcessorSettings::default())
        .process(&snapshot(&rules), &hurried)
        .result
        .unwrap_err();
    assert!(failure.to_string().contains("limit of 1ms was reached"), "{failure}");
}

#[test]
fn what_a_hostile_document_or_compute_makes_is_bounded() {
    let rules = files(&[("s/1/a", "EXEC \"compute://test/writes_much\"")]);
    let answer = processor(ProcessorSettings::default())
        .process(&snapshot(&rules), &request("s/0", &json!({})));
    assert_eq!(answer.result.unwrap(), json!({}));
    assert_eq!(answer.warnings.len(), 11);
    assert!(answer.warnings.iter().all(|one| one.len() < 200), "{:?}", answer.warnings);
    assert!(answer.warnings[10].ends_with("and 4990 more are dropped"), "{:?}", answer.warnings);

    let settings = ProcessorSettings { document: 1000, ..ProcessorSettings::default() };
    let large = request("s/0", &json!({"text": "x".repeat(1000)}));
    let failure = processor(settings).process(&snapshot(&rules), &large).result.unwrap_err();
    assert!(matches!(failure.reason, Reason::TooLarge { limit: 1000, .. }), "{failure}");
}

#[test]
fn a_cancelled_document_stops() {
    let rules = files(&[("s/1/a", "EMIT @goto = \"1\"")]);
    let mut request = request("s/0", &json!({}));
    let cancel = Cancel::new();
    cancel.cancel();
    request.cancel = Some(cancel);
    let failure = processor(ProcessorSettings::default())
        .process(&snapshot(&rules), &request)
        .result
        .unwrap_err();
    assert!(matches!(failure.reason, Reason::Cancelled), "{failure}");
}

#[test]
fn a_runner_that_panics_fails_the_document_and_nothing_else() {
    let rules = files(&[
        ("s/1/a", "EXEC \"compute://test/panics\""),
        ("s/1/b", "EXEC \"compute://test/x_is_2\""),
    ]);
    for parallel in [1, 4] {
        let settings = ProcessorSettings { parallel, ..ProcessorSettings::default() };
        let failure = processor(settings)
            .process(&snapshot(&rules), &request("s/0", &json!({})))
            .result
            .unwrap_err();
        assert!(matches!(failure.reason, Reason::Host(_)), "{failure}");
    }
}

#[test]
fn what_a_document_wants_of_http_is_given_apart() {
    let rules = files(&[("s/1/a", "EMIT @web.res.status = 201, .a = 1")]);
    let answer = processor(ProcessorSettings::default())
        .process(&snapshot(&rules), &request("s/0", &json!({})));
    assert_eq!(answer.web, Some(json!({"status": 201})));
    assert_eq!(answer.result.unwrap(), json!({"a": 1}));
}
