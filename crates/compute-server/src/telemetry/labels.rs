//! The labels that one tenant may have.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

/// The values that one tenant's own series have, such as the names of its ops: as many as it may have, and one for
/// all that come after.
#[derive(Debug, Default)]
pub(crate) struct Labels(RwLock<HashSet<String>>);

/// How many of them a tenant may have.
const MAX_LABELS: usize = 200;
/// What stands for the rest.
const OTHER: &str = "_other";

impl Labels {
    /// The value, if it is one that the tenant has or may have.
    pub(super) fn of(&self, value: &str) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let full = known.len() >= MAX_LABELS;
        if known.contains(value) {
            return value.to_owned();
        }
        drop(known);
        if full {
            return OTHER.to_owned();
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_LABELS && !known.contains(value) {
            return OTHER.to_owned();
        }
        known.insert(value.to_owned());
        value.to_owned()
    }
}
