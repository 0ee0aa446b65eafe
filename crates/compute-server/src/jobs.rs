//! Jobs: how they are taken from requests, run, and waited for.
//!
//! [`Jobs`] is what requests see: it submits those that come at the same moment together, and tells who waits for one. [`Worker`]
//! decides what is run here, and `drive` does what it decides, on threads of its own.

mod drive;
mod forget;
mod guard;
mod load;
mod runner;
#[cfg(test)]
mod simulation;
mod submit;
mod waits;
mod webhooks;
mod worker;

use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use compute::Charge;
use compute_state::{
    JobId, JobLoad, JobQueue, JobsError, NewJob, State, StateError, Submitted, TenantName,
};

use drive::Driver;
use load::KnownLoad;
pub(crate) use runner::{Ended, RunJobs};
use submit::Submitter;
pub(crate) use waits::Wait;
use waits::Waits;
pub(crate) use webhooks::{Told as WebhookTold, Webhooks};
pub use webhooks::{WebhookOrigin, WebhookOriginError};
use worker::Told;
pub(crate) use worker::{Verdict, WorkerSettings};

/// The jobs of a server.
#[derive(Debug)]
pub(crate) struct Jobs {
    state: Arc<dyn State>,
    /// Opened when it is first asked for.
    queue: OnceLock<Arc<dyn JobQueue>>,
    opening: Mutex<()>,
    submitter: OnceLock<Submitter>,
    pub(crate) waits: Arc<Waits>,
    pub(crate) webhooks: Webhooks,
    load: Arc<KnownLoad>,
    /// Whoever runs jobs here.
    worker: Mutex<Option<mpsc::Sender<Told>>>,
}

impl Jobs {
    pub(crate) fn new(state: Arc<dyn State>) -> Self {
        let (queue, submitter) = (OnceLock::new(), OnceLock::new());
        let (opening, worker) = (Mutex::default(), Mutex::default());
        let (waits, load) = (Arc::default(), Arc::default());
        let webhooks = Webhooks::default();
        Self { state, queue, opening, submitter, waits, webhooks, load, worker }
    }

    /// Where they are kept. It is opened the first time, so this is for threads that may wait.
    pub(crate) fn queue(&self) -> Result<Arc<dyn JobQueue>, StateError> {
        if let Some(queue) = self.queue.get() {
            return Ok(Arc::clone(queue));
        }
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = self.queue.get() {
            return Ok(Arc::clone(queue));
        }
        let queue = self.state.jobs()?;
        Ok(Arc::clone(self.queue.get_or_init(|| queue)))
    }

    /// The same, if it was opened.
    pub(crate) fn opened(&self) -> Option<Arc<dyn JobQueue>> {
        self.queue.get().cloned()
    }

    /// How many jobs there are on all servers, if that is known: it is asked for now and then.
    pub(crate) fn load(self: &Arc<Self>) -> Option<JobLoad> {
        let jobs = Arc::clone(self);
        self.load.get(move || jobs.queue().and_then(|queue| queue.load()).ok())
    }

    /// Submits a job, together with those that others submit at this moment.
    pub(crate) async fn submit(
        &self,
        tenant: TenantName,
        job: NewJob,
        charge: Charge,
        queue: Arc<dyn JobQueue>,
    ) -> Result<Submitted, JobsError> {
        let is_due = job.run_after.is_none();
        let submitter = self.submitter.get_or_init(|| Submitter::new(queue));
        let submitted = submitter.submit(tenant, job, charge).await;
        if is_due && submitted.as_ref().is_ok_and(|job| !job.was_there) {
            self.tell(Told::Woken);
        }
        submitted
    }

    /// A job was cancelled: who runs it here is to stop.
    pub(crate) fn cancelled(&self, tenant: &TenantName, id: JobId) {
        self.waits.ended(&[(tenant.clone(), id)]);
        self.tell(Told::Look);
    }

    /// A job waits again.
    pub(crate) fn woken(&self) {
        self.tell(Told::Woken);
    }

    fn tell(&self, told: Told) {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(worker) = &*worker {
            let _ = worker.send(told);
        }
    }

    /// Runs jobs here from now on, unless they are run already.
    pub(crate) fn run(
        self: &Arc<Self>,
        settings: WorkerSettings,
        limits: JobLimits,
        runner: Arc<dyn RunJobs>,
    ) -> std::io::Result<()> {
        let mut worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        if worker.is_none() && settings.places > 0 {
            *worker = Some(Driver::start(self, settings, limits, runner)?);
        }
        Ok(())
    }

    /// Takes no more jobs, and waits for those that run here; those that still do after so long are given back. It blocks.
    pub(crate) fn drain(&self, limit: Duration) {
        let Some(worker) = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return;
        };
        let (done, drained) = mpsc::channel();
        let _ = worker.send(Told::Drain(done));
        if drained.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = worker.send(Told::Stop);
            let _ = drained.recv_timeout(GIVE_BACK);
        }
    }
}

/// How long it may take to give back what runs.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// What holds for jobs on all servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JobLimits {
    /// How many of one tenant's run.
    pub(crate) most_of_tenant: usize,
    /// How long those are kept that have ended.
    pub(crate) age: Duration,
}
