//! Traces: written, found by the start of their id, bounded.

use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Reopen, SOON};
use crate::{StateQuotas, TenantName, TraceStore, TracesError};

/// How many more than the quota says there may be for a while.
const SLACK: usize = 110;

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    for test in [
        traces_are_read_as_they_were_written,
        whoever_reads_sees_one_text,
        an_id_chooses_nothing_but_its_trace,
    ] {
        test(&new(standard));
    }
    the_oldest_go(&new(StateQuotas { traces: 20, ..standard }));
    bytes_are_bounded(&new(StateQuotas { trace_bytes: 64 << 10, ..standard }));
}

fn open(state: &Reopen) -> Arc<dyn TraceStore> {
    state().tenant(&TenantName::default()).unwrap().traces().unwrap()
}

fn write(traces: &dyn TraceStore, id: &str, text: &str) {
    traces.write(id, &mut |to| to.write_all(text.as_bytes())).unwrap();
}

fn read(traces: &dyn TraceStore, id: &str) -> Result<String, TracesError> {
    let mut text = String::new();
    traces.read_text(id)?.read_to_string(&mut text).unwrap();
    Ok(text)
}

/// Waits until so many are seen by another.
pub(super) fn until_seen(there: &dyn TraceStore, number: usize) {
    let until = Instant::now() + SOON;
    while there.ids().unwrap().len() < number {
        assert!(Instant::now() < until, "what was written elsewhere is not seen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn traces_are_read_as_they_were_written(state: &Reopen) {
    let (traces, there) = (open(state), open(state));
    assert!(traces.ids().unwrap().is_empty());
    write(&*traces, "abc-1", "one");
    write(&*traces, "abd-2", "zwei ä");
    until_seen(&*there, 2);
    for traces in [&*traces, &*there] {
        assert_eq!(traces.ids().unwrap(), ["abc-1", "abd-2"]);
        assert_eq!(read(traces, "abc-1").unwrap(), "one");
        assert_eq!(read(traces, "abd").unwrap(), "zwei ä", "by how it begins");
        for unknown in ["ab", "x", "", "abc-1x"] {
            let found = read(traces, unknown);
            assert!(matches!(found, Err(TracesError::NotFound(id)) if id == unknown));
        }
    }
    // One whose id is the beginning of another's is found by its own.
    write(&*traces, "abd", "three");
    assert_eq!(read(&*traces, "abd").unwrap(), "three");
}

fn whoever_reads_sees_one_text(state: &Reopen) {
    let traces = open(state);
    let (old, new) = ("old ".repeat(10_000), "new".repeat(10));
    write(&*traces, "t", &old);
    let mut reading = traces.read_text("t").unwrap();
    let mut begin = [0; 4];
    reading.read_exact(&mut begin).unwrap();
    write(&*traces, "t", &new);
    let mut rest = String::new();
    reading.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.len(), old.len() - 4);
    assert_eq!(read(&*traces, "t").unwrap(), new);
    let failed = traces.write("t", &mut |to| {
        to.write_all(b"half")?;
        Err(io::ErrorKind::Other.into())
    });
    assert!(matches!(failed, Err(TracesError::State(_))), "{failed:?}");
    assert_eq!(read(&*traces, "t").unwrap(), new, "what failed changes nothing");
    assert_eq!(traces.ids().unwrap(), ["t"]);
}

fn an_id_chooses_nothing_but_its_trace(state: &Reopen) {
    let traces = open(state);
    let long = "x".repeat(4000);
    let ids =
        ["../../escape", "/etc/passwd", "a/b", "a b", "a\0b", "A", "ä🦀", &long, "%", "'; --"];
    for id in ids {
        write(&*traces, id, id);
    }
    for id in ids {
        assert_eq!(read(&*traces, id).unwrap(), id);
    }
    for absent in ["__/__/escape", "a_b", "a\nb", &format!("{long}x")] {
        assert!(read(&*traces, absent).is_err(), "{absent:?}");
    }
    let listed = traces.ids().unwrap();
    let mut texts: Vec<_> = listed.iter().map(|id| read(&*traces, id).unwrap()).collect();
    texts.sort_unstable();
    let mut expected = ids.to_vec();
    expected.sort_unstable();
    assert_eq!(texts, expected, "what is listed can be read");
}

fn the_oldest_go(state: &Reopen) {
    let traces = open(state);
    for number in 0..150 {
        write(&*traces, &format!("t{number:04}"), "text");
    }
    let ids = traces.ids().unwrap();
    assert!((20..=20 + SLACK).contains(&ids.len()), "{}", ids.len());
    assert!(ids.is_sorted(), "the oldest first");
    assert_eq!(ids.last().unwrap(), "t0149");
    assert!(read(&*traces, "t0149").is_ok() && read(&*traces, "t0000").is_err());
}

fn bytes_are_bounded(state: &Reopen) {
    let traces = open(state);
    let text = "x".repeat(4 << 10);
    for number in 0..40 {
        write(&*traces, &format!("t{number:04}"), &text);
    }
    let kept = traces.ids().unwrap().len() * text.len();
    assert!(((48 << 10)..=(80 << 10)).contains(&kept), "{kept}");
    let large = "x".repeat((64 << 10) + 1);
    let refused = traces.write("large", &mut |to| to.write_all(large.as_bytes()));
    assert!(matches!(refused, Err(TracesError::TooLarge { limit: 65_536 })), "{refused:?}");
    assert!(read(&*traces, "large").is_err() && read(&*traces, "t0039").is_ok());
}
