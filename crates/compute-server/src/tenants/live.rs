//! What documents need of a tenant: made ready where something changed, and as it was while that cannot be read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, MutexGuard, OnceLock, TryLockError};
use std::time::{Duration, Instant};

use compute::{Charge, Mask, OverLimit};
use compute_flow::{RuleProblem, Snapshot, Stack};
use compute_state::{
    RecordPolicies, RecordPolicy, SecretError, StacksError, StateError, VersionInfo,
};

use super::{LiveShadow, Tenant};
use crate::telemetry::warn;

/// How long what is recorded of runs may be as it was before somebody else changed it.
const POLICY: Duration = Duration::from_secs(1);

/// How soon room is looked for again for a version that there was none for.
const AGAIN: Duration = Duration::from_secs(10);

/// How long documents wait for one that reads what is active.
const RENEWING: Duration = Duration::from_secs(15);

/// What documents need of a tenant, as the catalogue had it at one change.
#[derive(Debug, Default)]
pub(crate) struct Live {
    change: Option<i64>,
    pub(crate) snapshot: Snapshot,
    pub(crate) secrets: Secrets,
    pub(crate) mask: Arc<Mask>,
    pub(crate) policies: RecordPolicies,
    /// By stack.
    pub(crate) shadows: Vec<LiveShadow>,
    /// What of it is replaced, while documents still use it.
    replaced: OnceLock<Charge>,
    /// Where there was no room for a version that gets documents besides the active ones: when that is looked for again.
    again: Option<Instant>,
}

/// Values of secrets; they are not shown when debugged.
#[derive(Clone, Default)]
pub(crate) struct Secrets(pub(crate) Arc<BTreeMap<String, String>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The active versions cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    #[error(transparent)]
    Stacks(#[from] StacksError),
    /// A version that was written by another version of this program.
    #[error("an active version cannot run: {0}")]
    Rule(Box<RuleProblem>),
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The rules of all active stacks, and the secrets, take too much memory.
    #[error("the active stacks cannot run: {0}; make smaller ones active, or have fewer secrets")]
    TooLarge(#[from] OverLimit),
}

impl LiveError {
    /// Whether the same may succeed later.
    fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Stacks(StacksError::State(StateError::Unavailable { .. }))
                | Self::Secret(SecretError::State(StateError::Unavailable { .. }))
        )
    }
}

impl Live {
    /// Whether it is what there is at this change, as far as there is room for it.
    fn is_of(&self, change: Option<i64>) -> bool {
        self.change == change && self.again.is_none_or(|again| Instant::now() < again)
    }
}

impl Tenant {
    /// The active versions and the secrets. Where something changed, by this process or another, only what
    /// changed is made ready anew.
    ///
    /// What cannot be read now is as it was, if it was read before, for as long as that may be used.
    pub(crate) fn live(&self) -> Result<Arc<Live>, LiveError> {
        let change = Some(self.catalogue.change_number()?);
        let live = self.live.load_full();
        if live.is_of(change) {
            self.unread.clear();
            return Ok(live);
        }
        let is_known = live.change.is_some();
        if !is_known || self.unread.may_be_tried() {
            match self.renewed(is_known) {
                Ok(Some(renewed)) => {
                    self.unread.clear();
                    return Ok(renewed);
                }
                Ok(None) => {}
                Err(error) if is_known && error.is_unavailable() => {
                    warn(&error);
                    self.unread.note();
                }
                Err(error) => return Err(error),
            }
        }
        match self.unread.lasts() {
            Some(time) if time > self.stale => {
                let why = format!("it has changed, and could not be read for {time:?}");
                Err(StacksError::from(StateError::unavailable("what is active", why)).into())
            }
            _ => Ok(live),
        }
    }

    /// For how long what is active could not be read, although it has changed. What was known is used meanwhile.
    pub(crate) fn unread_for(&self) -> Option<Duration> {
        self.unread.lasts()
    }

    /// The same, where there was a document of late that wanted it.
    pub(super) fn missed_for(&self) -> Option<Duration> {
        self.unread.lasts().filter(|_| self.unread.is_asked_for())
    }

    /// The turn of one that renews it. The others wait, and not for ever: where it is known, no longer than until it turns out
    /// that it cannot be read. Then this is nothing.
    fn renewing(&self, is_known: bool) -> Result<Option<MutexGuard<'_, Charge>>, LiveError> {
        let begun = Instant::now();
        let tries = self.unread.lasts().is_some();
        loop {
            let turn = match self.renewing.try_lock() {
                Ok(turn) => Some(turn),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            };
            // Who found that out is another, before or while this one waited.
            if is_known && self.unread.lasts().is_some() && (turn.is_none() || !tries) {
                return Ok(None);
            }
            if turn.is_some() {
                return Ok(turn);
            }
            if begun.elapsed() >= RENEWING {
                let late = StateError::unavailable("what is active", "it takes long to be read");
                return Err(StacksError::from(late).into());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What is active now; nothing where it is known how it was, and others find that it cannot be read.
    fn renewed(&self, is_known: bool) -> Result<Option<Arc<Live>>, LiveError> {
        let Some(mut renewing) = self.renewing(is_known)? else { return Ok(None) };
        let renewed = self.renew(&mut renewing);
        if let Err(error) = &renewed
            && is_known
            && error.is_unavailable()
        {
            // Before it is the next one's turn.
            self.unread.note();
        }
        renewed.map(Some)
    }

    fn renew(&self, renewing: &mut Charge) -> Result<Arc<Live>, LiveError> {
        // Read before the versions: what changes meanwhile is seen by the next document.
        let change = Some(self.catalogue.change_number()?);
        let live = self.live.load_full();
        if live.is_of(change) {
            return Ok(live);
        }
        let mut is_whole = true;
        let first = |mut wrong: Vec<RuleProblem>| LiveError::Rule(Box::new(wrong.remove(0)));
        let running = self.catalogue.running()?;
        let mut snapshot = live.snapshot.still_running(&running);
        let kept =
            |shadows: &[LiveShadow]| shadows.iter().map(|one| one.stack.size()).sum::<usize>();
        let wanted = self.catalogue.shadows()?;
        self.shadows.retain(&wanted);
        let mut shadows = Vec::new();
        for shadow in &wanted {
            let Some(one) = live.shadows.iter().find(|one| one.is_of(shadow)) else { continue };
            // Where a state was put back to what it was, a number may be that of another version.
            if self.catalogue.version(&shadow.stack, shadow.number)?.info.hash == one.stack.hash() {
                shadows.push(one.clone());
            }
        }
        let all = live.snapshot.size() + kept(&live.shadows);
        let gone = all.saturating_sub(snapshot.size() + kept(&shadows));
        // Besides this and the one in `live`, documents have it.
        if gone > 0 && Arc::strong_count(&live) > 2 && live.replaced.get().is_none() {
            let _ = live.replaced.set(self.replaced.charge(gone)?);
        }
        renewing.resize(snapshot.size() + live.mask.size() + kept(&shadows))?;
        let mut ready = |info: &VersionInfo| -> Result<Stack, LiveError> {
            let VersionInfo { stack, number, .. } = info;
            let files = self.catalogue.version(stack, *number)?.files;
            // Before it is made ready.
            renewing.grow(Stack::estimate(&files))?;
            Ok(Stack::compile(stack.clone(), &files).map_err(first)?.numbered(*number))
        };
        for info in &running.active {
            if snapshot.stack(&info.stack).is_none() {
                let stack = ready(info)?;
                snapshot.insert(stack);
            }
        }
        for (rollout, info) in &running.rollouts {
            if snapshot.rolled_out(&info.stack).is_none() {
                match ready(info) {
                    Ok(stack) => snapshot.roll_out(rollout.clone(), stack),
                    // What there is no room for, or cannot run, gets no document: the active version answers them.
                    Err(error @ (LiveError::TooLarge(_) | LiveError::Rule(_))) => {
                        is_whole &= !matches!(error, LiveError::TooLarge(_));
                        warn(&error);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        let secrets = self.catalogue.open_secrets(&self.vault)?;
        let mask = if secrets == *live.secrets.0 {
            Arc::clone(&live.mask)
        } else {
            renewing.grow(Mask::estimate(secrets.values().map(String::as_str)))?;
            Arc::new(Mask::new(secrets.values().cloned()))
        };
        let mut made = Vec::with_capacity(wanted.len());
        for shadow in wanted {
            // One that is active has nothing to be compared with, and one whose rules are wrong gets no document.
            let is_active = running
                .active
                .iter()
                .any(|one| one.stack == shadow.stack && one.number == shadow.number);
            let known =
                shadows.iter().find(|one| one.is_of(&shadow)).map(|one| Arc::clone(&one.stack));
            let stack = match known {
                Some(stack) => stack,
                None if is_active => continue,
                None => {
                    let files = self.catalogue.version(&shadow.stack, shadow.number)?.files;
                    // What there is no room for gets no document: it must not keep the active one from any.
                    if renewing.grow(Stack::estimate(&files)).is_err() {
                        is_whole = false;
                        continue;
                    }
                    match Stack::compile(shadow.stack.clone(), &files) {
                        Ok(stack) => Arc::new(stack),
                        Err(_) => continue,
                    }
                }
            };
            if !is_active {
                made.push(LiveShadow::new(shadow, stack, &snapshot));
            }
        }
        renewing.resize(snapshot.size() + mask.size() + kept(&made))?;
        let policies = self.catalogue.record_policies()?;
        let (secrets, replaced) = (Secrets(Arc::new(secrets)), OnceLock::new());
        let again = (!is_whole).then(|| Instant::now() + AGAIN);
        let live =
            Live { change, snapshot, secrets, mask, policies, shadows: made, replaced, again };
        let live = Arc::new(live);
        self.live.store(Arc::clone(&live));
        Ok(live)
    }

    /// What is recorded of single runs: as it was said at least a second ago, or by this process at any time. While it is asked
    /// for, and cannot be read, it is as it was.
    pub(crate) fn run_policy(&self) -> RecordPolicy {
        let known = **self.run_policy.load();
        let asking = match (known, self.asking.try_lock()) {
            (Some((asked, _, policy)), _) if asked.elapsed() < POLICY => return policy,
            // One asks for all.
            (Some((.., policy)), Err(TryLockError::WouldBlock)) => return policy,
            (_, asking) => asking,
        };
        let read = || -> Result<_, StacksError> {
            let change = self.catalogue.change_number()?;
            match known {
                Some((_, read, policy)) if read == change => Ok((change, policy)),
                _ => Ok((change, self.catalogue.record_policies()?.of(None))),
            }
        };
        let (change, policy) = read().unwrap_or_else(|error| {
            warn(&error);
            // As it was, and read again as soon as that can be.
            (i64::MIN, known.map_or_else(RecordPolicy::default, |(.., policy)| policy))
        });
        self.run_policy.store(Arc::new(Some((Instant::now(), change, policy))));
        drop(asking);
        policy
    }
}
