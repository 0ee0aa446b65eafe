//! What several evaluations may use together: memory, and time.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use compute::{Account, Cancel, Charge, OverLimit};

/// What the evaluations of several rules may use together: memory of one account, until a deadline. Clones share
/// it. What was charged is given back when the last of them is dropped.
///
/// Once it is used up it stays so: [`Budget::stopped`] says why, whatever a condition or a `&try_…` made of it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    charge: Mutex<Charge>,
    deadline: Option<Instant>,
    cancel: Option<Cancel>,
    stopped: OnceLock<Stop>,
}

/// Why an evaluation may not go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// There is no memory left.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
    /// The time is over.
    #[error("the time is over")]
    Deadline,
    /// The caller cancelled.
    #[error("the caller cancelled")]
    Cancelled,
}

impl Budget {
    /// A budget that charges this account, until a deadline or until it is cancelled.
    #[must_use]
    pub fn new(account: &Account, deadline: Option<Instant>, cancel: Option<Cancel>) -> Self {
        let charge = Mutex::new(account.empty());
        Self(Arc::new(Shared { charge, deadline, cancel, stopped: OnceLock::new() }))
    }

    /// Charges bytes that are about to be made.
    ///
    /// # Errors
    /// [`Stop::OverLimit`] if there are not as many.
    pub fn charge(&self, bytes: usize) -> Result<(), Stop> {
        let charged = self.held().grow(bytes);
        charged.map_err(|over| self.stop(over.into()))
    }

    /// Gives back all that was charged: what it was for is gone.
    pub fn give_back(&self) {
        let mut held = self.held();
        let all = held.bytes() as usize;
        held.shrink(all);
    }

    /// What is charged, for what charges as it goes.
    pub fn held(&self) -> MutexGuard<'_, Charge> {
        self.0.charge.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// That there is time left. Loops over what a caller chose look at this at bounded steps.
    ///
    /// # Errors
    /// Why there is not.
    pub fn check(&self) -> Result<(), Stop> {
        if let Some(stop) = self.stopped() {
            return Err(stop.clone());
        }
        if self.0.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(self.stop(Stop::Deadline));
        }
        if self.0.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(self.stop(Stop::Cancelled));
        }
        Ok(())
    }

    /// Why evaluations may not go on, if one met an end.
    #[must_use]
    pub fn stopped(&self) -> Option<&Stop> {
        self.0.stopped.get()
    }

    fn stop(&self, stop: Stop) -> Stop {
        self.0.stopped.get_or_init(|| stop).clone()
    }
}
