//! One call to a compute: by its ref, or with a module that is not stored; or one for each line of a batch.

pub(super) mod batch;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use bytes::Bytes;
use compute::{
    Algorithm, Artifact, Charge, Env, Limits, LoadedArtifact, Mask, Meta, Metrics, OpCall, Outcome,
    Ref, RunOptions, Runner as _, Seed, check_json,
};
use compute_flow::Detail;
use compute_state::check_secret_name;
use compute_store::MAX_BYTES;
use jiff::Timestamp;
use utoipa::IntoParams;

use super::caller::{self, Admitted, Caller};
use super::extract::{ArtifactPath, Path};
use super::{Answer, Refusals, header as read};
use crate::wire::{MAX_LINE, MAX_RID, RunAnswer, RunRequest};
use crate::{Problem, Server};

/// The largest input, in bytes: that of the largest output.
pub(super) const MAX_INPUT: u64 = MAX_LINE as u64;
/// How many bytes the secrets of one run may have: 256 KiB.
const MAX_SECRETS: usize = 256 << 10;
/// The largest request to run something once: a module in base64, an input, and what is around them.
const MAX_ONCE: u64 = MAX_BYTES / 3 * 4 + MAX_INPUT + (1 << 20);

/// What a request may say of how it is to be answered; [`RequestOptions`] reads it.
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
    /// Whether the result of an earlier run on the same may be answered, and this one's kept, if it looks neither at the clock
    /// nor at random numbers nor at the request's id
    #[param(rename = "x-compute-cache", required = false)]
    cache: bool,
    /// What the clock shows at the start, in RFC 3339: of a run 1970, of a document the time, if that is not said
    #[param(rename = "x-compute-now", required = false, format = DateTime)]
    now: String,
}

/// What a request says of how it is to be answered.
#[derive(Clone)]
pub(super) struct RequestOptions {
    pub(super) rid: Option<String>,
    pub(super) deadline: Option<Duration>,
    pub(super) fuel: Option<u64>,
    pub(super) seed: Option<Seed>,
    pub(super) now: Option<SystemTime>,
    /// Of a single run; of a document, its rules say it.
    pub(super) cache: bool,
    pub(super) detail: Detail,
    /// Whether the request says how much of a trace there is to be.
    pub(super) asks_for_trace: bool,
}

impl RequestOptions {
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
        let asks_for_trace = detail.is_some();
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
            cache: read(headers, "x-compute-cache", "true or false")?.unwrap_or(false),
            detail,
            asks_for_trace,
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
            ("x-compute-cached" = bool, description = "That an earlier run on the same had given the output"),
            ("x-compute-record" = String, description = "The id of its record, if it is recorded"),
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
    let options = RequestOptions::read(&headers)?;
    let reference = path.reference()?;
    let input = caller.body(content, MAX_INPUT).await?;
    let call = RunCall::of(options, reference, input.bytes);
    let place = caller.sandbox(caller.accepted, call.wall(&server)).await?;
    let Ran { outcome, record, .. } = admitted(&server, &caller, place, call).await?;
    drop(input.charge);
    let mut response = match outcome.result {
        Ok(output) => ([(header::CONTENT_TYPE, "application/json")], output).into_response(),
        Err(failure) => Problem::from(&failure).into_response(),
    };
    stamp(response.headers_mut(), &outcome.metrics, record.as_deref());
    Ok(response)
}

/// What is to run.
pub(super) struct RunCall {
    what: What,
    input: Bytes,
    pub(super) limits: Limits,
    op: OpCall,
    cache: bool,
    /// Whether an input that is no JSON is refused, whatever runs.
    pub(super) is_json: bool,
}

impl RunCall {
    /// A call to what is stored.
    pub(super) fn of(options: RequestOptions, reference: Ref, input: Bytes) -> Self {
        let RequestOptions { rid, deadline, fuel, seed, now, cache, .. } = options;
        let limits = Limits { wall: deadline, fuel, now, seed, ..Limits::default() };
        let meta = Meta { rid: rid.unwrap_or_default(), ..Meta::default() };
        let op = OpCall { meta, ..OpCall::default() };
        Self { what: What::Stored(reference), input, limits, op, cache, is_json: false }
    }

    /// How long it may take.
    pub(super) fn wall(&self, server: &Server) -> Duration {
        let most = server.shared.settings.limits.bounds().wall;
        self.limits.wall.map_or(most, |asked| asked.min(most))
    }
}

enum What {
    Stored(Ref),
    /// What came with the request.
    Given(LoadedArtifact),
}

/// What ran.
pub(super) struct Ran {
    pub(super) outcome: Outcome,
    /// The id of its record, if it is recorded.
    pub(super) record: Option<String>,
    _made: Charge,
}

/// Runs what a caller asks for, whose turn has come. The one deadline covers the queue and the wait for a thread,
/// too. What the run made is charged to the request while it is put into an answer.
pub(super) async fn admitted(
    server: &Server,
    caller: &Caller<caller::Run>,
    admitted: Admitted,
    call: RunCall,
) -> Answer<Ran> {
    let wall = call.wall(server);
    let RunCall { what, input, mut limits, op, cache, is_json } = call;
    limits.wall = Some(wall);
    let accepted = admitted.accepted;
    // The sandbox has a copy of it.
    let _copy = caller.memory.charge(input.len())?;
    let memory = caller.memory.clone();
    let (outcome, record) = admitted
        .run(move |tenant, cancel| {
            if is_json {
                check_json(&input)?;
            }
            let records = tenant.records.as_ref();
            let recording = records.and_then(|records| records.run(tenant.run_policy(), &memory));
            let options = RunOptions {
                recording: recording.clone().map(|recording| recording as _),
                limits,
                op: Some(op),
                cache,
                log: Some(Arc::clone(&tenant.log)),
                cancel: Some(cancel.clone()),
                accepted: Some(accepted),
                ..RunOptions::default()
            };
            let outcome = match &what {
                What::Stored(reference) => tenant.manager.run_blocking(reference, &input, &options),
                What::Given(loaded) => tenant.manager.run_loaded(loaded, &input, &options),
            };
            let id = recording.and_then(|recording| recording.id().map(str::to_owned));
            let outcome = outcome?;
            // Whoever has gone used it all the same.
            tenant.used.ran(&outcome.metrics, 1);
            Ok::<_, Problem>((outcome, id))
        })
        .await??;
    let made = caller.memory.charge(outcome.size())?;
    drop(admitted);
    server.shared.telemetry.run(caller.name(), &outcome.metrics);
    Ok(Ran { outcome, record, _made: made })
}

/// What a run took, as headers.
fn stamp(headers: &mut HeaderMap, metrics: &Metrics, record: Option<&str>) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    if let Some(record) = record {
        put("x-compute-record", record.to_owned());
    }
    if metrics.cached {
        put("x-compute-cached", "true".to_owned());
    }
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
    let mut accepted = caller.accepted;
    let taken = caller.body(content, MAX_ONCE).await?;
    // What was read of the body is charged until the answer is made.
    let (request, _read): (RunRequest, _) = caller.few(taken).await?;
    let limits = limits(&server, &request)?;
    let rid = request.rid.unwrap_or_default();
    if rid.len() > MAX_RID {
        return Err(Problem::bad("invalid_body", format!("`rid` has at most {MAX_RID} bytes")));
    }
    let env = request.env.map(Env::new).transpose()?.unwrap_or_default();
    let secrets = request.secrets.0;
    secrets.keys().try_for_each(|name| check_secret_name(name))?;
    if secrets.values().map(String::len).sum::<usize>() > MAX_SECRETS {
        let detail = format!("the secrets of a run have at most {MAX_SECRETS} bytes");
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "secret_too_large", detail);
        return Err(problem.with("limit", MAX_SECRETS));
    }
    // What keeps them out of logs is made when there is something to keep them out of.
    let _masked = caller.memory.charge(Mask::estimate(secrets.values().map(String::as_str)))?;
    let op = OpCall {
        meta: Meta { rid, ..Meta::default() },
        env,
        secrets: secrets.into_iter().collect(),
        ..OpCall::default()
    };
    let input =
        request.input.map(|input| String::from(Box::<str>::from(input))).unwrap_or_default();
    let (reference, what) = match (request.reference, request.module) {
        (Some(reference), None) => (reference.clone(), What::Stored(reference)),
        (None, Some(module)) => {
            let engine = request.engine.unwrap_or_else(super::computes::wasm);
            let (reference, loaded) = given(&caller, &server, module, engine, limits).await?;
            // The deadline is for the run; what compiles has the server's own time.
            accepted = Instant::now();
            (reference, What::Given(loaded))
        }
        _ => {
            let detail = "the body must have either `ref` or `module`";
            return Err(Problem::bad("invalid_body", detail));
        }
    };
    let (cache, is_json) = (false, false);
    let call = RunCall { what, input: input.into(), limits, op, cache, is_json };
    let place = caller.sandbox(accepted, call.wall(&server)).await?;
    let Ran { outcome, record, .. } = admitted(&server, &caller, place, call).await?;
    Ok(Json(RunAnswer { record, ..RunAnswer::new(&reference, outcome) }))
}

/// A module that came with the request, compiled as an upload is.
async fn given(
    caller: &Caller<caller::Run>,
    server: &Server,
    module: String,
    engine: String,
    limits: Limits,
) -> Answer<(Ref, LoadedArtifact)> {
    let admitted = caller.upload().await?;
    let most = server.shared.settings.compile;
    let _bytes = caller.memory.charge(module.len() / 4 * 3)?;
    let artifact = admitted
        .run(move |_, _| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(module);
            let bytes = bytes.map_err(|error| {
                Problem::bad("invalid_body", format!("the module is not base64: {error}"))
            })?;
            if bytes.len() as u64 > MAX_BYTES {
                return Err(super::computes::too_large());
            }
            Ok(Artifact::new(Algorithm::Sha256, engine, bytes))
        })
        .await??;
    super::computes::links(&admitted, &artifact).await?;
    let reference = artifact.reference().clone();
    let loaded = super::computes::load(&admitted, artifact, Limits { wall: Some(most), ..limits });
    Ok((reference, loaded.await?))
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

/// A time as a run takes it.
fn system_time(time: Timestamp) -> Option<SystemTime> {
    let nanos = u64::try_from(time.as_nanosecond()).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
}
