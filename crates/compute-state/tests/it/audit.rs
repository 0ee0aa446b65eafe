//! What a page of the log of who changed what takes in memory.

use std::process::Command;

use compute_state::{AuditHead, AuditOf, Deed, Location, State as _, TenantName};
use jiff::Timestamp;
use serde_json::json;

/// Set in the process that reads.
const READER: &str = "COMPUTE_STATE_TEST_READER";
const ENTRIES: usize = 1000;
/// What the server charges for a page, and what the process does besides.
const MOST: u64 = (8 << 10) * ENTRIES as u64 + (8 << 20);

/// How much memory the process has had at most.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_page_takes_no_more_than_its_text() {
    let here = "audit::a_page_takes_no_more_than_its_text";
    let log = |folder: &str| {
        let state = Location::new("memory:", folder).local_state();
        state.tenant(&TenantName::default()).unwrap().audit(AuditOf::Stacks).unwrap()
    };
    if let Ok(folder) = std::env::var(READER) {
        let log = log(&folder);
        log.page(None, 1).unwrap();
        let before = peak();
        let page = log.page(None, ENTRIES).unwrap();
        let taken = peak() - before;
        assert_eq!(page.entries.len(), ENTRIES);
        assert!(taken < MOST, "{taken}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (mut head, mut entries) = (AuditHead::default(), Vec::new());
    for number in 0..ENTRIES {
        // Many small things: what is made of them takes the most.
        let versions: Vec<_> =
            (0..95).map(|n| json!({ "stack": n.to_string(), "number": 1 })).collect();
        let deed = Deed::new(AuditOf::Stacks, "activate", json!({ "versions": versions }));
        entries.extend(deed.entry(&head, Timestamp::UNIX_EPOCH));
        assert!(entries[number].text().len() > 2500, "it is not shortened");
        head = entries[number].head();
    }
    let path = folder.path().to_str().unwrap();
    log(path).restore(&AuditHead::default(), &entries).unwrap();
    let reader = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", here, "--nocapture"])
        .env(READER, path)
        .output()
        .unwrap();
    assert!(reader.status.success(), "{}", String::from_utf8_lossy(&reader.stderr));
}
