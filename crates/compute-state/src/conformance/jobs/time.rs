//! What time alone does, where it does much at once.

use super::super::Reopen;
use super::{CLAIM, at, claim, hours, ids, job, numbered, result, submit, tenant};
use crate::{
    Claim, JobEnd, JobId, JobLoad, JobQueue, JobState, KeptJob, NewJob, NewPart, StateQuotas,
};

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    for test in [
        those_that_are_due_wait_for_no_others,
        those_that_are_late_wait_for_no_others,
        late_batches_end_with_all_their_parts,
    ] {
        let open = new(StateQuotas::default());
        test(&*open().jobs().unwrap());
    }
}

/// However many of another tenant's became due before.
fn those_that_are_due_wait_for_no_others(jobs: &dyn JobQueue) {
    let due = |name: &str, hour, new: NewJob| {
        let new = NewJob { run_after: Some(at(hour)), ..new };
        new.accepted(&tenant(name), hours(-9))
    };
    let mut kept: Vec<KeptJob> = (0..2500).map(|_| due("a", -2, job())).collect();
    kept.push(due("b", -1, numbered(1)));
    kept.push(due("c", 5, numbered(2)));
    jobs.restore(&kept).unwrap();
    let own = ids(&claim(jobs, 2));
    assert!(own.contains(&numbered(1).id), "it waits behind another tenant's");
    // And all come.
    let (mut taken, many) = (own.len(), Claim { most_of_tenant: usize::MAX, ..CLAIM });
    for _ in 0..100 {
        taken += jobs.claim(&many).unwrap().jobs.len();
    }
    assert_eq!(taken, 2501);
}

fn those_that_are_late_wait_for_no_others(jobs: &dyn JobQueue) {
    let late = |hour, new: NewJob| NewJob { deadline: Some(at(hour)), ..new };
    let mut all: Vec<_> = (0..500).map(|_| ("a", late(-2, job()))).collect();
    all.push(("b", late(-1, numbered(1))));
    submit(jobs, &all);
    assert!(claim(jobs, 9).jobs.is_empty());
    let shown = jobs.show(&tenant("b"), &numbered(1).id).unwrap();
    assert_eq!(shown.info.state, JobState::Failed, "it waits behind another tenant's");
    for _ in 0..5 {
        assert!(claim(jobs, 9).jobs.is_empty());
    }
    assert_eq!(jobs.load().unwrap(), JobLoad::default());
}

/// Though not all at once.
fn late_batches_end_with_all_their_parts(jobs: &dyn JobQueue) {
    let batch = |number| NewJob { is_batch: true, deadline: Some(at(1)), ..numbered(number) };
    let all: Vec<_> = (0..6).map(|number| ("a", batch(number))).collect();
    submit(jobs, &all);
    let part = |first| NewPart { id: JobId::new(), first, input: vec![b'1'] };
    let split = |lease| (lease, JobEnd::Split((1..=400).map(part).collect()));
    let ends: Vec<_> = claim(jobs, 6).jobs.into_iter().map(|job| split(job.lease)).collect();
    assert!(jobs.finish(&ends).unwrap().iter().all(|held| *held));
    let part = claim(jobs, 1).jobs.remove(0).lease;
    jobs.finish(&[(part, JobEnd::Done(result("1")))]).unwrap();
    // As if the time had passed.
    let mut kept: Vec<_> = jobs.kept(None).unwrap();
    kept.retain(|job| job.part_of.is_none());
    assert_eq!(kept.len(), 6);
    for one in &mut kept {
        one.job.info.deadline = Some(hours(-1));
    }
    jobs.restore(&kept).unwrap();
    for _ in 0..6 {
        claim(jobs, 0);
    }
    assert_eq!(jobs.kept(None).unwrap().len(), 6);
    assert_eq!(jobs.load().unwrap(), JobLoad::default());
}
