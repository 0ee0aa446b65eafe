//! What a worker needs of whoever runs jobs: the server, or a test in its place.

use std::time::Duration;

use compute::Ref;
use compute_state::{ClaimedJob, TenantName};
use tokio::task::AbortHandle;

use super::worker::Verdict;

/// Runs jobs.
pub(crate) trait RunJobs: Send + Sync {
    /// Starts one; what becomes of it is told when it is known. Nothing is told of one that is aborted.
    fn start(&self, job: ClaimedJob, ended: Ended) -> AbortHandle;

    /// Deletes an artifact that was the output of a job, within this time. Whether it is not there any more.
    fn delete_output(&self, tenant: &TenantName, output: &Ref, within: Duration) -> bool;

    /// Whose jobs it would not start now.
    fn without(&self) -> Vec<TenantName>;
}

/// Is told what became of a job.
pub(crate) type Ended = Box<dyn FnOnce(Verdict) + Send>;
