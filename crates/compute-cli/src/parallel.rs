//! Several things at once, on threads of their own.
//!
//! A build waits for what it gave to rayon's threads. If it ran on one of those itself, as many builds as
//! there are threads would wait for each other for ever.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// How many things are done at once.
pub(crate) fn threads() -> u16 {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    u16::try_from(threads).unwrap_or(u16::MAX)
}

/// What comes of each item, in their order.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let results: Vec<_> = items.iter().map(|_| Mutex::new(None)).collect();
    let items = Mutex::new(items.into_iter().enumerate());
    let next = || items.lock().unwrap_or_else(PoisonError::into_inner).next();
    thread::scope(|scope| {
        for _ in 0..usize::from(threads()).min(results.len()) {
            scope.spawn(|| {
                while let Some((at, item)) = next() {
                    let result = work(item);
                    *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                }
            });
        }
    });
    // Each has a result: a thread that panicked has ended this one.
    results
        .into_iter()
        .filter_map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect()
}
