//! All stacks that are active at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use compute_state::{Rollout, Running, StackName, VersionInfo};
use serde_json::Value;

use super::rollout::{Chosen, RolledOut};
use super::stack::Stack;
use super::stage::Stage;

/// All stacks that are active at one moment, and the versions that answer a part of their documents; cheap to clone. A document
/// keeps the one it started with.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    stacks: BTreeMap<StackName, Arc<Stack>>,
    /// One of a stack at most, which is active.
    rollouts: Vec<RolledOut>,
}

impl FromIterator<Stack> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Stack>>(stacks: I) -> Self {
        stacks.into_iter().map(Arc::new).collect()
    }
}

impl FromIterator<Arc<Stack>> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Arc<Stack>>>(stacks: I) -> Self {
        let named = |stack: Arc<Stack>| (stack.name().clone(), stack);
        Self { stacks: stacks.into_iter().map(named).collect(), rollouts: Vec::new() }
    }
}

impl Snapshot {
    /// The active stacks, by name.
    pub fn stacks(&self) -> impl Iterator<Item = &Arc<Stack>> {
        self.stacks.values()
    }

    /// The active stack of this name.
    #[must_use]
    pub fn stack(&self, name: &StackName) -> Option<&Arc<Stack>> {
        self.stacks.get(name)
    }

    /// The version of a stack that answers a part of its documents in place of the active one.
    #[must_use]
    pub fn rolled_out(&self, name: &StackName) -> Option<&Arc<Stack>> {
        self.rollouts.iter().find(|one| one.rollout.stack == *name).map(|one| &one.stack)
    }

    /// What of it answers documents still, as these say: as it did, or a rollout as the active version now.
    #[must_use]
    pub fn still_running(&self, running: &Running) -> Self {
        let known = |info: &VersionInfo| {
            let mut both = self.stack(&info.stack).into_iter().chain(self.rolled_out(&info.stack));
            let is_it = |stack: &&Arc<Stack>| {
                stack.number() == Some(info.number) && stack.hash() == info.hash
            };
            both.find(is_it).map(Arc::clone)
        };
        let mut still: Self = running.active.iter().filter_map(known).collect();
        for (rollout, info) in &running.rollouts {
            if let Some(stack) = known(info) {
                still.roll_out(rollout.clone(), stack);
            }
        }
        still
    }

    /// Adds an active stack, for all documents, in place of one of its name.
    pub fn insert(&mut self, stack: impl Into<Arc<Stack>>) {
        let stack = stack.into();
        self.rollouts.retain(|one| one.rollout.stack != *stack.name());
        self.stacks.insert(stack.name().clone(), stack);
    }

    /// Has a version answer a part of a stack's documents, in place of another that did.
    pub fn roll_out(&mut self, rollout: Rollout, stack: impl Into<Arc<Stack>>) {
        self.rollouts.retain(|one| one.rollout.stack != rollout.stack);
        self.rollouts.push(RolledOut { rollout, stack: stack.into() });
    }

    /// Which versions a document gets, as it came in.
    pub(crate) fn choose(&self, document: &Value) -> Chosen {
        let taken = self.rollouts.iter().filter(|one| one.takes(document));
        taken.map(|one| one.rollout.stack.clone()).collect()
    }

    fn chosen(&self, name: &StackName, chosen: &Chosen) -> Option<&Arc<Stack>> {
        // There is none for nearly all documents.
        let rolled_out = if chosen.contains(name) { self.rolled_out(name) } else { None };
        rolled_out.or_else(|| self.stack(name))
    }

    /// About how many bytes of memory its stacks take.
    #[must_use]
    pub fn size(&self) -> usize {
        let rollouts = self.rollouts.iter().map(|one| &one.stack);
        self.stacks.values().chain(rollouts).map(|stack| stack.size()).sum()
    }

    /// Whether there is a stack of this name, or one that it lies over.
    #[must_use]
    pub fn knows(&self, name: &StackName) -> bool {
        name.overlay().any(|name| self.stacks.contains_key(&name))
    }

    /// The scope that a stage means to a document that gets these rollouts: the lowest one of the stack whose number is at least the
    /// stage's; if the stack has none, that of the stack it lies over, and so on.
    pub(crate) fn find(&self, stage: &Stage, chosen: &Chosen) -> Option<(&Arc<Stack>, usize)> {
        stage.stack.overlay().find_map(|name| {
            let stack = self.chosen(&name, chosen)?;
            Some((stack, stack.scope_from(stage.scope)?))
        })
    }
}
