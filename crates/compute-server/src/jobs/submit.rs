//! Jobs that come at the same moment are submitted together: what is on disk once is so for all of them.

use std::sync::{Arc, mpsc};

use compute::Charge;
use compute_state::{JobQueue, JobsError, NewJob, StateError, Submitted, TenantName};
use tokio::sync::oneshot;

use super::guard::guarded;

/// How many are submitted together, and how many bytes their inputs have at most.
const TOGETHER: usize = 500;
const BYTES: usize = 8 << 20;

/// Submits jobs on a thread of its own.
#[derive(Debug)]
pub(super) struct Submitter {
    works: mpsc::Sender<Work>,
}

#[derive(Debug)]
struct Work {
    tenant: TenantName,
    job: NewJob,
    done: oneshot::Sender<Result<Submitted, JobsError>>,
    /// What the input is charged: whoever goes away leaves it until it is kept.
    charge: Charge,
}

impl Submitter {
    pub(super) fn new(queue: Arc<dyn JobQueue>) -> Self {
        let (works, taken) = mpsc::channel();
        let started = std::thread::Builder::new().name("compute-submit".to_owned());
        if let Err(error) = started.spawn(move || run(&*queue, &taken)) {
            // Whoever submits is told when what was sent is dropped.
            tracing::error!(target: "request", %error, "cannot start a thread for jobs");
        }
        Self { works }
    }

    /// Submits a job. How many wait is bounded by what their inputs are charged.
    pub(super) async fn submit(
        &self,
        tenant: TenantName,
        job: NewJob,
        charge: Charge,
    ) -> Result<Submitted, JobsError> {
        let (done, submitted) = oneshot::channel();
        let _ = self.works.send(Work { tenant, job, done, charge });
        let failed = || StateError::unavailable("jobs", "the thread that submits them has ended");
        submitted.await.unwrap_or_else(|_| Err(failed().into()))
    }
}

fn run(queue: &dyn JobQueue, works: &mpsc::Receiver<Work>) {
    let mut next = None;
    loop {
        let Some(first) = next.take().or_else(|| works.recv().ok()) else { return };
        let mut bytes = first.job.input.len();
        let mut together = vec![first];
        while together.len() < TOGETHER {
            let Ok(work) = works.try_recv() else { break };
            bytes += work.job.input.len();
            if bytes > BYTES {
                next = Some(work);
                break;
            }
            together.push(work);
        }
        let (jobs, done): (Vec<_>, Vec<_>) = together
            .into_iter()
            .map(|work| ((work.tenant, work.job), (work.done, work.charge)))
            .unzip();
        let (done, _charges): (Vec<_>, Vec<_>) = done.into_iter().unzip();
        match guarded(|| queue.submit(&jobs)) {
            Ok(answers) => {
                for (done, answer) in done.into_iter().zip(answers) {
                    let _ = done.send(answer);
                }
            }
            Err(error) => {
                let why = compute::with_causes(&error);
                for done in done {
                    let error = match &error {
                        StateError::Unavailable { .. } => {
                            StateError::unavailable("jobs", why.clone())
                        }
                        _ => StateError::failed("jobs", why.clone()),
                    };
                    let _ = done.send(Err(error.into()));
                }
            }
        }
    }
}
