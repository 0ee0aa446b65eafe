//! Garbage collection: what no root leads to is deleted.

use std::collections::HashSet;
use std::time::Duration;

use compute::Ref;
use jiff::Timestamp;

use crate::{Store, StoreError, SweepReport};

/// What a garbage collection keeps.
#[derive(Clone, Debug)]
pub struct GcOptions {
    /// The artifacts to keep, with all that they link to.
    pub roots: Vec<Ref>,
    /// How old an artifact must be to be deleted: one just uploaded may not have its rule yet. An hour
    /// unless set.
    pub min_age: Duration,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self { roots: Vec::new(), min_age: Duration::from_secs(3600), dry_run: false }
    }
}

/// What a garbage collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GcReport {
    /// How many artifacts the roots lead to.
    pub kept: usize,
    /// What was deleted, or would be.
    pub swept: SweepReport,
}

/// Deletes what none of the roots leads to.
///
/// # Errors
/// [`StoreError::NotFound`] if a root, or what one links to, isn't there: a mistyped root must not
/// delete what it meant to keep. Nothing is deleted then.
pub async fn gc(store: &dyn Store, options: &GcOptions) -> Result<GcReport, StoreError> {
    let mut keep = HashSet::new();
    let mut left = options.roots.clone();
    while let Some(reference) = left.pop() {
        if keep.contains(&reference) {
            continue;
        }
        left.extend(store.head(&reference).await?.links);
        keep.insert(reference);
    }
    let before = Timestamp::now()
        .checked_sub(options.min_age)
        .map_err(|error| StoreError::storage("work out an age", error))?;
    let swept = store.sweep(&keep, before, options.dry_run).await?;
    Ok(GcReport { kept: keep.len(), swept })
}
