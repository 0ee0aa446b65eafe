//! All stacks that are active at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Stack, StackName, Stage};

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

    /// The scope that a stage means: the lowest one of the stack whose number is at least the stage's; if the
    /// stack has none, that of the stack it lies over, and so on.
    pub(crate) fn find(&self, stage: &Stage) -> Option<(&Arc<Stack>, usize)> {
        let mut name = Some(stage.stack.clone());
        while let Some(at) = name {
            if let Some(stack) = self.stacks.get(&at)
                && let Some(scope) = stack.scope_from(stage.scope)
            {
                return Some((stack, scope));
            }
            name = at.parent();
        }
        None
    }

    /// Whether there is a stack of this name, or one that it lies over.
    pub(crate) fn knows(&self, name: &StackName) -> bool {
        let mut name = Some(name.clone());
        while let Some(at) = name {
            if self.stacks.contains_key(&at) {
                return true;
            }
            name = at.parent();
        }
        false
    }
}
