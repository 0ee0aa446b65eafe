//! What every implementation of the traits must do, as functions for its tests.
//!
//! [`all`] is for whoever keeps everything; [`stacks()`], [`secrets()`], [`tokens()`], [`jobs()`] and [`schedules()`] are for whoever does what is
//! done through a server, too. Each test begins on something new, and panics with what is wrong.

#![expect(clippy::unwrap_used, reason = "a suite tells what is wrong by its panics")]

mod audit;
mod catalogue;
mod copied;
mod jobs;
mod model;
mod schedules;
mod secrets;
mod shares;
mod stacks;
mod tokens;
mod traces;
mod usage;

pub use model::{Clock, ModelQueue};

use std::sync::Arc;
use std::time::Duration;

use compute::Ref;

use crate::{
    Bindings, Jobs, Schedules, Secrets, Stacks, State, StateQuotas, TenantJobs, TenantName, Tokens,
    Vault, VaultSecrets,
};

/// How soon what another did must be seen, with time for a machine that does other things.
const SOON: Duration = Duration::from_secs(10);

/// Opens the same state once more, as another process would.
pub type Reopen = Box<dyn Fn() -> Arc<dyn State>>;

/// Runs the whole suite. Each test is given a state of its own to which nothing was written, under these quotas.
pub fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    // What was opened is kept until the end.
    let mut states = Vec::new();
    let mut another = || {
        states.push(new(standard));
        states.last().unwrap()()
    };
    let default = |state: Arc<dyn State>| state.tenant(&TenantName::default()).unwrap();
    stacks(&mut || default(another()).catalogue().unwrap());
    secrets(&mut || {
        let vault = Vault::new(&"5a".repeat(32)).unwrap();
        Arc::new(VaultSecrets::new(default(another()).catalogue().unwrap(), vault))
    });
    tokens(&mut || another().tokens().unwrap());
    jobs(&mut || Arc::new(TenantJobs::new(another().jobs().unwrap(), TenantName::default())));
    schedules(&mut || Arc::new(TenantJobs::new(another().jobs().unwrap(), TenantName::default())));
    catalogue::all(new);
    secrets::sealed(new);
    tokens::checked(new);
    traces::all(new);
    jobs::all(new);
    schedules::all(new);
    copied::all(new);
    audit::all(new);
    usage::all(new);
    shares::all(new);
}

/// Runs what is asked of [`Stacks`], each test on a tenant without any.
pub fn stacks(new: &mut dyn FnMut() -> Arc<dyn Stacks>) {
    for test in stacks::TESTS {
        test(&*new());
    }
}

/// Runs what is asked of [`Secrets`], each test on a tenant without any.
pub fn secrets(new: &mut dyn FnMut() -> Arc<dyn Secrets>) {
    for test in secrets::TESTS {
        test(&*new());
    }
}

/// Runs what is asked of [`Tokens`], each test where there are none but one's own.
pub fn tokens(new: &mut dyn FnMut() -> Arc<dyn Tokens>) {
    for test in tokens::TESTS {
        test(&*new());
    }
}

/// Runs what is asked of [`Jobs`], each test on a tenant without any, whose jobs nobody runs.
pub fn jobs(new: &mut dyn FnMut() -> Arc<dyn Jobs>) {
    for test in jobs::TESTS {
        test(&*new());
    }
}

/// Runs what is asked of [`Schedules`], each test on a tenant without any.
pub fn schedules(new: &mut dyn FnMut() -> Arc<dyn Schedules>) {
    for test in schedules::TESTS {
        test(&*new());
    }
}

/// Runs what is asked of [`Bindings`] on some without any.
pub fn bindings(bindings: &dyn Bindings) {
    assert!(bindings.bindings().unwrap().is_empty());
    let [one, two] = ["1", "2"].map(|of| format!("compute://sha256/{of}").parse::<Ref>().unwrap());
    assert_eq!(bindings.bind("javy", None).unwrap(), None);
    assert_eq!(bindings.bind("javy", Some(&one)).unwrap(), None);
    assert_eq!(bindings.bind("../'\"\n", Some(&one)).unwrap(), None);
    assert_eq!(bindings.bind("javy", Some(&two)).unwrap(), Some(one.clone()));
    let expected = [("../'\"\n".to_owned(), one.clone()), ("javy".to_owned(), two)];
    assert_eq!(bindings.bindings().unwrap(), expected.into());
    assert_eq!(bindings.bind("../'\"\n", None).unwrap(), Some(one));
    assert_eq!(bindings.bindings().unwrap().len(), 1);
    // Two at once both hold.
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..5 {
                    let plugin = Ref::of(compute::Algorithm::Sha256, &[thread, number]);
                    bindings.bind(&format!("n{thread}-{number}"), Some(&plugin)).unwrap();
                }
            });
        }
    });
    assert_eq!(bindings.bindings().unwrap().len(), 21);
}
