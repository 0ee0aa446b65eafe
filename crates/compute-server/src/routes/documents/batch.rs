//! A batch of documents: each line of a body goes through a stack.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use compute_flow::Stage;
use serde_json::Value;

use super::super::caller::{Caller, Run};
use super::super::run::RunHeaders;
use super::super::run::batch::{Failed, LineCall, Made, NDJSON, batch};
use super::super::{Answer, Refusals};
use super::{Document, Taken, TraceHeader, read_stage, take};
use crate::http::ChargedBody;
use crate::telemetry::Observed;
use crate::wire::LineAnswer;
use crate::{Problem, Server};

/// What the path of a batch ends with, after its stage.
pub(super) const BATCH: &str = "/batch";

/// The stage that a request has a batch for. A stack may be called so, too: what comes as anything else than lines is a document for
/// that one.
pub(super) fn stage<'a>(path: &'a str, headers: &HeaderMap) -> Option<&'a str> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let kind = kind.split(';').next().unwrap_or_default().trim();
    path.strip_suffix(BATCH).filter(|_| kind.eq_ignore_ascii_case(NDJSON))
}

/// Take each line through the active versions
///
/// Each line of the body that is not blank is a document, and has a line of the answer: `{"output":…}` or `{"error":{…}}`, in order
/// and as soon as it is known. Each goes through the versions that are active when it begins. `x-compute-deadline` and
/// `x-compute-fuel` are for each line. With `x-compute-seed`, line N, counted from 1, has the SHA-256 of `SEED/N` as its seed; with
/// `x-compute-rid`, of at most 107 bytes, it has the id `RID-N`. What a document says in `_txc.web.res` is not looked at. Read while you send: a batch whose
/// answers are not read is not read either. With another content type, the body is a document for the stack `STACK/batch`.
#[utoipa::path(
    post, path = "/stacks/{stage}/batch", operation_id = "process_lines", tag = "invoke", security(("token" = ["run"])),
    params(
        ("stage" = String, Path, description = "The stack, or `stack/N` to begin at a scope; its slashes may stand as they are", pattern = "^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,32})?$"),
        RunHeaders,
        TraceHeader,
    ),
    request_body(content = String, content_type = "application/x-ndjson", description = "The documents: JSON, one a line, each of at most 4 MiB"),
    responses((status = 200, body = LineAnswer<Value>, content_type = "application/x-ndjson", description = "A line for each"), Refusals)
)]
#[expect(dead_code, reason = "it only describes: the route is that of documents")]
pub(in crate::routes) const fn lines() {}

pub(super) async fn process_lines(
    caller: Caller<Run>,
    server: Server,
    observed: Arc<Observed>,
    stage: &str,
    headers: &HeaderMap,
    content: Body,
) -> Answer<Response> {
    let stage = read_stage(stage)?;
    batch(caller, server.clone(), headers, content, move |call| {
        let (server, observed, stage) = (server.clone(), Arc::clone(&observed), stage.clone());
        async move { process(call, server, observed, stage).await }
    })
    .await
}

async fn process(
    call: LineCall,
    server: Server,
    observed: Arc<Observed>,
    stage: Stage,
) -> Result<Made, Failed> {
    let LineCall { caller, options, input, .. } = &call;
    let admitted = caller.sandbox_in_turn(options.limit(&server)).await?;
    // It is kept for another attempt besides.
    let charge = caller.memory.charge(input.len()).map_err(Problem::from)?;
    let input = ChargedBody { bytes: input.clone(), charge };
    let teller = Arc::clone(caller);
    let tell = move |taken: &Taken<'_>| made(&teller, taken);
    let document = Document::at(stage, input);
    take(caller, &server, admitted, observed, options.clone(), document, tell).await?
}

fn made(caller: &Caller<Run>, taken: &Taken<'_>) -> Result<Made, Failed> {
    let Taken { answer, record, mask, fuel, .. } = *taken;
    let (rid, record) = (Some(answer.rid.clone()), record.map(str::to_owned));
    let made = match &answer.result {
        Ok(document) => {
            let line = LineAnswer { record: record.clone(), fuel, ..LineAnswer::ok(document) };
            Made::of(caller, &LineAnswer { rid: rid.clone(), ..line })
        }
        Err(failure) => Err(Problem::from(&**failure).masked(mask)),
    };
    made.map_err(|problem| Failed { problem: Box::new(problem), rid, record })
}
