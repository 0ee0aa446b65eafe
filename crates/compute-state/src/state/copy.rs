//! All that is kept in one place, as it is kept in another.

use std::collections::BTreeMap;

use crate::{
    Catalogue, SecretError, StacksError, State, StateError, TenantName, TokensError, VersionInfo,
};

/// How much was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// How many tenants.
    pub tenants: usize,
    /// How many versions of stacks.
    pub versions: usize,
    /// How many secrets.
    pub secrets: usize,
    /// How many tokens.
    pub tokens: usize,
}

/// What is kept cannot be copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// Something is not the same in both places.
    #[error(
        "{0} are not the same in both places: something changed meanwhile, or was there before; stop what uses them, and copy to one that is empty"
    )]
    Differs(String),
    /// Versions cannot be read or written.
    #[error(transparent)]
    Stacks(#[from] StacksError),
    /// Secrets cannot be read or written.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// Tokens cannot be read or written.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// What is kept cannot be opened.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Copies all stacks, policies, shadows, secrets and tokens of all tenants, and sees that they are the same afterwards; traces and
/// records stay where they are. One that was broken off goes on where it stopped. Secrets stay sealed with the key that they were
/// sealed with.
///
/// Nothing may change either place meanwhile. `told` is called as it goes on.
///
/// # Errors
/// [`CopyError::Differs`], or [`StacksError::Taken`] in it, if the other place has something else already.
pub fn copy(
    from: &dyn State,
    to: &dyn State,
    told: &mut dyn FnMut(Copied),
) -> Result<Copied, CopyError> {
    let mut done = Copied::default();
    for tenant in from.tenants()? {
        let old = from.tenant(&tenant)?.catalogue()?;
        let new = to.tenant(&tenant)?.catalogue()?;
        copy_tenant(&*old, &*new, &mut |versions, secrets| {
            done.versions += versions;
            done.secrets += secrets;
            told(done);
        })?;
        same(&tenant, &*old, &*new)?;
        done.tenants += 1;
        told(done);
    }
    let (old, new) = (from.tokens()?, to.tokens()?);
    let tokens = old.kept()?;
    for token in &tokens {
        new.restore(token)?;
        done.tokens += 1;
        told(done);
    }
    if new.kept()? != tokens {
        return Err(CopyError::Differs("the tokens".to_owned()));
    }
    Ok(done)
}

fn copy_tenant(
    old: &dyn Catalogue,
    new: &dyn Catalogue,
    told: &mut dyn FnMut(usize, usize),
) -> Result<(), CopyError> {
    for stack in old.stacks()? {
        // The oldest first, as they were made.
        for info in old.versions(&stack.stack)?.iter().rev() {
            new.restore(&old.version(&info.stack, info.number)?)?;
            told(1, 0);
        }
    }
    let policies = old.record_policies()?;
    if policies != new.record_policies()? {
        new.set_record_policy(None, policies.tenant)?;
        for (stack, policy) in policies.stacks {
            new.set_record_policy(Some(&stack), Some(policy))?;
        }
    }
    for shadow in old.shadows()? {
        new.set_shadow(&shadow)?;
    }
    let sealed = old.sealed_secrets()?;
    for secret in old.secrets()? {
        if let Some(sealed) = sealed.get(&secret.name) {
            new.restore_sealed(&secret, sealed)?;
            told(0, 1);
        }
    }
    Ok(())
}

/// That two places have the same of a tenant.
fn same(tenant: &TenantName, old: &dyn Catalogue, new: &dyn Catalogue) -> Result<(), CopyError> {
    let differ = |what: &str| CopyError::Differs(format!("the {what} of the tenant {tenant}"));
    let versions = |of: &dyn Catalogue| -> Result<BTreeMap<_, Vec<VersionInfo>>, StacksError> {
        let stacks = of.stacks()?.into_iter();
        stacks.map(|one| Ok((one.stack.clone(), of.versions(&one.stack)?))).collect()
    };
    let kept = versions(old)?;
    if kept != versions(new)? {
        return Err(differ("stacks"));
    }
    for info in kept.values().flatten() {
        if old.version(&info.stack, info.number)? != new.version(&info.stack, info.number)? {
            return Err(differ("files"));
        }
    }
    if old.record_policies()? != new.record_policies()? || old.shadows()? != new.shadows()? {
        return Err(differ("record policies or shadows"));
    }
    if old.secrets()? != new.secrets()? || old.sealed_secrets()? != new.sealed_secrets()? {
        return Err(differ("secrets"));
    }
    Ok(())
}
