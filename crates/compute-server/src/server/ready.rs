//! Whether the state can be asked, as it was a moment ago: all who ask at the same time are told the same, and hold nothing up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;

use crate::Problem;

/// How old what is known may be before it is asked for again.
const FRESH: Duration = Duration::from_millis(200);
/// How old it may be while somebody asks.
const KNOWN: Duration = Duration::from_secs(10);

/// What is known.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    asking: AtomicBool,
    known: Mutex<Option<(Instant, Result<(), Problem>)>>,
}

/// Somebody asks; nobody does when this is dropped.
struct Asking(Arc<Ready>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.store(false, Ordering::Release);
    }
}

impl Ready {
    /// What was told less than so long ago.
    fn known(&self, within: Duration) -> Option<Result<(), Problem>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(at, _)| at.elapsed() < within).map(|(_, told)| told.clone())
    }

    /// Whether it can be asked. This asks on a thread for that, unless that was done a moment ago or is being done.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        ask: impl FnOnce() -> Result<(), Problem> + Send + 'static,
    ) -> Result<(), Problem> {
        if let Some(told) = self.known(FRESH) {
            return told;
        }
        if self.asking.swap(true, Ordering::Acquire) {
            return self.known(KNOWN).unwrap_or_else(|| {
                let detail = "the state has not answered yet";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail))
            });
        }
        let asking = Asking(Arc::clone(self));
        let asked = tokio::task::spawn_blocking(move || {
            let told = ask();
            let mut known = asking.0.known.lock().unwrap_or_else(PoisonError::into_inner);
            *known = Some((Instant::now(), told.clone()));
            drop(known);
            drop(asking);
            told
        });
        asked.await.map_err(|error| Problem::internal(&error))?
    }
}
