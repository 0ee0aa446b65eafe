//! Several things at once, on threads of their own.
//!
//! A build waits for what it gave to rayon's threads. If it ran on one of those itself, as many builds as
//! there are threads would wait for each other for ever.

use std::ops::ControlFlow;
use std::sync::mpsc::sync_channel;
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

/// Takes what comes of each item, in their order and as soon as it is known, until it is told to stop. Items are taken as they are
/// worked on: there are no more of them, and of what came of them, than a few for each thread.
pub(crate) fn in_order<T: Send, R: Send, B>(
    items: impl Iterator<Item = T> + Send,
    work: impl Fn(T) -> R + Sync,
    mut take: impl FnMut(R) -> ControlFlow<B>,
) -> ControlFlow<B> {
    let threads = usize::from(threads());
    let (sender, order) = sync_channel(threads);
    let items = Mutex::new(Some((items, sender)));
    // The next item, and where what comes of it is looked for.
    let next = || {
        let mut left = items.lock().unwrap_or_else(PoisonError::into_inner);
        let (items, order) = left.as_mut()?;
        let (sender, receiver) = sync_channel(1);
        let item = items.next().filter(|_| order.send(receiver).is_ok());
        if item.is_none() {
            *left = None;
        }
        Some((item?, sender))
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((item, sender)) = next() {
                    // Nobody may want it any longer.
                    drop(sender.send(work(item)));
                }
            });
        }
        // A thread that panicked ends this one.
        order.into_iter().map_while(|result| result.recv().ok()).try_for_each(&mut take)
    })
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{in_order, threads};

    #[test]
    fn what_comes_is_in_order_and_no_more_is_taken_than_is_worked_on() {
        let taken = AtomicUsize::new(0);
        let items = (0..).inspect(|_| {
            taken.fetch_add(1, Ordering::Relaxed);
        });
        let mut seen = 0;
        let ended = in_order(
            items,
            |item: usize| item,
            |item| {
                assert_eq!(item, seen);
                seen += 1;
                // What waits, what is worked on by each thread, and what one of them would give next.
                let most = seen + 3 * usize::from(threads()) + 1;
                assert!(taken.load(Ordering::Relaxed) <= most);
                if seen == 1000 { ControlFlow::Break("enough") } else { ControlFlow::Continue(()) }
            },
        );
        assert_eq!(ended, ControlFlow::Break("enough"));
        let all = in_order(0..10, |item| item, |_| ControlFlow::<()>::Continue(()));
        assert_eq!(all, ControlFlow::Continue(()));
        assert_eq!(in_order(0..0, |item| item, ControlFlow::Break), ControlFlow::Continue(()));
    }
}
