//! Runs a job as a request of its tenant would be: in its turn, within its memory, recorded and counted like the others.

mod batches;
mod tell;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderMap, StatusCode};
use compute::{Algorithm, Artifact, OverLimit, Ref, Seed};
use compute_flow::Detail;
use compute_state::{ClaimedJob, JobResult, JobWork, StateError, TenantName, Usage};
use compute_store::{NewArtifact, StoreError};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use super::super::Answer;
use super::super::caller::{Admitted, Caller, Run};
use super::super::documents::{Document, Taken, read_stage, take};
use super::super::run::{Ran, RequestOptions, RunCall, admitted};
use crate::errors::SERVER_MEMORY;
use crate::http::ChargedBody;
use crate::jobs::{Ended, RunJobs, Verdict};
use crate::server::Shared;
use crate::tenants::Tenant;
use crate::wire::{JobDetails, JobRequest};
use crate::{Problem, Server};

/// The largest output that is kept with its job. What is larger is an artifact in the store.
const KEPT_WITH_THE_JOB: usize = 256 << 10;
/// How long it may take to keep or read one, with the wait for a place.
const STORING: Duration = Duration::from_secs(60);

/// Runs jobs on a server.
pub(crate) struct Runner {
    shared: Weak<Shared>,
    handle: Handle,
}

impl Runner {
    pub(crate) fn new(server: &Server, handle: Handle) -> Self {
        Self { shared: Arc::downgrade(&server.shared), handle }
    }
}

impl RunJobs for Runner {
    fn start(&self, job: ClaimedJob, ended: Ended) -> AbortHandle {
        let shared = self.shared.clone();
        let telling = Telling(Some(ended));
        let running = self.handle.spawn(async move {
            let verdict = match shared.upgrade() {
                Some(shared) => run(Server { shared }, job).await,
                None => Verdict::NoRoom,
            };
            telling.tell(verdict);
        });
        running.abort_handle()
    }

    fn delete_output(&self, tenant: &TenantName, output: &Ref, within: Duration) -> bool {
        let Some(shared) = self.shared.upgrade() else { return false };
        let deleted = shared.tenants.open(tenant).map_err(Problem::from).and_then(|tenant| {
            self.handle.block_on(async {
                let deleted = tokio::time::timeout(within, delete_output(&tenant, output)).await;
                deleted.map_err(|_| store_is_slow(within))?.map_err(Problem::from)
            })
        });
        if let Err(problem) = &deleted {
            tracing::warn!(target: "request", "cannot delete the output {output}: {}", problem.detail);
        }
        deleted.is_ok()
    }

    fn without(&self) -> Vec<TenantName> {
        self.shared.upgrade().map(|shared| shared.tenants.spent()).unwrap_or_default()
    }
}

/// Tells what became of a job, also if what ran it panicked.
struct Telling(Option<Ended>);

impl Telling {
    fn tell(mut self, verdict: Verdict) {
        if let Some(ended) = self.0.take() {
            ended(verdict);
        }
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        if let Some(ended) = self.0.take() {
            let detail = "the job did not end as it should";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            ended(failed(Problem::new(status, "internal", detail), &JobDetails::default()));
        }
    }
}

/// What became of a job's run: its output, as JSON, or why there is none.
struct Made {
    output: Result<Vec<u8>, Problem>,
    details: JobDetails,
}

impl From<Problem> for Made {
    fn from(problem: Problem) -> Self {
        Self { output: Err(problem), details: JobDetails::default() }
    }
}

async fn run(server: Server, job: ClaimedJob) -> Verdict {
    let caller: Caller<Run> = Caller::of_job(&server, &job.lease.tenant);
    let charge = match caller.memory.charge(job.input.len()) {
        Ok(charge) => charge,
        Err(over) => return no_memory(over),
    };
    if let JobWork::Tell(webhook) = &job.work {
        return tell::tell(&server, &caller, &job, webhook).await;
    }
    if job.is_batch {
        return batches::run(&server, &caller, job).await;
    }
    let options = options(&job, job.lease.id.to_string(), job.seed, job.left);
    let input = ChargedBody { bytes: job.input.into(), charge };
    let Made { output, details } =
        match attempt(&server, &caller, &job.work, options, input, false).await {
            Ok(made) => made,
            Err(verdict) => return verdict,
        };
    caller.uses(Usage { jobs: 1, ..Usage::default() });
    match output {
        Ok(output) => done(&caller, output, details).await,
        Err(problem) => failed(problem, &details),
    }
}

/// How a job's input, or a line of it, is run.
fn options(job: &ClaimedJob, rid: String, seed: Seed, left: Option<Duration>) -> RequestOptions {
    let now = u64::try_from(job.now).map(Duration::from_nanos).unwrap_or_default();
    RequestOptions {
        rid: Some(rid),
        deadline: left,
        fuel: job.fuel,
        seed: Some(seed),
        now: Some(SystemTime::UNIX_EPOCH + now),
        cache: false,
        detail: Detail::Summary,
        asks_for_trace: false,
    }
}

/// Does with an input what a job does, in its turn, however long that takes: the lease is renewed meanwhile. What becomes of the job
/// if it cannot be begun. What goes on is not asked again for its tenant's time: all of it would begin anew another day.
async fn attempt(
    server: &Server,
    caller: &Caller<Run>,
    work: &JobWork,
    mut options: RequestOptions,
    input: ChargedBody,
    goes_on: bool,
) -> Result<Made, Verdict> {
    let began = Instant::now();
    let left = options.deadline;
    let wall = match work {
        JobWork::Document(_) => options.limit(server),
        _ => server.shared.settings.limits.bounds().wall,
    };
    let place = match goes_on {
        true => caller.sandbox_to_go_on(wall).await,
        false => caller.sandbox_in_turn(wall).await,
    };
    let place = match place {
        Ok(place) => place,
        Err(_) if server.is_draining() => return Err(Verdict::NoRoom),
        Err(problem) => return Err(not_begun(problem)),
    };
    options.deadline = left.map(|left| left.saturating_sub(began.elapsed()));
    if options.deadline.is_some_and(|left| left.is_zero()) {
        return Err(Verdict::Failed(JobResult::late()));
    }
    let made = match work {
        JobWork::Run(reference) => {
            let is_json = !input.bytes.is_empty();
            let mut call = RunCall::of(options, reference.clone(), input.bytes);
            call.is_json = is_json;
            run_compute(server, caller, place, call).await
        }
        JobWork::Document(stage) => {
            take_document(server, caller, place, options, stage, input).await
        }
        JobWork::Tell(_) => {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "it runs nothing"))
        }
    };
    Ok(made.unwrap_or_else(Made::from))
}

/// A job's output, which is kept in the store where it is large.
async fn done(caller: &Caller<Run>, output: Vec<u8>, details: JobDetails) -> Verdict {
    if output.len() <= KEPT_WITH_THE_JOB {
        return Verdict::Done(JobResult::new(output, json(&details)));
    }
    match store(caller, output).await {
        Ok(Some(reference)) => Verdict::Done(JobResult {
            output: Some(reference),
            ..JobResult::new(Vec::new(), json(&details))
        }),
        Ok(None) => Verdict::Later,
        // Room may be made, and what it gave is the same then.
        Err(problem) if problem.status == StatusCode::CONFLICT => {
            Verdict::Passing(JobResult::new(json(&problem.members()), json(&details)))
        }
        Err(problem) => failed(problem, &details),
    }
}

/// Keeps an output as an artifact of its tenant's, within its quotas; not while somebody deletes the same of a job that is not kept any
/// more.
async fn store(caller: &Caller<Run>, output: Vec<u8>) -> Answer<Option<Ref>> {
    in_time(async {
        let admitted = caller.output_in_turn().await?;
        store_now(caller, &admitted, output).await
    })
    .await
}

/// What the store is asked for, with the wait for a place there: whoever waits has a place for jobs meanwhile, and those that ask the
/// store for nothing need it.
async fn in_time<T>(asked: impl Future<Output = Answer<T>>) -> Answer<T> {
    tokio::time::timeout(STORING, asked).await.map_err(|_| store_is_slow(STORING))?
}

fn store_is_slow(limit: Duration) -> Problem {
    let detail = format!("the store did not answer within {limit:?}");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail)
}

async fn store_now(
    caller: &Caller<Run>,
    admitted: &Admitted,
    output: Vec<u8>,
) -> Answer<Option<Ref>> {
    let tenant = &admitted.tenant;
    let store = &*tenant.store;
    let size = output.len() as u64;
    let jobs = Arc::clone(caller.jobs());
    let artifact = admitted.run(move |tenant, _| {
        let artifact = Artifact::new(Algorithm::Sha256, JobRequest::OUTPUT_ENGINE, output);
        // Who deletes outputs that no job has leaves this one, until the job is said to have it.
        let may = jobs.queue()?.stores_output(&tenant.name, artifact.reference())?;
        Ok::<_, StateError>(may.then_some(artifact))
    });
    let Some(artifact) = artifact.await?? else { return Ok(None) };
    let new = NewArtifact::new(artifact);
    // The same output of another job is there already.
    if store.head(new.artifact.reference()).await.is_ok() {
        return Ok(Some(store.put(&new).await?.reference));
    }
    let room = tenant.usage.room(store, 1, size).await?;
    let manifest = store.put(&new).await?;
    room.taken(1, size);
    Ok(Some(manifest.reference))
}

/// Deletes an output that no job has any more, if that is what it is.
async fn delete_output(tenant: &Tenant, output: &Ref) -> Result<(), StoreError> {
    let store = &*tenant.store;
    match store.head(output).await {
        Ok(manifest) if manifest.engine == JobRequest::OUTPUT_ENGINE => {}
        Ok(_) | Err(StoreError::NotFound { .. }) => return Ok(()),
        Err(error) => return Err(error),
    }
    let _deleting = tenant.usage.deleting().await;
    match store.delete(output).await {
        Err(StoreError::NotFound { .. }) => Ok(()),
        deleted => deleted,
    }
}

/// What becomes of a job that was not begun: where its tenant's others take what it needs, they give it back.
fn not_begun(problem: Problem) -> Verdict {
    match problem.status {
        StatusCode::TOO_MANY_REQUESTS => Verdict::NotNow,
        _ => failed(problem, &JobDetails::default()),
    }
}

/// What becomes of a job that was not begun for its memory: only where that is the server's, other tenants' jobs wait too.
fn no_memory(over: OverLimit) -> Verdict {
    match over.name {
        SERVER_MEMORY => Verdict::NoRoom,
        _ => not_begun(over.into()),
    }
}

async fn run_compute(
    server: &Server,
    caller: &Caller<Run>,
    place: Admitted,
    call: RunCall,
) -> Answer<Made> {
    let is_metered = call.limits.fuel.is_some();
    let Ran { outcome, record, .. } = admitted(server, caller, place, call).await?;
    let fuel = outcome.metrics.fuel.filter(|_| is_metered);
    let details = JobDetails { record, fuel, ..JobDetails::default() };
    let output = outcome.result.map_err(|failure| Problem::from(&failure));
    Ok(Made { output, details })
}

async fn take_document(
    server: &Server,
    caller: &Caller<Run>,
    place: Admitted,
    options: RequestOptions,
    stage: &str,
    input: ChargedBody,
) -> Answer<Made> {
    let observed = server.shared.telemetry.begin("job".to_owned(), &HeaderMap::new());
    let document = Document::at(read_stage(stage)?, input);
    let tell = |taken: &Taken<'_>| {
        let trace = taken.answer.trace.iter();
        let versions = trace.flat_map(|trace| &trace.numbers);
        let versions = versions.map(|(stack, number)| (stack.clone(), *number)).collect();
        let record = taken.record.map(str::to_owned);
        let output = match &taken.answer.result {
            Ok(document) => Ok(json(document)),
            Err(failure) => Err(Problem::from(&**failure).masked(taken.mask)),
        };
        Made { output, details: JobDetails { versions, record, fuel: taken.fuel } }
    };
    take(caller, server, place, Arc::new(observed), options, document, tell).await
}

/// What failed in a server, or by time, may not the next time. What the store lacks is no more there then, whoever asked for it: a
/// document's step is the server's failure towards who sent the document.
fn is_passing(problem: &Problem) -> bool {
    let is_servers =
        problem.status.is_server_error() || problem.status == StatusCode::TOO_MANY_REQUESTS;
    is_servers && problem.code != "missing_compute_artifact"
}

fn failed(problem: Problem, details: &JobDetails) -> Verdict {
    let is_passing = is_passing(&problem);
    let result = JobResult::new(json(&problem.members()), json(details));
    if is_passing { Verdict::Passing(result) } else { Verdict::Failed(result) }
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;
    use compute::Manager;
    use compute_state::{Location, TenantName};

    use super::super::super::caller::{Caller, Run};
    use super::{Duration, batches, store};
    use crate::jobs::Verdict;
    use crate::{Server, Settings};

    /// Whoever waits for a place there has one for jobs, which others need that ask the store for nothing.
    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_the_store_for_longer_than_it_may_take() {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::new("memory:", folder.path());
        let vault = location.vault().unwrap();
        let settings = Settings { max_admin: 1, ..Settings::default() };
        let server = Server::open(location, vault, Manager::builder(), settings).unwrap();
        let caller: Caller<Run> = Caller::of_job(&server, &TenantName::default());
        // Somebody has it, whom the store does not answer.
        let _place = caller.output_in_turn().await.unwrap();
        let hour = Duration::from_secs(3600);
        let stored = tokio::time::timeout(hour, store(&caller, vec![b'1'])).await;
        let refused = stored.expect("it waits no longer").err().map(|problem| problem.status);
        assert_eq!(refused, Some(StatusCode::SERVICE_UNAVAILABLE));
        let output = "compute://sha256/cd".parse().unwrap();
        let read = tokio::time::timeout(hour, batches::stored(&caller, &output)).await;
        let verdict = read.expect("it waits no longer").err();
        assert!(matches!(verdict, Some(Verdict::Passing(_))), "{verdict:?}");
    }
}
