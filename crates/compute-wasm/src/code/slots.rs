//! Waiting for a sandbox when all that may be alive at once are.
//!
//! The pool itself counts, so a call that finds a place pays nothing here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use compute::{Call, Phase, Reason};

/// How often a waiting call looks whether it must stop, and whether a place was freed unnoticed.
const POLL: Duration = Duration::from_millis(5);

#[derive(Debug, Default)]
pub(crate) struct Slots {
    waiting: AtomicU64,
    lock: Mutex<()>,
    freed: Condvar,
}

impl Slots {
    /// Tries to make a sandbox until it does not meet a full pool; or says why the call must not wait
    /// any longer.
    pub(crate) fn when_free<T>(
        &self,
        call: &Call<'_>,
        attempt: impl Fn() -> T,
        met_full_pool: impl Fn(&T) -> bool,
    ) -> Result<T, Reason> {
        let first = attempt();
        if !met_full_pool(&first) {
            return Ok(first);
        }
        drop(first);
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let result = loop {
            if let Some(reason) = call.must_stop(Instant::now(), Phase::Queue) {
                break Err(reason);
            }
            let next = attempt();
            if !met_full_pool(&next) {
                break Ok(next);
            }
            drop(next);
            let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
            drop(self.freed.wait_timeout(guard, POLL));
        };
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        result
    }

    /// To be called when a place became free.
    pub(crate) fn free(&self) {
        if self.waiting.load(Ordering::Relaxed) > 0 {
            self.freed.notify_one();
        }
    }
}
