//! How much of the processors connections may use: those of one tenant together, and those of all strangers.
//!
//! What a connection costs is known only once it has cost it: a frame of HTTP/2 that says nothing, a header that is named
//! and not sent, a request that is refused. So it is the time that counts, whatever it went to.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What may be used at once by whoever used nothing before.
const BURST: Duration = Duration::from_millis(50);
/// How long who used too much waits at least, and how much longer for each that waits, too.
const LEAST_WAIT: Duration = Duration::from_millis(2);
const WAIT_FOR_EACH: Duration = Duration::from_micros(50);

/// The part of the processors that some connections share.
#[derive(Debug)]
pub(crate) struct Pace {
    began: Instant,
    /// In thousandths of a processor.
    share: u64,
    /// When all that was used is paid for, in nanoseconds from the beginning.
    paid: AtomicU64,
    /// How many connections wait for that.
    pub(super) waiting: AtomicUsize,
}

impl Pace {
    /// One in so many parts of all processors.
    pub(crate) fn one_in(parts: u64) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = (processors as u64 * 1000 / parts).max(1);
        Self { began: Instant::now(), share, paid: AtomicU64::new(0), waiting: AtomicUsize::new(0) }
    }

    fn now(&self) -> u64 {
        nanos(self.began.elapsed())
    }

    pub(super) fn charge(&self, used: Duration) {
        let cost = nanos(used).saturating_mul(1000) / self.share;
        let now = self.now();
        let more = |paid: u64| Some(paid.max(now).saturating_add(cost));
        let _ = self.paid.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    /// How long to wait until there is something to use.
    pub(super) fn wait(&self) -> Option<Duration> {
        let ahead = self.paid.load(Ordering::Relaxed).saturating_sub(self.now());
        let wait = Duration::from_nanos(ahead).checked_sub(BURST)?;
        let others = u32::try_from(self.waiting.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        Some(wait.max(LEAST_WAIT + WAIT_FOR_EACH.saturating_mul(others)))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BURST, LEAST_WAIT, Pace};

    #[test]
    fn whoever_used_more_than_a_share_waits_until_it_is_paid_for() {
        let pace = Pace { share: 250, ..Pace::one_in(1) };
        assert_eq!(pace.wait(), None);
        pace.charge(BURST / 8);
        assert_eq!(pace.wait(), None);
        // A second of a processor, at a quarter of one.
        pace.charge(Duration::from_secs(1));
        let wait = pace.wait().unwrap();
        assert!(wait > Duration::from_millis(3500) && wait < Duration::from_secs(4), "{wait:?}");
        // Those who wait come one after another.
        let pace = Pace { share: 1000, ..Pace::one_in(1) };
        pace.charge(BURST + Duration::from_millis(1));
        pace.waiting.store(1000, std::sync::atomic::Ordering::Relaxed);
        assert!(pace.wait().is_none_or(|wait| wait >= LEAST_WAIT + Duration::from_millis(50)));
    }
}
