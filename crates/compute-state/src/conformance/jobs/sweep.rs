//! Which of the jobs that have ended go, and in whose turn.

use std::time::Duration;

use super::super::Reopen;
use super::{HOUR, claim, job, numbered, result, submit, tenant};
use crate::{Claim, ClaimedJob, JobEnd, JobQueue, JobsError, NewJob, StateQuotas};

const NOW: Duration = Duration::ZERO;

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    for test in [what_goes_at_once_is_bounded, ended_jobs_of_all_go_in_turn] {
        let open = new(StateQuotas::default());
        test(&*open().jobs().unwrap());
    }
    let open = new(StateQuotas { ended_jobs: 2, ..StateQuotas::default() });
    who_ends_more_than_can_go_waits(&*open().jobs().unwrap());
}

/// Sweeps until there is nothing more.
pub(super) fn sweep(jobs: &dyn JobQueue, age: Duration) -> usize {
    let mut all = 0;
    loop {
        let swept = jobs.sweep(age, 1000).unwrap();
        all += swept.jobs;
        if !swept.is_full {
            assert_eq!(jobs.sweep(age, u64::MAX).unwrap().jobs, 0);
            return all;
        }
        assert!(swept.jobs > 0, "it goes on and on");
    }
}

fn cancel_all(jobs: &dyn JobQueue) {
    let mut last = None;
    loop {
        let page = jobs.kept(last.as_ref()).unwrap();
        let Some(end) = page.last() else { return };
        last = Some((end.tenant.clone(), end.job.info.id));
        for job in page.iter().filter(|job| !job.job.info.state.has_ended()) {
            jobs.cancel(&job.tenant, &job.job.info.id).unwrap();
        }
    }
}

fn end_all(jobs: &dyn JobQueue) {
    loop {
        let claimed = claim(jobs, 1000).jobs;
        let done = |job: ClaimedJob| (job.lease, JobEnd::Done(result("1")));
        let ends: Vec<_> = claimed.into_iter().map(done).collect();
        if ends.is_empty() {
            return;
        }
        assert!(jobs.finish(&ends).unwrap().iter().all(|held| *held));
    }
}

/// No more bytes go at once than are said, of all tenants together; one job goes, however many it has.
fn what_goes_at_once_is_bounded(jobs: &dyn JobQueue) {
    let sized = |number| NewJob { input: vec![b' '; 100], ..numbered(number) };
    submit(
        jobs,
        &[("a", sized(1)), ("a", sized(2)), ("b", sized(3)), ("b", sized(4)), ("b", sized(5))],
    );
    cancel_all(jobs);
    let swept = |age, most_bytes| {
        let swept = jobs.sweep(age, most_bytes).unwrap();
        (swept.jobs, swept.is_full, jobs.kept(None).unwrap().len())
    };
    assert_eq!(swept(HOUR, 0), (0, false, 5));
    assert_eq!(swept(NOW, 0), (1, true, 4));
    assert_eq!(swept(NOW, 199), (1, true, 3));
    assert_eq!(swept(NOW, 200), (2, true, 1));
    assert_eq!(swept(NOW, u64::MAX), (1, false, 0));
}

/// Whoever has many keeps no others' from going, and however many tenants there are, all that may go does.
fn ended_jobs_of_all_go_in_turn(jobs: &dyn JobQueue) {
    let sized = || NewJob { input: vec![b' '; 10], ..job() };
    submit(jobs, &[("a", sized()), ("a", sized()), ("b", sized()), ("b", sized()), ("c", sized())]);
    cancel_all(jobs);
    let left = |name: &str| {
        jobs.kept(None).unwrap().iter().filter(|job| job.tenant == tenant(name)).count()
    };
    for expected in [[1, 2, 1], [1, 1, 1], [1, 1, 0], [0, 1, 0]] {
        jobs.sweep(NOW, 0).unwrap();
        assert_eq!(["a", "b", "c"].map(left), expected);
    }
    let names: Vec<_> = (0..2 * Claim::TENANTS + 1).map(|number| format!("t{number:03}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), job())).collect();
    submit(jobs, &all);
    // More than go of one at once.
    let many: Vec<_> = (0..1201).map(|_| ("a", job())).collect();
    submit(jobs, &many);
    end_all(jobs);
    assert_eq!(sweep(jobs, NOW), 1 + names.len() + many.len());
    assert!(jobs.kept(None).unwrap().is_empty());
}

/// So that there are no more than twice as many as are kept.
fn who_ends_more_than_can_go_waits(jobs: &dyn JobQueue) {
    let end = || {
        let lease = claim(jobs, 1).jobs.remove(0).lease;
        assert_eq!(jobs.finish(&[(lease, JobEnd::Done(result("1")))]).unwrap(), [true]);
    };
    for _ in 0..5 {
        submit(jobs, &[("a", job())]);
        end();
    }
    let refused = jobs.submit(&[(tenant("a"), job()), (tenant("b"), job())]).unwrap();
    assert!(matches!(refused[0], Err(JobsError::Quota { limit: 4, .. })), "{refused:?}");
    assert!(refused[1].is_ok());
    end();
    assert_eq!(sweep(jobs, HOUR), 3);
    submit(jobs, &[("a", job())]);
}
