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
    /// Those that are kept as well, if they are there.
    pub needed: Vec<Ref>,
    /// How old an artifact must be to be deleted: one just uploaded may not have its rule yet. An hour
    /// unless set.
    pub min_age: Duration,
    /// Only say what would be deleted.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            roots: Vec::new(),
            needed: Vec::new(),
            min_age: Duration::from_secs(3600),
            dry_run: false,
        }
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
    /// What is needed, or a part of it, and is not there.
    pub missing: Vec<Ref>,
}

/// Deletes what none of the roots leads to.
///
/// # Errors
/// [`StoreError::NotFound`] if a root, or what one links to, isn't there: a mistyped root must not
/// delete what it meant to keep; or if nothing at all of what is to be kept is there, as in a store that is another one. Nothing is
/// deleted then.
pub async fn gc(store: &dyn Store, options: &GcOptions) -> Result<GcReport, StoreError> {
    let (mut keep, mut missing) = (HashSet::new(), Vec::new());
    let must = |is_root| move |reference: &Ref| (reference.clone(), is_root);
    let mut left: Vec<_> = options.needed.iter().map(must(false)).collect();
    // First: what one of them links to must be there, whoever else needs it.
    left.extend(options.roots.iter().map(must(true)));
    while let Some((reference, is_root)) = left.pop() {
        if keep.contains(&reference) {
            continue;
        }
        match store.head(&reference).await {
            Ok(manifest) => left.extend(manifest.links.iter().map(must(is_root))),
            Err(StoreError::NotFound { .. }) if !is_root => missing.push(reference.clone()),
            Err(error) => return Err(error),
        }
        keep.insert(reference);
    }
    if let Some(first) = missing.first()
        && keep.len() == missing.len()
    {
        return Err(StoreError::NotFound { reference: first.clone() });
    }
    let before = Timestamp::now()
        .checked_sub(options.min_age)
        .map_err(|error| StoreError::storage("work out an age", error))?;
    let swept = store.sweep(&keep, before, options.dry_run).await?;
    Ok(GcReport { kept: keep.len() - missing.len(), swept, missing })
}
