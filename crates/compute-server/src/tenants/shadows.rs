//! Versions that get documents besides the active ones, and what they answered otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use compute_flow::{Snapshot, Stack};
use compute_replay::{Summary, Verdict};
use compute_state::{Shadow, StackName};

/// A version that gets a part of a stack's documents besides the active one.
#[derive(Clone, Debug)]
pub(crate) struct LiveShadow {
    pub(crate) shadow: Shadow,
    pub(crate) stack: Arc<Stack>,
    /// All stacks as they are, and this version in place of the active one, for all documents.
    pub(crate) snapshot: Snapshot,
}

impl LiveShadow {
    pub(crate) fn new(shadow: Shadow, stack: Arc<Stack>, active: &Snapshot) -> Self {
        let mut snapshot = active.clone();
        snapshot.insert(Arc::clone(&stack));
        Self { shadow, stack, snapshot }
    }

    /// Whether it is of the same version.
    pub(crate) fn is_of(&self, shadow: &Shadow) -> bool {
        self.shadow.stack == shadow.stack && self.shadow.number == shadow.number
    }
}

/// What came of a shadow, since it was set or the server began.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShadowCounts {
    /// The version that this is of.
    number: u32,
    pub(crate) skipped: u64,
    pub(crate) summary: Summary,
}

/// What came of all of a tenant's shadows.
#[derive(Debug, Default)]
pub(crate) struct Shadows(Mutex<HashMap<StackName, ShadowCounts>>);

impl Shadows {
    fn lock(&self) -> MutexGuard<'_, HashMap<StackName, ShadowCounts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, shadow: &Shadow, count: impl FnOnce(&mut ShadowCounts)) {
        let mut all = self.lock();
        let counts = all.entry(shadow.stack.clone()).or_default();
        if counts.number != shadow.number {
            *counts = ShadowCounts { number: shadow.number, ..ShadowCounts::default() };
        }
        count(counts);
    }

    /// There was no free place for it.
    pub(crate) fn skipped(&self, shadow: &Shadow) {
        self.count(shadow, |counts| counts.skipped += 1);
    }

    pub(crate) fn compared(&self, shadow: &Shadow, id: &str, verdict: &Verdict) {
        self.count(shadow, |counts| counts.summary.add(id, verdict));
    }

    /// What came of one so far.
    pub(crate) fn of(&self, shadow: &Shadow) -> ShadowCounts {
        let counts = self.lock().get(&shadow.stack).cloned();
        counts.filter(|counts| counts.number == shadow.number).unwrap_or_default()
    }

    /// Forgets those that are none any more.
    pub(crate) fn retain(&self, shadows: &[Shadow]) {
        self.lock().retain(|stack, _| shadows.iter().any(|shadow| shadow.stack == *stack));
    }
}
