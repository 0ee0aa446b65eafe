//! Stacks: documents through them, and how their versions differ.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute::{Cancel, with_causes};
use compute_flow::{Detail, File, Request, Stage};
use serde::Deserialize;
use serde_json::Value;
use similar::TextDiff;
use utoipa::IntoParams;

use super::caller::{Caller, Read, Run};
use super::extract::{Path, Query, StackPath};
use super::run::{MAX_INPUT, RunHeaders, Wishes, within};
use super::{Answer, Refusals};
use crate::telemetry::Observed;
use crate::wire::{FileDiff, Stacks, VersionDiff, Versions};
use crate::{Problem, Server};

/// Headers that an answer's connection decides, and no document.
const NOT_FOR_DOCUMENTS: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
];
/// How many headers a document may set.
const MAX_HEADERS: usize = 64;

/// What a document's request may say besides; [`Wishes`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "it only describes")]
pub(super) struct TraceHeader {
    /// How much of what happens is kept: off, summary (if that is not said) or full
    #[param(rename = "x-compute-trace", required = false, pattern = "^(off|summary|full)$")]
    trace: String,
}

/// Take a document through the active versions
///
/// As they are now, and throughout. `_txc.web.res` of the document sets the answer's status, headers and body.
#[utoipa::path(
    post, path = "/stacks/{stage}", tag = "invoke", security(("token" = ["run"])),
    params(
        ("stage" = String, Path, description = "The stack, or `stack/N` to begin at a scope; its slashes may stand as they are", pattern = "^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,32})?$"),
        RunHeaders,
        TraceHeader,
    ),
    request_body(content = Option<Object>, content_type = "application/json", description = "The document; nothing is an empty one"),
    responses(
        (status = 200, body = Value, content_type = "application/json", description = "The document at its end, or what it says of the answer", headers(
            ("x-compute-rid" = String, description = "The request's id: that of its trace"),
            ("x-compute-status" = String, description = "How it ended"),
            ("x-compute-wall" = u64, description = "How long it took, in nanoseconds"),
            ("x-compute-memory" = u64, description = "The most memory that one of its computes had, in bytes"),
            ("x-compute-fuel" = u64, description = "The fuel that its computes used, if they were metered"),
            ("traceparent" = String, description = "As the W3C's Trace Context has it"),
        )),
        Refusals
    )
)]
pub(super) async fn process(
    caller: Caller<Run>,
    State(server): State<Server>,
    Extension(observed): Extension<Arc<Observed>>,
    Path(stage): Path<String>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let accepted = Instant::now();
    let wishes = Wishes::read(&headers)?;
    let stage =
        Stage::start(&stage).map_err(|error| Problem::bad("invalid_stage", error.to_string()))?;
    let shared = Arc::clone(&server.shared);
    let tenant = Arc::clone(&caller.tenant);
    let taken = shared.budget.take(content, MAX_INPUT, shared.settings.body).await?;
    let (input, part) = taken.split();
    let most = shared.settings.documents.deadline;
    let limit = wishes.deadline.map_or(most, |asked| asked.min(most));
    let turn = shared.admission.enter(tenant.name.as_str());
    let place = within(limit, accepted, turn).await??;

    let mut request = Request::new(stage, input.into());
    request.rid = wishes.rid;
    request.fuel = wishes.fuel;
    request.detail = match wishes.detail {
        Detail::Full => Detail::Full,
        // What it took is wanted, whether it is kept or not.
        Detail::Off | Detail::Summary => Detail::Summary,
    };
    request.now = wishes.now.unwrap_or(request.now);
    request.seed = wishes.seed.unwrap_or(request.seed);
    let cancel = Cancel::new();
    request.cancel = Some(cancel.clone());
    // The one deadline covers the queue, too.
    request.deadline = Some(limit.saturating_sub(accepted.elapsed()));
    // Whoever goes away drops this future.
    let gone = cancel.drop_guard();
    let response = blocking::unblock(move || {
        let live = tenant.live()?;
        request.secrets = Arc::clone(&live.secrets.0);
        let answer = tenant.processor.process(&live.snapshot, &request);
        drop((place, part));
        let mut response = match &answer.result {
            Ok(document) => web(answer.web.as_ref(), document),
            Err(failure) => Problem::from(&**failure).masked(&live.mask).into_response(),
        };
        let headers = response.headers_mut();
        let mut put = |name: &'static str, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        };
        put("x-compute-rid", &answer.rid);
        if let Some(trace) = &answer.trace {
            shared.telemetry.document(&tenant.name, trace, &observed);
            let metrics = || trace.steps.iter().filter_map(|step| step.metrics);
            put("x-compute-status", &trace.status);
            put("x-compute-wall", &trace.wall_ns.to_string());
            let memory = metrics().map(|metrics| metrics.peak_memory).max();
            put("x-compute-memory", &memory.unwrap_or_default().to_string());
            if request.fuel.is_some() {
                let fuel: u64 = metrics().filter_map(|metrics| metrics.fuel).sum();
                put("x-compute-fuel", &fuel.to_string());
            }
            if wishes.detail != Detail::Off
                && let Err(error) = tenant.traces.write(trace)
            {
                // The document has its answer all the same.
                tracing::warn!(target: "request", "{}", with_causes(&error));
            }
        }
        Ok::<_, Problem>(response)
    })
    .await?;
    drop(gone);
    Ok(response)
}

/// The document as an answer, or what it says of the answer in `_txc.web.res`: `status`, `headers`, `body`.
fn web(wanted: Option<&Value>, document: &Value) -> Response {
    let wanted = wanted.unwrap_or(&Value::Null);
    let body = match wanted.get("body") {
        Some(Value::String(text)) => text.clone(),
        Some(body) => body.to_string(),
        None => document.to_string(),
    };
    let mut response = ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    let status = wanted.get("status").and_then(Value::as_u64);
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    // An answer of 1xx is not the last one.
    if let Some(status) = status.filter(|status| status.as_u16() >= 200) {
        *response.status_mut() = status;
    }
    let headers = wanted.get("headers").and_then(Value::as_object);
    for (name, value) in headers.into_iter().flatten().take(MAX_HEADERS) {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&text))
            && !NOT_FOR_DOCUMENTS.contains(&name)
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// All stacks, and what is active
#[utoipa::path(get, path = "/v1/stacks", tag = "stacks", security(("token" = ["read"])), responses((status = 200, body = Stacks), Refusals))]
pub(super) async fn list(caller: Caller<Read>) -> Answer<Json<Stacks>> {
    let tenant = caller.tenant;
    let stacks = blocking::unblock(move || tenant.catalogue.stacks()).await?;
    Ok(Json(Stacks { stacks }))
}

/// The versions of a stack
#[utoipa::path(
    get, path = "/v1/stacks/{stack}", tag = "stacks", security(("token" = ["read"])),
    params(StackPath), responses((status = 200, body = Versions), Refusals)
)]
pub(super) async fn show(
    caller: Caller<Read>,
    Path(path): Path<StackPath>,
) -> Answer<Json<Versions>> {
    let stack = path.name()?;
    let tenant = caller.tenant;
    let versions = blocking::unblock(move || tenant.catalogue.versions(&stack)).await?;
    Ok(Json(Versions { versions }))
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Between {
    /// The older version
    #[param(minimum = 1, maximum = 4294967295_u64)]
    from: u32,
    /// The newer version
    #[param(minimum = 1, maximum = 4294967295_u64)]
    to: u32,
}

/// How two versions of a stack differ
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/diff", tag = "stacks", security(("token" = ["read"])),
    params(StackPath, Between),
    responses((status = 200, body = VersionDiff), Refusals)
)]
pub(super) async fn diff(
    caller: Caller<Read>,
    Path(path): Path<StackPath>,
    Query(Between { from, to }): Query<Between>,
) -> Answer<Json<VersionDiff>> {
    let stack = path.name()?;
    let tenant = caller.tenant;
    let diff = blocking::unblock(move || {
        let old = tenant.catalogue.version(&stack, from)?.files;
        let new = tenant.catalogue.version(&stack, to)?.files;
        Ok::<_, Problem>(differences(&old, &new, (from, to)))
    });
    Ok(Json(VersionDiff { files: diff.await? }))
}

/// How the files of two versions differ.
#[must_use]
pub fn differences(old: &[File], new: &[File], (from, to): (u32, u32)) -> Vec<FileDiff> {
    let text = |files: &[File], path: &str| {
        files.iter().find(|file| file.path == path).map(|file| file.text.clone())
    };
    let mut paths: Vec<_> = old.iter().chain(new).map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut differences = Vec::new();
    for path in paths {
        let (before, after) = (text(old, path), text(new, path));
        if before == after {
            continue;
        }
        let change = match (&before, &after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let diff = TextDiff::from_lines(&before, &after);
        let names = (format!("{path} (version {from})"), format!("{path} (version {to})"));
        let diff = diff.unified_diff().header(&names.0, &names.1).to_string();
        differences.push(FileDiff { path: path.to_owned(), change: change.to_owned(), diff });
    }
    differences
}
