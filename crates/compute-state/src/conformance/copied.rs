//! What is copied to another place and back is what it was.

use super::Reopen;
use super::stacks::{files, name};
use crate::{
    CopyError, File, RecordPolicy, Shadow, Share, StacksError, State, StateQuotas, TenantName,
    TokenScope, Vault, copy,
};

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    // What is there is copied though it is more than there may be of what is new.
    let few = StateQuotas { stacks: 0, versions: 1, secrets: 0, tokens: 0, ..standard };
    let states = [new(standard), new(few), new(standard), new(standard)];
    let [from, to, back, other] = [0, 1, 2, 3].map(|number: usize| states[number]());
    fill(&*from);
    let copied = copy(&*from, &*to, &mut |_| {}).unwrap();
    assert_eq!((copied.versions, copied.secrets, copied.tokens), (6, 2, 2));
    // Once more changes nothing.
    assert_eq!(copy(&*from, &*to, &mut |_| {}).unwrap(), copied);
    assert_eq!(copy(&*to, &*back, &mut |_| {}).unwrap(), copied);
    for tenant in ["default", "acme"].map(|name| name.parse::<TenantName>().unwrap()) {
        let [one, two] =
            [&from, &back].map(|state| state.tenant(&tenant).unwrap().catalogue().unwrap());
        assert_eq!(one.stacks().unwrap(), two.stacks().unwrap());
        assert_eq!(one.version(&name("a"), 2).unwrap(), two.version(&name("a"), 2).unwrap());
        assert_eq!(one.refs().unwrap(), two.refs().unwrap());
        // The next number is the next.
        assert_eq!(two.draft(&name("a"), &files(9)).unwrap().number, 4);
        assert_eq!(two.active(&name("a")).unwrap().unwrap().info.number, 2);
    }
    // What is there already stays, and is told.
    let taken = copy(&*from, &*back, &mut |_| {});
    assert!(matches!(taken, Err(CopyError::Differs(_))), "{taken:?}");
    let catalogue = other.tenant(&TenantName::default()).unwrap().catalogue().unwrap();
    catalogue.draft(&name("a"), &files(7)).unwrap();
    let taken = copy(&*from, &*other, &mut |_| {});
    assert!(
        matches!(taken, Err(CopyError::Stacks(StacksError::Taken { number: 1, .. }))),
        "{taken:?}"
    );
    assert_eq!(catalogue.version(&name("a"), 1).unwrap().files, files(7));
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
        catalogue.set_shadow(&Shadow { stack: name("a"), number: 3, share }).unwrap();
        let policy = RecordPolicy { which: "1/7".parse().unwrap(), ..RecordPolicy::default() };
        catalogue.set_record_policy(Some(&name("a")), Some(policy)).unwrap();
        catalogue.set_secret(&vault, "KEY", "value").unwrap();
        let tokens = state.tokens().unwrap();
        tokens.create(Some(&tenant), "ä", &[TokenScope::Run].into(), None).unwrap();
    }
}
