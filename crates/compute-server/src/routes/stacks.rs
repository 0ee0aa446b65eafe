//! Stacks: documents through them, their versions, and what happened to documents.

use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute::Cancel;
use compute_flow::{Detail, Draft, Request, StackName, Stage, Trace};
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{Path, Query};
use super::run::{MAX_INPUT, Wishes, within};
use super::{Answer, body};
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

/// Takes a document through the active versions, as they are now and throughout.
pub(super) async fn process(
    State(server): State<Server>,
    Path(stage): Path<String>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let accepted = Instant::now();
    let wishes = Wishes::read(&headers)?;
    let stage =
        Stage::start(&stage).map_err(|error| Problem::bad("invalid_stage", error.to_string()))?;
    let shared = std::sync::Arc::clone(&server.shared);
    let input = body(content, MAX_INPUT, shared.settings.body).await?;
    let most = shared.settings.documents.deadline;
    let limit = wishes.deadline.map_or(most, |asked| asked.min(most));
    let place = within(limit, accepted, shared.admission.enter("")).await??;

    let mut request = Request::new(stage, input.into());
    request.rid = wishes.rid;
    request.detail = Detail::Summary;
    request.now = wishes.now.unwrap_or(request.now);
    request.seed = wishes.seed.unwrap_or(request.seed);
    let cancel = Cancel::new();
    request.cancel = Some(cancel.clone());
    // The one deadline covers the queue, too.
    request.deadline = Some(limit.saturating_sub(accepted.elapsed()));
    // Whoever goes away drops this future.
    let gone = cancel.drop_guard();
    let answer = blocking::unblock(move || {
        let snapshot = shared.live.snapshot().map_err(|error| Problem::internal(&error))?;
        let answer = shared.processor.process(&snapshot, &request);
        if let Some(trace) = &answer.trace {
            shared.traces.write(trace)?;
        }
        drop(place);
        Ok::<_, Problem>(answer)
    })
    .await?;
    drop(gone);

    let mut response = match &answer.result {
        Ok(document) => web(answer.web.as_ref(), document),
        Err(failure) => Problem::from(&**failure).into_response(),
    };
    if let Ok(rid) = HeaderValue::from_str(&answer.rid) {
        response.headers_mut().insert(HeaderName::from_static("x-compute-rid"), rid);
    }
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

pub(super) async fn list(State(server): State<Server>) -> Answer<Response> {
    let stacks = blocking::unblock(move || server.shared.catalogue.stacks()).await?;
    Ok(Json(json!({ "stacks": stacks })).into_response())
}

fn name(text: &str) -> Answer<StackName> {
    text.parse::<StackName>().map_err(|error| Problem::bad("invalid_stack", error.to_string()))
}

pub(super) async fn show(
    State(server): State<Server>,
    Path(stack): Path<String>,
) -> Answer<Response> {
    let stack = name(&stack)?;
    let shared = server.shared;
    let versions = blocking::unblock(move || shared.catalogue.versions(&stack)).await?;
    Ok(Json(json!({ "versions": versions })).into_response())
}

/// Makes a version active, if everything that it names is there; else nothing changes.
pub(super) async fn activate(
    State(server): State<Server>,
    Path((stack, number)): Path<(String, u32)>,
) -> Answer<Response> {
    let stack = name(&stack)?;
    let shared = server.shared;
    let (of, catalogue) = (stack.clone(), std::sync::Arc::clone(&shared.catalogue));
    let version = blocking::unblock(move || catalogue.version(&of, number)).await?;
    let validated = compute_flow::validate(&stack, &version.files, &*shared.store).await?;
    if let Err(problems) = validated {
        let code = problems[0].code.name();
        let detail = problems[0].to_string();
        let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
        return Err(problem.with("problems", json!(problems)));
    }
    let draft = Draft::new(stack.clone(), number);
    blocking::unblock(move || shared.catalogue.activate(&[draft])).await?;
    Ok(Json(json!({ "stack": stack, "active": number })).into_response())
}

#[derive(Deserialize)]
pub(super) struct Last {
    #[serde(default = "twenty")]
    last: usize,
}

const fn twenty() -> usize {
    20
}

/// The newest traces, the oldest of them first.
pub(super) async fn traces(
    State(server): State<Server>,
    Query(Last { last }): Query<Last>,
) -> Answer<Response> {
    let traces = server.shared.traces.clone();
    let listed = blocking::unblock(move || {
        let ids = traces.ids()?;
        let newest = &ids[ids.len().saturating_sub(last.min(1000))..];
        // One may have been deleted since.
        Ok::<Vec<Trace>, Problem>(newest.iter().filter_map(|id| traces.read(id).ok()).collect())
    })
    .await?;
    Ok(Json(json!({ "traces": listed })).into_response())
}

pub(super) async fn trace(
    State(server): State<Server>,
    Path(id): Path<String>,
) -> Answer<Json<Trace>> {
    let traces = server.shared.traces.clone();
    Ok(Json(blocking::unblock(move || traces.read(&id)).await?))
}
