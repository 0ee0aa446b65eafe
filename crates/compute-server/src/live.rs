//! The active versions, ready for documents, and always as the catalogue has them.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use compute_flow::{Catalogue, CatalogueError, RuleProblem, Snapshot};

/// The active versions, ready for documents. A document keeps the snapshot it was given.
#[derive(Debug)]
pub(crate) struct Live {
    catalogue: Arc<Catalogue>,
    now: ArcSwap<Snapshot>,
    /// Which change of the catalogue the snapshot shows; held by whoever makes a new one.
    seen: Mutex<Option<i64>>,
}

/// The active versions cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A version that was written by another version of this program.
    #[error("an active version cannot run: {0}")]
    Rule(Box<RuleProblem>),
}

impl Live {
    pub(crate) fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, now: ArcSwap::default(), seen: Mutex::new(None) }
    }

    /// The active versions. Where something changed, by this process or another, only what changed is made
    /// ready anew.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, LiveError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let change = self.catalogue.change_number()?;
        if *seen == Some(change) {
            return Ok(self.now.load_full());
        }
        let snapshot = self.now.load().with_versions(self.catalogue.all_active()?);
        let first = |mut wrong: Vec<RuleProblem>| LiveError::Rule(Box::new(wrong.remove(0)));
        let snapshot = Arc::new(snapshot.map_err(first)?);
        self.now.store(Arc::clone(&snapshot));
        *seen = Some(change);
        Ok(snapshot)
    }
}
