//! Whose jobs are taken where several tenants have some that wait, and which of them.

use super::super::Reopen;
use super::{CLAIM, claim, ids, job, numbered, submit, tenant};
use crate::{Claim, JobId, JobQueue, NewJob, StateQuotas, TenantName, Webhook};

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    for test in [
        tenants_take_turns,
        each_kind_is_taken_by_itself,
        those_that_tell_are_found_among_others,
        who_takes_nothing_has_no_turn,
        nobody_keeps_the_others_from_their_turn,
    ] {
        let open = new(StateQuotas::default());
        test(&*open().jobs().unwrap());
    }
}

fn tenants_take_turns(jobs: &dyn JobQueue) {
    let all: Vec<_> = (0..20).map(|number| ("a", numbered(number))).collect();
    submit(jobs, &all);
    submit(jobs, &[("b", job()), ("c", job()), ("c", job()), ("d", job())]);
    let turns = |most| -> String {
        claim(jobs, most).jobs.iter().map(|job| job.lease.tenant.as_str().to_owned()).collect()
    };
    assert_eq!(turns(2), "ab");
    // The next goes on where the last stopped.
    assert_eq!(turns(3), "cda");
    assert_eq!(turns(5), "caaaa");
    // One that has its fill leaves room for others.
    submit(jobs, &[("b", job()), ("b", job())]);
    let few = Claim { most_of_tenant: 2, ..CLAIM };
    let taken = jobs.claim(&few).unwrap().jobs;
    assert_eq!(taken.iter().map(|job| job.lease.tenant.as_str()).collect::<String>(), "b");
    assert!(jobs.claim(&few).unwrap().jobs.is_empty());
}

/// A tenant's jobs that tell of the ends of others, the others, both or none.
fn each_kind_is_taken_by_itself(jobs: &dyn JobQueue) {
    let webhook = Webhook::new("https://a.example/b", "key").unwrap();
    let told = |number| NewJob {
        webhook: Some((JobId::of(100 + number, [5; 10]), webhook.clone())),
        priority: 3,
        ..numbered(number)
    };
    let (a, b) = ([tenant("a")], [tenant("b")]);
    for number in 1..=3 {
        submit(jobs, &[("a", told(number))]);
        jobs.cancel(&a[0], &numbered(number).id).unwrap();
    }
    submit(
        jobs,
        &[
            ("a", NewJob { priority: 9, ..numbered(11) }),
            ("a", NewJob { priority: 0, ..numbered(12) }),
        ],
    );
    submit(jobs, &[("b", numbered(1))]);
    let take = |without_tells: &[TenantName], only_tells: &[TenantName], most| {
        let claim = Claim { without_tells, only_tells, most, ..CLAIM };
        ids(&jobs.claim(&claim).unwrap())
    };
    // Neither one nor the other.
    assert_eq!(take(&a, &a, 9), [numbered(1).id]);
    assert!(take(&a, &[a[0].clone(), b[0].clone()], 9).is_empty());
    // Those that tell, and the others: in the order of all.
    assert_eq!(take(&[], &a, 1), [JobId::of(101, [5; 10])]);
    assert_eq!(take(&a, &[], 1), [numbered(11).id]);
    assert_eq!(take(&[], &[], 2), [JobId::of(102, [5; 10]), JobId::of(103, [5; 10])]);
    assert!(take(&[], &a, 9).is_empty());
    assert_eq!(take(&[], &[], 9), [numbered(12).id]);
}

/// Where nothing else may be taken of anybody.
fn those_that_tell_are_found_among_others(jobs: &dyn JobQueue) {
    let names: Vec<_> = (0..2 * Claim::TENANTS).map(|number| format!("t{number:03}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), job())).collect();
    submit(jobs, &all);
    let webhook = Webhook::new("https://a.example/b", "key").unwrap();
    let told = NewJob { webhook: Some((JobId::of(100, [5; 10]), webhook)), ..numbered(1) };
    submit(jobs, &[("z", told), ("z", numbered(2))]);
    jobs.cancel(&tenant("z"), &numbered(1).id).unwrap();
    let tells = Claim { without_others: true, ..CLAIM };
    assert_eq!(ids(&jobs.claim(&tells).unwrap()), [JobId::of(100, [5; 10])]);
    assert!(jobs.claim(&tells).unwrap().jobs.is_empty());
}

/// However many tenants wait, a look that takes nothing passes nobody over.
fn who_takes_nothing_has_no_turn(jobs: &dyn JobQueue) {
    let names: Vec<_> = (0..100).map(|number| format!("t{number:03}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), job())).collect();
    submit(jobs, &all);
    for name in &names {
        assert!(claim(jobs, 0).jobs.is_empty());
        assert_eq!(claim(jobs, 1).jobs[0].lease.tenant, tenant(name));
    }
}

/// However many tenants have jobs that may not be taken.
fn nobody_keeps_the_others_from_their_turn(jobs: &dyn JobQueue) {
    let names: Vec<_> =
        (0..3 * Claim::TENANTS).map(|number| format!("spent-{number:03}")).collect();
    let all: Vec<_> = names.iter().map(|name| (name.as_str(), job())).collect();
    submit(jobs, &all);
    let spent: Vec<_> = names.iter().map(|name| tenant(name)).collect();
    submit(jobs, &[("z", numbered(1))]);
    let claimed = jobs.claim(&Claim { only_tells: &spent, ..CLAIM }).unwrap();
    assert_eq!(ids(&claimed), [numbered(1).id]);
    assert!(claim(jobs, 1000).jobs.len() >= Claim::TENANTS);
}
