//! What a worker does next, told one thing at a time.

use std::time::Duration;

use compute::Seed;
use compute_state::{
    CatchUp, Claimed, ClaimedJob, DueSchedule, JobEnd, JobId, JobResult, JobWork, Lease, NewPart,
    TenantName, Webhook,
};

use super::super::worker::{Do, Millis, Told, Verdict, Wanted, Worker, WorkerSettings};

const SETTINGS: WorkerSettings =
    WorkerSettings { places: 4, share: 2, lease: Duration::from_secs(30) };

fn job(tenant: &str, number: u64, work: JobWork) -> ClaimedJob {
    ClaimedJob {
        lease: Lease { tenant: tenant.parse().unwrap(), id: JobId::of(number, [0; 10]), fence: 1 },
        work,
        is_batch: false,
        part_of: None,
        parts: None,
        input: Vec::new(),
        now: 0,
        seed: Seed::new([0; 32]),
        fuel: None,
        tried: 1,
        attempts: 5,
        left: None,
    }
}

fn runs(tenant: &str, number: u64) -> ClaimedJob {
    job(tenant, number, JobWork::Document("s".to_owned()))
}

fn tells(tenant: &str, number: u64) -> ClaimedJob {
    job(tenant, number, JobWork::Tell(Webhook::new("https://a.b", "k").unwrap()))
}

fn started(todo: &[Do]) -> Vec<Lease> {
    let started = todo.iter().filter_map(|one| match one {
        Do::Start(job) => Some(job.lease.clone()),
        _ => None,
    });
    started.collect()
}

fn finished(todo: Vec<Do>) -> Vec<(Lease, JobEnd)> {
    let finished = todo.into_iter().filter_map(|one| match one {
        Do::Finish(ends) => Some(ends),
        _ => None,
    });
    finished.flatten().collect()
}

fn claimed(todo: &[Do]) -> Option<Wanted> {
    todo.iter().find_map(|one| match one {
        Do::Claim(wanted) => Some(wanted.clone()),
        _ => None,
    })
}

fn done(lease: &Lease) -> Told {
    Told::Ended(lease.clone(), Verdict::Done(JobResult::new(b"1".to_vec(), Vec::new())))
}

/// A worker to which these came at the time 0.
fn with(jobs: Vec<ClaimedJob>) -> (Worker, Vec<Do>) {
    let mut worker = Worker::new(SETTINGS, 7);
    assert!(matches!(worker.step(0, Some(Told::Woken))[..], [Do::Claim(_)]));
    let todo = worker.step(0, Some(Told::Claimed(Some(Claimed { jobs, ..Claimed::default() }))));
    (worker, todo)
}

/// One of which all places are taken.
fn full() -> (Worker, Vec<Do>) {
    let jobs = [("a", 0), ("a", 1), ("b", 2), ("b", 3)];
    with(jobs.map(|(tenant, number)| runs(tenant, number)).to_vec())
}

/// Whoever is told slowly that jobs have ended keeps no place from jobs, neither its tenant's nor others'.
#[test]
fn those_who_are_told_take_no_place() {
    let mut jobs: Vec<_> = (0..9).map(|number| tells("a", number)).collect();
    jobs.extend((10..13).map(|number| runs("a", number)));
    jobs.extend((20..23).map(|number| runs("b", number)));
    let (mut worker, todo) = with(jobs);
    let began = started(&todo);
    let of = |tenant: &str, from: u64, to: u64| -> usize {
        let ids = |id: &JobId| (from..to).any(|number| JobId::of(number, [0; 10]) == *id);
        began.iter().filter(|one| one.tenant.as_str() == tenant && ids(&one.id)).count()
    };
    assert_eq!((of("a", 0, 9), of("a", 10, 13), of("b", 20, 23)), (4, 2, 2));
    // Of a tenant with many that are to be told, no more is claimed; of others there is.
    let todo = worker.step(1, Some(Told::Woken));
    for one in &todo {
        if let Do::Claim(wanted) = one {
            assert!(wanted.without_tells.iter().any(|name| name.as_str() == "a"));
        }
    }
    // What waits for long is given back: jobs at once, and those that are to be told later.
    let ends = finished(worker.step(1000, None));
    assert_eq!(ends.len(), 5 + 1 + 1);
    for (lease, end) in ends {
        let tells = (0..9).any(|number| JobId::of(number, [0; 10]) == lease.id);
        match end {
            JobEnd::GivenBack => assert!(!tells),
            JobEnd::Later(after) => assert!(tells && after >= Duration::from_secs(10)),
            other => panic!("{other:?}"),
        }
    }
}

/// One result that cannot be kept keeps no other from it.
#[test]
fn what_cannot_be_kept_is_kept_apart() {
    let (mut worker, todo) = with((0..2).map(|number| runs("a", number)).collect());
    let [bad, good] = &started(&todo)[..] else { panic!("both begin") };
    let done = || Verdict::Done(JobResult::new(b"1".to_vec(), Vec::new()));
    let mut ends = finished(worker.step(1, Some(Told::Ended(bad.clone(), done()))));
    ends.extend(finished(worker.step(1, Some(Told::Ended(good.clone(), done())))));
    assert_eq!(ends.len(), 1, "the other waits for the first");
    let mut now: Millis = 2;
    let mut kept = Vec::new();
    for _ in 0..20 {
        let fails = ends.iter().any(|(lease, _)| lease == bad);
        if !fails {
            kept.extend(ends.iter().map(|(lease, _)| lease.clone()));
        }
        let mut todo = worker.step(now, Some(Told::Finished(ends, !fails)));
        now += 100;
        todo.extend(worker.step(now, None));
        ends = finished(todo);
        while ends.is_empty() && now < 60_000 {
            now += 100;
            ends = finished(worker.step(now, Some(Told::Look)));
        }
        if kept.contains(good) {
            return;
        }
    }
    panic!("it is never kept: {kept:?}");
}

/// To split a batch takes no time, and says nothing of how long jobs take: it would be taken for many short ones.
#[test]
fn splitting_says_nothing_of_how_long_jobs_take() {
    let (mut worker, mut todo) = with(vec![runs("a", 0)]);
    for number in 1..50 {
        for lease in started(&todo) {
            let part = NewPart { id: JobId::of(1, [1; 10]), first: 1, input: Vec::new() };
            let ends =
                finished(worker.step(0, Some(Told::Ended(lease, Verdict::Split(vec![part])))));
            todo = worker.step(0, Some(Told::Finished(ends, true)));
        }
        let wanted = todo.iter().find_map(|one| match one {
            Do::Claim(wanted) => Some(wanted.most),
            _ => None,
        });
        assert_eq!(wanted, Some(SETTINGS.places), "as many as it has places for");
        let jobs = vec![runs("a", number)];
        todo = worker.step(0, Some(Told::Claimed(Some(Claimed { jobs, ..Claimed::default() }))));
    }
}

/// A tenant that has no room keeps its own jobs from being claimed for a while, and nobody else's; nor do those who are to be told go
/// round and round.
#[test]
fn a_tenant_without_room_waits_alone() {
    let (mut worker, todo) = with(vec![runs("a", 0), tells("a", 1), runs("b", 2)]);
    let began = started(&todo);
    worker.step(0, Some(Told::Claimed(Some(Claimed::default()))));
    let mut ends = Vec::new();
    for lease in began.iter().filter(|lease| lease.tenant.as_str() == "a") {
        ends.extend(finished(worker.step(1, Some(Told::Ended(lease.clone(), Verdict::NotNow)))));
    }
    let mut todo = worker.step(2, Some(Told::Finished(std::mem::take(&mut ends), true)));
    let wanted = claimed(&todo).expect("it claims at once");
    assert_eq!(wanted.only_tells.iter().map(|name| name.as_str()).collect::<Vec<_>>(), ["a"]);
    let later = finished(std::mem::take(&mut todo));
    assert!(later.iter().all(|(_, end)| matches!(end, JobEnd::Later(_))), "{later:?}");
    assert_eq!(later.len(), 1);
    worker.step(3, Some(Told::Claimed(Some(Claimed::default()))));
    // Nobody has to wake it for that.
    assert_eq!(worker.wake_at(), Some(1001));
    let wanted = claimed(&worker.step(1001, None)).expect("it claims again");
    assert!(wanted.only_tells.is_empty(), "{wanted:?}");
}

/// A lease that is held already is not run once more.
#[test]
fn what_is_held_is_not_begun_again() {
    let (mut worker, todo) = with(vec![runs("a", 0)]);
    assert_eq!(started(&todo).len(), 1);
    worker.step(1, Some(Told::Woken));
    let jobs = vec![runs("a", 0)];
    let todo = worker.step(2, Some(Told::Claimed(Some(Claimed { jobs, ..Claimed::default() }))));
    assert!(started(&todo).is_empty());
    assert_eq!(worker.running(), (1, 0));
}

/// A tenant without any job here is left out only while others have the places.
#[test]
fn who_was_crowded_out_is_asked_for_once_a_place_is_free() {
    let all = [("a", 0), ("a", 1), ("b", 2), ("b", 3), ("c", 4)];
    let (mut worker, todo) = with(all.map(|(tenant, number)| runs(tenant, number)).to_vec());
    let began = started(&todo);
    assert_eq!(began.len(), 4);
    let ends = finished(worker.step(1000, None));
    assert!(matches!(&ends[..], [(lease, JobEnd::GivenBack)] if lease.tenant.as_str() == "c"));
    worker.step(1001, Some(Told::Finished(ends, true)));
    // One of another tenant's ends.
    let ends = finished(worker.step(1400, Some(done(&began[0]))));
    let wanted = claimed(&worker.step(1401, Some(Told::Finished(ends, true))));
    let is_out = |name: &TenantName| name.as_str() == "c";
    assert!(!wanted.expect("there is a place").only_tells.iter().any(is_out));
    // Who fills its own share is left out.
    let (mut worker, todo) = with((0..3).map(|number| runs("a", number)).collect());
    assert_eq!(started(&todo).len(), 2);
    worker.step(1, Some(Told::Claimed(Some(Claimed::default()))));
    let ends = finished(worker.step(1000, None));
    let wanted = claimed(&worker.step(1001, Some(Told::Finished(ends, true))));
    assert_eq!(wanted.expect("there are places").only_tells, ["a".parse().unwrap()]);
}

/// Who is told waits for no place of jobs.
#[test]
fn tells_are_claimed_while_all_places_are_taken() {
    let (mut worker, todo) = full();
    assert!(claimed(&todo).is_none());
    let at = worker.wake_at().unwrap();
    let wanted = claimed(&worker.step(at, None)).expect("it looks");
    assert!(wanted.without_others && wanted.most > 0, "{wanted:?}");
    let jobs = vec![tells("a", 9)];
    let told = Told::Claimed(Some(Claimed { jobs, ..Claimed::default() }));
    let began = started(&worker.step(at, Some(told)));
    assert_eq!((began.len(), worker.running()), (1, (4, 1)));
    // There may be more of those.
    let ends = finished(worker.step(at + 1, Some(done(&began[0]))));
    let wanted = claimed(&worker.step(at + 2, Some(Told::Finished(ends, true))));
    assert!(wanted.expect("it looks at once").without_others);
}

/// What is due and was not done is done soon, also by who has no place.
#[test]
fn who_is_behind_looks_again_soon() {
    let (mut worker, _) = full();
    let behind = Claimed { next: Some(Duration::ZERO), ..Claimed::default() };
    let at = worker.wake_at().unwrap();
    let todo = worker.step(at, None);
    assert!(claimed(&todo).is_some());
    worker.step(at, Some(Told::Claimed(Some(behind))));
    assert!(worker.wake_at().is_some_and(|again| again <= at + 100));
}

/// Schedules that cannot be fired are not asked for without a pause; jobs that come meanwhile are.
#[test]
fn what_cannot_be_fired_waits() {
    let due: Vec<_> = (0..DueSchedule::TOGETHER)
        .map(|number| DueSchedule {
            tenant: "a".parse().unwrap(),
            name: format!("s{number}").parse().unwrap(),
            cron: "* * * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            catch_up: CatchUp::default(),
            next: jiff::Timestamp::UNIX_EPOCH,
        })
        .collect();
    let are_due = || Told::Claimed(Some(Claimed { due: due.clone(), ..Claimed::default() }));
    let mut worker = Worker::new(SETTINGS, 7);
    worker.step(0, Some(Told::Woken));
    // There may be more.
    assert!(claimed(&worker.step(0, Some(are_due()))).is_some());
    assert!(worker.step(0, Some(Told::Unfired)).is_empty());
    assert!(claimed(&worker.step(0, Some(are_due()))).is_none());
    let again = worker.wake_at().unwrap();
    assert!((500..5000).contains(&again), "{again}");
    assert!(claimed(&worker.step(1, Some(Told::Woken))).is_some());
    worker.step(2, Some(are_due()));
    assert!(claimed(&worker.step(again, None)).is_some());
}
