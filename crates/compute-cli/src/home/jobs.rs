//! Where a command's jobs are: a server's, or in a state, where whoever serves it runs them. What is said of them is the same.

use std::time::{Duration, Instant};

use compute_client::ErrorKind;
use compute_client::api::{JobAnswer, JobHead, JobId, JobRequest, JobState};
use compute_client::blocking::Client;
use compute_state::{JobFilter, Jobs, JobsError, TenantJobs};
use sha2::{Digest as _, Sha256};

use crate::failure::Failure;

/// How often a job is looked at that is waited for.
const LOOK: Duration = Duration::from_millis(300);
/// How many jobs are listed at once.
const PAGE: usize = 1000;

/// The jobs that a command is about.
#[derive(Debug)]
pub(crate) enum HomeJobs {
    Kept(TenantJobs),
    Server(Client),
}

impl HomeJobs {
    /// Submits a job, or finds the one that was submitted with this key: then this is true.
    pub(crate) fn submit(
        &self,
        request: JobRequest,
        key: Option<&str>,
    ) -> Result<(JobHead, bool), Failure> {
        match self {
            Self::Server(client) => {
                let submitted = client.submit_job(&request, key)?;
                Ok((submitted.job, submitted.was_there))
            }
            Self::Kept(jobs) => {
                let asked = serde_json::to_vec(&request).map_err(|error| Failure::host(&error))?;
                let digest = Sha256::digest(&asked).into();
                let job = request.into_job(key.map(str::to_owned), digest);
                let submitted = jobs.submit(&job.map_err(Failure::usage)?)?;
                Ok((submitted.info.into(), submitted.was_there))
            }
        }
    }

    pub(crate) fn show(&self, id: JobId) -> Result<JobAnswer, Failure> {
        Ok(match self {
            Self::Server(client) => client.job(id)?,
            Self::Kept(jobs) => jobs.show(&id)?.into(),
        })
    }

    /// The job when it has ended, or as it is after so long.
    pub(crate) fn wait(&self, id: JobId, limit: Option<Duration>) -> Result<JobAnswer, Failure> {
        let jobs = match self {
            Self::Server(client) => {
                return client.wait_job(id, limit).map_err(|error| {
                    if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Deadline) {
                        crate::show::tell!(
                            "the job goes on whoever waits: `compute job wait {id}` waits for it again"
                        );
                    }
                    Failure::from(error)
                });
            }
            Self::Kept(jobs) => jobs,
        };
        let begun = Instant::now();
        loop {
            let job = jobs.show(&id)?;
            let left = limit.map_or(LOOK, |limit| limit.saturating_sub(begun.elapsed()));
            if job.info.state.has_ended() || left.is_zero() {
                return Ok(job.into());
            }
            std::thread::sleep(LOOK.min(left));
        }
    }

    /// The newest jobs, or those in a state, which were submitted before this one.
    pub(crate) fn list(
        &self,
        state: Option<JobState>,
        mut before: Option<JobId>,
        last: usize,
    ) -> Result<Vec<JobHead>, Failure> {
        let mut listed: Vec<JobHead> = Vec::new();
        while listed.len() < last {
            let most = PAGE.min(last - listed.len());
            let page: Vec<JobHead> = match self {
                Self::Server(client) => client.jobs_before(state, before, most)?,
                Self::Kept(jobs) => {
                    let found = jobs.list(&JobFilter { state, before, most })?;
                    found.into_iter().map(JobHead::from).collect()
                }
            };
            let is_last = page.len() < most;
            listed.extend(page);
            before = listed.last().map(|job| job.id);
            if is_last {
                break;
            }
        }
        Ok(listed)
    }

    pub(crate) fn cancel(&self, id: JobId) -> Result<(), Failure> {
        match self {
            Self::Server(client) => drop(client.cancel_job(id)?),
            Self::Kept(jobs) => drop(jobs.cancel(&id)?),
        }
        Ok(())
    }

    pub(crate) fn retry(&self, id: JobId) -> Result<(), Failure> {
        match self {
            Self::Server(client) => drop(client.retry_job(id)?),
            Self::Kept(jobs) => drop(jobs.retry(&id)?),
        }
        Ok(())
    }
}

impl From<JobsError> for Failure {
    fn from(error: JobsError) -> Self {
        match error {
            JobsError::State(error) => error.into(),
            _ => Self::usage_of(&error),
        }
    }
}
