//! Traces are kept, found by the start of their id, and bounded.

use std::sync::Arc;

use compute_flow::{Detail, Processor, Trace, Traces, TracesError};
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

#[test]
fn traces_are_read_as_they_were_written() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::new(folder.path().join("traces"));
    assert_eq!(traces.ids().unwrap(), Vec::<String>::new());
    let [first, second] = [trace("abc-1"), trace("abd-2")];
    traces.write(&first).unwrap();
    traces.write(&second).unwrap();
    assert_eq!(traces.read("abc-1").unwrap(), first);
    assert_eq!(traces.read("abd").unwrap(), second);
    for unknown in ["ab", "x", ""] {
        assert!(matches!(traces.read(unknown), Err(TracesError::NotFound(_))), "{unknown}");
    }
}

#[test]
fn an_id_cannot_choose_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::new(folder.path().join("traces"));
    traces.write(&trace("../../escape")).unwrap();
    let inside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(inside.len(), 1, "only the folder of traces");
    assert_eq!(traces.read("../../escape").unwrap().id, "../../escape");
    // Nor another's, however alike they look as names of files.
    assert!(traces.read("__/__/escape").is_err());
    let long = "x".repeat(128);
    traces.write(&trace(&long)).unwrap();
    assert!(traces.read(&format!("{long}y")).is_err());
    let listed: Vec<_> =
        traces.ids().unwrap().iter().map(|id| traces.read(id).unwrap().id).collect();
    assert_eq!(listed, ["../../escape".to_owned(), long]);
}

#[test]
fn the_oldest_traces_go() {
    let folder = tempfile::tempdir().unwrap();
    let traces = Traces::new(folder.path());
    let mut one = trace("t");
    for n in 0..1150 {
        one.id = format!("t{n:04}");
        traces.write(&one).unwrap();
    }
    let ids = traces.ids().unwrap();
    assert!((1000..=1100).contains(&ids.len()), "{}", ids.len());
    assert!(traces.read("t1149").is_ok() && traces.read("t0000").is_err());
}
