//! A caller's wish to stop a run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Stops the runs it was given to. Clones share one wish; a [`Cancel::child`] is stopped with its
/// parent, but not the other way round.
///
/// A guest that runs sees it within about a millisecond.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    parent: Option<Cancel>,
}

impl Cancel {
    /// A wish that nobody has uttered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A wish of its own that also holds once this one does.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(Arc::new(Inner { cancelled: AtomicBool::new(false), parent: Some(self.clone()) }))
    }

    /// Stops every run that was given this, a clone or a child of it.
    pub fn cancel(&self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }

    /// Cancels when the guard is dropped, for a caller that may go away while it waits.
    #[must_use]
    pub const fn drop_guard(self) -> CancelOnDrop {
        CancelOnDrop(self)
    }

    /// Whether this or a parent was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.cancelled.load(Ordering::Relaxed)
            || self.0.parent.as_ref().is_some_and(Self::is_cancelled)
    }
}

/// Cancels when it is dropped: see [`Cancel::drop_guard`].
#[derive(Debug)]
pub struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
