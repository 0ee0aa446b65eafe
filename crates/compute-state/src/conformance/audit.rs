//! Each change has its entry in the log of who changed what, and nothing else has one.

use std::str::FromStr as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Reopen;
use super::jobs::{claim, job};
use super::stacks::{files, name};
use crate::{
    Actor, AuditBroken, AuditEntry, AuditHead, AuditLog, AuditOf, CronTimes, Deed, JobId, JobWork,
    NewSchedule, Rollout, ScheduleName, Shadow, Share, State, StateError, StateQuotas, TenantName,
    TokenScope, Vault, copy, verify_audit,
};

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    each_change_is_told_once(&*new(standard)());
    tokens_are_told_to_their_tenant(&*new(standard)());
    schedules_are_told_to_their_tenant(new);
    let few = StateQuotas { audit_entries: 3, ..standard };
    let states = [new(few)(), new(standard)()];
    the_oldest_go(&*states[0], &*states[1]);
    many_at_once_make_one_chain(&new(standard));
}

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

fn log(state: &dyn State, of: AuditOf) -> Arc<dyn AuditLog> {
    state.tenant(&tenant("acme")).unwrap().audit(of).unwrap()
}

fn entries(state: &dyn State, of: AuditOf) -> Vec<AuditEntry> {
    log(state, of).page(None, 1000).unwrap().entries
}

fn subject(entry: &AuditEntry) -> Value {
    serde_json::from_str(entry.subject.get()).unwrap()
}

/// What is wrong with a log, or its head.
fn verified(log: &dyn AuditLog) -> Result<AuditHead, AuditBroken> {
    verify_audit(|after| Ok(log.page(after, 2).unwrap()), |_| {})
}

fn each_change_is_told_once(state: &dyn State) {
    let catalogue = state.tenant(&tenant("acme")).unwrap().catalogue().unwrap();
    let vault = Vault::new(&"1".repeat(64)).unwrap();
    let ci = Arc::new(Actor::Token { id: "1f".to_owned(), name: "ci'\n\u{0}🦀".to_owned() });
    let a = name("a");
    Arc::clone(&ci).acts(|| {
        let first = catalogue.draft(&a, &files(1)).unwrap();
        let second = catalogue.draft(&a, &files(2)).unwrap();
        // What changes nothing tells nothing, nor what fails.
        assert_eq!(catalogue.draft(&a, &files(1)).unwrap(), first);
        assert!(catalogue.activate(&[first.clone(), crate::Draft::new(name("b"), 1)]).is_err());
        assert!(catalogue.edit(&second, "none", None).is_err());
        assert!(catalogue.delete_secret("NONE").is_err());
        catalogue.remove_shadow(&a).unwrap();
        assert!(catalogue.remove_rollout(&second).is_err());
        catalogue.forget(&[crate::Draft::new(name("b"), 1)]).unwrap();
        catalogue.edit(&second, "1/'\u{0}.txcl", Some("EMIT .a = 1")).unwrap();
        catalogue.activate(&[first]).unwrap();
        let share = Share::from_millionths(10_000).unwrap();
        let shadow = Shadow { stack: a.clone(), number: 2, share };
        catalogue.set_shadow(&shadow, None).unwrap();
        catalogue.remove_shadow(&a).unwrap();
        let rollout = Rollout { stack: a.clone(), number: 2, share, by: ".id".parse().unwrap() };
        catalogue.set_rollout(&rollout, None).unwrap();
        catalogue.remove_rollout(&second).unwrap();
        catalogue.set_rollout(&rollout, None).unwrap();
        catalogue.complete_rollout(&second).unwrap();
        let third = catalogue.draft(&a, &files(3)).unwrap();
        catalogue.delete_draft(&third).unwrap();
        catalogue.set_record_policy(Some(&a), None).unwrap();
        catalogue.set_secret(&vault, "KEY", "hunter2").unwrap();
    });
    catalogue.delete_secret("KEY").unwrap();
    log(state, AuditOf::Stacks)
        .write(&Deed::artifact_delete(&["compute://sha256/aa".parse().unwrap()]))
        .unwrap();
    let told = entries(state, AuditOf::Stacks);
    let what: Vec<_> = told.iter().map(|entry| &*entry.what).collect();
    let expected = [
        "draft.create",
        "draft.create",
        "draft.edit",
        "activate",
        "shadow.set",
        "shadow.remove",
        "rollout.set",
        "rollout.remove",
        "rollout.set",
        "rollout.complete",
        "draft.create",
        "draft.delete",
        "record.policy",
        "secret.set",
        "secret.delete",
        "artifact.delete",
    ];
    assert_eq!(what, expected);
    assert!(told.iter().zip(1..).all(|(entry, number)| entry.number == number));
    assert!(told[..14].iter().all(|entry| entry.who == *ci), "{told:?}");
    assert!(told[14..].iter().all(|entry| entry.who == Actor::Local));
    let versions = json!({ "versions": [{ "stack": "a", "number": 1 }] });
    assert_eq!(subject(&told[3]), versions);
    assert_eq!(subject(&told[2])["path"], "1/'\u{0}.txcl");
    let info = catalogue.info(&a, 2).unwrap();
    assert_eq!(subject(&told[2])["hash"], Value::from(info.hash));
    assert!(!format!("{told:?}").contains("hunter2"));
    assert_eq!(verified(&*log(state, AuditOf::Stacks)).unwrap(), told[15].head());
    // Another tenant's is another.
    let other = state.tenant(&tenant("other")).unwrap().audit(AuditOf::Stacks).unwrap();
    assert_eq!(other.page(None, 1).unwrap().head, AuditHead::default());
    // Entries that do not follow are not taken.
    let refused = log(state, AuditOf::Stacks).restore(&AuditHead::default(), &told[..2]);
    refused.unwrap();
    let mut wrong = told[15].clone();
    wrong.number = 17;
    let refused = log(state, AuditOf::Stacks).restore(&AuditHead::default(), &[wrong]);
    assert!(matches!(refused, Err(StateError::Failed { .. })), "{refused:?}");
    assert_eq!(entries(state, AuditOf::Stacks), told);
}

fn tokens_are_told_to_their_tenant(state: &dyn State) {
    let tokens = state.tokens().unwrap();
    let scopes = [TokenScope::Run].into();
    let acme = tenant("acme");
    let new = tokens.create(Some(&acme), "ci", &scopes, None).unwrap();
    assert!(tokens.revoke(&new.info.id, Some(&tenant("other"))).is_err());
    assert!(tokens.create(Some(&acme), "ci", &[].into(), None).is_err());
    // Whoever names no tenant.
    tokens.revoke(&new.info.id, None).unwrap();
    assert!(tokens.revoke(&new.info.id, None).is_err());
    let told = entries(state, AuditOf::Tokens);
    let what: Vec<_> = told.iter().map(|entry| &*entry.what).collect();
    assert_eq!(what, ["token.create", "token.revoke"]);
    assert_eq!(subject(&told[0])["id"], Value::from(&*new.info.id));
    assert_eq!(subject(&told[0])["scopes"], json!(["run"]));
    let secret = new.token.split_once(&*new.info.id).unwrap().1.trim_start_matches('_');
    assert!(secret.len() > 20, "{}", secret.len());
    assert!(!format!("{told:?}").contains(secret));
    assert_eq!(entries(state, AuditOf::Stacks), []);
    let default = state.tenant(&TenantName::default()).unwrap().audit(AuditOf::Tokens).unwrap();
    assert_eq!(default.page(None, 9).unwrap().entries, []);
    verified(&*log(state, AuditOf::Tokens)).unwrap();
    // A tenant of whom nothing else is kept is copied with the others.
    assert!(state.tenants().unwrap().contains(&acme));
}

fn schedules_are_told_to_their_tenant(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let few = StateQuotas { schedules: 1, audit_entries: 3, ..StateQuotas::default() };
    let state = new(few);
    let jobs = state().jobs().unwrap();
    let (acme, nightly) = (tenant("acme"), ScheduleName::from_str("nightly").unwrap());
    let times = CronTimes::new("@daily", "Europe/Berlin").unwrap();
    let work = JobWork::Document("report/1".to_owned());
    let mut set = NewSchedule::new(nightly.clone(), times, work, b"\"hunter2\"".to_vec());
    set.fuel = Some(u64::MAX);
    let ci = Arc::new(Actor::Token { id: "1f".to_owned(), name: "ci".to_owned() });
    Arc::clone(&ci).acts(|| {
        jobs.set_schedule(&acme, &set).unwrap();
        // What fails tells nothing, nor what a job does.
        let other = NewSchedule { name: "other".parse().unwrap(), ..set.clone() };
        assert!(jobs.set_schedule(&acme, &other).is_err());
        assert!(jobs.delete_schedule(&tenant("b"), &nightly).is_err());
        let submitted = jobs.submit(&[(acme.clone(), job())]).unwrap().remove(0).unwrap();
        jobs.cancel(&acme, &submitted.info.id).unwrap();
        jobs.retry(&acme, &submitted.info.id, JobId::new()).unwrap();
    });
    jobs.delete_schedule(&acme, &nightly).unwrap();
    // Nor what is fired, or copied.
    jobs.restore_schedules(&[(acme.clone(), set.set(None, Timestamp::UNIX_EPOCH))]).unwrap();
    let due = claim(&*jobs, 0).due;
    jobs.fire(&[due[0].firing(Timestamp::now())]).unwrap();
    let state = state();
    let told = entries(&*state, AuditOf::Schedules);
    let what: Vec<_> = told.iter().map(|entry| &*entry.what).collect();
    assert_eq!(what, ["schedule.set", "schedule.delete"]);
    assert_eq!((&told[0].who, &told[1].who), (&*ci, &Actor::Local));
    assert_eq!(subject(&told[1]), json!({ "name": "nightly" }));
    let subject = subject(&told[0]);
    assert_eq!((&subject["cron"], &subject["stack"]), (&json!("@daily"), &json!("report/1")));
    assert!(!format!("{told:?}").contains("hunter2"));
    assert_eq!(entries(&*state, AuditOf::Stacks), []);
    assert_eq!(entries(&*state, AuditOf::Tokens), []);
    let other = state.tenant(&tenant("b")).unwrap().audit(AuditOf::Schedules).unwrap();
    assert_eq!(other.page(None, 9).unwrap().entries, []);
    // A tenant of whom nothing else is kept is copied with the others, and the oldest go.
    assert!(state.tenants().unwrap().contains(&acme));
    for _ in 0..3 {
        jobs.set_schedule(&acme, &set).unwrap();
    }
    let kept = log(&*state, AuditOf::Schedules);
    let page = kept.page(Some(0), 9).unwrap();
    assert_eq!((page.gone.number, page.entries.len(), page.head.number), (2, 3, 5));
    assert_eq!(verified(&*kept).unwrap(), page.head);
    let copied = new(few)();
    copy(&*state, &*copied, &mut |_| {}).unwrap();
    assert_eq!(log(&*copied, AuditOf::Schedules).page(Some(0), 9).unwrap(), page);
}

fn the_oldest_go(state: &dyn State, other: &dyn State) {
    let catalogue = state.tenant(&tenant("acme")).unwrap().catalogue().unwrap();
    for number in 0..7 {
        catalogue.put_sealed("KEY", &[number]).unwrap();
    }
    let kept = log(state, AuditOf::Stacks);
    let page = kept.page(Some(0), 2).unwrap();
    assert_eq!((page.gone.number, page.head.number), (4, 7));
    let numbers = |page: &[AuditEntry]| page.iter().map(|one| one.number).collect::<Vec<_>>();
    assert_eq!(numbers(&page.entries), [5, 6]);
    assert_eq!(numbers(&kept.page(None, 2).unwrap().entries), [6, 7]);
    assert_eq!(numbers(&kept.page(Some(6), 9).unwrap().entries), [7]);
    assert_eq!(kept.page(Some(7), 9).unwrap().entries, []);
    let head = verified(&*kept).unwrap();
    assert_eq!(head, page.head);
    // A copy begins where it does, and goes on.
    copy(state, other, &mut |_| {}).unwrap();
    let copied = log(other, AuditOf::Stacks);
    assert_eq!(copied.page(Some(0), 9).unwrap(), kept.page(Some(0), 9).unwrap());
    let there = other.tenant(&tenant("acme")).unwrap().catalogue().unwrap();
    there.delete_secret("KEY").unwrap();
    assert_eq!(verified(&*copied).unwrap().number, 8);
}

fn many_at_once_make_one_chain(state: &Reopen) {
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let catalogue = state().tenant(&tenant("acme")).unwrap().catalogue().unwrap();
            scope.spawn(move || {
                for _ in 0..5 {
                    catalogue.put_sealed(&format!("KEY{thread}"), &[1]).unwrap();
                }
            });
        }
    });
    let state = state();
    assert_eq!(verified(&*log(&*state, AuditOf::Stacks)).unwrap().number, 15);
}
