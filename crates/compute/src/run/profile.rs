//! What runs are alike in, as far as an engine compiles for it.

/// The part of a run's limits that is fixed when an artifact is loaded.
///
/// An engine may compile an artifact once for each profile that is asked for, so there are few: the
/// stack goes by steps of powers of two, rounded down, from 64 KiB to 16 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    metered: bool,
    stack: u64,
}

impl Profile {
    /// The smallest stack that an engine is asked for, in bytes.
    pub const MIN_STACK: u64 = 64 << 10;
    /// The largest stack that an engine is asked for, in bytes: two thousand calls of a callback in JavaScript, whatever they go through.
    pub const MAX_STACK: u64 = 16 << 20;

    /// A profile for runs with or without fuel and with this stack, in bytes.
    #[must_use]
    pub const fn new(metered: bool, stack: u64) -> Self {
        let stack = if stack <= Self::MIN_STACK {
            Self::MIN_STACK
        } else if stack >= Self::MAX_STACK {
            Self::MAX_STACK
        } else {
            1 << stack.ilog2()
        };
        Self { metered, stack }
    }

    /// Whether the run counts fuel.
    #[must_use]
    pub const fn metered(self) -> bool {
        self.metered
    }

    /// The guest's call stack, in bytes.
    #[must_use]
    pub const fn stack(self) -> u64 {
        self.stack
    }
}

impl Default for Profile {
    fn default() -> Self {
        Self::new(false, Self::MAX_STACK)
    }
}
