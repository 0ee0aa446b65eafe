//! All stacks that are active at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use compute_state::{StackName, VersionInfo};

use super::stack::Stack;
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

    /// Those of its stacks that are active with the same files, as these say.
    #[must_use]
    pub fn still_active(&self, active: &[VersionInfo]) -> Self {
        let same = |info: &VersionInfo| {
            let stack = self.stacks.get(&info.stack)?;
            (stack.hash() == info.hash).then(|| Arc::clone(stack))
        };
        active.iter().filter_map(same).collect()
    }

    /// Adds a stack, in place of one of its name.
    pub fn insert(&mut self, stack: Stack) {
        self.stacks.insert(stack.name().clone(), Arc::new(stack));
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
