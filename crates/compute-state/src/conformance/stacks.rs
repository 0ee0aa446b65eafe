//! Versions: kept, changed while they may be, activated and gone back to.

use compute::RecordKeep;

use crate::{
    Draft, File, RecordPolicies, RecordPolicy, Recorded, Rollout, Shadow, StackName, Stacks,
    StacksError, manifest_hash,
};

pub(super) const TESTS: [fn(&dyn Stacks); 12] = [
    nothing_is_there_at_first,
    versions_are_numbered_activated_and_gone_back_to,
    the_same_files_are_the_same_version,
    files_come_back_as_they_were,
    a_draft_changes_until_it_was_active,
    an_activation_is_all_or_nothing,
    what_was_active_is_not_forgotten,
    what_is_recorded_is_said_of_a_stack_and_of_all,
    a_shadow_never_changes,
    a_rollout_is_beside_an_active_version,
    a_rollout_ends_with_an_activation,
    a_rollout_is_completed_as_it_is,
];

pub(super) fn name(name: &str) -> StackName {
    name.parse().unwrap()
}

/// Two files, one of them with this number in it.
pub(super) fn files(number: u32) -> Vec<File> {
    vec![
        File::new("100_A/a.txcl", format!("EMIT .a = {number}")),
        File::new("200/b.txcl", "EMIT .b = 1"),
    ]
}

fn what_is_recorded_is_said_of_a_stack_and_of_all(stacks: &dyn Stacks) {
    let shop = name("shop/eu");
    assert_eq!(stacks.record_policies().unwrap(), RecordPolicies::default());
    let all = RecordPolicy { which: Recorded::All, keep: RecordKeep::Digests };
    let some = RecordPolicy { which: "1/100".parse().unwrap(), keep: RecordKeep::Bytes };
    let absent = stacks.set_record_policy(Some(&shop), Some(all));
    assert!(matches!(absent, Err(StacksError::NoStack(of)) if of == shop));
    let draft = stacks.draft(&shop, &files(1)).unwrap();
    stacks.set_record_policy(Some(&shop), Some(all)).unwrap();
    stacks.set_record_policy(None, Some(some)).unwrap();
    let policies = stacks.record_policies().unwrap();
    assert_eq!(policies.tenant, Some(some));
    assert_eq!(policies.stacks, [(shop.clone(), all)].into());
    assert_eq!((policies.of(Some(&shop)), policies.of(None)), (all, some));
    assert_eq!(policies.of(Some(&name("other"))), some);
    stacks.set_record_policy(None, None).unwrap();
    assert_eq!(stacks.record_policies().unwrap().of(None).which, Recorded::Off);
    // It goes with its stack.
    stacks.forget(&[draft]).unwrap();
    assert_eq!(stacks.record_policies().unwrap(), RecordPolicies::default());
}

fn a_shadow_never_changes(stacks: &dyn Stacks) {
    let shop = name("shop/eu");
    let share = "5%".parse().unwrap();
    let shadow = |number| Shadow { stack: shop.clone(), number, share };
    let absent = stacks.set_shadow(&shadow(1), None);
    assert!(matches!(absent, Err(StacksError::NoVersion { number: 1, .. })));
    let [_, two, three] = [1, 2, 3].map(|number| stacks.draft(&shop, &files(number)).unwrap());
    stacks.set_shadow(&shadow(1), None).unwrap();
    stacks.set_shadow(&shadow(2), None).unwrap();
    assert_eq!(stacks.shadows().unwrap(), [shadow(2)]);
    // What it answers is counted: it never changes, and does not go.
    let info = stacks.info(&shop, 2).unwrap();
    assert!(info.activated.is_some() && !info.active, "{info:?}");
    let refused = |draft: &Draft| {
        let edited = stacks.edit(draft, "200/b.txcl", None);
        assert!(matches!(edited, Err(StacksError::Immutable { .. })), "{edited:?}");
        let deleted = stacks.delete_draft(draft);
        assert!(matches!(deleted, Err(StacksError::Immutable { .. })), "{deleted:?}");
        stacks.forget(std::slice::from_ref(draft)).unwrap();
        assert_eq!(stacks.version(&shop, draft.number).unwrap().files, files(draft.number));
    };
    refused(&two);
    assert_eq!(stacks.shadows().unwrap(), [shadow(2)]);
    // Set again it is the same.
    stacks.set_shadow(&shadow(2), None).unwrap();
    assert_eq!(stacks.info(&shop, 2).unwrap(), info);
    stacks.remove_shadow(&shop).unwrap();
    assert_eq!(stacks.shadows().unwrap(), []);
    stacks.remove_shadow(&shop).unwrap();
    // What once was given to documents stays as it was; what never was does not.
    refused(&two);
    stacks.delete_draft(&three).unwrap();
}

fn rollout(stack: &str, number: u32, share: &str) -> Rollout {
    let (share, by) = (share.parse().unwrap(), ".customer.\"the id\"".parse().unwrap());
    Rollout { stack: name(stack), number, share, by }
}

fn a_rollout_is_beside_an_active_version(stacks: &dyn Stacks) {
    let shop = name("shop/eu");
    let at = |number, share| rollout("shop/eu", number, share);
    let absent = stacks.set_rollout(&at(1, "10%"), None);
    assert!(matches!(absent, Err(StacksError::NoVersion { number: 1, .. })), "{absent:?}");
    let drafts = [1, 2, 3].map(|number| stacks.draft(&shop, &files(number)).unwrap());
    let alone = stacks.set_rollout(&at(2, "10%"), None);
    assert!(matches!(alone, Err(StacksError::NotBeside { number: 2, .. })), "{alone:?}");
    stacks.activate(&drafts[..1]).unwrap();
    let itself = stacks.set_rollout(&at(1, "10%"), None);
    assert!(matches!(itself, Err(StacksError::NotBeside { number: 1, .. })), "{itself:?}");
    let absent = stacks.set_rollout(&at(9, "10%"), None);
    assert!(matches!(absent, Err(StacksError::NoVersion { number: 9, .. })), "{absent:?}");
    assert_eq!(stacks.rollouts().unwrap(), []);

    stacks.set_rollout(&at(2, "10%"), None).unwrap();
    assert_eq!(stacks.rollouts().unwrap(), [at(2, "10%")]);
    assert_eq!(stacks.active(&shop).unwrap().unwrap().info.number, 1);
    // It answers documents: it never changes, and does not go.
    let info = stacks.info(&shop, 2).unwrap();
    assert!(info.activated.is_some() && !info.active);
    let edited = stacks.edit(&drafts[1], "200/b.txcl", None);
    assert!(matches!(edited, Err(StacksError::Immutable { number: 2, .. })), "{edited:?}");
    let deleted = stacks.delete_draft(&drafts[1]);
    assert!(matches!(deleted, Err(StacksError::Immutable { number: 2, .. })), "{deleted:?}");
    stacks.forget(&drafts[1..2]).unwrap();
    assert_eq!(stacks.version(&shop, 2).unwrap().files, files(2));
    // Raised, and another in its place.
    stacks.set_rollout(&at(2, "0.0001%"), None).unwrap();
    stacks.set_rollout(&at(2, "100%"), None).unwrap();
    assert_eq!(stacks.info(&shop, 2).unwrap(), info);
    stacks.set_rollout(&at(3, "20%"), None).unwrap();
    assert_eq!(stacks.rollouts().unwrap(), [at(3, "20%")]);
    // Only the one that is meant is taken back.
    let remove = |number| stacks.remove_rollout(&Draft::new(shop.clone(), number));
    let other = remove(2);
    assert!(matches!(other, Err(StacksError::NoRollout { number: 2, .. })), "{other:?}");
    assert_eq!(stacks.rollouts().unwrap(), [at(3, "20%")]);
    remove(3).unwrap();
    assert_eq!(stacks.rollouts().unwrap(), []);
    let none = remove(3);
    assert!(matches!(none, Err(StacksError::NoRollout { number: 3, .. })), "{none:?}");
    // What once was given to documents stays as it was.
    let edited = stacks.edit(&drafts[1], "200/b.txcl", None);
    assert!(matches!(edited, Err(StacksError::Immutable { number: 2, .. })), "{edited:?}");
}

fn a_rollout_ends_with_an_activation(stacks: &dyn Stacks) {
    let drafts = [1, 2, 3].map(|number| stacks.draft(&name("a"), &files(number)).unwrap());
    let other = [1, 2].map(|number| stacks.draft(&name("b"), &files(number)).unwrap());
    stacks.activate(&[drafts[0].clone(), other[0].clone()]).unwrap();
    // Its own version, another, and the one that is active already.
    for version in [&drafts[1], &drafts[2], &drafts[2]] {
        let at = if version == &drafts[1] { 2 } else { 1 };
        stacks.set_rollout(&rollout("a", at, "10%"), None).unwrap();
        stacks.set_rollout(&rollout("b", 2, "10%"), None).unwrap();
        stacks.activate(std::slice::from_ref(version)).unwrap();
        assert_eq!(stacks.rollouts().unwrap(), [rollout("b", 2, "10%")], "of this stack alone");
        assert_eq!(stacks.active(&name("a")).unwrap().unwrap().info.number, version.number);
    }
    // What fails ends none.
    stacks.activate(&[other[0].clone(), Draft::new(name("c"), 1)]).unwrap_err();
    assert_eq!(stacks.rollouts().unwrap().len(), 1);
}

fn a_rollout_is_completed_as_it_is(stacks: &dyn Stacks) {
    let drafts = [1, 2, 3].map(|number| stacks.draft(&name("a"), &files(number)).unwrap());
    stacks.activate(&drafts[..1]).unwrap();
    let complete = |at: usize| stacks.complete_rollout(&drafts[at]);
    let none = complete(1);
    assert!(matches!(none, Err(StacksError::NoRollout { number: 2, .. })), "{none:?}");
    stacks.set_rollout(&rollout("a", 3, "10%"), None).unwrap();
    let other = complete(1);
    assert!(matches!(other, Err(StacksError::NoRollout { number: 2, .. })), "{other:?}");
    assert_eq!(stacks.active(&name("a")).unwrap().unwrap().info.number, 1);
    complete(2).unwrap();
    assert_eq!(stacks.active(&name("a")).unwrap().unwrap().info.number, 3);
    assert_eq!(stacks.rollouts().unwrap(), []);
    let again = complete(2);
    assert!(matches!(again, Err(StacksError::NoRollout { number: 3, .. })), "{again:?}");
}

fn nothing_is_there_at_first(stacks: &dyn Stacks) {
    let shop = name("shop/eu");
    assert_eq!(stacks.stacks().unwrap(), []);
    assert!(matches!(stacks.versions(&shop), Err(StacksError::NoStack(of)) if of == shop));
    assert!(matches!(stacks.version(&shop, 1), Err(StacksError::NoVersion { number: 1, .. })));
    assert_eq!(stacks.active(&shop).unwrap(), None);
    let absent = Draft::new(shop, 1);
    assert!(matches!(stacks.delete_draft(&absent), Err(StacksError::NoVersion { .. })));
    let edited = stacks.edit(&absent, "100/a.txcl", Some("EMIT .a = 1"));
    assert!(matches!(edited, Err(StacksError::NoVersion { .. })));
}

fn versions_are_numbered_activated_and_gone_back_to(stacks: &dyn Stacks) {
    let shop = name("shop/eu");
    let one = stacks.draft(&shop, &files(1)).unwrap();
    assert_eq!((one.stack.clone(), one.number), (shop.clone(), 1));
    assert_eq!(stacks.active(&shop).unwrap(), None, "a draft is not active");
    let listed = &stacks.stacks().unwrap()[0];
    assert_eq!((listed.active, listed.versions, listed.activated), (None, 1, None));
    stacks.activate(std::slice::from_ref(&one)).unwrap();
    let two = stacks.draft(&shop, &files(2)).unwrap();
    assert_eq!(two.number, 2);
    stacks.activate(&[two]).unwrap();
    let active = stacks.active(&shop).unwrap().unwrap();
    assert_eq!((active.info.number, active.info.rules, active.info.active), (2, 2, true));
    assert_eq!(active.files, files(2));
    assert_eq!(active, stacks.version(&shop, 2).unwrap());

    stacks.activate(&[one]).unwrap();
    assert_eq!(stacks.active(&shop).unwrap().unwrap().files, files(1));
    let versions = stacks.versions(&shop).unwrap();
    let told: Vec<_> =
        versions.iter().map(|one| (one.number, one.active, one.activated.is_some())).collect();
    assert_eq!(told, [(2, false, true), (1, true, true)]);
    let listed = &stacks.stacks().unwrap()[0];
    assert_eq!((listed.active, listed.versions), (Some(1), 2));
    assert_eq!(listed.activated, versions[1].activated);
}

fn the_same_files_are_the_same_version(stacks: &dyn Stacks) {
    let (a, b) = (name("a"), name("b"));
    let one = stacks.draft(&a, &files(1)).unwrap();
    let mut reversed = files(1);
    reversed.reverse();
    assert_eq!(stacks.draft(&a, &reversed).unwrap(), one, "in any order");
    let two = stacks.draft(&a, &files(2)).unwrap();
    stacks.activate(std::slice::from_ref(&one)).unwrap();
    stacks.activate(std::slice::from_ref(&two)).unwrap();
    assert_eq!(stacks.draft(&a, &files(1)).unwrap(), one, "one that was active");
    assert_eq!(stacks.draft(&b, &files(2)).unwrap().number, 1, "each stack has its own");
    assert_eq!(stacks.versions(&a).unwrap().len(), 2);
    let names: Vec<_> = stacks.stacks().unwrap().into_iter().map(|one| one.stack).collect();
    assert_eq!(names, [a, b]);
}

fn files_come_back_as_they_were(stacks: &dyn Stacks) {
    let texts = ["EMIT .a = \"ä → 🦀\"\r\n", "# 'one'; DROP TABLE files; --\nEMIT .b = 1\n"];
    let files =
        [File::new("0300_Z/z.txcl", texts[1]), File::new("100_A/long-name_1.txcl", texts[0])];
    let draft = stacks.draft(&name("A-b_9/c"), &files).unwrap();
    let version = stacks.version(&draft.stack, draft.number).unwrap();
    assert_eq!(version.files, files, "by path");
    assert_eq!(version.info.hash, manifest_hash(&files));
    assert_eq!(version.info.rules, 2);
}

fn a_draft_changes_until_it_was_active(stacks: &dyn Stacks) {
    let a = name("a");
    let draft = stacks.draft(&a, &files(1)).unwrap();
    let version = || stacks.version(&a, 1).unwrap();
    let first = version();
    stacks.edit(&draft, "200/more.txcl", Some("EMIT .c = 1")).unwrap();
    stacks.edit(&draft, "200/more.txcl", Some("EMIT .c = 2")).unwrap();
    let edited = version();
    assert_eq!((edited.files.len(), edited.info.rules), (3, 3));
    assert_eq!(edited.files[2].text, "EMIT .c = 2");
    assert_eq!(edited.info.hash, manifest_hash(&edited.files));
    assert_eq!(stacks.draft(&a, &edited.files).unwrap(), draft, "what it is now is what counts");
    stacks.edit(&draft, "200/more.txcl", None).unwrap();
    assert_eq!(version(), first);
    let gone = stacks.edit(&draft, "200/more.txcl", None);
    assert!(matches!(gone, Err(StacksError::NoFile { path, .. }) if path == "200/more.txcl"));

    stacks.activate(std::slice::from_ref(&draft)).unwrap();
    let other = stacks.draft(&a, &files(2)).unwrap();
    stacks.activate(std::slice::from_ref(&other)).unwrap();
    // It is not active now, but was.
    for refused in [
        stacks.edit(&draft, "200/more.txcl", Some("EMIT .c = 1")),
        stacks.edit(&draft, "100_A/a.txcl", None),
        stacks.delete_draft(&draft),
    ] {
        assert!(matches!(refused, Err(StacksError::Immutable { number: 1, .. })), "{refused:?}");
    }
    assert_eq!(version().files, files(1));
    let third = stacks.draft(&a, &files(3)).unwrap();
    stacks.delete_draft(&third).unwrap();
    assert!(matches!(stacks.delete_draft(&third), Err(StacksError::NoVersion { .. })));
    assert_eq!(stacks.versions(&a).unwrap().len(), 2);
}

fn an_activation_is_all_or_nothing(stacks: &dyn Stacks) {
    let draft = stacks.draft(&name("a"), &files(1)).unwrap();
    let absent = Draft::new(name("b"), 7);
    let refused = stacks.activate(&[draft.clone(), absent]);
    assert!(matches!(refused, Err(StacksError::NoVersion { number: 7, .. })), "{refused:?}");
    assert_eq!(stacks.active(&name("a")).unwrap(), None);
    stacks.edit(&draft, "200/b.txcl", None).unwrap();
}

fn what_was_active_is_not_forgotten(stacks: &dyn Stacks) {
    let [one, two] = [1, 2].map(|number| stacks.draft(&name("a"), &files(number)).unwrap());
    let other = stacks.draft(&name("b"), &files(1)).unwrap();
    stacks.activate(std::slice::from_ref(&one)).unwrap();
    stacks.forget(&[one, two, other]).unwrap();
    let left = stacks.stacks().unwrap();
    assert_eq!(left.len(), 1, "a stack without versions goes");
    assert_eq!((left[0].active, left[0].versions), (Some(1), 1));
}
