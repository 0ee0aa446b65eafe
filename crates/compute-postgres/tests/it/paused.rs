//! A node that stands still in the middle of a transaction.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{JobWork, NewJob, State as _, TenantName};

/// What it has, others have soon: they wait for longer than it may stand still.
#[test]
fn whoever_stands_still_keeps_nobody_from_submitting() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let (base, folder) = address.split_once("host=").unwrap();
    let way = tempfile::tempdir().unwrap();
    let stands_still = Arc::new(AtomicBool::new(false));
    let (here, there) = [way.path().to_owned(), PathBuf::from(folder)]
        .map(|folder| folder.join(".s.PGSQL.5432"))
        .into();
    let listener = UnixListener::bind(here).unwrap();
    let flag = Arc::clone(&stands_still);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            relay(client.unwrap(), UnixStream::connect(&there).unwrap(), Arc::clone(&flag));
        }
    });
    let open = |address: &str| PostgresState::open(address, PostgresSettings::default()).unwrap();
    let paused = open(&format!("{base}host={}", way.path().display()));
    let other = open(&address);
    let job = |name: &str| {
        let tenant: TenantName = name.parse().unwrap();
        (tenant, NewJob::new(JobWork::Document("a".to_owned()), b"1".to_vec()))
    };
    // Each has what it needs for that.
    for state in [&paused, &other] {
        state.jobs().unwrap().submit(&[job("acme")]).unwrap();
    }
    stands_still.store(true, Ordering::Release);
    std::thread::scope(|scope| {
        let submits = scope.spawn(|| paused.jobs().unwrap().submit(&[job("acme")]));
        let begun = Instant::now();
        while stands_still.load(Ordering::Acquire) {
            assert!(begun.elapsed() < Duration::from_secs(60), "nothing is committed");
            std::thread::sleep(Duration::from_millis(1));
        }
        let submitted = other.jobs().unwrap().submit(&[job("acme"), job("umbrella")]).unwrap();
        assert!(submitted.iter().all(Result::is_ok), "{submitted:?}");
        // Whether it was done is not known there.
        assert!(submits.join().unwrap().is_err());
    });
}

/// Hands on what is said, but no more of a client once it would have its changes kept and is to stand still.
fn relay(client: UnixStream, server: UnixStream, stands_still: Arc<AtomicBool>) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let mut said = [0; 65_536];
        while let Ok(size @ 1..) = from.read(&mut said) {
            let commits = said[..size].windows(6).any(|word| word == b"COMMIT");
            if commits && stands_still.swap(false, Ordering::AcqRel)
                || to.write_all(&said[..size]).is_err()
            {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let (mut from, mut to) = (server, client);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
}
