//! How much of the tables is read for a job, however many others there are.

use std::time::Duration;

use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{
    Claim, JobEnd, JobFilter, JobId, JobQueue, JobResult, JobState, JobWork, NewJob, NewPart,
    State as _, StateQuotas, TenantName, Webhook,
};

/// How many others there are in each state.
const OTHERS: u64 = 20_000;
const BATCH: usize = 64;

#[test]
fn others_are_not_read() {
    let cluster = Cluster::start();
    let address = cluster.database("one");
    let quotas = StateQuotas { jobs: u64::MAX, ..StateQuotas::default() };
    let open = || {
        let settings = PostgresSettings { quotas, ..PostgresSettings::default() };
        PostgresState::open(&address, settings).unwrap()
    };
    // Whoever is there when the tables are empty goes on with what it learned then.
    let state = open();
    let jobs = state.jobs().unwrap();
    work(&*jobs);
    for (state, time) in [
        (JobState::Scheduled, "run_after"),
        (JobState::Waiting, "started"),
        (JobState::Done, "ended"),
    ] {
        fill(&cluster, state, time);
    }
    // What those who are gone have read is known.
    drop((jobs, state));
    let before = read(&cluster);
    for round in 0..2 {
        let state = open();
        let jobs = state.jobs().unwrap();
        for _ in 0..3 {
            work(&*jobs);
        }
        drop((jobs, state));
        let (whole, rows) = read(&cluster);
        assert_eq!(whole, before.0, "round {round}: tables were read from end to end");
        let rows = rows - before.1;
        assert!(rows < OTHERS / 2, "round {round}: {rows} rows were read");
        cluster.sql("one", "ANALYZE compute.jobs");
    }
}

/// A statement that ends very many takes too long, and would be tried again for ever: batches with many parts end one after the other.
#[test]
fn late_batches_do_not_end_all_at_once() {
    let cluster = Cluster::start();
    let state = PostgresState::open(&cluster.database("one"), PostgresSettings::default()).unwrap();
    let jobs = state.jobs().unwrap();
    let tenant: TenantName = "acme".parse().unwrap();
    let batch = || NewJob {
        is_batch: true,
        ..NewJob::new(JobWork::Document("a".to_owned()), b"1\n2\n".to_vec())
    };
    let all: Vec<_> = (0..3).map(|_| (tenant.clone(), batch())).collect();
    assert!(jobs.submit(&all).unwrap().iter().all(Result::is_ok));
    let claimed = jobs.claim(&CLAIM).unwrap().jobs;
    let part = |first| NewPart { id: JobId::new(), first, input: b"1\n".to_vec() };
    let split = |lease| (lease, JobEnd::Split((1..=800).map(part).collect()));
    let ends: Vec<_> = claimed.into_iter().map(|job| split(job.lease)).collect();
    assert!(jobs.finish(&ends).unwrap().iter().all(|held| *held));
    cluster.sql("one", "UPDATE compute.jobs SET deadline = 1 WHERE batch IS NULL");
    let parts = || cluster.sql("one", "SELECT count(*) FROM compute.jobs WHERE batch IS NOT NULL");
    for left in ["1600", "800", "0"] {
        jobs.claim(&Claim { most: 0, ..CLAIM }).unwrap();
        assert_eq!(parts().trim(), left);
    }
}

const CLAIM: Claim<'static> = Claim {
    worker: "one",
    most: BATCH,
    most_each: BATCH,
    without_tells: &[],
    only_tells: &[],
    without_others: false,
    most_bytes: u64::MAX,
    most_of_tenant: 1000,
    lease: Duration::from_secs(600),
};

/// What becomes of a batch of jobs, and what is asked meanwhile.
fn work(jobs: &dyn JobQueue) {
    let tenant: TenantName = "acme".parse().unwrap();
    let new = || NewJob {
        priority: NewJob::MAX_PRIORITY,
        ..NewJob::new(JobWork::Document("a".to_owned()), b"1".to_vec())
    };
    let all: Vec<_> = (0..BATCH).map(|_| (tenant.clone(), new())).collect();
    assert!(jobs.submit(&all).unwrap().iter().all(Result::is_ok));
    let claimed = jobs.claim(&CLAIM).unwrap().jobs;
    assert_eq!(claimed.len(), BATCH);
    let leases: Vec<_> = claimed.into_iter().map(|job| job.lease).collect();
    assert!(jobs.renew(&leases, Duration::from_secs(600)).unwrap().iter().all(|held| *held));
    let keys: Vec<_> = leases.iter().map(|lease| (tenant.clone(), lease.id)).collect();
    assert!(jobs.ended(&keys).unwrap().iter().all(|ended| !ended));
    let result = JobResult::new(b"1".to_vec(), b"{}".to_vec());
    let ends: Vec<_> =
        leases.into_iter().map(|lease| (lease, JobEnd::Done(result.clone()))).collect();
    assert!(jobs.finish(&ends).unwrap().iter().all(|held| *held));
    // Nothing is to do for a worker that takes none, nor for one whose tenants have their fill.
    assert!(jobs.claim(&Claim { most_of_tenant: 0, ..CLAIM }).unwrap().jobs.is_empty());
    for state in [None, Some(JobState::Waiting), Some(JobState::Failed)] {
        jobs.list(&tenant, &JobFilter { state, before: None, most: 10 }).unwrap();
    }
    assert!(jobs.show(&tenant, &keys[0].1).is_ok());
    assert!(jobs.cancel(&tenant, &keys[0].1).is_err());
    // What follows an end is found, whatever else there is.
    let mut told = new();
    told.webhook = Some((JobId::new(), Webhook::new("https://a.example", "key").unwrap()));
    let batch = NewJob { is_batch: true, input: b"1\n2\n".to_vec(), ..new() };
    let both = [told, batch].map(|job| (tenant.clone(), job));
    assert!(jobs.submit(&both).unwrap().iter().all(Result::is_ok));
    let of_batch = jobs.claim(&Claim { most: 2, most_each: 2, ..CLAIM }).unwrap().jobs;
    let of_batch = of_batch.into_iter().find(|job| job.is_batch).unwrap().lease;
    let part = |first| NewPart { id: JobId::new(), first, input: b"1\n".to_vec() };
    jobs.finish(&[(of_batch, JobEnd::Split(vec![part(1), part(2)]))]).unwrap();
    for (_, job) in &both {
        for _ in 0..2 {
            jobs.cancel(&tenant, &job.id).unwrap();
            jobs.retry(&tenant, &job.id, JobId::new()).unwrap();
        }
        jobs.cancel(&tenant, &job.id).unwrap();
    }
    let spent = [tenant.clone()];
    let tells = jobs.claim(&Claim { only_tells: &spent, ..CLAIM }).unwrap().jobs;
    assert_eq!(tells.len(), 1);
    let ends: Vec<_> =
        tells.into_iter().map(|job| (job.lease, JobEnd::Done(result.clone()))).collect();
    assert!(jobs.finish(&ends).unwrap().iter().all(|held| *held));
    assert!(jobs.claim(&Claim { only_tells: &spent, ..CLAIM }).unwrap().jobs.is_empty());
    assert_eq!(jobs.sweep(Duration::from_secs(600), 64 << 20).unwrap().jobs, 0);
    jobs.load().unwrap();
}

/// Jobs of a tenant, whose time is far away.
fn fill(cluster: &Cluster, state: JobState, time: &str) {
    let number = state.number();
    let insert = format!(
        "INSERT INTO compute.jobs (tenant, id, kind, target, state, priority, tried, attempts, created, {time},
            fence, now, seed, request, input, is_batch)
        SELECT 'acme', decode(lpad(to_hex({number} * 100000 + g), 32, '0'), 'hex'), 1, 'a', {number}, 5, 0, 5, 0,
            9000000000000 + g, 0, 0, decode(repeat('00', 32), 'hex'), decode(repeat('00', 32), 'hex'), '1', false
        FROM generate_series(1, {OTHERS}) g"
    );
    cluster.sql("one", &insert);
}

/// How many rows of jobs were read from end to end, and how many by indexes, once nobody is connected.
fn read(cluster: &Cluster) -> (u64, u64) {
    let connected = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'compute'";
    while cluster.sql("one", connected).trim() != "0" {}
    let number = |query: &str| cluster.sql("one", query).trim().parse().unwrap();
    (
        number("SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'jobs'"),
        number("SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'jobs'"),
    )
}
