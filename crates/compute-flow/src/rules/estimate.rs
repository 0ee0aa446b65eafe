//! How long a rule's compute is likely to take, so that threads are woken only where it pays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What waking a thread must save to be worth it.
const WORTH: Duration = Duration::from_micros(250);
/// What is taken for a compute that has not run yet: it may have to be loaded.
const UNKNOWN: u32 = 1_000_000;

/// How long a rule's compute took, about, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct Estimate(Arc<AtomicU32>);

impl Default for Estimate {
    fn default() -> Self {
        Self(Arc::new(AtomicU32::new(UNKNOWN)))
    }
}

impl Estimate {
    pub(crate) fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Ordering::Relaxed).into())
    }

    /// Learns what a run took. Nothing is written while the estimate is about right: threads share it.
    pub(crate) fn learn(&self, took: Duration) {
        let (old, new) = (self.0.load(Ordering::Relaxed), took.as_micros());
        let new = u32::try_from(new).unwrap_or(u32::MAX).max(1);
        if new / 2 > old || new < old / 2 {
            self.0.store(new, Ordering::Relaxed);
        }
    }
}

/// How many threads should help with runs that are likely to take so long.
pub(crate) fn helpers(estimates: impl Iterator<Item = Duration>, parallel: usize) -> usize {
    let (mut sum, mut longest, mut count) = (Duration::ZERO, Duration::ZERO, 0);
    for one in estimates {
        (sum, longest, count) = (sum + one, longest.max(one), count + 1);
    }
    // The caller takes at least one.
    let saved = sum - longest;
    let worth = usize::try_from(saved.as_micros() / WORTH.as_micros()).unwrap_or(usize::MAX);
    worth.min(parallel.saturating_sub(1)).min(count.max(1) - 1)
}

#[cfg(test)]
mod tests {
    use super::{Estimate, helpers};
    use std::time::Duration;

    #[test]
    fn threads_help_where_it_pays() {
        let of = |micros: &[u64], parallel| {
            helpers(micros.iter().map(|one| Duration::from_micros(*one)), parallel)
        };
        assert_eq!(of(&[], 8), 0);
        assert_eq!(of(&[1_000_000], 8), 0, "the caller does one itself");
        assert_eq!(of(&[50, 50, 50], 8), 0, "done before anybody is awake");
        assert_eq!(of(&[50; 20], 8), 3);
        assert_eq!(of(&[1_000_000, 40], 8), 0);
        assert_eq!(of(&[5000, 5000, 5000], 8), 2);
        assert_eq!(of(&[5000; 100], 8), 7);
        assert_eq!(of(&[5000; 100], 1), 0);
    }

    #[test]
    fn an_estimate_follows_what_runs_take() {
        let estimate = Estimate::default();
        assert_eq!(estimate.get(), Duration::from_secs(1));
        estimate.learn(Duration::from_micros(40));
        estimate.learn(Duration::from_micros(60));
        assert_eq!(estimate.get(), Duration::from_micros(40));
        estimate.learn(Duration::from_millis(9));
        assert_eq!(estimate.get(), Duration::from_millis(9));
    }
}
