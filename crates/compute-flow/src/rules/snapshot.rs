//! All stacks that are active at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use compute_state::{StackName, Version};

use super::stack::{RuleProblem, Stack};
use super::stage::Stage;

/// All stacks that are active at one moment; cheap to clone. A document keeps the one it started with.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    stacks: BTreeMap<StackName, Arc<Stack>>,
}

impl FromIterator<Stack> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Stack>>(stacks: I) -> Self {
        stacks.into_iter().map(Arc::new).collect()
    }
}

impl FromIterator<Arc<Stack>> for Snapshot {
    fn from_iter<I: IntoIterator<Item = Arc<Stack>>>(stacks: I) -> Self {
        let named = |stack: Arc<Stack>| (stack.name().clone(), stack);
        Self { stacks: stacks.into_iter().map(named).collect() }
    }
}

impl Snapshot {
    /// The stacks, by name.
    pub fn stacks(&self) -> impl Iterator<Item = &Arc<Stack>> {
        self.stacks.values()
    }

    /// The stack of this name.
    #[must_use]
    pub fn stack(&self, name: &StackName) -> Option<&Arc<Stack>> {
        self.stacks.get(name)
    }

    /// The snapshot of these versions. What is ready here, of the same files, is taken from here.
    ///
    /// # Errors
    /// What keeps a version from being made ready: it was kept by another version of this program.
    pub fn with_versions(&self, versions: Vec<Version>) -> Result<Self, Vec<RuleProblem>> {
        let ready = |Version { info, files, .. }| match self.stacks.get(&info.stack) {
            Some(stack) if stack.hash() == info.hash => Ok(Arc::clone(stack)),
            _ => Stack::compile(info.stack, &files).map(Arc::new),
        };
        versions.into_iter().map(ready).collect()
    }

    /// About how many bytes of memory its stacks take.
    #[must_use]
    pub fn size(&self) -> usize {
        self.stacks.values().map(|stack| stack.size()).sum()
    }

    /// Whether there is a stack of this name, or one that it lies over.
    #[must_use]
    pub fn knows(&self, name: &StackName) -> bool {
        name.overlay().any(|name| self.stacks.contains_key(&name))
    }

    /// The scope that a stage means: the lowest one of the stack whose number is at least the stage's; if the
    /// stack has none, that of the stack it lies over, and so on.
    pub(crate) fn find(&self, stage: &Stage) -> Option<(&Arc<Stack>, usize)> {
        stage.stack.overlay().find_map(|name| {
            let stack = self.stacks.get(&name)?;
            Some((stack, stack.scope_from(stage.scope)?))
        })
    }
}
