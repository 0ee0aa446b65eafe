//! A database is put back to what it was, while nodes run that know what it was meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{Catalogue, File, State as _, TenantName, TokenScope};

fn open(address: &str) -> PostgresState {
    PostgresState::open(address, PostgresSettings::default()).unwrap()
}

fn catalogue(state: &PostgresState) -> Arc<dyn Catalogue> {
    state.tenant(&TenantName::default()).unwrap().catalogue().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What was changed is undone by putting the database back; another change may come before any node has looked.
fn put_back(is_changed: bool) {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let states = [open(&address), open(&address)];
    let catalogues = states.each_ref().map(catalogue);
    let tokens = states.each_ref().map(|state| state.tokens().unwrap());
    let stack = "s".parse().unwrap();
    let drafts = ["EMIT .a = 1", "EMIT .a = 2"]
        .map(|text| catalogues[0].draft(&stack, &[File::new("1/a.txcl", text)]).unwrap());
    catalogues[0].activate(&drafts[..1]).unwrap();
    let kept = tokens[0].create(None, "", &[TokenScope::Run].into(), None).unwrap();
    let is_known = |token: &str| {
        tokens.each_ref().map(|tokens| tokens.check(token).is_ok_and(|known| known.is_some()))
    };
    until("it is known", || is_known(&kept.token) == [true; 2]);
    let number = catalogues[0].change_number().unwrap();
    let dump = cluster.dump("one");

    catalogues[0].activate(&drafts[1..]).unwrap();
    tokens[0].revoke(&kept.info.id, None).unwrap();
    let ghost = tokens[0].create(None, "", &[TokenScope::Run].into(), None).unwrap();
    until("both know", || {
        is_known(&ghost.token) == [true; 2] && is_known(&kept.token) == [false; 2]
    });
    let of_all = || catalogues.each_ref().map(|one| one.change_number().ok());
    let last = catalogues[0].change_number().unwrap();
    until("both are there", || of_all() == [Some(last); 2]);

    cluster.put_back("one", &dump);
    if is_changed {
        // Two changes of tokens, as there were meanwhile.
        until("it takes changes", || {
            tokens[1].create(None, "", &[TokenScope::Run].into(), None).is_ok()
                && tokens[1].create(None, "", &[TokenScope::Run].into(), None).is_ok()
        });
    }
    until("the active version is followed", || of_all() == [Some(number); 2]);
    until("what was revoked is not", || is_known(&kept.token) == [true; 2]);
    until("what was made is not", || is_known(&ghost.token) == [false; 2]);
    catalogues[0].activate(&drafts[1..]).unwrap();
    assert!(catalogues[0].change_number().unwrap() > last, "no number comes again");
    tokens[0].revoke(&kept.info.id, None).unwrap();
    until("it is revoked", || is_known(&kept.token) == [false; 2]);
}

#[test]
fn nodes_follow_it() {
    put_back(false);
}

#[test]
fn nodes_follow_it_where_as_much_has_changed_since() {
    put_back(true);
}

#[test]
fn a_half_of_it_is_not_followed() {
    let cluster = Cluster::start();
    let state = open(&cluster.database("one"));
    let here = catalogue(&state);
    let draft = here.draft(&"s".parse().unwrap(), &[File::new("1/a.txcl", "EMIT .a = 1")]).unwrap();
    here.activate(&[draft]).unwrap();
    let last = here.change_number().unwrap();
    // As it is while a dump is read: what closes rows comes last.
    cluster.sql("one", "ALTER TABLE compute.secrets DISABLE ROW LEVEL SECURITY; UPDATE compute.tenants SET change = 1");
    until("it is away", || state.away_for().is_some());
    assert_eq!(here.change_number().unwrap(), last);
    cluster.sql("one", "ALTER TABLE compute.secrets ENABLE ROW LEVEL SECURITY");
    until("it is followed", || here.change_number().unwrap() == 1);
}
