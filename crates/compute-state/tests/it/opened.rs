//! A folder's files are opened once, however often what is in them is asked for.

#![cfg(target_os = "linux")]

use compute_state::{AuditOf, LocalState, State as _};

/// Each file of a state, whoever opens it.
#[test]
fn what_a_later_program_wrote_is_refused() {
    type Open = fn(&LocalState) -> Result<(), compute_state::StateError>;
    let all: [(&str, Open); 3] = [
        ("access.sqlite", |state| state.tokens().map(drop)),
        ("jobs.sqlite", |state| state.jobs().map(drop)),
        ("usage.sqlite", |state| state.usage().map(drop)),
    ];
    for (file, open) in all {
        let folder = tempfile::tempdir().unwrap();
        open(&LocalState::new(folder.path())).unwrap();
        open(&LocalState::new(folder.path())).unwrap();
        let connection = rusqlite::Connection::open(folder.path().join(file)).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let told = open(&LocalState::new(folder.path())).unwrap_err().to_string();
        assert!(told.contains("the format 99; this program knows formats up to "), "{told}");
    }
}

#[test]
fn what_is_asked_for_again_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::fs::canonicalize(folder.path()).unwrap();
    let open = || {
        let all = std::fs::read_dir("/proc/self/fd").unwrap();
        let files = all.filter_map(|one| std::fs::read_link(one.unwrap().path()).ok());
        files.filter(|file| file.starts_with(&path)).count()
    };
    let state = LocalState::new(&path);
    let acme = state.tenant(&"acme".parse().unwrap()).unwrap();
    let kept = (acme.catalogue().unwrap(), state.tokens().unwrap(), state.jobs().unwrap());
    let logs = || AuditOf::ALL.map(|of| acme.audit(of).unwrap());
    assert!(logs().iter().all(|log| log.page(None, 1).unwrap().entries.is_empty()));
    let before = open();
    assert!(before >= 3, "{before}");
    let mut again = Vec::new();
    for _ in 0..10 {
        let same = (acme.catalogue().unwrap(), state.tokens().unwrap(), state.jobs().unwrap());
        again.push((logs(), same));
        assert!(logs().iter().all(|log| log.page(None, 1).unwrap().entries.is_empty()));
    }
    // Of another tenant there is one file more, and what all tenants have together is opened already.
    assert_eq!(open(), before);
    let other = state.tenant(&"other".parse().unwrap()).unwrap();
    again.push((AuditOf::ALL.map(|of| other.audit(of).unwrap()), kept));
    let one = open() - before;
    let (tokens, jobs) = (other.audit(AuditOf::Tokens), other.audit(AuditOf::Schedules));
    assert!(tokens.is_ok() && jobs.is_ok());
    assert_eq!(open(), before + one);
    assert!(one < before, "{one} of {before}");
}
