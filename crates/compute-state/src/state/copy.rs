//! All that is kept in one place, as it is kept in another.

use std::collections::{BTreeMap, BTreeSet};

use crate::tokens::unlogged;
use crate::{
    AuditBroken, AuditLog, AuditOf, AuditPage, Catalogue, JobQueue, KeptJob, Schedule, SecretError,
    StacksError, State, StateError, TenantName, TokensError, VersionInfo, verify_audit,
};

/// How many entries of a log are read at once.
const ENTRIES: usize = 1000;

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
    /// How many jobs, ended ones too.
    pub jobs: usize,
    /// How many schedules.
    pub schedules: usize,
    /// How many entries of the logs of who changed what.
    pub audit: usize,
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
    /// The other place has a history of its own, which would be mixed with this.
    #[error(
        "{0} there are not what a copy would have made of these: one of the two places was changed since, and nothing was copied; copy to a place that is empty"
    )]
    Lives(String),
    /// Versions cannot be read or written.
    #[error(transparent)]
    Stacks(#[from] StacksError),
    /// Secrets cannot be read or written.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// Tokens cannot be read or written.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// An entry of the log of who changed what is not the one that was written.
    #[error("the tenant {tenant}")]
    Audit {
        /// Whose.
        tenant: TenantName,
        /// Which.
        source: AuditBroken,
    },
    /// What is kept cannot be opened.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Copies all stacks, policies, shadows, rollouts, secrets, tokens, jobs, schedules and logs of who changed what of all tenants, and sees that they are the same afterwards; traces,
/// records and what was used stay where they are. One that was broken off goes on where it stopped, as long as nothing else was done there. Secrets stay sealed with the key that they were
/// sealed with. Jobs that run wait in the other place.
///
/// Nothing may change either place meanwhile, nor run jobs of it. `told` is called as it goes on.
///
/// # Errors
/// [`CopyError::Lives`] if the other place was used by itself; nothing was written then. [`CopyError::Differs`], or [`StacksError::Taken`] in it, if the other place has something else already, [`CopyError::Audit`] if a log
/// was altered.
pub fn copy(
    from: &dyn State,
    to: &dyn State,
    told: &mut dyn FnMut(Copied),
) -> Result<Copied, CopyError> {
    unlogged(|| copy_all(from, to, told))
}

fn copy_all(
    from: &dyn State,
    to: &dyn State,
    told: &mut dyn FnMut(Copied),
) -> Result<Copied, CopyError> {
    check(from, to)?;
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
    let (old, new) = (from.jobs()?, to.jobs()?);
    for page in job_pages(&*old) {
        let page = page?;
        new.restore(&page)?;
        done.jobs += page.len();
        told(done);
    }
    let restored = all_jobs(&*old).map(|job| Ok(job?.restored()));
    if let Some(job) = unlike(restored, all_jobs(&*new), true)? {
        return Err(CopyError::Differs(format!("the jobs of the tenant {}", job.tenant)));
    }
    for page in schedule_pages(&*old) {
        let page = page?;
        new.restore_schedules(&page)?;
        done.schedules += page.len();
        told(done);
    }
    if let Some((tenant, _)) = unlike(all_schedules(&*old), all_schedules(&*new), true)? {
        return Err(CopyError::Differs(format!("the schedules of the tenant {tenant}")));
    }
    for tenant in from.tenants()? {
        for of in AuditOf::ALL {
            let (old, new) = (from.tenant(&tenant)?.audit(of)?, to.tenant(&tenant)?.audit(of)?);
            copy_log(&tenant, (&*old, &*new), &mut |entries| {
                done.audit += entries;
                told(done);
            })?;
        }
    }
    Ok(done)
}

/// That the other place has nothing of its own, before anything is written there: what was deleted or revoked there would be back, and
/// what was run there would be run again.
fn check(from: &dyn State, to: &dyn State) -> Result<(), CopyError> {
    let known: BTreeSet<_> = from.tenants()?.into_iter().collect();
    let mut has_logs = false;
    for tenant in to.tenants()? {
        let (old, new) = (from.tenant(&tenant)?, to.tenant(&tenant)?);
        for of in AuditOf::ALL {
            let there = new.audit(of)?.page(None, 0)?;
            if there.head.number == 0 {
                continue;
            }
            has_logs = true;
            if !known.contains(&tenant) || !is_copy(&*old.audit(of)?, &there)? {
                let whose = format!("stacks, tokens or schedules of the tenant {tenant}");
                return Err(CopyError::Lives(whose));
            }
        }
    }
    let (old, new) = (from.jobs()?, to.jobs()?);
    let restored = all_jobs(&*old).map(|job| Ok(job?.restored()));
    if let Some(job) = unlike(restored, all_jobs(&*new), has_logs)? {
        return Err(CopyError::Lives(format!("the jobs of the tenant {}", job.tenant)));
    }
    if let Some((tenant, _)) = unlike(all_schedules(&*old), all_schedules(&*new), has_logs)? {
        return Err(CopyError::Lives(format!("the schedules of the tenant {tenant}")));
    }
    Ok(())
}

/// Whether a log is a copy of this one, as a whole or as one leaves it that was broken off between two pages.
fn is_copy(old: &dyn AuditLog, there: &AuditPage) -> Result<bool, StateError> {
    let page = old.page(Some(there.head.number.saturating_sub(1)), 1)?;
    if page.head == there.head {
        return Ok(true);
    }
    let copied = there.head.number.saturating_sub(there.gone.number);
    let is_known = page.entries.first().is_some_and(|entry| entry.head() == there.head);
    Ok(is_known && page.gone == there.gone && copied.is_multiple_of(ENTRIES as u64))
}

/// The first of what is there that is not as it is copied, both in one order. Where all was copied, the first that is not there any more
/// is such, too: it was deleted. Logs come after it, so there are some then.
fn unlike<T: PartialEq>(
    old: impl Iterator<Item = Result<T, StateError>>,
    mut new: impl Iterator<Item = Result<T, StateError>>,
    is_whole: bool,
) -> Result<Option<T>, StateError> {
    let mut there = new.next().transpose()?;
    if there.is_none() && !is_whole {
        return Ok(None);
    }
    for one in old {
        let one = one?;
        if there.as_ref() == Some(&one) {
            there = new.next().transpose()?;
        } else if is_whole {
            return Ok(Some(one));
        }
    }
    Ok(there)
}

/// Copies a log, checks both, and sees that they end alike.
fn copy_log(
    tenant: &TenantName,
    (old, new): (&dyn AuditLog, &dyn AuditLog),
    told: &mut dyn FnMut(usize),
) -> Result<(), CopyError> {
    let mut page = old.page(None, 0)?;
    let mut last = page.gone.number;
    loop {
        page = old.page(Some(last), ENTRIES)?;
        let Some(newest) = page.entries.last() else { break };
        last = newest.number;
        new.restore(&page.gone, &page.entries)?;
        told(page.entries.len());
    }
    let verified = |log: &dyn AuditLog| {
        verify_audit(|after| Ok(log.page(after, ENTRIES)?), |_| {}).map_err(|error| match error {
            LogError::Broken(source) => CopyError::Audit { tenant: tenant.clone(), source },
            LogError::State(error) => error.into(),
        })
    };
    if verified(old)? != verified(new)? {
        return Err(CopyError::Differs(format!("the audit logs of the tenant {tenant}")));
    }
    Ok(())
}

enum LogError {
    Broken(AuditBroken),
    State(StateError),
}

impl From<AuditBroken> for LogError {
    fn from(broken: AuditBroken) -> Self {
        Self::Broken(broken)
    }
}

impl From<StateError> for LogError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

/// All that there is, page by page. Each is asked for by the last of the one before.
fn pages<T, K>(
    mut read: impl FnMut(Option<&K>) -> Result<Vec<T>, StateError>,
    key: impl Fn(&T) -> K,
) -> impl Iterator<Item = Result<Vec<T>, StateError>> {
    let mut last = None;
    let mut has_failed = false;
    std::iter::from_fn(move || {
        if has_failed {
            return None;
        }
        let page = read(last.as_ref());
        has_failed = page.is_err();
        if let Ok(page) = &page {
            last = Some(key(page.last()?));
        }
        Some(page)
    })
}

fn in_page<T>(page: Result<Vec<T>, StateError>) -> Vec<Result<T, StateError>> {
    match page {
        Ok(page) => page.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }
}

fn job_pages(jobs: &dyn JobQueue) -> impl Iterator<Item = Result<Vec<KeptJob>, StateError>> {
    pages(|after| jobs.kept(after), |job: &KeptJob| (job.tenant.clone(), job.job.info.id))
}

fn all_jobs(jobs: &dyn JobQueue) -> impl Iterator<Item = Result<KeptJob, StateError>> {
    job_pages(jobs).flat_map(in_page)
}

type OwnSchedule = (TenantName, Schedule);

fn schedule_pages(
    jobs: &dyn JobQueue,
) -> impl Iterator<Item = Result<Vec<OwnSchedule>, StateError>> {
    let key = |(tenant, one): &OwnSchedule| (tenant.clone(), one.info.name.clone());
    pages(|after| jobs.kept_schedules(after), key)
}

fn all_schedules(jobs: &dyn JobQueue) -> impl Iterator<Item = Result<OwnSchedule, StateError>> {
    schedule_pages(jobs).flat_map(in_page)
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
        new.set_shadow(&shadow, None)?;
    }
    for rollout in old.rollouts()? {
        new.set_rollout(&rollout, None)?;
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
    if old.record_policies()? != new.record_policies()?
        || old.shadows()? != new.shadows()?
        || old.rollouts()? != new.rollouts()?
    {
        return Err(differ("record policies, shadows or rollouts"));
    }
    if old.secrets()? != new.secrets()? || old.sealed_secrets()? != new.sealed_secrets()? {
        return Err(differ("secrets"));
    }
    Ok(())
}
