//! One call to a compute: by its ref, or with a module that is not stored.

use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use compute::{
    Algorithm, Artifact, Limits, Meta, Metrics, OpCall, Outcome, Ref, RunOptions, Runner, Seed,
};
use compute_flow::Detail;
use compute_store::MAX_BYTES;
use jiff::Timestamp;
use utoipa::IntoParams;

use super::caller::{self, Caller};
use super::extract::{ArtifactPath, Path};
use super::{Answer, Refusals, header as read};
use crate::problem::status_of_run;
use crate::wire::{RunAnswer, RunRequest, system_time};
use crate::{Problem, Server};

/// The largest input, in bytes: that of the largest output.
pub(super) const MAX_INPUT: u64 = 4 << 20;
/// The largest request to run something once: a module in base64, an input, and what is around them.
const MAX_ONCE: u64 = MAX_BYTES / 3 * 4 + MAX_INPUT + (1 << 20);
/// The longest request id.
const MAX_RID: usize = 128;

/// What a request may say of how it is to be answered; [`Wishes`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct RunHeaders {
    /// The request's id, at most 128 bytes
    #[param(rename = "x-compute-rid", required = false, max_length = 128)]
    rid: String,
    /// Time for all of it, in milliseconds; the server's limit holds if that is less
    #[param(rename = "x-compute-deadline", required = false, minimum = 1)]
    deadline: u64,
    /// Meter computes, and stop each after so many instructions
    #[param(rename = "x-compute-fuel", required = false, minimum = 1)]
    fuel: u64,
    /// What random numbers come from: 64 hex digits; fresh, if that is not said
    #[param(rename = "x-compute-seed", required = false, pattern = "^[0-9a-fA-F]{64}$")]
    seed: String,
    /// What the clock shows at the start, in RFC 3339: of a run 1970, of a document the time, if that is not said
    #[param(rename = "x-compute-now", required = false, format = DateTime)]
    now: String,
}

/// What a request says of how it is to be answered.
pub(super) struct Wishes {
    pub(super) rid: Option<String>,
    pub(super) deadline: Option<Duration>,
    pub(super) fuel: Option<u64>,
    pub(super) seed: Option<Seed>,
    pub(super) now: Option<SystemTime>,
    pub(super) detail: Detail,
}

impl Wishes {
    pub(super) fn read(headers: &HeaderMap) -> Answer<Self> {
        let deadline: Option<u64> =
            read(headers, "x-compute-deadline", "a number of milliseconds, at least 1")?;
        let fuel: Option<u64> =
            read(headers, "x-compute-fuel", "a number of instructions, at least 1")?;
        for (name, value) in [("x-compute-deadline", deadline), ("x-compute-fuel", fuel)] {
            if value == Some(0) {
                let detail = format!("the header {name} must be at least 1");
                return Err(Problem::bad("invalid_header", detail));
            }
        }
        let now: Option<Timestamp> =
            read(headers, "x-compute-now", "a time such as 2026-01-31T12:00:00Z")?;
        let now = now.map(|time| {
            system_time(time).ok_or_else(|| {
                let detail = "the header x-compute-now must be between 1970 and 2554";
                Problem::bad("invalid_header", detail)
            })
        });
        let rid: Option<String> = read(headers, "x-compute-rid", "text")?;
        if rid.as_ref().is_some_and(|rid| rid.len() > MAX_RID) {
            let detail = format!("the header x-compute-rid has at most {MAX_RID} bytes");
            return Err(Problem::bad("invalid_header", detail));
        }
        let detail: Option<String> = read(headers, "x-compute-trace", "off, summary or full")?;
        let detail = match detail.as_deref() {
            Some("off") => Detail::Off,
            None | Some("summary") => Detail::Summary,
            Some("full") => Detail::Full,
            Some(_) => {
                let detail = "the header x-compute-trace must be off, summary or full";
                return Err(Problem::bad("invalid_header", detail));
            }
        };
        Ok(Self {
            rid,
            deadline: deadline.map(Duration::from_millis),
            fuel,
            seed: read(headers, "x-compute-seed", "64 hex digits")?,
            now: now.transpose()?,
            detail,
        })
    }
}

/// Run a compute
///
/// The body is its input, the answer its output. Each call has a sandbox of its own.
#[utoipa::path(
    post, path = "/run/{alg}/{digest}", tag = "invoke", security(("token" = ["run"])),
    params(ArtifactPath, RunHeaders),
    request_body(content = Option<Value>, content_type = "application/json", description = "The input"),
    responses(
        (status = 200, body = Value, content_type = "application/json", description = "The output", headers(
            ("x-compute-status" = String, description = "How it ended"),
            ("x-compute-wall" = u64, description = "From acceptance to answer, in nanoseconds"),
            ("x-compute-memory" = u64, description = "The most memory that it had, in bytes"),
            ("x-compute-fuel" = u64, description = "The fuel that it used, if it was metered"),
            ("traceparent" = String, description = "As the W3C's Trace Context has it"),
        )),
        Refusals
    )
)]
pub(super) async fn run(
    caller: Caller<caller::Run>,
    State(server): State<Server>,
    Path(path): Path<ArtifactPath>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let accepted = Instant::now();
    let wishes = Wishes::read(&headers)?;
    let reference = path.reference()?;
    let shared = &server.shared;
    let taken = shared.budget.take(content, MAX_INPUT, shared.settings.body).await?;
    let (input, part) = taken.split();
    let limits = Limits {
        wall: wishes.deadline,
        fuel: wishes.fuel,
        now: wishes.now,
        seed: wishes.seed,
        ..Limits::default()
    };
    let meta = Meta { rid: wishes.rid.unwrap_or_default(), ..Meta::default() };
    let op = OpCall { meta, ..OpCall::default() };
    let call = Called { given: false, reference: &reference, input, limits, op };
    let outcome = admitted(&server, &caller, call, accepted).await?;
    drop(part);
    let mut response = match outcome.result {
        Ok(output) => ([(header::CONTENT_TYPE, "application/json")], output).into_response(),
        Err(failure) => {
            let status = status_of_run(failure.status());
            let detail = failure.to_string();
            Problem::new(status, "compute_failed", detail)
                .with("status_name", failure.status().name())
                .into_response()
        }
    };
    stamp(response.headers_mut(), &outcome.metrics);
    Ok(response)
}

/// What is to run.
struct Called<'a> {
    /// Whether it came with the request.
    given: bool,
    reference: &'a Ref,
    input: Bytes,
    limits: Limits,
    op: OpCall,
}

/// Runs what a caller asks for when its turn has come. The one deadline covers the queue, too.
async fn admitted(
    server: &Server,
    caller: &Caller<caller::Run>,
    call: Called<'_>,
    accepted: Instant,
) -> Answer<Outcome> {
    let Called { given, reference, input, mut limits, op } = call;
    let shared = &server.shared;
    let tenant = &caller.tenant;
    let most = shared.settings.limits.bounds().wall;
    let wall = limits.wall.map_or(most, |asked| asked.min(most));
    let turn = shared.admission.enter(tenant.name.as_str());
    let place = within(wall, accepted, turn).await??;
    // Zero would mean the default.
    limits.wall = Some(wall.saturating_sub(accepted.elapsed()).max(Duration::from_nanos(1)));
    let options = RunOptions { limits, op: Some(op), ..RunOptions::default() };
    // Whoever goes away drops this future, which cancels the run.
    let outcome = if given {
        tenant.runner.run_given(reference, input, options).await?
    } else {
        tenant.runner.run(reference, input, options).await?
    };
    drop(place);
    shared.telemetry.run(&tenant.name, &outcome.metrics);
    Ok(outcome)
}

/// Waits no longer than the deadline, which then was spent in the queue.
pub(super) async fn within<T>(
    wall: Duration,
    accepted: Instant,
    turn: impl Future<Output = T>,
) -> Answer<T> {
    let left = wall.saturating_sub(accepted.elapsed());
    tokio::time::timeout(left, turn).await.map_err(|_| {
        let detail = format!("the wall limit of {wall:?} was reached in the queue");
        Problem::new(status_of_run(compute::Status::WallLimit), "deadline_exceeded", detail)
    })
}

/// What a run took, as headers.
fn stamp(headers: &mut HeaderMap, metrics: &Metrics) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-compute-status", metrics.status.name().to_owned());
    put("x-compute-wall", metrics.wall.as_nanos().to_string());
    put("x-compute-memory", metrics.peak_memory.to_string());
    if let Some(fuel) = metrics.fuel {
        put("x-compute-fuel", fuel.to_string());
    }
}

/// Run a compute once, and tell everything of it
///
/// The compute is named by its ref, or it is a module that comes with the request and is not stored. The answer has
/// the log, the metrics and what repeats the run. Limits may not be above the server's.
#[utoipa::path(
    post, path = "/v1/run", tag = "invoke", security(("token" = ["run"])),
    request_body = RunRequest,
    responses((status = 200, body = RunAnswer, description = "What became of it, also if the compute failed"), Refusals)
)]
pub(super) async fn once(
    caller: Caller<caller::Run>,
    State(server): State<Server>,
    content: Body,
) -> Answer<Json<RunAnswer>> {
    let mut accepted = Instant::now();
    let shared = &server.shared;
    let taken = shared.budget.take(content, MAX_ONCE, shared.settings.body).await?;
    let request: RunRequest = taken.json()?;
    let (_, part) = taken.split();
    let limits = limits(&server, &request)?;
    let (reference, held) = match (request.reference, request.module) {
        (Some(reference), None) => (reference, None),
        (None, Some(module)) => {
            let bytes =
                base64::engine::general_purpose::STANDARD.decode(module).map_err(|error| {
                    Problem::bad("invalid_body", format!("the module is not base64: {error}"))
                })?;
            if bytes.len() as u64 > MAX_BYTES {
                return Err(super::computes::too_large());
            }
            let engine = request.engine.unwrap_or_else(super::computes::wasm);
            let artifact = Artifact::new(Algorithm::Sha256, engine, bytes);
            super::computes::has_links(&server, &caller.tenant, &artifact).await?;
            let reference = artifact.reference().clone();
            // As an upload it is compiled within the server's own time; the deadline is for the run.
            let place = shared.uploads.enter(caller.tenant.name.as_str()).await?;
            let server = server.clone();
            let held = blocking::unblock(move || super::computes::load(&server, artifact)).await?;
            drop(place);
            accepted = Instant::now();
            (reference, Some(held))
        }
        _ => {
            let detail = "the body must have either `ref` or `module`";
            return Err(Problem::bad("invalid_body", detail));
        }
    };
    let rid = request.rid.unwrap_or_default();
    if rid.len() > MAX_RID {
        return Err(Problem::bad("invalid_body", format!("`rid` has at most {MAX_RID} bytes")));
    }
    let op = OpCall {
        meta: Meta { rid, ..Meta::default() },
        env: request.env,
        secrets: request.secrets.into_iter().collect(),
        ..OpCall::default()
    };
    let input = request.input.map(|input| input.get().to_owned()).unwrap_or_default();
    let given = held.is_some();
    let call = Called { given, reference: &reference, input: input.into(), limits, op };
    let outcome = admitted(&server, &caller, call, accepted).await?;
    drop((held, part));
    Ok(Json(RunAnswer::new(&reference, outcome)))
}

/// The limits that a request asks for, none above the server's.
fn limits(server: &Server, request: &RunRequest) -> Answer<Limits> {
    let most = server.shared.settings.limits.bounds();
    let wall = request.wall_ms.map(Duration::from_millis);
    let above = |name: &str, limit: String| {
        let detail = format!("`{name}` is above the server's limit of {limit}");
        Problem::bad("limit_above_cap", detail)
    };
    if request.memory.is_some_and(|bytes| bytes > most.memory) {
        return Err(above("memory", format!("{} bytes", most.memory)));
    }
    if wall.is_some_and(|wall| wall > most.wall) {
        return Err(above("wall_ms", format!("{:?}", most.wall)));
    }
    for (name, value) in
        [("memory", request.memory), ("wall_ms", request.wall_ms), ("fuel", request.fuel)]
    {
        if value == Some(0) {
            return Err(Problem::bad("invalid_body", format!("`{name}` must be at least 1")));
        }
    }
    let now = request.now.map(|time| {
        system_time(time)
            .ok_or_else(|| Problem::bad("invalid_body", "`now` must be between 1970 and 2554"))
    });
    let seed = request.seed.as_deref().map(|seed| {
        seed.parse::<Seed>()
            .map_err(|error| Problem::bad("invalid_body", format!("`seed`: {error}")))
    });
    Ok(Limits {
        memory: request.memory,
        wall,
        fuel: request.fuel,
        now: now.transpose()?,
        seed: seed.transpose()?,
        ..Limits::default()
    })
}
