//! Jobs: submitted, waited for, listed, ended and tried again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compute_api::{JobAnswer, JobHead, JobId, JobList, JobRequest, JobState};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::StatusCode;

use super::ApiClient;
use crate::error::{Error, ErrorKind};
use crate::mode::Mode;
use crate::request::{Call, Request};
use crate::send::Server;

/// How long one request waits for the end of a job.
const WAIT: Duration = Duration::from_secs(30);
/// How long after an answer that came early, or none, it is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// For how long a server may be away that has told of the job before: it is started again, or another takes its place.
const AWAY: Duration = Duration::from_secs(60);
/// How many jobs are listed in one answer.
const PAGE: usize = 1000;

/// A job that was submitted, or was there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubmittedJob {
    /// What is said of it.
    pub job: JobHead,
    /// Whether it was submitted before, with the same idempotency key.
    pub was_there: bool,
}

impl<M: Mode> ApiClient<M> {
    /// Submits a job, which is kept until it has a result. With an idempotency key, at most 200 bytes, it may be submitted again, by
    /// whoever does not know whether it was: there is one job. Where none is given the client makes one, for what it sends again
    /// itself.
    ///
    /// Fails with [`ErrorKind::Conflict`] if another job was submitted with the key, with [`ErrorKind::Quota`] if there are too many.
    pub fn submit_job(&self, job: &JobRequest, key: Option<&str>) -> M::Answer<'_, SubmittedJob> {
        let request = Request::post(["v1", "jobs"]).json_body(job).known();
        let request = match key {
            Some(key) => request.header("idempotency-key", key),
            None => request.header("idempotency-key", &JobId::new().to_string()),
        };
        self.call(request.read(|received| {
            let was_there = received.status == StatusCode::OK;
            Ok(SubmittedJob { job: serde_json::from_slice(&received.body)?, was_there })
        }))
    }

    /// A job as it is now, with its output or why there is none.
    ///
    /// Fails with [`ErrorKind::NotFound`] if there is none of this id, or none any more.
    pub fn job(&self, id: JobId) -> M::Answer<'_, JobAnswer> {
        self.call(job(id, Duration::ZERO))
    }

    /// Waits until a job has ended, or for so long at most: then it is given as it is, ended or not. A server that has told of the
    /// job and is away for less than a minute is waited for.
    ///
    /// Fails with [`ErrorKind::NotFound`] if there is none of this id, or none any more.
    pub fn wait_job(&self, id: JobId, limit: Option<Duration>) -> M::Answer<'_, JobAnswer> {
        self.work(wait(Arc::clone(&self.server), id, limit))
    }

    /// All jobs, or those in one state, the newest first, fetched page by page while they are read. After an error nothing follows.
    pub fn jobs(&self, state: Option<JobState>) -> M::Items<'_, JobHead> {
        let pages =
            stream::try_unfold(Some(None), move |before: Option<Option<JobId>>| async move {
                let Some(before) = before else { return Ok(None) };
                let jobs = self.fetch(page(state, before, PAGE)).await?;
                let next = jobs.last().map(|job| job.id).filter(|_| jobs.len() == PAGE);
                Ok::<_, Error>(Some((stream::iter(jobs.into_iter().map(Ok)), next.map(Some))))
            });
        M::items(pages.try_flatten().boxed())
    }

    /// Some jobs, or some of those in one state, the newest first: those that were submitted before this one, 1,000 at most.
    pub fn jobs_before(
        &self,
        state: Option<JobState>,
        before: Option<JobId>,
        most: usize,
    ) -> M::Answer<'_, Vec<JobHead>> {
        self.call(page(state, before, most))
    }

    /// Ends a job: it has no result, whoever runs it.
    ///
    /// Fails with [`ErrorKind::Conflict`] if it has ended, with [`ErrorKind::NotFound`] if there is none.
    pub fn cancel_job(&self, id: JobId) -> M::Answer<'_, JobHead> {
        self.call(Request::post(["v1", "jobs", &id.to_string(), "cancel"]).json())
    }

    /// Has a job that failed or was cancelled wait again, with all its attempts, its clock and its seed.
    ///
    /// Fails with [`ErrorKind::Conflict`] if it neither failed nor was cancelled, with [`ErrorKind::NotFound`] if there is none.
    pub fn retry_job(&self, id: JobId) -> M::Answer<'_, JobHead> {
        self.call(Request::post(["v1", "jobs", &id.to_string(), "retry"]).json())
    }
}

fn job(id: JobId, wait: Duration) -> Call<JobAnswer> {
    let request = Request::get(["v1", "jobs", &id.to_string()]);
    match wait.as_millis() {
        0 => request.json(),
        wait => request.query("wait_ms", &wait.to_string()).json(),
    }
}

fn page(state: Option<JobState>, before: Option<JobId>, most: usize) -> Call<Vec<JobHead>> {
    let mut request = Request::get(["v1", "jobs"]).query("last", &most.to_string());
    if let Some(state) = state {
        request = request.query("state", state.name());
    }
    if let Some(before) = before {
        request = request.query("before", &before.to_string());
    }
    request.json_as(|JobList { jobs }| jobs)
}

async fn wait(server: Arc<Server>, id: JobId, limit: Option<Duration>) -> Result<JobAnswer, Error> {
    let begun = Instant::now();
    // It is to be answered in the time that the client gives an answer.
    let longest = WAIT.min(server.timeout / 2);
    let (mut was_there, mut away) = (false, None);
    loop {
        let left = limit.map_or(longest, |limit| limit.saturating_sub(begun.elapsed()));
        let (asked, wait) = (Instant::now(), left.min(longest));
        match Arc::clone(&server).call(job(id, wait)).await {
            Ok(job) if job.head.state.has_ended() || left.is_zero() => return Ok(job),
            Ok(_) => (was_there, away) = (true, None),
            Err(error) => {
                let is_away = matches!(
                    error.kind(),
                    ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Deadline
                );
                let since = away.get_or_insert_with(Instant::now).elapsed();
                if left.is_zero() || !is_away || !was_there || since >= AWAY {
                    return Err(error);
                }
            }
        }
        // A server that shuts down answers at once, and one that is away not at all.
        if asked.elapsed() < wait {
            tokio::time::sleep(PAUSE.min(wait)).await;
        }
    }
}
