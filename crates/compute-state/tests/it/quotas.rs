//! What a tenant may keep, and that nobody waits for another who writes.

use std::time::{Duration, Instant};

use compute_state::{
    Catalogue as _, File, SealedSecrets as _, SecretError, SqliteCatalogue, SqliteTokens,
    Stacks as _, StacksError, StateQuotas, TokenCheck as _, TokenScope, Tokens as _, TokensError,
    Vault,
};

#[test]
fn versions_that_were_never_active_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue =
        SqliteCatalogue::open(&folder.path().join("c.sqlite"), StateQuotas::default()).unwrap();
    let name = "s".parse().unwrap();
    let draft =
        |n: usize| catalogue.draft(&name, &[File::new("1/a.txcl", format!("EMIT .a = {n}"))]);
    let first = draft(0).unwrap();
    for n in 1..1000 {
        draft(n).unwrap();
    }
    let error = draft(1000).unwrap_err();
    assert!(matches!(error, StacksError::Quota { limit: 1000, .. }), "{error}");
    assert_eq!(error.to_string(), "there may be at most 1000 versions that were never active");
    assert_eq!(catalogue.versions(&name).unwrap().len(), 1000, "nothing of it was kept");
    // One that becomes active makes room.
    catalogue.activate(&[first]).unwrap();
    draft(1000).unwrap();
}

#[test]
fn bytes_are_bounded_in_drafts_and_edits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    let catalogue = SqliteCatalogue::open(&path, StateQuotas::default()).unwrap();
    let name = "s".parse().unwrap();
    let draft = catalogue.draft(&name, &[File::new("1/a.txcl", "EMIT .a = 1")]).unwrap();
    // As if there were nearly as much as there may be.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute("INSERT INTO versions (stack, number, hash, created, bytes) VALUES ('s', 9, '', 0, 268435000)", []).unwrap();
    let large = "#".repeat(1000);
    let bytes = |error: StacksError| match error {
        StacksError::Quota { limit, .. } => limit,
        other => panic!("{other}"),
    };
    let edited = catalogue.edit(&draft, "1/b.txcl", Some(&large)).unwrap_err();
    assert_eq!(bytes(edited), 256 << 20);
    let drafted = catalogue.draft(&name, &[File::new("1/a.txcl", &*large)]).unwrap_err();
    assert_eq!(bytes(drafted), 256 << 20);
    catalogue.edit(&draft, "1/b.txcl", Some("EMIT .b = 1")).unwrap();
}

#[test]
fn secrets_are_bounded_together() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue =
        SqliteCatalogue::open(&folder.path().join("c.sqlite"), StateQuotas::default()).unwrap();
    let vault = Vault::new(&"7".repeat(64)).unwrap();
    let large = "x".repeat(64 << 10);
    let set = |n: usize| catalogue.set_secret(&vault, &format!("S{n}"), &large);
    for n in 0..15 {
        set(n).unwrap();
    }
    let error = set(15).unwrap_err();
    assert!(matches!(error, SecretError::Quota { limit: 1_048_576 }), "{error}");
    set(3).unwrap();
}

#[test]
fn tokens_are_checked_from_memory_and_seen_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.sqlite");
    // As another process has it.
    let [here, there] =
        [(); 2].map(|()| SqliteTokens::open(&path, StateQuotas::default()).unwrap());
    let acme = "acme".parse().unwrap();
    let make =
        |of: &SqliteTokens| of.create(Some(&acme), "", &[TokenScope::Run].into(), None).unwrap();
    let new = make(&here);
    assert_eq!(here.check(&new.token).unwrap().as_ref(), Some(&new.info));
    let other = make(&there);
    let seen = |token: &str, expected: bool| {
        let until = Instant::now() + Duration::from_millis(100);
        while here.check(token).unwrap().is_some() != expected {
            assert!(Instant::now() < until, "it was not seen");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    seen(&other.token, true);
    // Somebody writes, and takes his time.
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; DELETE FROM tokens").unwrap();
    let began = Instant::now();
    for _ in 0..200 {
        assert!(here.check(&new.token).unwrap().is_some());
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    writer.execute_batch("ROLLBACK").unwrap();
    there.revoke(&new.info.id, None).unwrap();
    seen(&new.token, false);
    here.revoke(&other.info.id, None).unwrap();
    assert_eq!(here.check(&other.token).unwrap(), None, "at once");
}

#[test]
fn tokens_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.sqlite");
    let tokens = SqliteTokens::open(&path, StateQuotas::default()).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other
        .execute_batch(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000)
             INSERT INTO tokens SELECT 't' || x, 'acme', '', x'00', 'run', 0, NULL FROM n",
        )
        .unwrap();
    let create = |tenant: &str| {
        tokens.create(Some(&tenant.parse().unwrap()), "", &[TokenScope::Run].into(), None)
    };
    assert!(matches!(create("acme"), Err(TokensError::TooMany { .. })));
    create("other").unwrap();
}

#[test]
fn what_is_read_waits_for_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.sqlite");
    let catalogue = SqliteCatalogue::open(&path, StateQuotas::default()).unwrap();
    let name = "s".parse().unwrap();
    let draft = catalogue.draft(&name, &[File::new("1/a.txcl", "EMIT .a = 1")]).unwrap();
    catalogue.activate(&[draft]).unwrap();
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer.execute_batch("BEGIN IMMEDIATE; UPDATE changes SET number = 99").unwrap();
    std::thread::scope(|scope| {
        // It waits, and holds what writes here.
        scope.spawn(|| catalogue.draft(&name, &[File::new("1/a.txcl", "EMIT .a = 2")]).unwrap());
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        assert_eq!(catalogue.change_number().unwrap(), 1);
        assert_eq!(catalogue.all_active().unwrap().len(), 1);
        assert_eq!(catalogue.versions(&name).unwrap().len(), 1);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        writer.execute_batch("COMMIT").unwrap();
    });
    assert_eq!(catalogue.change_number().unwrap(), 99);
}
