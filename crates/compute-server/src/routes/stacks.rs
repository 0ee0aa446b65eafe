//! Stacks: documents through them, and how their versions differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute_flow::{Detail, Request, Stage};
use compute_state::{File, TenantName};
use serde::Deserialize;
use serde_json::Value;
use similar::TextDiff;
use utoipa::IntoParams;

use super::caller::{Caller, Read, Run};
use super::extract::{Path, Query, StackPath};
use super::run::{MAX_INPUT, RequestOptions, RunHeaders};
use super::{Answer, Refusals};
use crate::errors::warn;
use crate::http;
use crate::telemetry::Observed;
use crate::wire::{FileDiff, Stacks, VersionDiff, Versions};
use crate::{Admission, Problem, Server};

/// Headers that an answer's connection or this server decides, and no document: those that hold for one hop (RFC 9110,
/// 7.6.1), and those that say how long the answer is and where it belongs.
const NOT_FOR_DOCUMENTS: [&str; 13] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "traceparent",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];
/// How the names of headers begin that the server itself sets.
const OWN: &str = "x-compute-";
/// How many headers a document may set.
const MAX_HEADERS: usize = 64;
/// How many bytes they may have together.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// How large a file is of which lines are compared, in bytes: a rule is no larger.
const MAX_COMPARED: usize = 64 << 10;
/// How long the smallest difference of one file is looked for.
const DIFF: Duration = Duration::from_secs(1);

/// What a document's request may say besides; [`RequestOptions`] reads it.
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
    let options = RequestOptions::read(&headers)?;
    let stage =
        Stage::start(&stage).map_err(|error| Problem::bad("invalid_stage", error.to_string()))?;
    let input = caller.body(content, MAX_INPUT).await?;
    let most = server.shared.settings.documents.deadline;
    let limit = options.deadline.map_or(most, |asked| asked.min(most));
    let accepted = caller.accepted;
    let admitted = caller.sandbox(accepted, limit).await?;

    let mut request = Request::new(stage, input.bytes.into());
    request.rid = options.rid;
    request.fuel = options.fuel;
    request.detail = match options.detail {
        Detail::Full => Detail::Full,
        // What it took is wanted, whether it is kept or not.
        Detail::Off | Detail::Summary => Detail::Summary,
    };
    request.now = options.now.unwrap_or(request.now);
    request.seed = options.seed.unwrap_or(request.seed);
    request.memory = caller.memory.clone();
    let sandboxes = server.shared.classes.sandboxes.admission.clone();
    request.helpers = Some(Arc::new(Helpers { sandboxes, tenant: caller.name().clone() }));
    let shared = Arc::clone(&server.shared);
    let response = admitted.run(move |tenant, cancel| {
        let live = tenant.live()?;
        request.cancel = Some(cancel.clone());
        request.secrets = Arc::clone(&live.secrets.0);
        request.mask = Arc::clone(&live.mask);
        // The one deadline covers the queue and the wait for a thread, too.
        request.deadline = Some(limit.saturating_sub(accepted.elapsed()));
        let answer = tenant.processor.process(&live.snapshot, &request);
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
            shared.telemetry.document((&tenant.name, &tenant.labels), trace, &observed);
            let metrics = || trace.steps.iter().filter_map(|step| step.metrics);
            put("x-compute-status", &trace.status);
            put("x-compute-wall", &trace.wall_ns.to_string());
            let memory = metrics().map(|metrics| metrics.peak_memory).max();
            put("x-compute-memory", &memory.unwrap_or_default().to_string());
            if request.fuel.is_some() {
                let fuel: u64 = metrics().filter_map(|metrics| metrics.fuel).sum();
                put("x-compute-fuel", &fuel.to_string());
            }
            if options.detail != Detail::Off
                && let Err(error) = trace.write(&*tenant.traces)
            {
                // The document has its answer all the same.
                warn(&error);
            }
        }
        Ok::<_, Problem>(response)
    });
    let response = response.await??;
    drop(input.charge);
    Ok(response)
}

/// A document's helpers are sandboxes like others: as many as are free, and within its tenant's share.
#[derive(Debug)]
struct Helpers {
    sandboxes: Admission,
    tenant: TenantName,
}

impl compute_flow::Helpers for Helpers {
    fn try_enter(&self) -> Option<Box<dyn std::any::Any + Send>> {
        Some(Box::new(self.sandboxes.try_enter(self.tenant.as_str())?))
    }
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
    let mut bytes = 0;
    for (name, value) in headers.into_iter().flatten().take(MAX_HEADERS) {
        let text = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        // They are in no account: a connection may have many answers that wait.
        bytes += name.len() + text.len();
        if bytes > MAX_HEADER_BYTES {
            let detail = format!("the headers of an answer have at most {MAX_HEADER_BYTES} bytes");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Problem::new(status, "headers_too_large", detail)
                .with("limit", MAX_HEADER_BYTES)
                .into_response();
        }
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&text))
            && !NOT_FOR_DOCUMENTS.contains(&name.as_str())
            && !name.as_str().starts_with(OWN)
        {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// All stacks, and what is active
#[utoipa::path(get, path = "/v1/stacks", tag = "stacks", security(("token" = ["read"])), responses((status = 200, body = Stacks), Refusals))]
pub(super) async fn list(caller: Caller<Read>) -> Answer<Json<Stacks>> {
    let admitted = caller.admin().await?;
    let stacks = admitted.run(|tenant, _| tenant.catalogue.stacks()).await??;
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
    let admitted = caller.admin().await?;
    let versions = admitted.run(move |tenant, _| tenant.catalogue.versions(&stack)).await??;
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
) -> Answer<Response> {
    let stack = path.name()?;
    let admitted = caller.admin().await?;
    let deadline = admitted.deadline;
    let memory = caller.memory.clone();
    let diff = admitted.run(move |tenant, _| {
        let old = tenant.catalogue.version(&stack, from)?.files;
        let new = tenant.catalogue.version(&stack, to)?.files;
        // Both, and what a difference says of them.
        let bytes: usize = old.iter().chain(&new).map(|file| file.text.len()).sum();
        let _charge = memory.charge(3 * bytes)?;
        let files = differences(old, new, (from, to), Some(deadline));
        http::written(&memory, &VersionDiff { files })
    });
    diff.await?
}

/// How the files of two versions differ. The nearer the deadline, the less it looks for the smallest difference; what
/// it finds is a difference in any case.
#[must_use]
pub fn differences(
    old: Vec<File>,
    new: Vec<File>,
    (from, to): (u32, u32),
    deadline: Option<Instant>,
) -> Vec<FileDiff> {
    let by_path = |files: Vec<File>| -> BTreeMap<String, String> {
        files.into_iter().map(|File { path, text }| (path, text)).collect()
    };
    let (mut old, mut new) = (by_path(old), by_path(new));
    let paths: BTreeSet<String> = old.keys().chain(new.keys()).cloned().collect();
    // A diff of two texts that have little in common takes as long as both lengths multiplied.
    let looks_until =
        |limit: Duration| deadline.map(|deadline| deadline.min(Instant::now() + limit));
    let mut differences = Vec::new();
    for path in paths {
        let (before, after) = (old.remove(&path), new.remove(&path));
        if before == after {
            continue;
        }
        let change = match (&before, &after) {
            (None, _) => "added",
            (_, None) => "removed",
            _ => "changed",
        };
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        let mut config = TextDiff::configure();
        if let Some(until) = looks_until(DIFF) {
            config.deadline(until);
        }
        let large = |text: &str| text.len() > MAX_COMPARED;
        if large(&before) || large(&after) {
            // It is no rule that can become active.
            let diff = format!("a file of more than {MAX_COMPARED} bytes is not compared\n");
            differences.push(FileDiff { path, change: change.to_owned(), diff });
            continue;
        }
        let diff = config.diff_lines(&before, &after);
        let names = (format!("{path} (version {from})"), format!("{path} (version {to})"));
        let diff = diff.unified_diff().header(&names.0, &names.1).to_string();
        differences.push(FileDiff { path, change: change.to_owned(), diff });
    }
    differences
}
