//! For how long what is active of a tenant could not be read, although it has changed: what is known is used meanwhile.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How soon it is tried again.
const AGAIN: u64 = 1000;

/// For how long who tried counts as who asks for it: longer than reading it takes at most, in milliseconds.
const LATELY: u64 = 60_000;

/// Since when it could not be read. Documents look at it, and write to it only where something failed.
#[derive(Debug)]
pub(super) struct Unread {
    began: Instant,
    /// In milliseconds from the beginning; 0 while what is known is what is kept.
    since: AtomicU64,
    /// When it was last tried.
    tried: AtomicU64,
}

impl Unread {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), since: AtomicU64::new(0), tried: AtomicU64::new(0) }
    }

    /// In milliseconds, from 1.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// It could not be read now.
    pub(super) fn note(&self) {
        let now = self.now();
        self.tried.store(now, Ordering::Relaxed);
        let _ = self.since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// What is known is what is kept.
    pub(super) fn clear(&self) {
        if self.since.load(Ordering::Relaxed) != 0 {
            self.since.store(0, Ordering::Relaxed);
        }
    }

    /// For how long it could not be read, if it could not when it was last tried.
    pub(super) fn lasts(&self) -> Option<Duration> {
        let since = self.since.load(Ordering::Relaxed);
        (since > 0).then(|| Duration::from_millis(self.now().saturating_sub(since)))
    }

    /// Whether it is to be read: not by every document, once it could not be, but by the first in a while.
    pub(super) fn may_be_tried(&self) -> bool {
        let tried = self.tried.load(Ordering::Relaxed);
        let now = self.now();
        self.lasts().is_none()
            || (now.saturating_sub(tried) >= AGAIN
                && self
                    .tried
                    .compare_exchange(tried, now, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok())
    }

    /// Whether somebody tried of late. It is tried as long as it is asked for.
    pub(super) fn is_asked_for(&self) -> bool {
        self.now().saturating_sub(self.tried.load(Ordering::Relaxed)) < LATELY
    }
}
