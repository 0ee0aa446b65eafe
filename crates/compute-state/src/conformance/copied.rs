//! What is copied to another place and back is what it was.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Reopen;
use super::jobs::{claim, hours, job, result};
use super::stacks::{files, name};
use crate::{
    Actor, AuditHead, AuditOf, CopyError, CronTimes, Deed, File, JobEnd, JobState, NewJob,
    NewSchedule, RecordPolicy, Rollout, Shadow, Share, State, StateQuotas, TenantName, TokenScope,
    Vault, copy,
};

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    // What is there is copied though it is more than there may be of what is new.
    let few = StateQuotas {
        stacks: 0,
        versions: 1,
        secrets: 0,
        tokens: 0,
        jobs: 1,
        schedules: 0,
        ..standard
    };
    let states = [new(standard), new(few), new(standard), new(standard)];
    let [from, to, back, other] = [0, 1, 2, 3].map(|number: usize| states[number]());
    fill(&*from);
    let copied = copy(&*from, &*to, &mut |_| {}).unwrap();
    assert_eq!((copied.versions, copied.secrets, copied.tokens, copied.jobs), (6, 2, 2, 404));
    assert_eq!(copied.schedules, 2);
    assert_eq!(copied.audit, 22);
    // Once more changes nothing.
    assert_eq!(copy(&*from, &*to, &mut |_| {}).unwrap(), copied);
    assert_eq!(copy(&*to, &*back, &mut |_| {}).unwrap(), copied);
    for tenant in ["default", "acme"].map(|name| name.parse::<TenantName>().unwrap()) {
        let [one, two] =
            [&from, &back].map(|state| state.tenant(&tenant).unwrap().catalogue().unwrap());
        assert_eq!(one.stacks().unwrap(), two.stacks().unwrap());
        assert_eq!(one.version(&name("a"), 2).unwrap(), two.version(&name("a"), 2).unwrap());
        assert_eq!(one.refs().unwrap(), two.refs().unwrap());
        let [one_s, two_s] = [&from, &back]
            .map(|state| state.jobs().unwrap().schedule(&tenant, &"s".parse().unwrap()).unwrap());
        assert_eq!(one_s, two_s);
        for of in AuditOf::ALL {
            let [one, two] = [&from, &back].map(|state| {
                state.tenant(&tenant).unwrap().audit(of).unwrap().page(None, 100).unwrap()
            });
            assert_eq!(one, two);
            assert_eq!(one.entries.len(), if of == AuditOf::Stacks { 9 } else { 1 });
        }
        let rollouts = two.rollouts().unwrap();
        assert_eq!((rollouts.len(), &rollouts), (1, &one.rollouts().unwrap()));
        // The next number is the next.
        assert_eq!(two.draft(&name("a"), &files(9)).unwrap().number, 4);
        assert_eq!(two.active(&name("a")).unwrap().unwrap().info.number, 2);
    }
    // Of each tenant, one job is done, and one that ran waits.
    let load = |state: &dyn State| state.jobs().unwrap().load().unwrap();
    assert_eq!((load(&*from).running, load(&*from).waiting), (2, 400));
    assert_eq!((load(&*back).running, load(&*back).waiting), (0, 402));
    // A place that was used by itself is left as it is: what was revoked there does not come back.
    let tokens = back.tokens().unwrap();
    let revoked = tokens.kept().unwrap().remove(0).info.id;
    tokens.revoke(&revoked, None).unwrap();
    let kept = tokens.kept().unwrap();
    for (one, other) in [(&from, &back), (&back, &from)] {
        let taken = copy(&**one, &**other, &mut |_| {});
        assert!(matches!(taken, Err(CopyError::Lives(_))), "{taken:?}");
    }
    assert_eq!(tokens.kept().unwrap(), kept);
    let catalogue = other.tenant(&TenantName::default()).unwrap().catalogue().unwrap();
    catalogue.draft(&name("a"), &files(7)).unwrap();
    let taken = copy(&*from, &*other, &mut |_| {});
    assert!(matches!(taken, Err(CopyError::Lives(_))), "{taken:?}");
    assert_eq!(catalogue.version(&name("a"), 1).unwrap().files, files(7));
    assert_eq!(other.tenants().unwrap(), [TenantName::default()]);

    let states = [(); 4].map(|()| new(standard)());
    what_has_run_there_is_not_run_again(&*from, [&*states[0], &*states[1]]);
    goes_on_within_a_log(&*states[2], &*states[3]);
}

/// Jobs and schedules tell nothing of what becomes of them in any log.
fn what_has_run_there_is_not_run_again(from: &dyn State, to: [&dyn State; 2]) {
    let [ran, fired] = to;
    let lives = |to: &dyn State| {
        let taken = copy(from, to, &mut |_| {});
        assert!(matches!(taken, Err(CopyError::Lives(_))), "{taken:?}");
    };
    copy(from, ran, &mut |_| {}).unwrap();
    let jobs = ran.jobs().unwrap();
    let taken = claim(&*jobs, 1).jobs.remove(0);
    let (tenant, id) = (taken.lease.tenant.clone(), taken.lease.id);
    assert_eq!(jobs.finish(&[(taken.lease, JobEnd::Done(result("2")))]).unwrap(), [true]);
    lives(ran);
    let kept = jobs.show(&tenant, &id).unwrap();
    assert_eq!((kept.info.state, kept.result), (JobState::Done, Some(result("2"))));
    // Nor where nothing is left of it.
    while jobs.sweep(Duration::ZERO, u64::MAX).unwrap().is_full {}
    assert!(jobs.show(&tenant, &id).is_err());
    lives(ran);
    assert!(jobs.show(&tenant, &id).is_err());

    copy(from, fired, &mut |_| {}).unwrap();
    let jobs = fired.jobs().unwrap();
    let mut kept = jobs.kept_schedules(None).unwrap();
    // As one is that went on to its next time, and had no room for the job.
    let info = &mut kept[0].1.info;
    (info.last, info.next) = (Some(info.next), hours(10_000));
    jobs.restore_schedules(&kept[..1]).unwrap();
    lives(fired);
    assert_eq!(jobs.kept_schedules(None).unwrap(), kept);
}

fn goes_on_within_a_log(from: &dyn State, to: &dyn State) {
    let log = |state: &dyn State| {
        state.tenant(&TenantName::default()).unwrap().audit(AuditOf::Stacks).unwrap()
    };
    let (mut head, mut entries) = (AuditHead::default(), Vec::new());
    for number in 0..2500 {
        let deed = Deed::new(AuditOf::Stacks, "activate", json!({ "number": number }));
        entries.extend(deed.entry(&head, Timestamp::UNIX_EPOCH));
        head = entries[number].head();
    }
    // Where the first of them have gone already.
    log(from).restore(&entries[6].head(), &entries[7..]).unwrap();
    let broken_off = |at: usize| {
        let broken = AssertUnwindSafe(|| {
            copy(from, to, &mut |done| {
                if done.audit == at {
                    resume_unwind(Box::new("the program ends"));
                }
            })
        });
        assert!(catch_unwind(broken).is_err());
        log(to).page(None, 0).unwrap().head
    };
    for at in [1000, 2000] {
        assert_eq!(broken_off(at), entries[at + 6].head());
    }
    assert_eq!(copy(from, to, &mut |_| {}).unwrap().audit, 2493);
    assert_eq!(log(to).page(None, 0).unwrap().head, head);
    // One of its own, where another has as many.
    log(to).write(&Deed::new(AuditOf::Stacks, "activate", json!({ "number": 2501 }))).unwrap();
    log(from).write(&Deed::new(AuditOf::Stacks, "activate", json!({ "number": 2502 }))).unwrap();
    let taken = copy(from, to, &mut |_| {});
    assert!(matches!(taken, Err(CopyError::Lives(_))), "{taken:?}");
}

fn fill(state: &dyn State) {
    let vault = Vault::new(&"1".repeat(64)).unwrap();
    for tenant in ["default", "acme"].map(|name| name.parse::<TenantName>().unwrap()) {
        let catalogue = state.tenant(&tenant).unwrap().catalogue().unwrap();
        let odd = File::new("1/'\"\n\u{0}🦀.txcl", "EXEC \"compute://sha256/aa\"\u{0}");
        let first = catalogue.draft(&name("a"), &[odd]).unwrap();
        let second = catalogue.draft(&name("a"), &files(1)).unwrap();
        catalogue.draft(&name("a"), &files(2)).unwrap();
        catalogue.activate(&[first]).unwrap();
        catalogue.activate(&[second]).unwrap();
        let share = Share::from_millionths(7).unwrap();
        catalogue.set_shadow(&Shadow { stack: name("a"), number: 3, share }, None).unwrap();
        let by = ".a.\"b c\"".parse().unwrap();
        catalogue.set_rollout(&Rollout { stack: name("a"), number: 3, share, by }, None).unwrap();
        let policy = RecordPolicy { which: "1/7".parse().unwrap(), ..RecordPolicy::default() };
        catalogue.set_record_policy(Some(&name("a")), Some(policy)).unwrap();
        catalogue.set_secret(&vault, "KEY", "value").unwrap();
        let tokens = state.tokens().unwrap();
        tokens.create(Some(&tenant), "ä", &[TokenScope::Run].into(), None).unwrap();
        let jobs = state.jobs().unwrap();
        let by = Actor::Token { id: "1f".to_owned(), name: "ä\u{0}".to_owned() };
        let all = (0..202).map(|_| NewJob { submitted_by: Some(by.clone()), ..job() });
        let all: Vec<_> = all.map(|job| (tenant.clone(), job)).collect();
        jobs.submit(&all).unwrap();
        let times = CronTimes::new("30 6 * * MON", "Europe/Berlin").unwrap();
        let new = NewSchedule::new("s".parse().unwrap(), times, job().work, job().input);
        jobs.set_schedule(&tenant, &new).unwrap();
        let taken = claim(&*jobs, 2).jobs;
        jobs.finish(&[(taken[0].lease.clone(), JobEnd::Done(result("1")))]).unwrap();
    }
}
