//! A place for each sandbox that may be alive at once; whoever finds none waits.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use compute::{Call, Failure, Phase};

use crate::failure::must_stop;

/// How often a waiting caller looks whether it was cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(crate) struct Slots {
    free: Mutex<u32>,
    freed: Condvar,
}

/// A place taken; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a>(&'a Slots);

impl Slots {
    pub(crate) fn new(count: u32) -> Self {
        Self { free: Mutex::new(count), freed: Condvar::new() }
    }

    /// Takes a place, waiting until the call's deadline or its caller's wish to stop.
    pub(crate) fn take(&self, call: &Call<'_>) -> Result<Slot<'_>, Failure> {
        let mut free = self.lock();
        while *free == 0 {
            if let Some(reason) = must_stop(call, Phase::Queue) {
                return Err(Failure::new(reason));
            }
            let left = call.deadline().map_or(CANCEL_POLL, |deadline| {
                deadline.saturating_duration_since(Instant::now()).min(CANCEL_POLL)
            });
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Ok(Slot(self))
    }

    fn lock(&self) -> MutexGuard<'_, u32> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}
