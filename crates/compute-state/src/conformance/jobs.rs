//! What is asked of jobs: of those who submit them, and of those who run them.

mod random;
mod running;
mod sweep;
mod time;
mod turns;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Reopen;
use crate::{
    Claim, Claimed, JobFilter, JobId, JobQueue, JobResult, JobState, JobTime, JobWork, Jobs,
    JobsError, NewJob, StateQuotas, TenantName,
};

/// Longer than any test takes.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    running::all(new);
    sweep::all(new);
    time::all(new);
    turns::all(new);
    random::all(new);
}

pub(super) const TESTS: [fn(&dyn Jobs); 5] = [
    a_job_is_kept_as_it_was_submitted,
    a_key_names_one_request,
    lists_are_of_what_was_submitted_last,
    what_has_not_ended_is_cancelled,
    what_failed_is_tried_again,
];

pub(super) fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

pub(super) fn job() -> NewJob {
    NewJob::new(JobWork::Document("a/b".to_owned()), b"{\"a\": 1}".to_vec())
}

pub(super) fn result(body: &str) -> JobResult {
    JobResult::new(body.into(), b"{}".to_vec())
}

/// A time so many hours from now.
pub(super) fn hours(hours: i64) -> Timestamp {
    let at = Timestamp::now() + SignedDuration::from_hours(hours);
    Timestamp::from_millisecond(at.as_millisecond()).unwrap()
}

/// The same, for a job.
pub(super) fn at(number: i64) -> JobTime {
    JobTime::At(hours(number))
}

pub(super) const CLAIM: Claim<'static> = Claim {
    worker: "one",
    most: 100,
    most_each: 100,
    without_tells: &[],
    only_tells: &[],
    without_others: false,
    most_bytes: u64::MAX,
    most_of_tenant: 1000,
    lease: HOUR,
};

pub(super) fn claim(jobs: &dyn JobQueue, most: usize) -> Claimed {
    jobs.claim(&Claim { most, ..CLAIM }).unwrap()
}

/// The jobs' ids, as they were submitted.
pub(super) fn submit(jobs: &dyn JobQueue, all: &[(&str, NewJob)]) -> Vec<JobId> {
    let all: Vec<_> = all.iter().map(|(name, job)| (tenant(name), job.clone())).collect();
    let submitted = jobs.submit(&all).unwrap();
    submitted.into_iter().map(|one| one.unwrap().info.id).collect()
}

/// A job of this place among those of its time.
pub(super) fn numbered(number: u64) -> NewJob {
    NewJob { id: JobId::of(number, [7; 10]), ..job() }
}

pub(super) fn ids(claimed: &Claimed) -> Vec<JobId> {
    claimed.jobs.iter().map(|job| job.lease.id).collect()
}

fn any() -> JobFilter {
    JobFilter { state: None, before: None, most: 100 }
}

fn a_job_is_kept_as_it_was_submitted(jobs: &dyn Jobs) {
    let later = NewJob {
        key: Some("k\0'\"\n🦀".to_owned()),
        run_after: Some(at(5)),
        deadline: Some(at(6)),
        priority: 9,
        attempts: 7,
        now: Some(1_234_567_891),
        fuel: Some(77),
        ..job()
    };
    let submitted = jobs.submit(&later).unwrap();
    assert!(!submitted.was_there);
    let info = &submitted.info;
    assert_eq!(
        (info.state, info.priority, info.tried, info.attempts),
        (JobState::Scheduled, 9, 0, 7)
    );
    assert_eq!(
        (info.run_after.map(JobTime::At), info.deadline.map(JobTime::At)),
        (later.run_after, later.deadline)
    );
    assert_eq!((info.started, info.ended, &info.worker), (None, None, &None));
    assert_eq!(info.work, later.work);
    let shown = jobs.show(&info.id).unwrap();
    assert_eq!((&shown.info, shown.now, shown.result), (info, 1_234_567_891, None));
    // What may begin at once waits, and its clock shows when it was accepted.
    let past = NewJob { run_after: Some(at(-5)), ..job() };
    for one in [job(), past] {
        let info = jobs.submit(&one).unwrap().info;
        assert_eq!((info.state, info.run_after), (JobState::Waiting, None));
        let shown = jobs.show(&info.id).unwrap();
        assert_eq!(shown.now, info.created.as_millisecond() * 1_000_000);
        assert!((hours(-1)..hours(1)).contains(&info.created), "{info:?}");
    }
    // So long after it was accepted.
    let soon = NewJob {
        run_after: Some(JobTime::In(HOUR)),
        deadline: Some(JobTime::In(2 * HOUR)),
        ..job()
    };
    let info = jobs.submit(&soon).unwrap().info;
    let after = [info.run_after, info.deadline].map(|at| at.unwrap().duration_since(info.created));
    assert_eq!(after, [SignedDuration::from_hours(1), SignedDuration::from_hours(2)]);
    let none = JobId::new();
    assert!(matches!(jobs.show(&none), Err(JobsError::NotFound(id)) if id == none));
}

fn a_key_names_one_request(jobs: &dyn Jobs) {
    let first = NewJob { key: Some("a".to_owned()), request: [1; 32], ..job() };
    let submitted = jobs.submit(&first).unwrap();
    let again = NewJob { id: JobId::new(), ..first.clone() };
    let found = jobs.submit(&again).unwrap();
    assert!(found.was_there);
    assert_eq!(found.info, submitted.info);
    let other = NewJob { id: JobId::new(), request: [2; 32], ..first.clone() };
    let reused = jobs.submit(&other);
    assert!(
        matches!(reused, Err(JobsError::KeyReused(id)) if id == submitted.info.id),
        "{reused:?}"
    );
    // It is named after it ended, too.
    jobs.cancel(&submitted.info.id).unwrap();
    let found = jobs.submit(&again).unwrap();
    assert_eq!((found.was_there, found.info.state), (true, JobState::Cancelled));
    // Without a key, the same is another.
    let unnamed = NewJob { key: None, ..first };
    for _ in 0..2 {
        assert!(!jobs.submit(&NewJob { id: JobId::new(), ..unnamed.clone() }).unwrap().was_there);
    }
    assert_eq!(jobs.list(&any()).unwrap().len(), 3);
}

fn lists_are_of_what_was_submitted_last(jobs: &dyn Jobs) {
    let mut ids: Vec<_> = (0..6).map(|_| jobs.submit(&job()).unwrap().info.id).collect();
    // Of one millisecond, any is the last.
    ids.sort();
    ids.reverse();
    for id in [ids[1], ids[4]] {
        jobs.cancel(&id).unwrap();
    }
    let list = |filter: &JobFilter| -> Vec<JobId> {
        jobs.list(filter).unwrap().iter().map(|info| info.id).collect()
    };
    assert_eq!(list(&any()), ids);
    assert_eq!(list(&JobFilter { most: 2, ..any() }), ids[..2]);
    assert_eq!(list(&JobFilter { most: 2, before: Some(ids[1]), ..any() }), ids[2..4]);
    let waiting = JobFilter { state: Some(JobState::Waiting), ..any() };
    assert_eq!(list(&waiting), [ids[0], ids[2], ids[3], ids[5]]);
    let page = JobFilter { most: 2, before: Some(ids[0]), ..waiting };
    assert_eq!(list(&page), ids[2..4]);
    let cancelled = JobFilter { state: Some(JobState::Cancelled), ..any() };
    assert_eq!(list(&cancelled), [ids[1], ids[4]]);
    assert!(list(&JobFilter { state: Some(JobState::Done), ..any() }).is_empty());
    // Each is shown as it is listed.
    for info in jobs.list(&any()).unwrap() {
        assert_eq!(jobs.show(&info.id).unwrap().info, info);
    }
}

fn what_has_not_ended_is_cancelled(jobs: &dyn Jobs) {
    let scheduled = NewJob { run_after: Some(at(5)), ..job() };
    for one in [job(), scheduled] {
        let id = jobs.submit(&one).unwrap().info.id;
        let info = jobs.cancel(&id).unwrap();
        assert_eq!((info.state, info.run_after), (JobState::Cancelled, None));
        assert!(info.ended.is_some());
        let shown = jobs.show(&id).unwrap();
        assert_eq!((shown.info, shown.result), (info, None));
        let ended = jobs.cancel(&id);
        assert!(
            matches!(ended, Err(JobsError::Ended { id: of, state: JobState::Cancelled }) if of == id),
            "{ended:?}"
        );
    }
    assert!(matches!(jobs.cancel(&JobId::new()), Err(JobsError::NotFound(_))));
}

fn what_failed_is_tried_again(jobs: &dyn Jobs) {
    let id = jobs.submit(&NewJob { deadline: Some(at(5)), ..job() }).unwrap().info;
    let early = jobs.retry(&id.id);
    assert!(
        matches!(early, Err(JobsError::NotFailed { state: JobState::Waiting, .. })),
        "{early:?}"
    );
    jobs.cancel(&id.id).unwrap();
    let again = jobs.retry(&id.id).unwrap();
    assert_eq!(again, id);
    // A deadline that has passed is none.
    let late = jobs.submit(&NewJob { deadline: Some(at(-5)), ..job() }).unwrap().info.id;
    jobs.cancel(&late).unwrap();
    let again = jobs.retry(&late).unwrap();
    assert_eq!((again.state, again.deadline, again.ended), (JobState::Waiting, None, None));
    assert!(matches!(jobs.retry(&JobId::new()), Err(JobsError::NotFound(_))));
}
