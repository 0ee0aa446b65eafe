//! Jobs: submitted, waited for, listed, ended and tried again.

mod run;
pub(super) mod schedules;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use compute::Charge;
use compute_state::{
    Job, JobFilter, JobId, JobQueue, JobState, JobsError, NewJob, StateError, TenantName,
};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use super::caller::{self, Caller, Read};
use super::extract::{Path, Query};
use super::{Answer, Refusals, header as read};
use crate::wire::{JobAnswer, JobHead, JobList, JobRequest, JobRequestError};
use crate::{Problem, Server, http};

pub(crate) use run::Runner;

/// What stands around an input.
const AROUND: u64 = 64 << 10;
/// How long a request waits for the end of a job at most.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// How many jobs are listed at most.
const MAX_LISTED: usize = 1000;

#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct SubmitHeaders {
    /// Names this request, so that it may be sent again: while the job is kept, it is the one that is answered. At most 200 bytes
    #[param(rename = "idempotency-key", required = false, max_length = 200)]
    key: String,
}

/// Submit a job
///
/// It is kept until it has a result, whichever server runs it, and however often it must be begun; its clock and its seed are fixed
/// here. What failed in the compute fails for good, what failed in a server or by time is tried again.
#[utoipa::path(
    post, path = "/v1/jobs", tag = "jobs", security(("token" = ["run"])),
    params(SubmitHeaders), request_body = JobRequest,
    responses(
        (status = 202, body = JobHead, description = "It is kept", headers(("location" = String, description = "Where it is"))),
        (status = 200, body = JobHead, description = "It was submitted before, with this idempotency key"),
        Refusals
    )
)]
pub(super) async fn submit(
    caller: Caller<caller::Run>,
    State(server): State<Server>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let key: Option<String> = read(&headers, "idempotency-key", "text")?;
    if key.as_ref().is_some_and(|key| key.is_empty() || key.len() > NewJob::MAX_KEY) {
        let detail = format!("the header idempotency-key has 1 to {} bytes", NewJob::MAX_KEY);
        return Err(Problem::bad("invalid_header", detail));
    }
    let taken = caller.body(content, JobRequest::MAX_BATCH as u64 + AROUND).await?;
    // It is read, and waits to be kept.
    let read = caller.read(taken, move |body| {
        let request: [u8; 32] = Sha256::digest(&body.bytes).into();
        body.few::<JobRequest>()?.into_job(key, request).map_err(wrong)
    });
    let (mut job, read) = read.await?;
    if let Some((_, webhook)) = &job.webhook {
        server.shared.jobs.webhooks.check(webhook)?;
    }
    job.submitted_by = caller.token();
    let queue = caller.queue().await?;
    let submitted = server.shared.jobs.submit(caller.name().clone(), job, read, queue).await?;
    let status = if submitted.was_there { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = HeaderValue::from_str(&format!("/v1/jobs/{}", submitted.info.id));
    let mut response = (status, Json(JobHead::from(submitted.info))).into_response();
    if let Ok(location) = location {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// What is wrong with what was to be submitted.
fn wrong(error: JobRequestError) -> Problem {
    let text = error.to_string();
    match error {
        JobRequestError::Stage(_) => Problem::bad("invalid_stage", text),
        JobRequestError::InputTooLarge => {
            let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", text);
            problem.with("limit", JobRequest::MAX_INPUT)
        }
        JobRequestError::BatchTooLarge(_) => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", text)
        }
        JobRequestError::Webhook(_) => Problem::bad("invalid_webhook", text),
        _ => Problem::bad("invalid_body", text),
    }
}

impl<S> Caller<S> {
    /// Where jobs are kept.
    async fn queue(&self) -> Answer<Arc<dyn JobQueue>> {
        let jobs = self.jobs();
        if let Some(queue) = jobs.opened() {
            return Ok(queue);
        }
        let jobs = Arc::clone(jobs);
        let admitted = self.admin().await?;
        Ok(admitted.run(move |_, _| jobs.queue()).await??)
    }

    /// Asks whoever keeps the jobs.
    async fn ask<T: Send + 'static, E: From<StateError> + Into<Problem> + Send + 'static>(
        &self,
        work: impl FnOnce(&dyn JobQueue, &TenantName) -> Result<T, E> + Send + 'static,
    ) -> Answer<T> {
        let jobs = Arc::clone(self.jobs());
        let admitted = self.admin_now().await?;
        let asked = admitted.run(move |tenant, _| work(&*jobs.queue()?, &tenant.name));
        asked.await?.map_err(Into::into)
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Waiting {
    /// For how many milliseconds its end is waited for at most: up to 60,000; not at all, if that is not said
    #[param(maximum = 60000)]
    wait_ms: Option<u64>,
}

/// A job
///
/// With its output, or with why there is none; as it is after it was waited for, whether it has ended or not.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", security(("token" = ["read"])),
    params(("id" = String, Path, description = "Its id", pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"), Waiting),
    responses((status = 200, body = JobAnswer), Refusals)
)]
pub(super) async fn show(
    caller: Caller<Read>,
    State(server): State<Server>,
    Path(id): Path<String>,
    Query(Waiting { wait_ms }): Query<Waiting>,
    headers: HeaderMap,
) -> Answer<Response> {
    let id = id_of(&id)?;
    let wait = wait_ms.map_or(Duration::ZERO, Duration::from_millis);
    if wait > MAX_WAIT {
        let detail = format!("`wait_ms` is at most {}", MAX_WAIT.as_millis());
        return Err(Problem::bad("invalid_query", detail));
    }
    let until = Instant::now() + wait;
    let queue = caller.queue().await?;
    let waited = (!wait.is_zero())
        .then(|| server.shared.jobs.waits.wait((caller.name().clone(), id), &queue));
    loop {
        // What ends from now on is told.
        let told = waited.as_ref().map(crate::jobs::Wait::told);
        let memory = caller.memory.clone();
        let is_last = Instant::now() >= until;
        let shown = caller.ask(move |queue, tenant| {
            let head_only =
                !is_last && !queue.ended(&[(tenant.clone(), id)])?.iter().all(|one| *one);
            if head_only {
                return Ok::<_, JobsError>(None);
            }
            let job = queue.show(tenant, &id)?;
            Ok(Some(written(&memory, job)))
        });
        if let Some(shown) = shown.await? {
            return shown;
        }
        if let Some(told) = told {
            let left = until.saturating_duration_since(Instant::now());
            tokio::select! {
                () = told => {}
                () = tokio::time::sleep(left) => {}
                () = server.drains() => return show_now(&caller, id).await,
            }
            // Its token may have been revoked meanwhile.
            caller.still_may(&headers).await?;
        }
    }
}

async fn show_now(caller: &Caller<Read>, id: JobId) -> Answer<Response> {
    let memory = caller.memory.clone();
    let shown = caller
        .ask(move |queue, tenant| Ok::<_, JobsError>(written(&memory, queue.show(tenant, &id)?)));
    shown.await?
}

/// A job as it is answered.
fn written(memory: &compute::Account, job: Job) -> Answer<Response> {
    let size = job.result.as_ref().map_or(0, compute_state::JobResult::size);
    let _held: Charge = memory.charge(2 * size)?;
    http::written(memory, &JobAnswer::from(job))
}

fn id_of(text: &str) -> Answer<JobId> {
    text.parse()
        .map_err(|error: compute_state::JobIdError| Problem::bad("invalid_job", error.to_string()))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Listed {
    /// Of those in this state: `failed` are those that have no attempt left
    #[param(value_type = Option<String>, pattern = "^(scheduled|waiting|running|done|failed|cancelled)$")]
    state: Option<JobState>,
    /// Of those that were submitted before the one of this id
    before: Option<String>,
    /// How many at most: up to 1,000
    #[serde(default = "twenty")]
    #[param(default = 20, maximum = 1000)]
    last: usize,
}

const fn twenty() -> usize {
    20
}

/// Some jobs
///
/// Those that were submitted last, without what became of them.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "jobs", security(("token" = ["read"])),
    params(Listed), responses((status = 200, body = JobList), Refusals)
)]
pub(super) async fn list(
    caller: Caller<Read>,
    Query(Listed { state, before, last }): Query<Listed>,
) -> Answer<Json<JobList>> {
    if last > MAX_LISTED {
        return Err(Problem::bad("invalid_query", format!("`last` is at most {MAX_LISTED}")));
    }
    let before = before.as_deref().map(id_of).transpose()?;
    let filter = JobFilter { state, before, most: last };
    let jobs = caller.ask(move |queue, tenant| queue.list(tenant, &filter)).await?;
    Ok(Json(JobList { jobs: jobs.into_iter().map(JobHead::from).collect() }))
}

/// End a job
///
/// It has no result. Who runs it stops within ten seconds, on the server that is asked at once.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "jobs", security(("token" = ["run"])),
    params(("id" = String, Path, description = "Its id", pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")),
    responses((status = 200, body = JobHead), Refusals)
)]
pub(super) async fn cancel(
    caller: Caller<caller::Run>,
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Answer<Json<JobHead>> {
    let id = id_of(&id)?;
    let info = caller.ask(move |queue, tenant| queue.cancel(tenant, &id)).await?;
    server.shared.jobs.cancelled(caller.name(), id);
    Ok(Json(info.into()))
}

/// Try a job again
///
/// One that failed or was cancelled waits again, with all its attempts, the same clock and the same seed.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/retry", tag = "jobs", security(("token" = ["run"])),
    params(("id" = String, Path, description = "Its id", pattern = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")),
    responses((status = 200, body = JobHead), Refusals)
)]
pub(super) async fn retry(
    caller: Caller<caller::Run>,
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Answer<Json<JobHead>> {
    let id = id_of(&id)?;
    let info = caller.ask(move |queue, tenant| queue.retry(tenant, &id, JobId::new())).await?;
    server.shared.jobs.woken();
    Ok(Json(info.into()))
}
