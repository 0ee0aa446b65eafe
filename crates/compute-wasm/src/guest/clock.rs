//! A sandbox's clocks, which move when the guest reads them or sleeps, and by nothing else.

use std::time::SystemTime;

const REALTIME: u32 = 0;
/// The monotonic clock, and the CPU-time clocks of the process and the thread, which show the same.
const MONOTONIC: std::ops::RangeInclusive<u32> = 1..=3;
/// How far each reading moves both clocks, which is also their resolution, in nanoseconds.
pub(super) const STEP: u64 = 1_000;

/// A sandbox's clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// What the wall clock showed at the start, in nanoseconds since the Unix epoch.
    start: u64,
    /// What the monotonic clock shows.
    pub(super) elapsed: u64,
    /// Whether the guest looked at the wall clock. The others show the same in every run.
    pub(crate) wall_was_seen: bool,
}

impl Clock {
    /// Clocks of which the wall clock shows this. A time before the epoch is shown as the epoch.
    pub(crate) fn new(now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            start: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            elapsed: 0,
            wall_was_seen: false,
        }
    }

    pub(super) fn show(self, clock: u32) -> Option<u64> {
        match clock {
            REALTIME => Some(self.start.saturating_add(self.elapsed)),
            id if MONOTONIC.contains(&id) => Some(self.elapsed),
            _ => None,
        }
    }

    pub(super) fn read(&mut self, clock: u32) -> Option<u64> {
        let shown = self.show(clock)?;
        self.wall_was_seen |= clock == REALTIME;
        self.elapsed = self.elapsed.saturating_add(STEP);
        Some(shown)
    }

    /// When, on the monotonic clock, this timeout is over.
    pub(super) fn due(&mut self, clock: u32, timeout: u64, absolute: bool) -> Option<u64> {
        let shown = self.show(clock)?;
        self.wall_was_seen |= clock == REALTIME && absolute;
        let left = if absolute { timeout.saturating_sub(shown) } else { timeout };
        Some(self.elapsed.saturating_add(left))
    }
}
