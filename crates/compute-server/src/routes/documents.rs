//! Documents through stacks: a document itself, each line of a batch, or any request of the web that becomes one.

mod answer;
pub(super) mod batch;
mod shadow;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute::Mask;
use compute_flow::{Answer as FlowAnswer, Detail, Reason, Request, Snapshot, Stage};
use compute_state::{StackName, TenantName, Usage};
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::caller::{Admitted, Caller, Run};
use super::extract::Path;
use super::run::batch::NDJSON;
use super::run::{MAX_INPUT, RequestOptions, RunHeaders};
use super::{Answer, Refusals};
use crate::http::ChargedBody;
use crate::telemetry::{Observed, warn};
use crate::tenants::drawn;
use crate::{Admission, Problem, Server};
use answer::HOP_BY_HOP;
use shadow::ShadowRun;

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
/// As they are now, and throughout. `_txc.web.res` of the document sets the answer: `status`, `headers` (each a value or a list),
/// `body` in base64, or `body_text`.
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
            ("x-compute-record" = String, description = "The id of its record, if it is recorded"),
            ("x-compute-versions" = String, description = "The versions that it went through, by stack: `pricing@7, support/vip@3`; of more than 16, the trace has the rest"),
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
    if let Some(stage) = batch::stage(&stage, &headers) {
        return batch::process_lines(caller, server, observed, stage, &headers, content).await;
    }
    let options = RequestOptions::read(&headers)?;
    let stage = read_stage(&stage)?;
    caller.document()?;
    let input = caller.body(content, MAX_INPUT).await?;
    let document = Document::at(stage, input);
    let limit = options.limit(&server);
    let admitted = caller.sandbox(caller.accepted, limit).await?;
    take(&caller, &server, admitted, observed, options, document, respond).await
}

pub(super) fn read_stage(stage: &str) -> Answer<Stage> {
    Stage::start(stage).map_err(|error| Problem::bad("invalid_stage", error.to_string()))
}

/// Take any request of the web through a stack
///
/// The stack is the longest that is active and that the path begins with. The document says what the request was:
/// `_txc.web.req` has `method`, `path` (what follows the stack), `query`, `headers`, `body` in base64, and `body_text` where it is
/// text. The answer is as that of a document. GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS are taken.
pub(super) async fn web(
    caller: Caller<Run>,
    State(server): State<Server>,
    Extension(observed): Extension<Arc<Observed>>,
    Path(path): Path<String>,
    (method, uri): (Method, Uri),
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let options = RequestOptions::read(&headers)?;
    caller.document()?;
    let mut taken = caller.body(content, MAX_INPUT).await?;
    // As a text, and in base64.
    taken.charge.grow(taken.bytes.len().saturating_mul(3))?;
    let mut request = json!({
        "method": method.as_str(),
        "url": { "path": uri.path(), "query": uri.query().unwrap_or_default() },
        "query": query(uri.query().unwrap_or_default()),
        "headers": headers_of(&headers),
        "body": STANDARD.encode(&taken.bytes),
    });
    if let Ok(text) = std::str::from_utf8(&taken.bytes) {
        request["body_text"] = text.into();
    }
    taken.bytes = bytes::Bytes::new();
    let document = Document {
        input: taken,
        web: Some(request),
        stage: move |snapshot: &Snapshot| {
            stack_of(&path, snapshot).ok_or_else(|| {
                Problem::not_found(format!("no active stack begins the path `{path}`"))
            })
        },
    };
    let limit = options.limit(&server);
    let admitted = caller.sandbox(caller.accepted, limit).await?;
    take(&caller, &server, admitted, observed, options, document, respond).await
}

/// The longest active stack that a path begins with, from its first scope, and the rest of the path.
fn stack_of(path: &str, snapshot: &Snapshot) -> Option<(Stage, String)> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    // No name of a stack is longer.
    let ends: Vec<_> = ends.take_while(|end| *end <= 128).collect();
    ends.into_iter().rev().find_map(|end| {
        let (name, rest) = path.split_at_checked(end)?;
        let name = name.parse::<StackName>().ok()?;
        snapshot.stack(&name)?;
        Some((Stage::new(name, 0), if rest.is_empty() { "/" } else { rest }.to_owned()))
    })
}

/// The fields of a query: each a text, or a list of those that have its name.
fn query(query: &str) -> Value {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    several(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
}

/// The headers, by their names in small letters.
fn headers_of(headers: &HeaderMap) -> Value {
    // What `Connection` names is the connection's, too (RFC 9110, 7.6.1).
    let named: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_given = |name: &str| {
        // The token is for this server.
        let is_own = name == "authorization" || HOP_BY_HOP.contains(&name);
        !is_own && !named.iter().any(|hop| hop == name)
    };
    let given = headers.iter().filter(|(name, _)| is_given(name.as_str()));
    several(given.map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    }))
}

fn several(pairs: impl Iterator<Item = (String, String)>) -> Value {
    let mut fields = Map::new();
    for (name, value) in pairs {
        match fields.get_mut(&name) {
            None => drop(fields.insert(name, value.into())),
            Some(Value::Array(values)) => values.push(value.into()),
            Some(first) => *first = Value::Array(vec![first.take(), value.into()]),
        }
    }
    Value::Object(fields)
}

/// What is taken through a stack.
pub(super) struct Document<S> {
    /// The document, as far as the request has it.
    input: ChargedBody,
    /// What the request was, if it is no document itself.
    web: Option<Value>,
    /// Where it begins, and which path that leaves.
    stage: S,
}

impl Document<()> {
    /// One that begins there.
    pub(super) fn at(
        stage: Stage,
        input: ChargedBody,
    ) -> Document<impl FnOnce(&Snapshot) -> Answer<(Stage, String)>> {
        Document { input, web: None, stage: move |_: &Snapshot| Ok((stage, String::new())) }
    }
}

impl RequestOptions {
    /// How long a document may take.
    pub(super) fn limit(&self, server: &Server) -> Duration {
        let most = server.shared.settings.documents.deadline;
        self.deadline.map_or(most, |asked| asked.min(most))
    }
}

/// A document that was taken through its stack.
pub(super) struct Taken<'a> {
    pub(super) answer: &'a FlowAnswer,
    /// The id of its record, if it is recorded.
    pub(super) record: Option<&'a str>,
    pub(super) mask: &'a Mask,
    /// The most memory that one of its computes had.
    memory: u64,
    /// The fuel that they used, if they were metered.
    pub(super) fuel: Option<u64>,
}

/// Takes a document through its stack in this place. What is told of it is put together there, too: it may be large.
pub(super) async fn take<S, T: Send + 'static>(
    caller: &Caller<Run>,
    server: &Server,
    admitted: Admitted,
    observed: Arc<Observed>,
    options: RequestOptions,
    document: Document<S>,
    tell: impl FnOnce(&Taken<'_>) -> T + Send + 'static,
) -> Answer<T>
where
    S: FnOnce(&Snapshot) -> Result<(Stage, String), Problem> + Send + 'static,
{
    let allows_mocks = server.shared.settings.documents.mocks;
    let limit = options.limit(server);
    let accepted = admitted.accepted;
    let Document { input, web, stage } = document;
    let (input, charge) = (input.bytes, input.charge);

    let memory = caller.memory.clone();
    let sandboxes = server.shared.classes.sandboxes.admission.clone();
    let helpers = Arc::new(Helpers { sandboxes, tenant: caller.name().clone() });
    let shared = Arc::clone(&server.shared);
    let answered = admitted.run(move |tenant, cancel| {
        let live = tenant.live()?;
        if let Some(time) = tenant.unread_for() {
            let _ = observed.unread.set(time);
        }
        let (stage, path) = stage(&live.snapshot)?;
        let mut request = Request::new(stage, input.into());
        request.rid = options.rid;
        request.fuel = options.fuel;
        request.detail = match options.detail {
            Detail::Full => Detail::Full,
            // What it took is wanted, whether it is kept or not.
            Detail::Off | Detail::Summary => Detail::Summary,
        };
        request.now = options.now.unwrap_or(request.now);
        request.seed = options.seed.unwrap_or(request.seed);
        request.memory = memory;
        request.helpers = Some(helpers);
        request.stamp.insert("src".to_owned(), "http".into());
        request.stamp.insert("tenant".to_owned(), tenant.name.as_str().into());
        if let Some(mut web) = web {
            // As a document says it itself.
            let mocks = web["headers"].get("x-txco-mocks").and_then(Value::as_str);
            if let Some(mocks) = mocks.filter(|_| allows_mocks) {
                let patterns: Vec<_> = mocks.split(',').map(str::trim).collect();
                request.stamp.insert("mocks".to_owned(), patterns.into());
            }
            web["path"] = path.into();
            request.stamp.insert("web".to_owned(), json!({ "req": web }));
        }
        request.cancel = Some(cancel.clone());
        request.secrets = Arc::clone(&live.secrets.0);
        request.mask = Arc::clone(&live.mask);
        // The one deadline covers the queue and the wait for a thread, too.
        request.deadline = Some(limit.saturating_sub(accepted.elapsed()));
        let policy = live.policies.of(Some(&request.stage.stack));
        let records = tenant.records.as_ref();
        let recording = records.and_then(|records| {
            records.document(policy, (&tenant.processor, &live.snapshot), &mut request)
        });
        let mut answer = tenant.processor.process(&live.snapshot, &request);
        tenant.used.add(Usage { documents: 1, ..Usage::default() });
        let record = recording.and_then(|recording| recording.finish(&request, &answer));
        if let Some(trace) = &mut answer.trace {
            trace.record = record.clone();
            shared.telemetry.document((&tenant.name, &tenant.labels), trace, &observed);
            let traces = &*tenant.traces;
            let written = match options.detail {
                Detail::Off => Ok(()),
                _ if options.asks_for_trace || answer.result.is_err() => trace.write(traces),
                _ => trace.write_some(traces),
            };
            if let Err(error) = written {
                // The document has its answer all the same.
                warn(&error);
            }
        }
        let steps = answer.trace.iter().flat_map(|trace| &trace.steps);
        let metrics = steps.filter_map(|step| step.metrics);
        let fuel = metrics.clone().filter_map(|metrics| metrics.fuel).sum();
        let told = tell(&Taken {
            answer: &answer,
            record: record.as_deref(),
            mask: &live.mask,
            memory: metrics.map(|metrics| metrics.peak_memory).max().unwrap_or_default(),
            fuel: request.fuel.map(|_| fuel),
        });
        let shadow = match live.shadows.is_empty() {
            true => None,
            false => ShadowRun::of(live, request, answer, record, drawn()),
        };
        Ok::<_, Problem>((told, shadow))
    });
    let (told, shadow) = answered.await??;
    if let Some(shadow) = shadow {
        let tenant = Arc::clone(&admitted.tenant);
        drop(admitted);
        shadow.start(server, tenant, limit, charge);
    }
    Ok(told)
}

/// A document's answer over HTTP.
fn respond(taken: &Taken<'_>) -> Response {
    let Taken { answer, record, mask, memory, fuel } = taken;
    let mut response = match &answer.result {
        Ok(document) => answer::of(answer.web.as_ref(), document),
        Err(failure) => {
            let mut problem = Problem::from(&**failure).masked(mask);
            if let Reason::UnknownStage(stage) = &failure.reason
                && let Some(stack) = stage.stack.as_str().strip_suffix(batch::BATCH)
            {
                let hint = format!("; a batch for `{stack}` has the content type {NDJSON}");
                problem.detail.push_str(&hint);
            }
            problem.into_response()
        }
    };
    let headers = response.headers_mut();
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-compute-rid", &answer.rid);
    if let Some(record) = record {
        put("x-compute-record", record);
    }
    if let Some(trace) = &answer.trace {
        put("x-compute-versions", &versions(&trace.numbers));
        put("x-compute-status", &trace.status);
        put("x-compute-wall", &trace.wall_ns.to_string());
        put("x-compute-memory", &memory.to_string());
        if let Some(fuel) = fuel {
            put("x-compute-fuel", &fuel.to_string());
        }
    }
    response
}

/// How many versions an answer names.
const MAX_VERSIONS: usize = 16;

/// The versions that a document went through, as its answer names them.
fn versions(numbers: &BTreeMap<StackName, u32>) -> String {
    let mut text = String::new();
    for (at, (stack, number)) in numbers.iter().take(MAX_VERSIONS).enumerate() {
        // Writing to a text cannot fail.
        let _ = write!(text, "{}{stack}@{number}", if at > 0 { ", " } else { "" });
    }
    text
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
