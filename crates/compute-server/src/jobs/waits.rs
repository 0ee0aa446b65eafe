//! Who waits for the ends of jobs. Of those that end here it is told at once; for the others all are asked about together, a few
//! times in a second while there are any.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compute_state::{JobId, JobQueue, TenantName};
use tokio::sync::Notify;

/// How long after one answer the next is asked for.
const PAUSE: Duration = Duration::from_millis(200);
/// How many jobs are asked about together.
const TOGETHER: usize = 1000;

/// Those who wait for jobs.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    waited: Mutex<HashMap<(TenantName, JobId), Waited>>,
    /// Whether somebody asks.
    asking: AtomicBool,
}

#[derive(Debug)]
struct Waited {
    told: Arc<Notify>,
    number: usize,
}

/// One who waits, until it is dropped.
#[derive(Debug)]
pub(crate) struct Wait {
    waits: Arc<Waits>,
    job: (TenantName, JobId),
    told: Arc<Notify>,
}

impl Waits {
    fn lock(&self) -> MutexGuard<'_, HashMap<(TenantName, JobId), Waited>> {
        self.waited.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job from now on, whose end may come at any time after this.
    pub(crate) fn wait(
        self: &Arc<Self>,
        job: (TenantName, JobId),
        queue: &Arc<dyn JobQueue>,
    ) -> Wait {
        let mut waited = self.lock();
        let new = || Waited { told: Arc::default(), number: 0 };
        let own = waited.entry(job.clone()).or_insert_with(new);
        own.number += 1;
        let told = Arc::clone(&own.told);
        drop(waited);
        if !self.asking.swap(true, Ordering::AcqRel) {
            tokio::spawn(ask(Arc::clone(self), Arc::clone(queue)));
        }
        Wait { waits: Arc::clone(self), job, told }
    }

    /// These have ended.
    pub(crate) fn ended(&self, jobs: &[(TenantName, JobId)]) {
        let waited = self.lock();
        for job in jobs {
            if let Some(own) = waited.get(job) {
                own.told.notify_waiters();
            }
        }
    }
}

/// Asks about those that are waited for, until there are none.
async fn ask(waits: Arc<Waits>, queue: Arc<dyn JobQueue>) {
    loop {
        tokio::time::sleep(PAUSE).await;
        let jobs: Vec<_> = waits.lock().keys().cloned().collect();
        if jobs.is_empty() {
            waits.asking.store(false, Ordering::Release);
            // One may have come between.
            if waits.lock().is_empty() || waits.asking.swap(true, Ordering::AcqRel) {
                return;
            }
            continue;
        }
        for some in jobs.chunks(TOGETHER) {
            let (queue, some) = (Arc::clone(&queue), some.to_vec());
            let asked =
                tokio::task::spawn_blocking(move || queue.ended(&some).map(|ended| (some, ended)));
            // What cannot be told now is asked again.
            if let Ok(Ok((some, ended))) = asked.await {
                let ended = some.into_iter().zip(ended).filter(|(_, ended)| *ended);
                waits.ended(&ended.map(|(job, _)| job).collect::<Vec<_>>());
            }
        }
    }
}

impl Wait {
    /// What is done when it has ended, maybe more often. It is waited for from when this was called.
    pub(crate) fn told(&self) -> tokio::sync::futures::Notified<'_> {
        self.told.notified()
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let mut waited = self.waits.lock();
        if let Some(own) = waited.get_mut(&self.job) {
            own.number -= 1;
            if own.number == 0 {
                waited.remove(&self.job);
            }
        }
    }
}
