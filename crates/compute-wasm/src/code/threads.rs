//! Numbers for threads, so that what threads would fight over can be divided among them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// This thread's number. Threads are numbered from 0 in the order in which they first ask.
pub(crate) fn number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}
