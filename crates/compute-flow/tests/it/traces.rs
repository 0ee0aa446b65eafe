//! Traces are kept, found by the start of their id, and bounded.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use compute_flow::{Detail, Processor, Trace};
use compute_state::{FolderTraces, StateQuotas, Traces as _, TracesError};
use serde_json::json;

use crate::conformance::{request, snapshot};
use crate::runner::TestRunner;

fn trace(id: &str) -> Trace {
    let rules = [("s/1/a".to_owned(), "EMIT .a = 1".to_owned())].into();
    let mut request = request("s/0", &json!({}));
    request.detail = Detail::Full;
    request.rid = Some(id.to_owned());
    Processor::new(Arc::new(TestRunner)).process(&snapshot(&rules), &request).trace.unwrap()
}

fn traces_in(folder: impl Into<PathBuf>) -> FolderTraces {
    FolderTraces::new(folder, StateQuotas::default())
}

fn bounded(folder: impl Into<PathBuf>, bytes: u64) -> FolderTraces {
    let quotas = StateQuotas { trace_bytes: bytes, ..StateQuotas::default() };
    FolderTraces::new(folder, quotas)
}

#[test]
fn traces_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let traces = traces_in(folder.path().join("traces"));
    assert_eq!(traces.ids().unwrap(), Vec::<String>::new());
    let [first, second] = [trace("abc-1"), trace("abd-2")];
    first.write(&traces).unwrap();
    second.write(&traces).unwrap();
    assert_eq!(Trace::read(&traces, "abc-1").unwrap(), first);
    assert_eq!(Trace::read(&traces, "abd").unwrap(), second);
    for unknown in ["ab", "x", ""] {
        assert!(
            matches!(Trace::read(&traces, unknown), Err(TracesError::NotFound(_))),
            "{unknown}"
        );
    }
}

#[test]
fn an_id_cannot_choose_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let traces = traces_in(folder.path().join("traces"));
    trace("../../escape").write(&traces).unwrap();
    let inside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(inside.len(), 1, "only the folder of traces");
    assert_eq!(Trace::read(&traces, "../../escape").unwrap().id, "../../escape");
    // Nor another's, however alike they look as names of files.
    assert!(Trace::read(&traces, "__/__/escape").is_err());
    let long = "x".repeat(128);
    trace(&long).write(&traces).unwrap();
    assert!(Trace::read(&traces, &format!("{long}y")).is_err());
    let listed: Vec<_> =
        traces.ids().unwrap().iter().map(|id| Trace::read(&traces, id).unwrap().id).collect();
    assert_eq!(listed, ["../../escape".to_owned(), long]);
}

#[test]
fn the_oldest_traces_go() {
    let folder = tempfile::tempdir().unwrap();
    let traces = traces_in(folder.path());
    let mut one = trace("t");
    for n in 0..1150 {
        one.id = format!("t{n:04}");
        one.write(&traces).unwrap();
    }
    let ids = traces.ids().unwrap();
    assert!((1000..=1100).contains(&ids.len()), "{}", ids.len());
    assert!(Trace::read(&traces, "t1149").is_ok() && Trace::read(&traces, "t0000").is_err());
}

#[test]
fn traces_are_bounded_in_bytes_and_their_text_is_passed_on() {
    let rules = [("s/1/a".to_owned(), "EMIT .a = 1".to_owned())].into();
    let mut request = request("s/0", &json!({ "text": "x".repeat(100_000) }));
    request.detail = Detail::Full;
    let processor = Processor::new(Arc::new(TestRunner));
    let mut trace = processor.process(&snapshot(&rules), &request).trace.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let traces = bounded(folder.path(), 4 << 20);
    for n in 0..100 {
        trace.id = format!("t{n:03}");
        trace.write(&traces).unwrap();
    }
    let kept: u64 = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|one| one.unwrap().metadata().unwrap().len())
        .sum();
    assert!(((2 << 20)..(5 << 20)).contains(&kept), "{kept}");
    let mut text = String::new();
    traces.read_text("t099").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, serde_json::to_string(&trace).unwrap());
    assert!(traces.read_text("t000").is_err());
    let small = bounded(folder.path(), 1000);
    assert!(trace.write(&small).is_err());
}
