//! What one document's trace and computes are masked with.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use compute::Mask;

/// The mask that the caller gave, and where that does not know a secret that a rule names, one that knows all of
/// the request's. It is made once for a document at most.
#[derive(Debug)]
pub(super) struct DocumentMask {
    given: Arc<Mask>,
    all: OnceCell<Arc<Mask>>,
}

impl DocumentMask {
    pub(super) fn new(given: &Arc<Mask>) -> Self {
        Self { given: Arc::clone(given), all: OnceCell::new() }
    }

    /// A mask that knows these secrets.
    pub(super) fn knowing<'a>(
        &self,
        mut named: impl Iterator<Item = &'a String>,
        all: &BTreeMap<String, String>,
    ) -> Arc<Mask> {
        if self.all.get().is_none() && named.all(|secret| self.given.knows(secret)) {
            return Arc::clone(&self.given);
        }
        let make = || Arc::new((*self.given).clone().with(all.values().cloned()));
        Arc::clone(self.all.get_or_init(make))
    }

    /// The mask that knows all secrets that were seen.
    pub(super) fn current(&self) -> &Mask {
        self.all.get().unwrap_or(&self.given)
    }
}
