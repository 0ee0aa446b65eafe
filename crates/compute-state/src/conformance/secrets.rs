//! Secrets: set, never shown, and kept sealed.

use super::Reopen;
use crate::{SecretError, Secrets, StateQuotas, TenantName, Vault};

pub(super) const TESTS: [fn(&dyn Secrets); 2] = [secrets_are_set_and_forgotten, names_are_checked];

fn names(secrets: &dyn Secrets) -> Vec<String> {
    secrets.list().unwrap().into_iter().map(|one| one.name).collect()
}

fn secrets_are_set_and_forgotten(secrets: &dyn Secrets) {
    assert!(names(secrets).is_empty());
    for name in ["b.c-D_9", "API_KEY", "API_KEY"] {
        secrets.set(name, "hunter2").unwrap();
    }
    assert_eq!(names(secrets), ["API_KEY", "b.c-D_9"], "by name");
    secrets.delete("API_KEY").unwrap();
    let gone = secrets.delete("API_KEY");
    assert!(matches!(gone, Err(SecretError::NoSecret(name)) if name == "API_KEY"));
    assert_eq!(names(secrets), ["b.c-D_9"]);
}

fn names_are_checked(secrets: &dyn Secrets) {
    for name in ["a b", "a/b", "ä", "'; --", &"x".repeat(129)] {
        let refused = secrets.set(name, "value");
        assert!(matches!(refused, Err(SecretError::Name(_))), "{name}: {refused:?}");
    }
    assert!(secrets.set("A", &"x".repeat((64 << 10) + 1)).is_err());
    secrets.set(&"x".repeat(128), &"x".repeat(64 << 10)).unwrap();
    assert_eq!(names(secrets).len(), 1);
}

/// What is asked of whoever keeps them sealed.
pub(super) fn sealed(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let standard = StateQuotas::default();
    let open =
        |state: &Reopen| state().tenant(&TenantName::default()).unwrap().catalogue().unwrap();
    let vault = Vault::new(&"a".repeat(64)).unwrap();

    let state = new(standard);
    let (here, there) = (open(&state), open(&state));
    here.set_secret(&vault, "A", "first").unwrap();
    here.set_secret(&vault, "A", "hunter2").unwrap();
    here.set_secret(&vault, "B", "").unwrap();
    let opened = there.open_secrets(&vault).unwrap();
    let opened: Vec<_> = opened.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(opened, [("A", "hunter2"), ("B", "")]);
    let kept = there.sealed_secrets().unwrap();
    assert!(!kept["A"].windows(7).any(|part| part == b"hunter2"), "in the clear");
    let other = Vault::new(&"b".repeat(64)).unwrap();
    assert!(matches!(there.open_secrets(&other), Err(SecretError::Vault(_))));
    // One is not taken for another.
    here.put_sealed("B", &kept["A"]).unwrap();
    assert!(matches!(there.open_secrets(&vault), Err(SecretError::Vault(_))));
    for name in ["", "a b", "../A"] {
        assert!(matches!(here.put_sealed(name, b"x"), Err(SecretError::Name(_))), "{name}");
    }

    let state = new(StateQuotas { secrets: 2, ..standard });
    let few = open(&state);
    for name in ["A", "B", "A"] {
        few.set_secret(&vault, name, "value").unwrap();
    }
    let more = few.set_secret(&vault, "C", "value");
    assert!(matches!(more, Err(SecretError::TooMany { limit: 2 })), "{more:?}");

    let state = new(StateQuotas { secret_bytes: 100, ..standard });
    let small = open(&state);
    small.put_sealed("A", &[1; 60]).unwrap();
    let more = small.put_sealed("B", &[2; 41]);
    assert!(matches!(more, Err(SecretError::Quota { limit: 100 })), "{more:?}");
    small.put_sealed("A", &[3; 100]).unwrap();
    assert_eq!(small.sealed_secrets().unwrap().len(), 1);
    assert_eq!(small.sealed_secrets().unwrap()["A"], [3; 100]);
}
