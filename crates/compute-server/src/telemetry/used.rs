//! What a tenant uses, counted by each thread for itself.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use compute::Metrics;
use compute_state::Usage;

/// How many threads count each for itself; of more, some share.
const THREADS: usize = 64;

/// What a tenant used that was not added yet to what is kept.
#[derive(Debug)]
pub(crate) struct Used(Box<[Counts; THREADS]>);

/// What one thread counted: a line of the processor's cache, which no other thread writes to.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counts([AtomicU64; Usage::FIELDS]);

impl Default for Used {
    fn default() -> Self {
        Self(Box::new(std::array::from_fn(|_| Counts::default())))
    }
}

/// This thread's place.
fn place() -> usize {
    static THREAD: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: Cell<usize> =
            Cell::new(THREAD.fetch_add(1, Ordering::Relaxed) % THREADS);
    }
    PLACE.get()
}

impl Used {
    /// Counts this.
    pub(crate) fn add(&self, used: Usage) {
        let Some(Counts(counts)) = self.0.get(place()) else { return };
        for (count, number) in counts.iter().zip(used.numbers()) {
            if number > 0 {
                count.fetch_add(number, Ordering::Relaxed);
            }
        }
    }

    /// Counts what a run took.
    pub(crate) fn ran(&self, metrics: &Metrics, runs: u64) {
        let (wall_us, fuel) = match metrics.cached {
            true => (0, 0),
            false => (metrics.phases.guest.as_micros() as u64, metrics.fuel.unwrap_or(0)),
        };
        self.add(Usage { runs, wall_us, fuel, ..Usage::default() });
    }

    /// How many microseconds guests ran since it was last taken.
    pub(crate) fn wall_us(&self) -> u64 {
        let each = self.0.iter().map(|Counts([.., wall_us, _])| wall_us.load(Ordering::Relaxed));
        each.fold(0, u64::saturating_add)
    }

    /// What was counted since it was last taken.
    pub(crate) fn take(&self) -> Usage {
        let mut sum = [0_u64; Usage::FIELDS];
        for Counts(counts) in &*self.0 {
            for (sum, count) in sum.iter_mut().zip(counts) {
                *sum = sum.saturating_add(count.swap(0, Ordering::Relaxed));
            }
        }
        Usage::of(sum)
    }
}

#[cfg(test)]
mod tests {
    use compute_state::Usage;

    use super::Used;

    #[test]
    fn what_many_threads_count_is_taken_once() {
        let used = Used::default();
        let one = Usage::of([1, 2, 3, 4, 5, 6]);
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| (0..10).for_each(|_| used.add(one)));
            }
        });
        assert_eq!(used.take(), Usage::of(one.numbers().map(|number| number * 1000)));
        assert!(used.take().is_none());
    }
}
