//! How whoever keeps the jobs is asked: a thread of a worker outlives what fails there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use compute_state::StateError;

use crate::telemetry::warn;

/// Asks whoever keeps the jobs. A panic there is an error here: the thread goes on.
pub(super) fn guarded<T>(ask: impl FnOnce() -> Result<T, StateError>) -> Result<T, StateError> {
    let asked = catch_unwind(AssertUnwindSafe(ask));
    asked.unwrap_or_else(|_| Err(StateError::failed("the jobs", "what keeps them panicked")))
}

/// What is known, or that nothing is, which the operator is told once.
pub(super) fn known<T>(result: Result<T, StateError>, failed: &mut bool) -> Option<T> {
    match result {
        Ok(known) => {
            *failed = false;
            Some(known)
        }
        Err(error) => {
            if !std::mem::replace(failed, true) {
                warn(&error);
            }
            None
        }
    }
}
