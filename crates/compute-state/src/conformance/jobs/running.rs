//! What is asked of those who keep the jobs of all tenants for those who run them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::Reopen;
use super::sweep::sweep;
use super::{CLAIM, HOUR, any, at, claim, hours, ids, job, numbered, result, submit, tenant};
use crate::{
    Actor, Claim, ClaimedJob, EndNotice, EndedPart, Job, JobEnd, JobFilter, JobId, JobLoad,
    JobParts, JobQueue, JobResult, JobState, JobWork, JobsError, KeptJob, Lease, NamedBy, NewJob,
    NewPart, PartOf, StateQuotas, Swept, Webhook,
};

const NOW: Duration = Duration::ZERO;

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    for test in [
        many_are_submitted_together,
        the_highest_and_oldest_come_first,
        claims_are_bounded,
        a_job_runs_and_ends_once,
        leases_lapse_and_are_renewed,
        what_is_late_or_lost_fails,
        times_come,
        what_is_given_up_waits,
        a_job_is_cancelled_while_it_runs,
        retries_begin_anew,
        tenants_see_their_own,
        what_ended_goes,
        who_submitted_it_is_kept,
        jobs_are_kept_elsewhere,
        ends_are_told,
        batches_are_split,
        a_batch_that_ends_takes_its_parts_with_it,
        what_may_be_deleted_is_told,
    ] {
        let open = new(standard);
        test(&*open().jobs().unwrap());
    }
    quotas(new);
    two_see_the_same(&new(standard));
}

fn show(jobs: &dyn JobQueue, lease: &Lease) -> Job {
    jobs.show(&lease.tenant, &lease.id).unwrap()
}

fn load(jobs: &dyn JobQueue) -> (u64, u64, u64) {
    let JobLoad { scheduled, waiting, running } = jobs.load().unwrap();
    (scheduled, waiting, running)
}

fn many_are_submitted_together(jobs: &dyn JobQueue) {
    assert_eq!(load(jobs), (0, 0, 0));
    assert!(jobs.submit(&[]).unwrap().is_empty());
    let named = |request| NewJob { key: Some("k".to_owned()), request: [request; 32], ..job() };
    let one = named(1);
    let all = [
        (tenant("a"), one.clone()),
        (tenant("a"), named(1)),
        (tenant("a"), named(2)),
        (tenant("b"), named(2)),
        (tenant("a"), job()),
        // The same once more, as it is sent by whoever had no answer.
        (tenant("a"), one.clone()),
    ];
    let submitted = jobs.submit(&all).unwrap();
    let there: Vec<_> =
        submitted.iter().map(|one| one.as_ref().ok().map(|one| one.was_there)).collect();
    let expected = [Some(false), Some(true), None, Some(false), Some(false), Some(true)];
    assert_eq!(there, expected);
    assert_eq!(submitted[1].as_ref().unwrap().info.id, one.id);
    assert!(matches!(submitted[2], Err(JobsError::KeyReused(id)) if id == one.id));
    assert_eq!(load(jobs), (0, 3, 0));
    // An id is a key as well, and of each tenant's own.
    let same = [
        (tenant("a"), NewJob { key: None, ..one.clone() }),
        (tenant("b"), NewJob { key: None, ..one }),
    ];
    let submitted = jobs.submit(&same).unwrap();
    let there = submitted.iter().map(|one| one.as_ref().unwrap().was_there);
    assert_eq!(there.collect::<Vec<_>>(), [true, false]);
    // It comes before the key.
    let twice = NewJob { request: [9; 32], ..job() };
    let all = [(tenant("a"), twice.clone()), (tenant("a"), NewJob { id: twice.id, ..named(1) })];
    let submitted = jobs.submit(&all).unwrap();
    assert!(submitted[0].as_ref().is_ok_and(|one| !one.was_there));
    assert!(matches!(submitted[1], Err(JobsError::KeyReused(id)) if id == twice.id));
    // More than any one statement has, some of them large.
    let large =
        |number: usize| vec![b' '; if number.is_multiple_of(100) { 4 << 20 } else { number }];
    let many = (0..1201).map(|number| (tenant("c"), NewJob { input: large(number), ..job() }));
    let many: Vec<_> = many.collect();
    assert!(jobs.submit(&many).unwrap().iter().all(Result::is_ok));
    assert_eq!(load(jobs), (0, 1206, 0));
}

fn the_highest_and_oldest_come_first(jobs: &dyn JobQueue) {
    let of = |number, priority| ("a", NewJob { priority, ..numbered(number) });
    submit(jobs, &[of(5, 3), of(2, 3), of(4, 0), of(3, 9), of(1, 3)]);
    let order = [3, 1, 2, 5, 4].map(|number| numbered(number).id);
    assert_eq!(ids(&claim(jobs, 2)), order[..2]);
    assert_eq!(ids(&claim(jobs, 100)), order[2..]);
    assert!(ids(&claim(jobs, 100)).is_empty());
}

fn claims_are_bounded(jobs: &dyn JobQueue) {
    let of = |number, size| ("a", NewJob { input: vec![b' '; size], ..numbered(number) });
    submit(jobs, &[of(1, 100), of(2, 10), of(3, 10), of(4, 10), of(5, 100)]);
    let taken = |most_bytes| ids(&jobs.claim(&Claim { most_bytes, ..CLAIM }).unwrap()).len();
    assert_eq!([taken(50), taken(20), taken(109), taken(110)], [1, 2, 1, 1]);
    submit(jobs, &[of(6, 1)]);
    assert_eq!(claim(jobs, 0).jobs.len(), 0);
    assert_eq!(claim(jobs, 1).jobs.len(), 1);
}

fn a_job_runs_and_ends_once(jobs: &dyn JobQueue) {
    let new = NewJob { fuel: Some(u64::MAX), deadline: Some(at(5)), attempts: 3, ..job() };
    submit(jobs, &[("a", new.clone())]);
    let claimed = claim(jobs, 9);
    let [one] = &claimed.jobs[..] else { panic_of(&claimed.jobs) };
    assert_eq!(
        (&one.work, &one.input, one.seed, one.fuel),
        (&new.work, &new.input, new.seed, new.fuel)
    );
    assert_eq!((one.tried, one.attempts), (1, 3));
    assert!(one.left.is_some_and(|left| left > 4 * HOUR && left <= 5 * HOUR), "{:?}", one.left);
    let shown = show(jobs, &one.lease);
    assert_eq!(shown.now, one.now);
    assert_eq!((shown.info.state, shown.info.worker.as_deref()), (JobState::Running, Some("one")));
    assert!(shown.info.started >= Some(shown.info.created), "{shown:?}");
    assert_eq!(load(jobs), (0, 0, 1));
    let key = (one.lease.tenant.clone(), one.lease.id);
    assert_eq!(jobs.ended(&[key.clone(), (tenant("a"), JobId::new())]).unwrap(), [false, true]);
    // Of several that are said, the first is it.
    let ends = ["1", "2"].map(|body| (one.lease.clone(), JobEnd::Done(result(body))));
    let other = Lease { fence: one.lease.fence + 1, ..one.lease.clone() };
    let none = Lease { id: JobId::new(), ..one.lease.clone() };
    let strange = Lease { tenant: tenant("b"), ..one.lease.clone() };
    for lease in [other, none, strange] {
        assert_eq!(jobs.finish(&[(lease.clone(), ends[0].1.clone())]).unwrap(), [false]);
        assert_eq!(jobs.renew(&[lease], HOUR).unwrap(), [false]);
    }
    assert_eq!(jobs.finish(&ends).unwrap(), [true, false]);
    assert_eq!(jobs.finish(&ends).unwrap(), [false, false]);
    assert_eq!(jobs.renew(std::slice::from_ref(&one.lease), HOUR).unwrap(), [false]);
    let shown = show(jobs, &one.lease);
    assert_eq!((shown.info.state, shown.result), (JobState::Done, Some(result("1"))));
    assert!(shown.info.ended >= shown.info.started);
    assert_eq!(jobs.ended(&[key]).unwrap(), [true]);
    assert!(claim(jobs, 9).jobs.is_empty());
    assert_eq!(load(jobs), (0, 0, 0));
    // One that failed is not tried again by itself.
    submit(jobs, &[("a", job())]);
    let lease = claim(jobs, 9).jobs[0].lease.clone();
    assert_eq!(jobs.finish(&[(lease.clone(), JobEnd::Failed(result("3")))]).unwrap(), [true]);
    assert_eq!(show(jobs, &lease).result, Some(result("3")));
    assert_eq!(show(jobs, &lease).info.state, JobState::Failed);
    assert!(claim(jobs, 9).jobs.is_empty());
    assert!(matches!(jobs.cancel(&lease.tenant, &lease.id), Err(JobsError::Ended { .. })));
}

#[expect(clippy::panic, reason = "a suite tells what is wrong by its panics")]
fn panic_of(jobs: &[ClaimedJob]) -> ! {
    panic!("one job is claimed, not {jobs:?}")
}

fn leases_lapse_and_are_renewed(jobs: &dyn JobQueue) {
    submit(jobs, &[("a", job()), ("a", job())]);
    let soon = Claim { lease: NOW, worker: "first", ..CLAIM };
    let first = jobs.claim(&soon).unwrap().jobs;
    assert_eq!(first.len(), 2);
    let done = |lease: &Lease| vec![(lease.clone(), JobEnd::Done(result("late")))];
    // What has lapsed is lost, though nobody else has it.
    assert_eq!(jobs.finish(&done(&first[0].lease)).unwrap(), [false]);
    assert_eq!(jobs.renew(&[first[0].lease.clone()], HOUR).unwrap(), [false]);
    let second = claim(jobs, 9).jobs;
    assert_eq!(second.len(), 2);
    for (old, new) in first.iter().zip(&second) {
        assert_eq!((old.lease.id, new.tried), (new.lease.id, 2));
        assert_eq!((old.now, old.seed, &old.input), (new.now, new.seed, &new.input));
        assert!(old.lease.fence < new.lease.fence);
    }
    assert!(claim(jobs, 9).jobs.is_empty());
    // The first comes back too late.
    assert_eq!(jobs.finish(&done(&first[0].lease)).unwrap(), [false]);
    let leases: Vec<_> = second.iter().map(|job| job.lease.clone()).collect();
    assert_eq!(jobs.renew(&leases, HOUR).unwrap(), [true, true]);
    // For no time, it is given up.
    assert_eq!(jobs.renew(&leases[..1], NOW).unwrap(), [true]);
    assert_eq!(jobs.renew(&leases, HOUR).unwrap(), [false, true]);
    assert_eq!(ids(&claim(jobs, 9)), [leases[0].id]);
    assert_eq!(jobs.finish(&done(&leases[1])).unwrap(), [true]);
}

fn what_is_late_or_lost_fails(jobs: &dyn JobQueue) {
    let late = NewJob { deadline: Some(at(-1)), ..numbered(1) };
    let scheduled =
        NewJob { run_after: Some(at(2)), ..NewJob { id: numbered(2).id, ..late.clone() } };
    let lost = NewJob { attempts: 2, ..numbered(3) };
    submit(jobs, &[("a", late.clone()), ("a", scheduled.clone()), ("a", lost.clone())]);
    let soon = Claim { lease: NOW, ..CLAIM };
    for _ in 0..2 {
        assert_eq!(ids(&jobs.claim(&soon).unwrap()), [lost.id]);
    }
    assert!(jobs.claim(&soon).unwrap().jobs.is_empty());
    for (id, result) in [
        (late.id, JobResult::late()),
        (scheduled.id, JobResult::late()),
        (lost.id, JobResult::lost()),
    ] {
        let shown = jobs.show(&tenant("a"), &id).unwrap();
        assert_eq!((shown.info.state, shown.info.run_after), (JobState::Failed, None));
        assert_eq!(shown.result, Some(result));
        assert!(shown.info.ended.is_some());
    }
    assert_eq!(load(jobs), (0, 0, 0));
}

fn times_come(jobs: &dyn JobQueue) {
    assert_eq!(claim(jobs, 9).next, None);
    submit(jobs, &[("a", NewJob { run_after: Some(at(3)), ..numbered(1) })]);
    let near = |next: Option<Duration>, hours: u32| {
        next.is_some_and(|next| next > HOUR * hours - HOUR / 2 && next <= HOUR * hours)
    };
    let claimed = claim(jobs, 9);
    assert!(claimed.jobs.is_empty() && near(claimed.next, 3), "{claimed:?}");
    assert_eq!(load(jobs), (1, 0, 0));
    submit(jobs, &[("a", NewJob { deadline: Some(at(2)), ..numbered(2) })]);
    let none = Claim { most: 0, ..CLAIM };
    assert!(near(jobs.claim(&none).unwrap().next, 2));
    let claimed = claim(jobs, 9);
    assert!(claimed.jobs.len() == 1 && near(claimed.next, 1), "{claimed:?}");
    // It is tried again when its time comes, which is now or later.
    let lease = claimed.jobs[0].lease.clone();
    jobs.finish(&[(lease.clone(), JobEnd::Again(result("1"), HOUR))]).unwrap();
    let shown = show(jobs, &lease);
    assert_eq!((shown.info.state, shown.result), (JobState::Scheduled, Some(result("1"))));
    let run_after = shown.info.run_after;
    assert!(run_after.is_some_and(|at| at > hours(0) && at <= hours(1)), "{run_after:?}");
    assert_eq!(load(jobs), (2, 0, 0));
    assert!(claim(jobs, 9).jobs.is_empty());
}

fn what_is_given_up_waits(jobs: &dyn JobQueue) {
    submit(jobs, &[("a", NewJob { attempts: 2, ..job() })]);
    let first = claim(jobs, 9).jobs[0].lease.clone();
    assert_eq!(jobs.finish(&[(first.clone(), JobEnd::GivenBack)]).unwrap(), [true]);
    let shown = show(jobs, &first);
    assert_eq!((shown.info.state, shown.info.tried, shown.result), (JobState::Waiting, 0, None));
    let again = |body| JobEnd::Again(result(body), NOW);
    let second = claim(jobs, 9).jobs;
    assert_eq!(second[0].tried, 1);
    jobs.finish(&[(second[0].lease.clone(), again("1"))]).unwrap();
    let third = claim(jobs, 9).jobs;
    assert_eq!(third[0].tried, 2);
    // While it runs again, what became of it before is known.
    assert_eq!(show(jobs, &third[0].lease).result, Some(result("1")));
    jobs.finish(&[(third[0].lease.clone(), JobEnd::GivenBack)]).unwrap();
    assert_eq!(show(jobs, &first).result, Some(result("1")));
    let fences = [&first, &second[0].lease, &third[0].lease].map(|lease| lease.fence);
    assert!(fences.is_sorted_by(|one, other| one < other), "{fences:?}");
    assert_eq!(load(jobs), (0, 1, 0));
}

fn a_job_is_cancelled_while_it_runs(jobs: &dyn JobQueue) {
    submit(jobs, &[("a", job())]);
    let lease = claim(jobs, 9).jobs[0].lease.clone();
    let info = jobs.cancel(&lease.tenant, &lease.id).unwrap();
    assert_eq!(info.state, JobState::Cancelled);
    assert_eq!(jobs.ended(&[(lease.tenant.clone(), lease.id)]).unwrap(), [true]);
    assert_eq!(jobs.renew(std::slice::from_ref(&lease), HOUR).unwrap(), [false]);
    assert_eq!(jobs.finish(&[(lease.clone(), JobEnd::Done(result("1")))]).unwrap(), [false]);
    assert_eq!(show(jobs, &lease).result, None);
    // Whoever had it before has it no more when it is tried again.
    jobs.retry(&lease.tenant, &lease.id, JobId::new()).unwrap();
    assert_eq!(jobs.finish(&[(lease.clone(), JobEnd::Done(result("1")))]).unwrap(), [false]);
    let new = claim(jobs, 9).jobs[0].lease.clone();
    assert_eq!(jobs.finish(&[(lease, JobEnd::Done(result("1")))]).unwrap(), [false]);
    assert_eq!(jobs.finish(&[(new, JobEnd::Done(result("2")))]).unwrap(), [true]);
}

fn retries_begin_anew(jobs: &dyn JobQueue) {
    submit(jobs, &[("a", NewJob { attempts: 1, ..job() })]);
    let before = claim(jobs, 9).jobs.remove(0);
    jobs.finish(&[(before.lease.clone(), JobEnd::Failed(result("1")))]).unwrap();
    let info = jobs.retry(&before.lease.tenant, &before.lease.id, JobId::new()).unwrap();
    assert_eq!((info.state, info.tried, info.ended), (JobState::Waiting, 0, None));
    assert_eq!(show(jobs, &before.lease).result, None);
    let after = claim(jobs, 9).jobs.remove(0);
    assert_eq!((after.tried, after.now, after.seed), (1, before.now, before.seed));
    jobs.finish(&[(after.lease.clone(), JobEnd::Done(result("2")))]).unwrap();
    let done = jobs.retry(&before.lease.tenant, &before.lease.id, JobId::new());
    assert!(matches!(done, Err(JobsError::NotFailed { state: JobState::Done, .. })), "{done:?}");
}

fn tenants_see_their_own(jobs: &dyn JobQueue) {
    let [of_a, of_b] = submit(jobs, &[("a", job()), ("b", job())])[..] else {
        return assert_eq!(1, 2);
    };
    for (own, other) in [(of_a, "b"), (of_b, "a")] {
        let other = tenant(other);
        assert!(matches!(jobs.show(&other, &own), Err(JobsError::NotFound(_))));
        assert!(matches!(jobs.cancel(&other, &own), Err(JobsError::NotFound(_))));
        assert!(matches!(jobs.retry(&other, &own, JobId::new()), Err(JobsError::NotFound(_))));
        assert!(jobs.list(&other, &any()).unwrap().iter().all(|info| info.id != own));
    }
    let ids = |name| jobs.list(&tenant(name), &any()).unwrap().into_iter().map(|info| info.id);
    assert_eq!(ids("a").chain(ids("b")).collect::<Vec<_>>(), [of_a, of_b]);
    let waiting = JobFilter { state: Some(JobState::Waiting), ..any() };
    assert_eq!(jobs.list(&tenant("c"), &waiting).unwrap(), []);
}

fn what_ended_goes(jobs: &dyn JobQueue) {
    submit(jobs, &[("a", job()), ("a", job()), ("b", job()), ("b", job())]);
    let taken = claim(jobs, 3).jobs;
    let ends: Vec<_> =
        taken.iter().map(|job| (job.lease.clone(), JobEnd::Done(result("1")))).collect();
    jobs.finish(&ends[..2]).unwrap();
    assert_eq!(jobs.sweep(HOUR, u64::MAX).unwrap(), Swept::default());
    assert_eq!(sweep(jobs, NOW), 2);
    assert_eq!(jobs.kept(None).unwrap().len(), 2);
    assert_eq!(load(jobs), (0, 1, 1));
    assert!(matches!(jobs.show(&ends[0].0.tenant, &ends[0].0.id), Err(JobsError::NotFound(_))));
    // What ran goes on.
    assert_eq!(jobs.finish(&ends).unwrap(), [false, false, true]);
    assert_eq!(sweep(jobs, NOW), 1);
}

fn who_submitted_it_is_kept(jobs: &dyn JobQueue) {
    let ci = Actor::Token { id: "1f".to_owned(), name: "ci'\n\u{0}🦀".to_owned() };
    let [ci, nobody] = [(1, Some(ci)), (2, None)].map(|(number, submitted_by)| {
        submit(jobs, &[("a", NewJob { submitted_by, ..numbered(number) })]).remove(0)
    });
    let by = |id: &JobId| jobs.show(&tenant("a"), id).unwrap().info.submitted_by;
    assert!(
        matches!(by(&ci), Some(Actor::Token { id, name }) if id == "1f" && name.ends_with('🦀'))
    );
    assert_eq!(by(&nobody), None);
    // Whoever ends it or tries it again did not submit it.
    Arc::new(Actor::Dev).acts(|| jobs.cancel(&tenant("a"), &ci)).unwrap();
    let again = jobs.retry(&tenant("a"), &ci, JobId::new()).unwrap();
    let listed = jobs.list(&tenant("a"), &any()).unwrap();
    assert_eq!((&listed[0].submitted_by, &listed[1]), (&None, &again));
    let kept = jobs.kept(None).unwrap();
    jobs.restore(&kept).unwrap();
    assert_eq!(by(&ci), again.submitted_by);
    assert!(again.submitted_by.is_some());
}

fn jobs_are_kept_elsewhere(jobs: &dyn JobQueue) {
    let all: Vec<_> = (0..150).map(|number| ("b", numbered(number))).collect();
    submit(jobs, &all);
    let large = |number| ("a", NewJob { input: vec![b'1'; 4 << 20], ..numbered(number) });
    submit(jobs, &[large(1), large(2), large(3)]);
    let lease = claim(jobs, 1).jobs[0].lease.clone();
    let mut kept = Vec::<KeptJob>::new();
    loop {
        let last = kept.last().map(|job| (job.tenant.clone(), job.job.info.id));
        let page = jobs.kept(last.as_ref()).unwrap();
        if page.is_empty() {
            break;
        }
        assert!(
            page.len() <= 100 && page.iter().map(KeptJob::size).sum::<u64>() <= KeptJob::PAGE_BYTES
        );
        kept.extend(page);
    }
    assert_eq!(kept.len(), 153);
    assert!(kept.is_sorted_by_key(|job| (job.tenant.clone(), job.job.info.id)));
    assert_eq!((kept[0].job.info.state, kept[0].fence), (JobState::Running, 1));
    jobs.restore(&kept).unwrap();
    assert_eq!(load(jobs), (0, 153, 0));
    let page = jobs.kept(None).unwrap();
    assert_eq!(page[0], kept[0].restored());
    assert_eq!(page[1..], kept[1..page.len()]);
    // Whoever had it before has it no more.
    assert_eq!(jobs.finish(&[(lease, JobEnd::Done(result("1")))]).unwrap(), [false]);
    let fences: BTreeSet<_> = claim(jobs, 100).jobs.iter().map(|job| job.lease.fence).collect();
    assert_eq!(fences, [1, 2].into());
}

fn quotas(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let few = StateQuotas { jobs: 3, ended_jobs: 2, job_bytes: 100, ..StateQuotas::default() };
    let open = new(few);
    let jobs = &*open().jobs().unwrap();
    let sized = |number, size| NewJob { input: vec![b' '; size], ..numbered(number) };
    let all = [(1, 10), (2, 10), (3, 81), (4, 10), (5, 1)]
        .map(|(number, size)| (tenant("a"), sized(number, size)));
    let answers: Vec<_> = jobs.submit(&all).unwrap().into_iter().map(|one| one.err()).collect();
    assert!(answers[0].is_none() && answers[1].is_none() && answers[3].is_none(), "{answers:?}");
    assert!(matches!(answers[2], Some(JobsError::Quota { limit: 100, .. })), "{answers:?}");
    assert!(matches!(answers[4], Some(JobsError::Quota { limit: 3, .. })), "{answers:?}");
    // Others have their own.
    submit(jobs, &[("b", job())]);
    let leases: Vec<_> = claim(jobs, 9).jobs.into_iter().map(|job| job.lease).collect();
    let end = |lease: &Lease, size| {
        let ended = JobEnd::Done(JobResult::new(vec![b'1'; size], b"{}".to_vec()));
        assert_eq!(jobs.finish(&[(lease.clone(), ended)]).unwrap(), [true]);
    };
    let mut own: Vec<_> = leases.into_iter().filter(|lease| lease.tenant == tenant("a")).collect();
    own.sort_by_key(|lease| lease.id);
    // Results count, and what ended first goes where there is more than there may be.
    end(&own[0], 40);
    end(&own[1], 38);
    assert!(matches!(
        jobs.submit(&[(tenant("a"), sized(6, 0))]).unwrap()[0],
        Err(JobsError::Quota { .. })
    ));
    assert_eq!(sweep(jobs, HOUR), 1);
    assert!(matches!(jobs.show(&tenant("a"), &own[0].id), Err(JobsError::NotFound(_))));
    submit(jobs, &[("a", sized(6, 0)), ("a", sized(7, 0))]);
    for id in [6, 7].map(|number| sized(number, 0).id) {
        jobs.cancel(&tenant("a"), &id).unwrap();
    }
    assert_eq!(sweep(jobs, HOUR), 1);
    assert!(matches!(jobs.show(&tenant("a"), &own[1].id), Err(JobsError::NotFound(_))));
    // One more that waits again is one more.
    submit(jobs, &[("a", sized(8, 0)), ("a", sized(9, 0))]);
    let full = jobs.retry(&tenant("a"), &sized(6, 0).id, JobId::new());
    assert!(matches!(full, Err(JobsError::Quota { limit: 3, .. })), "{full:?}");
}

fn two_see_the_same(open: &Reopen) {
    let (one, two) = (open(), open());
    let (here, there) = (one.jobs().unwrap(), two.jobs().unwrap());
    let all: Vec<_> = (0..300).map(|number| (["a", "b", "c"][number % 3], job())).collect();
    let submitted = submit(&*here, &all);
    assert_eq!(load(&*there), (0, 300, 0));
    // Whoever takes them at once, each is taken once.
    let taken = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (jobs, taken) = ([&here, &there][thread % 2], &taken);
            scope.spawn(move || {
                loop {
                    let claimed = claim(&**jobs, 7).jobs;
                    if claimed.is_empty() {
                        break;
                    }
                    let ends =
                        claimed.iter().map(|job| (job.lease.clone(), JobEnd::Done(result("1"))));
                    let ends: Vec<_> = ends.collect();
                    assert!(jobs.finish(&ends).unwrap().iter().all(|held| *held));
                    taken.lock().unwrap().extend(claimed.into_iter().map(|job| job.lease.id));
                }
            });
        }
    });
    // What one had locked, the other may have left.
    let rest = claim(&*here, 1000).jobs;
    let mut taken = taken.into_inner().unwrap();
    taken.extend(rest.iter().map(|job| job.lease.id));
    assert_eq!(taken.len(), 300);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), submitted.into_iter().collect());
    // One key is one job, whoever submits it at the same moment.
    let keyed = || NewJob { key: Some("k".to_owned()), ..job() };
    let many = |jobs: &dyn JobQueue| {
        let all: Vec<_> = (0..5).map(|_| (tenant("d"), keyed())).collect();
        let answers = jobs.submit(&all).unwrap().into_iter().map(|one| one.unwrap().info.id);
        answers.collect::<BTreeSet<_>>()
    };
    let ids = std::thread::scope(|scope| {
        let threads = [&here, &there, &here, &there].map(|jobs| scope.spawn(|| many(&**jobs)));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<BTreeSet<_>>()
    });
    assert_eq!(ids.len(), 1);
    assert_eq!(there.list(&tenant("d"), &any()).unwrap().len(), 1);
}

/// What is told of the end of each of some jobs, in the order of their ends.
fn told(jobs: &dyn JobQueue) -> Vec<(JobId, JobState)> {
    let claimed = claim(jobs, 100).jobs.into_iter();
    let told = claimed.map(|ClaimedJob { lease, work, input, .. }| {
        assert!(matches!(work, JobWork::Tell(_)), "{work:?}");
        let shown = show(jobs, &lease);
        assert_eq!(shown.info.attempts, Webhook::ATTEMPTS);
        jobs.finish(&[(lease, JobEnd::Done(result("1")))]).unwrap();
        let notice: EndNotice = serde_json::from_slice(&input).unwrap();
        assert_eq!(serde_json::to_vec(&notice).unwrap(), input);
        assert_eq!(notice.ended().as_millisecond() * 1_000_000, shown.now);
        (notice.job, notice.state().unwrap())
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

/// Whatever ends a job: its result, a failure, its deadline, a worker that was lost, somebody.
fn ends_are_told(jobs: &dyn JobQueue) {
    let webhook = Webhook::new("https://a.example/b?c", "key").unwrap();
    let with = |number| NewJob {
        webhook: Some((JobId::of(1000 + number, [5; 10]), webhook.clone())),
        attempts: 1,
        ..numbered(number)
    };
    let late = NewJob { deadline: Some(at(-1)), ..with(5) };
    let all = [("a", with(1)), ("a", with(2)), ("a", with(3)), ("b", with(4)), ("a", late)];
    let ids = submit(jobs, &all);
    let lost = Claim { most: 1, lease: NOW, ..CLAIM };
    let first = jobs.claim(&lost).unwrap().jobs.remove(0).lease;
    let (early, rest): (Vec<_>, Vec<_>) =
        claim(jobs, 100).jobs.into_iter().partition(|job| matches!(job.work, JobWork::Tell(_)));
    assert_eq!((early.len(), rest.len()), (2, 3));
    let back: Vec<_> = early.into_iter().map(|job| (job.lease, JobEnd::GivenBack)).collect();
    jobs.finish(&back).unwrap();
    let mut states = vec![(first.id, JobState::Failed), (ids[4], JobState::Failed)];
    for (lease, end) in rest.into_iter().map(|job| job.lease).zip([
        JobEnd::Done(result("1")),
        JobEnd::Failed(result("2")),
        JobEnd::GivenBack,
    ]) {
        let state = match end.state() {
            JobState::Waiting => JobState::Cancelled,
            state => state,
        };
        states.push((lease.id, state));
        let key = (lease.tenant.clone(), lease.id);
        jobs.finish(&[(lease, end)]).unwrap();
        if state == JobState::Cancelled {
            jobs.cancel(&key.0, &key.1).unwrap();
        }
    }
    states.sort();
    assert_eq!(told(jobs), states);
    assert!(told(jobs).is_empty());
    // One that is tried again ends again, and nobody is told meanwhile that it has ended.
    let again = submit(jobs, &[("c", with(9))])[0];
    jobs.cancel(&tenant("c"), &again).unwrap();
    jobs.retry(&tenant("c"), &again, JobId::new()).unwrap();
    let claimed = claim(jobs, 100).jobs.remove(0);
    assert_eq!(claimed.lease.id, again);
    jobs.finish(&[(claimed.lease, JobEnd::Done(result("1")))]).unwrap();
    assert_eq!(told(jobs), [(again, JobState::Done)]);
    // Whoever still tells of an end before has nothing of that: not its lease, and no say in what becomes of it.
    let third = submit(jobs, &[("d", with(10))])[0];
    jobs.cancel(&tenant("d"), &third).unwrap();
    let before = claim(jobs, 100).jobs.remove(0).lease;
    jobs.retry(&tenant("d"), &third, JobId::of(1099, [5; 10])).unwrap();
    jobs.cancel(&tenant("d"), &third).unwrap();
    let after = claim(jobs, 100).jobs.remove(0).lease;
    assert_ne!(before, after);
    let done = |lease: &Lease| jobs.finish(&[(lease.clone(), JobEnd::Done(result("1")))]).unwrap();
    assert_eq!((done(&before), done(&after)), (vec![false], vec![true]));
    // What tells is listed as a job of its own.
    let listed = jobs.list(&tenant("c"), &any()).unwrap();
    assert_eq!(listed.len(), 2);
}

fn part(number: u8, first: u32) -> NewPart {
    NewPart { id: JobId::of(7000, [number; 10]), first, input: vec![number] }
}

fn batch(number: u64) -> NewJob {
    NewJob { is_batch: true, ..numbered(number) }
}

fn batches_are_split(jobs: &dyn JobQueue) {
    let id = submit(jobs, &[("a", batch(1))])[0];
    let claimed = claim(jobs, 1).jobs.remove(0);
    assert!(claimed.is_batch && claimed.part_of.is_none() && claimed.parts.is_none());
    // Out of their order, too.
    let parts = [part(3, 30), part(1, 1), part(2, 10)];
    let stale = Lease { fence: 99, ..claimed.lease.clone() };
    let split = JobEnd::Split(parts.to_vec());
    assert_eq!(jobs.finish(&[(stale, split.clone())]).unwrap(), [false]);
    assert_eq!(jobs.finish(&[(claimed.lease, split)]).unwrap(), [true]);
    let shown = jobs.show(&tenant("a"), &id).unwrap();
    assert_eq!((shown.info.state, shown.info.tried), (JobState::Scheduled, 0));
    assert_eq!(shown.info.parts, Some(JobParts { all: 3, left: 3 }));
    assert_eq!(load(jobs), (1, 3, 0));
    // Nobody sees them but who runs them.
    let part_id = parts[0].id;
    assert!(matches!(jobs.show(&tenant("a"), &part_id), Err(JobsError::NotFound(_))));
    assert!(matches!(jobs.cancel(&tenant("a"), &part_id), Err(JobsError::NotFound(_))));
    assert!(matches!(
        jobs.retry(&tenant("a"), &part_id, JobId::new()),
        Err(JobsError::NotFound(_))
    ));
    assert_eq!(jobs.list(&tenant("a"), &any()).unwrap().len(), 1);

    let claimed = claim(jobs, 100).jobs;
    let batch = shown.info.id;
    for job in &claimed {
        let own = parts.iter().find(|part| part.id == job.lease.id).unwrap();
        assert_eq!(job.part_of, Some(PartOf { batch, first: own.first }));
        assert_eq!((&job.input, job.seed, job.now), (&own.input, shown.seed, shown.now));
        assert!(job.is_batch);
    }
    assert_eq!(claimed.len(), 3);
    let end = |lease: &Lease, end: JobEnd| {
        assert_eq!(jobs.finish(&[(lease.clone(), end)]).unwrap(), [true]);
    };
    let by_first =
        |first| &claimed.iter().find(|job| job.part_of.unwrap().first == first).unwrap().lease;
    end(by_first(30), JobEnd::Done(result("thirty")));
    end(by_first(1), JobEnd::Failed(result("one")));
    assert!(claim(jobs, 100).jobs.is_empty());
    let shown = jobs.show(&tenant("a"), &id).unwrap();
    assert_eq!(shown.info.parts, Some(JobParts { all: 3, left: 1 }));
    // What has ended is not forgotten while its batch has not.
    assert_eq!(sweep(jobs, NOW), 0);
    end(by_first(10), JobEnd::Done(result("ten")));

    let gathering = claim(jobs, 100).jobs.remove(0);
    assert_eq!((gathering.lease.id, gathering.tried), (id, 1));
    assert_eq!(gathering.parts, Some(JobParts { all: 3, left: 0 }));
    let expected =
        [(1, JobState::Failed, "one"), (10, JobState::Done, "ten"), (30, JobState::Done, "thirty")];
    let expected = expected.map(|(first, state, body)| {
        let result = Some(result(body));
        EndedPart { first, state, result }
    });
    assert_eq!(jobs.parts(&tenant("a"), &id, 0).unwrap(), expected);
    assert_eq!(jobs.parts(&tenant("a"), &id, 10).unwrap(), expected[1..]);
    assert!(jobs.parts(&tenant("b"), &id, 0).unwrap().is_empty());
    end(&gathering.lease, JobEnd::Done(result("all")));
    assert!(jobs.parts(&tenant("a"), &id, 0).unwrap().is_empty());
    let kept = jobs.kept(None).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].job.result, Some(result("all")));
    assert_eq!(load(jobs), (0, 0, 0));
}

/// Whoever ends it, and though a part runs.
fn a_batch_that_ends_takes_its_parts_with_it(jobs: &dyn JobQueue) {
    let late = NewJob { deadline: Some(at(1)), ..batch(2) };
    for (number, new) in [batch(1), late].into_iter().enumerate() {
        let id = submit(jobs, &[("a", new)])[0];
        let claimed = claim(jobs, 1).jobs.remove(0);
        let split = JobEnd::Split(vec![part(1, 1), part(2, 2)]);
        assert_eq!(jobs.finish(&[(claimed.lease, split)]).unwrap(), [true]);
        let running = claim(jobs, 1).jobs.remove(0).lease;
        if number == 0 {
            jobs.cancel(&tenant("a"), &id).unwrap();
        } else {
            // As if the time had passed.
            let mut kept = jobs.kept(None).unwrap();
            kept.retain(|job| job.job.info.id == id);
            kept[0].job.info.deadline = Some(hours(-1));
            jobs.restore(&kept).unwrap();
            assert!(claim(jobs, 100).jobs.iter().all(|job| job.lease.id != id));
            assert_eq!(jobs.show(&tenant("a"), &id).unwrap().info.state, JobState::Failed);
        }
        assert_eq!(jobs.renew(std::slice::from_ref(&running), HOUR).unwrap(), [false]);
        assert_eq!(jobs.finish(&[(running, JobEnd::Done(result("1")))]).unwrap(), [false]);
        assert_eq!(load(jobs), (0, 0, 0));
        assert_eq!(jobs.kept(None).unwrap().len(), 1);
        // It is split anew when it is tried again.
        let again = jobs.retry(&tenant("a"), &id, JobId::new()).unwrap();
        assert_eq!((again.state, again.parts), (JobState::Waiting, None));
        let claimed = claim(jobs, 1).jobs.remove(0);
        assert_eq!(claimed.parts, None);
        let split = JobEnd::Split(vec![part(1, 1)]);
        assert_eq!(jobs.finish(&[(claimed.lease, split)]).unwrap(), [true]);
        jobs.cancel(&tenant("a"), &id).unwrap();
        sweep(jobs, NOW);
        assert!(jobs.kept(None).unwrap().is_empty());
    }
}

/// An output that is an artifact may be deleted once no job has it any more.
fn what_may_be_deleted_is_told(jobs: &dyn JobQueue) {
    let output: compute::Ref = "compute://sha256/cd".parse().unwrap();
    let other: compute::Ref = "compute://sha256/ef".parse().unwrap();
    let large = |output: &compute::Ref| JobResult { output: Some(output.clone()), ..result("") };
    let end = |number: u64, end: JobEnd| {
        submit(jobs, &[("a", numbered(number))]);
        let lease = claim(jobs, 1).jobs.remove(0).lease;
        assert_eq!(jobs.finish(&[(lease.clone(), end)]).unwrap(), [true]);
        lease
    };
    let first = end(1, JobEnd::Done(large(&output)));
    assert_eq!(show(jobs, &first).result, Some(large(&output)));
    assert!(jobs.gone_outputs(NOW, 9).unwrap().is_empty());
    // The first goes, and a later one has the same.
    assert_eq!(sweep(jobs, NOW), 1);
    let second = end(2, JobEnd::Done(large(&output)));
    let named = jobs.naming(&tenant("a"), &output).unwrap();
    assert_eq!(named, Some(NamedBy::Output(second.id)));
    assert!(jobs.gone_outputs(NOW, 9).unwrap().is_empty());
    // A batch's parts have theirs as long as it has not ended.
    let id = submit(jobs, &[("b", batch(3))])[0];
    let claimed = claim(jobs, 1).jobs.remove(0);
    jobs.finish(&[(claimed.lease, JobEnd::Split(vec![part(1, 1), part(2, 2)]))]).unwrap();
    let lease = claim(jobs, 1).jobs.remove(0).lease;
    jobs.finish(&[(lease, JobEnd::Done(large(&other)))]).unwrap();
    assert_eq!(jobs.parts(&tenant("b"), &id, 0).unwrap()[0].result, Some(large(&other)));
    assert_eq!(jobs.naming(&tenant("b"), &other).unwrap(), Some(NamedBy::Output(id)));
    assert!(jobs.gone_outputs(NOW, 9).unwrap().is_empty());
    jobs.cancel(&tenant("b"), &id).unwrap();
    // Not at once: another may be about to have the same.
    assert!(jobs.gone_outputs(HOUR, 9).unwrap().is_empty());
    assert_eq!(jobs.gone_outputs(NOW, 9).unwrap(), [(tenant("b"), other.clone())]);
    // Whoever deletes it has some time for that, in which nobody stores it.
    assert!(jobs.gone_outputs(NOW, 9).unwrap().is_empty());
    assert!(!jobs.stores_output(&tenant("b"), &other).unwrap());
    jobs.output_is_gone(&tenant("b"), &other).unwrap();
    assert!(jobs.stores_output(&tenant("b"), &other).unwrap());
    // What was not told to be deleted is not gone.
    jobs.output_is_gone(&tenant("b"), &other).unwrap();
    assert_eq!(sweep(jobs, NOW), 2);
    let mut told = [(); 2].map(|()| jobs.gone_outputs(NOW, 1).unwrap().remove(0));
    told.sort();
    assert_eq!(told, [(tenant("a"), output.clone()), (tenant("b"), other)]);
    assert!(jobs.gone_outputs(NOW, 9).unwrap().is_empty());
    told.iter().for_each(|(tenant, output)| jobs.output_is_gone(tenant, output).unwrap());
    // What is stored and never said to be a job's is deleted as well.
    assert!(jobs.stores_output(&tenant("a"), &output).unwrap());
    assert!(jobs.gone_outputs(HOUR, 9).unwrap().is_empty());
    assert_eq!(jobs.gone_outputs(NOW, 9).unwrap(), [(tenant("a"), output)]);
}
