//! The database goes away and comes back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{
    Catalogue, File, StacksError, State, StateError, TenantName, TokenScope, TokensError,
};

/// With time for a machine that does other things.
const SOON: Duration = Duration::from_secs(5);

fn open(address: &str, stale: Duration) -> PostgresState {
    PostgresState::open(address, PostgresSettings { stale, ..PostgresSettings::default() }).unwrap()
}

fn catalogue(state: &PostgresState) -> Arc<dyn Catalogue> {
    state.tenant(&TenantName::default()).unwrap().catalogue().unwrap()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_known_is_used_for_a_while_and_changes_fail_at_once() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let (state, patient) =
        (open(&address, Duration::from_secs(2)), open(&address, Duration::from_secs(300)));
    let (here, there) = (catalogue(&state), catalogue(&patient));
    let [tokens, others] = [&state, &patient].map(|state| state.tokens().unwrap());
    let known = tokens.create(None, "", &[TokenScope::Run].into(), None).unwrap();
    let stack = "s".parse().unwrap();
    let drafts = ["EMIT .a = 1", "EMIT .a = 2"]
        .map(|text| here.draft(&stack, &[File::new("1/a.txcl", text)]).unwrap());
    here.activate(&drafts[..1]).unwrap();
    let first = here.change_number().unwrap();
    until("a change is seen", || there.change_number().unwrap() == first);
    until("a token is known", || others.check(&known.token).unwrap().is_some());
    assert_eq!(state.away_for(), None);

    cluster.crash();
    until("it is away", || state.away_for().is_some() && patient.away_for().is_some());
    assert_eq!(here.change_number().unwrap(), first);
    assert_eq!(tokens.check(&known.token).unwrap().unwrap(), known.info);
    let begun = Instant::now();
    let refused = here.activate(&drafts[1..]).unwrap_err();
    assert!(matches!(refused, StacksError::State(StateError::Unavailable { .. })), "{refused:?}");
    let unknown = format!("compute_{}_{}", "0".repeat(16), "A".repeat(43));
    let refused = tokens.check(&unknown).unwrap_err();
    assert!(matches!(refused, TokensError::State(StateError::Unavailable { .. })), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(1), "it is said at once");
    until("it is known for too long", || here.change_number().is_err());
    assert!(tokens.check(&known.token).is_err(), "a token that may have been revoked");
    assert!(others.check(&known.token).unwrap().is_some() && there.change_number().is_ok());

    cluster.resume();
    until("it is back", || state.away_for().is_none() && patient.away_for().is_none());
    assert!(tokens.check(&known.token).unwrap().is_some());
    here.activate(&drafts[1..]).unwrap();
    let second = here.change_number().unwrap();
    until("a change is seen", || there.change_number().unwrap() == second);
    tokens.revoke(&known.info.id, None).unwrap();
    until("a token ends elsewhere", || others.check(&known.token).unwrap().is_none());
}

#[test]
fn a_connection_that_breaks_costs_nobody_a_change() {
    let cluster = Cluster::start();
    let state = open(&cluster.database("one"), Duration::from_secs(300));
    let here = catalogue(&state);
    let stack = "s".parse().unwrap();
    for number in 0..20 {
        let text = format!("EMIT .a = {number}");
        // Those that wait in the pool, and the one that listens.
        cluster.sql(
            "one",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'compute'",
        );
        let begun = Instant::now();
        let draft = loop {
            match here.draft(&stack, &[File::new("1/a.txcl", text.as_str())]) {
                Ok(draft) => break draft,
                Err(StacksError::State(StateError::Unavailable { .. })) => {
                    assert!(begun.elapsed() < SOON, "it does not come back");
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(error) => panic!("{error:?}"),
            }
        };
        assert_eq!(draft.number, number + 1);
    }
    // One of the pool's may have ended just now.
    until("they are read", || here.versions(&stack).is_ok_and(|all| all.len() == 20));
}

#[test]
fn a_database_that_was_put_back_is_followed_from_where_it_is() {
    let cluster = Cluster::start();
    let state = open(&cluster.database("one"), Duration::from_secs(300));
    let here = catalogue(&state);
    let stack = "s".parse().unwrap();
    let draft = here.draft(&stack, &[File::new("1/a.txcl", "EMIT .a = 1")]).unwrap();
    for _ in 0..3 {
        here.activate(std::slice::from_ref(&draft)).unwrap();
    }
    let last = here.change_number().unwrap();
    cluster.sql("one", "UPDATE compute.tenants SET change = 1");
    cluster.crash();
    until("it is away", || state.away_for().is_some());
    cluster.resume();
    until("it is where the database is", || here.change_number().unwrap() == 1);
    here.activate(std::slice::from_ref(&draft)).unwrap();
    assert!(here.change_number().unwrap() > last, "no number comes again");
}

#[test]
fn a_tenant_whose_changes_wait_keeps_no_connection_from_others() {
    let cluster = Cluster::start();
    let state = open(&cluster.database("one"), Duration::from_secs(300));
    let of = |tenant: &str| state.tenant(&tenant.parse().unwrap()).unwrap().catalogue().unwrap();
    let (busy, other, stack) = (of("acme"), of("other"), "s".parse().unwrap());
    let draft = |of: &dyn Catalogue, text: String| of.draft(&stack, &[File::new("1/a.txcl", text)]);
    draft(&*busy, "EMIT .a = 0".into()).unwrap();
    std::thread::scope(|scope| {
        // As another node does that is in the middle of a change.
        let held =
            "SELECT 1 FROM compute.tenants WHERE name = 'acme' FOR UPDATE; SELECT pg_sleep(8)";
        scope.spawn(|| cluster.sql("one", held));
        std::thread::sleep(Duration::from_millis(500));
        for number in 1..=40 {
            let (busy, draft) = (&busy, &draft);
            scope.spawn(move || drop(draft(&**busy, format!("EMIT .a = {number}"))));
        }
        std::thread::sleep(Duration::from_millis(500));
        let begun = Instant::now();
        draft(&*other, "EMIT .a = 1".into()).unwrap();
        busy.stacks().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    });
    assert!(busy.versions(&stack).unwrap().len() > 1, "they went on");
}

#[test]
fn a_token_that_another_history_revoked_under_the_same_number_ends() {
    let cluster = Cluster::start();
    let state = open(&cluster.database("one"), Duration::from_secs(300));
    let tokens = state.tokens().unwrap();
    let made = tokens.create(None, "", &[TokenScope::Run].into(), None).unwrap();
    until("it is known", || tokens.check(&made.token).unwrap().is_some());
    // The database that takes the place of this one has counted as far, and has no such token.
    cluster.sql("one", "DELETE FROM compute.tokens");
    assert!(tokens.check(&made.token).unwrap().is_some(), "nobody has told");
    cluster.crash();
    until("it is away", || state.away_for().is_some());
    cluster.resume();
    until("it has ended", || tokens.check(&made.token).is_ok_and(|known| known.is_none()));
}

#[test]
fn what_was_released_while_a_node_could_not_read_is_told_once_it_can() {
    let cluster = Cluster::start();
    let state = open(&cluster.database("one"), Duration::from_secs(300));
    let (sender, told) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    state.on_release(Box::new(move |tenant, artifact| {
        let _ = sender.lock().unwrap().send(format!("{tenant} {artifact}"));
    }));
    let tokens = state.tokens().unwrap();
    let made = tokens.create(None, "", &[TokenScope::Run].into(), None).unwrap();
    until("it is known", || tokens.check(&made.token).unwrap().is_some());
    // What changed is asked for, and of the answer one part cannot be read; it is older than whoever asks looks back later on.
    cluster.sql(
        "one",
        "BEGIN; ALTER TABLE compute.tokens RENAME TO hidden;
        UPDATE compute.token_changes SET number = number + 1;
        INSERT INTO compute.released (tenant, ref, at) VALUES ('default', 'compute://sha256/aa',
            (extract(epoch FROM clock_timestamp()) * 1000)::bigint - 13000);
        COMMIT",
    );
    let begun = Instant::now();
    while state.away_for().is_none_or(|away| away < Duration::from_secs(7)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "it reads what it cannot");
        std::thread::sleep(Duration::from_millis(5));
    }
    cluster.sql("one", "ALTER TABLE compute.hidden RENAME TO tokens");
    assert_eq!(told.recv_timeout(SOON).unwrap(), "default compute://sha256/aa");
}
