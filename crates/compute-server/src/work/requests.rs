//! How many requests there are, from their heads to the ends of their answers: in all, and of each tenant.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of requests that there may be.
#[derive(Clone, Debug)]
pub(crate) struct Requests(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    now: AtomicUsize,
    most: usize,
}

/// One of the requests that there may be, until it is dropped.
#[derive(Debug)]
pub(crate) struct Present(Arc<Inner>);

/// There are too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there are {0} requests under way, which is the most")]
pub(crate) struct TooMany(pub(crate) usize);

impl Requests {
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Inner { now: AtomicUsize::new(0), most: most.max(1) }))
    }

    /// One more.
    pub(crate) fn enter(&self) -> Result<Present, TooMany> {
        let inner = &self.0;
        let more = |now: usize| (now < inner.most).then_some(now + 1);
        let entered = inner.now.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        entered.map(|_| Present(Arc::clone(inner))).map_err(|_| TooMany(inner.most))
    }

    /// One more, although there may be no room: others are about to go.
    pub(crate) fn enter_anyway(&self) -> Present {
        self.0.now.fetch_add(1, Ordering::Relaxed);
        Present(Arc::clone(&self.0))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}
