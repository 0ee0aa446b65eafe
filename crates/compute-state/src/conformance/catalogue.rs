//! What documents need of stacks: one moment, a number that grows, quotas; and tenants that are apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::stacks::{files, name};
use super::{Reopen, SOON};
use crate::{Catalogue, Draft, File, Rollout, Shadow, StacksError, StateQuotas, TenantName, Vault};

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    for test in [
        many_become_active_at_one_moment,
        a_rollout_is_seen_beside_what_it_is_beside,
        what_was_changed_gets_no_document,
        the_change_number_grows_and_others_see_it,
        every_ref_of_every_version_is_told,
        names_are_only_names,
        what_is_named_is_not_released,
        tenants_are_apart,
    ] {
        test(&new(StateQuotas::default()));
    }
    quotas_hold(new);
}

fn of(state: &Reopen, tenant: &str) -> Arc<dyn Catalogue> {
    let tenant: TenantName = tenant.parse().unwrap();
    state().tenant(&tenant).unwrap().catalogue().unwrap()
}

/// A reader with a handle of its own never sees one stack of one round beside another of another.
fn many_become_active_at_one_moment(state: &Reopen) {
    let (writer, reader) = (of(state, "default"), of(state, "default"));
    let drafts =
        |round| ["a", "b", "c"].map(|one| writer.draft(&name(one), &files(round)).unwrap());
    let rounds = [drafts(1), drafts(2)];
    writer.activate(&rounds[0]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in rounds.iter().cycle().skip(1).take(30) {
                writer.activate(round).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let active = reader.all_active().unwrap();
            let hashes: Vec<_> = active.iter().map(|one| &one.hash).collect();
            assert_eq!(hashes.len(), 3);
            assert!(hashes.iter().all(|one| *one == hashes[0]), "half of a change: {hashes:?}");
        }
    });
    let names: Vec<_> = reader.all_active().unwrap().into_iter().map(|one| one.stack).collect();
    assert_eq!(names, ["a", "b", "c"].map(name), "by name");
}

fn rollout(stack: &str, number: u32) -> Rollout {
    let (share, by) = ("10%".parse().unwrap(), ".id".parse().unwrap());
    Rollout { stack: name(stack), number, share, by }
}

/// A reader with a handle of its own never sees a version that is both, or neither though it was completed.
fn a_rollout_is_seen_beside_what_it_is_beside(state: &Reopen) {
    let (writer, reader) = (of(state, "default"), of(state, "default"));
    let [one, two] = [1, 2].map(|number| writer.draft(&name("a"), &files(number)).unwrap());
    writer.activate(std::slice::from_ref(&one)).unwrap();
    writer.set_rollout(&rollout("a", 2), None).unwrap();
    let running = reader.running().unwrap();
    let [(seen, info)] = &running.rollouts[..] else { unreachable!("{running:?}") };
    assert_eq!((seen, &info.hash), (&rollout("a", 2), &writer.info(&name("a"), 2).unwrap().hash));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..15 {
                writer.complete_rollout(&two).unwrap();
                writer.set_rollout(&rollout("a", 1), None).unwrap();
                writer.complete_rollout(&one).unwrap();
                writer.set_rollout(&rollout("a", 2), None).unwrap();
            }
            done.store(true, Ordering::SeqCst);
        });
        while !done.load(Ordering::SeqCst) {
            let running = reader.running().unwrap();
            assert_eq!(running.active.len(), 1);
            let also = running.rollouts.iter().filter(|(rollout, info)| {
                rollout.number != info.number || info.number == running.active[0].number
            });
            assert_eq!(also.count(), 0, "half of a change: {running:?}");
        }
    });
}

/// Who checks a version says which files it had; another may change it meanwhile, through a handle of their own.
fn what_was_changed_gets_no_document(state: &Reopen) {
    let (here, there) = (of(state, "default"), of(state, "default"));
    let a = name("a");
    let [one, two] = [1, 2].map(|number| here.draft(&a, &files(number)).unwrap());
    let beside = here.draft(&name("b"), &files(1)).unwrap();
    here.activate(std::slice::from_ref(&one)).unwrap();
    let hash = here.info(&a, 2).unwrap().hash;
    let checked = two.clone().with_hash(Some(&hash));
    let shadow = Shadow { stack: a.clone(), number: 2, share: "5%".parse().unwrap() };
    there.edit(&two, "200/b.txcl", Some("EMIT .b = 2")).unwrap();
    let now = here.change_number().unwrap();
    for refused in [
        here.activate(&[beside.clone(), checked.clone()]),
        here.set_rollout(&rollout("a", 2), Some(&hash)),
        here.set_shadow(&shadow, Some(&hash)),
    ] {
        assert!(matches!(refused, Err(StacksError::Changed { number: 2, .. })), "{refused:?}");
    }
    assert_eq!(here.active(&beside.stack).unwrap(), None, "all or none");
    assert_eq!((here.rollouts().unwrap(), here.shadows().unwrap()), (vec![], vec![]));
    assert_eq!(here.change_number().unwrap(), now);
    // Nor one of the same number that took its place; as it was it is the same again.
    there.delete_draft(&two).unwrap();
    assert_eq!(there.draft(&a, &files(3)).unwrap(), two);
    let refused = here.activate(std::slice::from_ref(&checked));
    assert!(matches!(refused, Err(StacksError::Changed { number: 2, .. })), "{refused:?}");
    there.edit(&two, "100_A/a.txcl", Some(&files(2)[0].text)).unwrap();
    here.set_shadow(&shadow, Some(&hash)).unwrap();
    here.set_rollout(&rollout("a", 2), Some(&hash)).unwrap();
    let other = here.complete_rollout(&two.with_hash(Some("other")));
    assert!(matches!(other, Err(StacksError::Changed { number: 2, .. })), "{other:?}");
    here.complete_rollout(&checked).unwrap();
    here.activate(&[checked, beside]).unwrap();
    assert_eq!(here.active(&a).unwrap().unwrap().files, files(2));
}

fn the_change_number_grows_and_others_see_it(state: &Reopen) {
    let (here, there) = (of(state, "default"), of(state, "default"));
    let vault = Vault::new(&"1".repeat(64)).unwrap();
    let one = here.draft(&name("a"), &files(1)).unwrap();
    let two = here.draft(&name("a"), &files(2)).unwrap();
    let mut last = there.change_number().unwrap();
    assert_eq!(here.change_number().unwrap(), last);
    let mut grows = |what: &str| {
        let now = here.change_number().unwrap();
        assert!(now > last, "{what}: {last}, then {now}");
        let until = Instant::now() + SOON;
        while there.change_number().unwrap() < now {
            assert!(Instant::now() < until, "{what}: it is not seen elsewhere");
            std::thread::sleep(Duration::from_millis(1));
        }
        last = now;
    };
    here.activate(std::slice::from_ref(&one)).unwrap();
    grows("an activation");
    here.activate(&[two]).unwrap();
    grows("another");
    here.activate(&[one]).unwrap();
    grows("one that goes back");
    here.set_rollout(&rollout("a", 2), None).unwrap();
    grows("a rollout");
    here.remove_rollout(&Draft::new(name("a"), 2)).unwrap();
    grows("a rollout that is taken back");
    here.set_rollout(&rollout("a", 2), None).unwrap();
    grows("another rollout");
    here.complete_rollout(&Draft::new(name("a"), 2)).unwrap();
    grows("a rollout that is completed");
    here.set_secret(&vault, "KEY", "one").unwrap();
    grows("a secret");
    here.set_secret(&vault, "KEY", "two").unwrap();
    grows("another value");
    here.delete_secret("KEY").unwrap();
    grows("a secret that goes");
    let now = last;
    assert!(here.activate(&[Draft::new(name("a"), 9)]).is_err());
    assert!(here.delete_secret("KEY").is_err());
    assert!(here.set_rollout(&rollout("a", 2), None).is_err());
    assert!(here.complete_rollout(&Draft::new(name("a"), 1)).is_err());
    assert_eq!(there.change_number().unwrap(), now, "what failed changes nothing");
}

fn every_ref_of_every_version_is_told(state: &Reopen) {
    let catalogue = of(state, "default");
    let exec = |of: &str| format!("EXEC \"compute://sha256/{of}\"");
    let a = name("a");
    let one = catalogue.draft(&a, &[File::new("1/a.txcl", exec("aa"))]).unwrap();
    let refs = || -> Vec<String> {
        catalogue.refs().unwrap().iter().map(|one| one.digest().to_owned()).collect()
    };
    catalogue.edit(&one, "1/b.txcl", Some(&exec("bb"))).unwrap();
    assert_eq!(refs(), ["aa", "bb"]);
    catalogue.edit(&one, "1/b.txcl", None).unwrap();
    assert_eq!(refs(), ["aa"]);
    catalogue.activate(&[one]).unwrap();
    let two = catalogue.draft(&a, &[File::new("1/a.txcl", exec("00"))]).unwrap();
    let three = catalogue.draft(&name("b"), &[File::new("1/a.txcl", exec("aa"))]).unwrap();
    assert_eq!(refs(), ["00", "aa"], "in order, each once");
    let naming = |of: &str| {
        let named = catalogue.naming(&format!("compute://sha256/{of}").parse().unwrap()).unwrap();
        named.map(|one| (one.stack.to_string(), one.number))
    };
    assert_eq!(naming("00"), Some(("a".to_owned(), 2)));
    assert_eq!((naming("aa"), naming("bb")), (Some(("a".to_owned(), 1)), None));
    catalogue.activate(std::slice::from_ref(&two)).unwrap();
    catalogue.forget(&[three]).unwrap();
    assert_eq!(refs(), ["00", "aa"], "what can be gone back to");
}

fn what_is_named_is_not_released(state: &Reopen) {
    let catalogue = of(state, "default");
    let exec = |of: &str| format!("EXEC \"compute://sha256/{of}\"");
    let named: compute::Ref = "compute://sha256/aa".parse().unwrap();
    catalogue.draft(&name("a"), &[File::new("1/a.txcl", exec("aa"))]).unwrap();
    assert!(!catalogue.release(&named).unwrap());
    assert!(of(state, "acme").release(&named).unwrap(), "another tenant's is another");
    assert!(catalogue.release(&"compute://sha256/bb".parse().unwrap()).unwrap());
}

/// Whatever a path or a name says, it is kept as it is and reaches nothing else.
fn names_are_only_names(state: &Reopen) {
    let catalogue = of(state, "default");
    let paths =
        ["", " ", "%", "'; DROP TABLE files; --", "../../a", "/etc/passwd", "A", "a", "ä\n🦀"];
    let files = paths.map(|path| File::new(path, format!("{path}'\"\\")));
    let draft = catalogue.draft(&name("a"), &files).unwrap();
    let kept = catalogue.version(&draft.stack, draft.number).unwrap().files;
    let mut sorted = files.to_vec();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(kept, sorted);
    catalogue.edit(&draft, "%", None).unwrap();
    assert_eq!(catalogue.version(&draft.stack, 1).unwrap().files.len(), paths.len() - 1);
    // Names that look alike are of different stacks.
    for (at, stack) in ["A", "a/b", "a-b", "a_b"].into_iter().enumerate() {
        let draft = catalogue.draft(&name(stack), &super::stacks::files(1)).unwrap();
        assert_eq!((draft.number, catalogue.stacks().unwrap().len()), (1, at + 2));
    }
    let longest = name(&"x".repeat(crate::StackName::MAX));
    catalogue.draft(&longest, &super::stacks::files(1)).unwrap();
    assert_eq!(catalogue.versions(&longest).unwrap().len(), 1);
}

fn tenants_are_apart(state: &Reopen) {
    let tenants = ["default", "acme", "a", "a-b"];
    let vault = Vault::new(&"1".repeat(64)).unwrap();
    for (number, tenant) in (1..).zip(tenants) {
        let catalogue = of(state, tenant);
        assert_eq!(catalogue.stacks().unwrap(), [], "{tenant}");
        assert!(catalogue.secrets().unwrap().is_empty(), "{tenant}");
        let draft = catalogue.draft(&name("s"), &files(number)).unwrap();
        catalogue.activate(&[draft]).unwrap();
        catalogue.set_secret(&vault, "KEY", tenant).unwrap();
        let traces = state().tenant(&tenant.parse().unwrap()).unwrap().traces().unwrap();
        assert!(traces.ids().unwrap().is_empty(), "{tenant}");
        traces.write("t", &mut |text| write!(text, "{tenant}")).unwrap();
    }
    for (number, tenant) in (1..).zip(tenants) {
        let catalogue = of(state, tenant);
        let active = catalogue.all_active().unwrap();
        let active = catalogue.version(&active[0].stack, active[0].number).unwrap();
        assert_eq!(active.files, files(number), "{tenant}");
        assert_eq!(catalogue.open_secrets(&vault).unwrap()["KEY"], tenant);
        let traces = state().tenant(&tenant.parse().unwrap()).unwrap().traces().unwrap();
        let mut text = String::new();
        super::traces::until_seen(&*traces, 1);
        traces.read_text("t").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, tenant);
    }
}

fn quotas_hold(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    let limit = |refused: Result<Draft, StacksError>| match refused {
        Err(StacksError::Quota { limit, .. }) => limit,
        other => unreachable!("no quota: {other:?}"),
    };
    let s = name("s");

    let state = new(StateQuotas { drafts: 3, ..standard });
    let catalogue = of(&state, "default");
    let drafts = [1, 2, 3].map(|number| catalogue.draft(&s, &files(number)).unwrap());
    assert_eq!(limit(catalogue.draft(&s, &files(4))), 3);
    assert_eq!(catalogue.versions(&s).unwrap().len(), 3, "nothing of it was kept");
    catalogue.draft(&s, &files(3)).unwrap();
    // One that becomes active makes room.
    catalogue.activate(&drafts[..1]).unwrap();
    catalogue.draft(&s, &files(4)).unwrap();

    let state = new(StateQuotas { stacks: 2, ..standard });
    let catalogue = of(&state, "default");
    for stack in ["a", "b"] {
        catalogue.draft(&name(stack), &files(1)).unwrap();
    }
    assert_eq!(limit(catalogue.draft(&name("c"), &files(1))), 2);
    assert_eq!(catalogue.stacks().unwrap().len(), 2);

    let state = new(StateQuotas { rollouts: 1, ..standard });
    let catalogue = of(&state, "default");
    for stack in ["a", "b"] {
        let drafts = [1, 2].map(|number| catalogue.draft(&name(stack), &files(number)).unwrap());
        catalogue.activate(&drafts[..1]).unwrap();
    }
    catalogue.set_rollout(&rollout("a", 2), None).unwrap();
    catalogue.set_rollout(&rollout("a", 2), None).unwrap();
    let refused = catalogue.set_rollout(&rollout("b", 2), None);
    assert_eq!(limit(refused.map(|()| Draft::new(name("b"), 2))), 1);
    assert!(catalogue.info(&name("b"), 2).unwrap().activated.is_none(), "nothing was changed");

    let state = new(StateQuotas { versions: 2, ..standard });
    let catalogue = of(&state, "default");
    for number in 1..=2 {
        let draft = catalogue.draft(&s, &files(number)).unwrap();
        catalogue.activate(&[draft]).unwrap();
    }
    assert_eq!(limit(catalogue.draft(&s, &files(3))), 2);
    catalogue.draft(&name("other"), &files(3)).unwrap();

    for quotas in
        [StateQuotas { draft_bytes: 1000, ..standard }, StateQuotas { bytes: 1000, ..standard }]
    {
        let state = new(quotas);
        let catalogue = of(&state, "default");
        let large = File::new("1/b.txcl", "#".repeat(990));
        let draft = catalogue.draft(&s, &files(1)).unwrap();
        let edited = catalogue.edit(&draft, &large.path, Some(&large.text));
        assert_eq!(limit(edited.map(|()| draft.clone())), 1000);
        assert_eq!(limit(catalogue.draft(&s, &[large])), 1000);
        assert_eq!(catalogue.version(&s, 1).unwrap().files, files(1));
        catalogue.edit(&draft, "1/b.txcl", Some("EMIT .b = 1")).unwrap();
        // What was active is no draft, but it is still kept.
        catalogue.activate(&[draft]).unwrap();
        let more = catalogue.draft(&s, &[File::new("1/b.txcl", "#".repeat(950))]);
        assert_eq!(more.is_ok(), quotas.bytes > 1000);
    }
}
