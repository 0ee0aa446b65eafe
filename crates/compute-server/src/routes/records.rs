//! What was recorded, and what is.

use std::io::ErrorKind;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use compute::RecordQuery;
use compute_replay::{FoundRecord, FoundRecords, find_record, find_records};
use compute_state::{RecordPolicies, RecordPolicy};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Admin, Caller, Read};
use super::extract::{Path, Query, StackPath};
use super::traces::Reading;
use super::{Answer, Refusals};
use crate::Problem;
use crate::http;
use crate::wire::RecordList;

/// How many records are given at most.
const MOST: usize = 10_000;
/// What looking for records takes: the longest record, and what is found.
const SCAN: usize = 32 << 20;
/// The largest body that says what is recorded, in bytes.
const MAX_BODY: u64 = 4096;

/// Which records are wanted: all that is said must hold.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The record's id, or how that begins
    #[param(max_length = 64)]
    id: Option<String>,
    /// The request's id
    #[param(max_length = 128)]
    rid: Option<String>,
    /// The stack where documents began or that they went through, or of whose rules runs were
    #[param(max_length = 128)]
    stack: Option<String>,
    /// A rule, as stack/scope/name, or a compute, by its ref
    #[param(max_length = 300)]
    op: Option<String>,
    /// How it ended: ok, trapped, …; `failed` is all that is not ok
    #[param(max_length = 64)]
    status: Option<String>,
    /// Accepted then or later, in RFC 3339
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Accepted before
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// How many of the newest: 20 if it is not said, at most 10,000
    #[serde(default = "twenty")]
    #[param(default = 20, minimum = 1, maximum = 10000)]
    last: usize,
}

const fn twenty() -> usize {
    20
}

/// The newest records that are wanted.
async fn find(caller: &Caller<Read>, wanted: Wanted) -> Answer<FoundRecords> {
    let Wanted { id, rid, stack, op, status, since, until, last } = wanted;
    if !(1..=MOST).contains(&last) {
        return Err(Problem::bad("invalid_query", format!("`last` is from 1 to {MOST}")));
    }
    for (name, value, most) in [
        ("id", &id, 64),
        ("rid", &rid, 128),
        ("stack", &stack, 128),
        ("op", &op, 300),
        ("status", &status, 64),
    ] {
        if value.as_ref().is_some_and(|value| value.chars().count() > most) {
            let detail = format!("`{name}` has at most {most} characters");
            return Err(Problem::bad("invalid_query", detail));
        }
    }
    let query = RecordQuery { id, rid, stack, op, status, since, until };
    look(caller, move |folder, go_on| find_records(folder, &query, last, go_on)).await
}

/// What is found in the folder of the tenant's records, in a place for that and within its time.
async fn look(
    caller: &Caller<Read>,
    find: impl FnOnce(&std::path::Path, &mut dyn FnMut() -> bool) -> std::io::Result<FoundRecords>
    + Send
    + 'static,
) -> Answer<FoundRecords> {
    let admitted = caller.admin().await?;
    let deadline = admitted.deadline;
    let _scan = caller.memory.charge(SCAN)?;
    let found = admitted.run(move |tenant, cancel| {
        let Some(records) = &tenant.records else { return Ok(FoundRecords::default()) };
        // What was answered before is found.
        if let Err(error) = records.settle() {
            crate::telemetry::warn(&error);
        }
        let mut go_on = || Instant::now() < deadline && !cancel.is_cancelled();
        find(&records.folder, &mut go_on)
    });
    found.await?.map_err(|error| match error.kind() {
        ErrorKind::TimedOut => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline_exceeded",
            "there are more records than could be looked at in time: ask for fewer (`last`)",
        ),
        _ => Problem::internal(&error),
    })
}

/// The newest records
///
/// Of runs and of documents, the oldest of them first. Records that were lost are counted in the metrics.
#[utoipa::path(
    get, path = "/v1/records", tag = "records", security(("token" = ["read"])),
    params(Wanted), responses((status = 200, body = RecordList), Refusals)
)]
pub(super) async fn list(caller: Caller<Read>, Query(wanted): Query<Wanted>) -> Answer<Response> {
    let FoundRecords { records, damaged } = find(&caller, wanted).await?;
    let records = records.into_iter().map(|one| one.head).collect();
    http::written(&caller.memory, &RecordList { records, damaged })
}

/// The newest records, whole
///
/// One a line, as each is kept: JSON of the schema `compute-record/1`.
#[utoipa::path(
    get, path = "/v1/records/export", tag = "records", security(("token" = ["read"])),
    params(Wanted),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Refusals)
)]
pub(super) async fn export(caller: Caller<Read>, Query(wanted): Query<Wanted>) -> Answer<Response> {
    let found = find(&caller, wanted).await?.records;
    // Their places, until they are read.
    let charge = caller.memory.charge(found.len() * 512)?;
    let memory = caller.memory.clone();
    let after: &[u8] = if found.is_empty() { b"" } else { b"\n" };
    let open = |_: &_, one: FoundRecord| Some(Box::new(one.open().ok()?) as _);
    let reading = Reading::new(caller, found, open, (b"\n", after));
    let pieces = futures_util::StreamExt::map(reading.pieces(), move |piece| {
        let _ = &charge;
        piece
    });
    let body = http::pieces(&memory, pieces)?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// A record
///
/// As it is kept: JSON of the schema `compute-record/1`.
#[utoipa::path(
    get, path = "/v1/records/{id}", tag = "records", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The record's id, or the beginning of one; or the id of its request", min_length = 1, max_length = 128)),
    responses((status = 200, body = Object), Refusals)
)]
pub(super) async fn show(caller: Caller<Read>, Path(id): Path<String>) -> Answer<Response> {
    if id.chars().count() > 128 {
        return Err(Problem::bad("invalid_path", "an id has at most 128 characters"));
    }
    let name = id.clone();
    let looked = look(&caller, move |folder, go_on| find_record(folder, &name, go_on));
    let mut found = looked.await?.records;
    let one = match (found.pop(), found.pop()) {
        (Some(one), None) => one,
        (Some(_), Some(_)) => {
            let detail = format!(
                "several records begin with `{id}`, or are of that request: say more of the id"
            );
            return Err(Problem::new(StatusCode::CONFLICT, "conflict", detail));
        }
        (None, _) => return Err(Problem::not_found(format!("there is no record `{id}`"))),
    };
    let memory = caller.memory.clone();
    let open = |_: &_, one: FoundRecord| Some(Box::new(one.open().ok()?) as _);
    let reading = Reading::new(caller, [one], open, (b"", b""));
    let body = http::pieces(&memory, reading.pieces())?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// What is recorded
#[utoipa::path(
    get, path = "/v1/record-policies", tag = "records", security(("token" = ["read"])),
    responses((status = 200, body = RecordPolicies), Refusals)
)]
pub(super) async fn policies(caller: Caller<Read>) -> Answer<Json<RecordPolicies>> {
    let admitted = caller.admin().await?;
    Ok(Json(admitted.run(|tenant, _| tenant.catalogue.record_policies()).await??))
}

/// Say what is recorded
///
/// Of runs, and of documents of stacks that have no policy of their own.
#[utoipa::path(
    put, path = "/v1/record-policies", tag = "records", security(("token" = ["admin"])),
    request_body = RecordPolicy, responses((status = 204, description = "It is set"), Refusals)
)]
pub(super) async fn set(caller: Caller<Admin>, content: Body) -> Answer<StatusCode> {
    let policy = caller.body(content, MAX_BODY).await?.json()?;
    changed(&caller, None, Some(policy)).await
}

/// Record nothing, but for stacks that have a policy of their own
#[utoipa::path(
    delete, path = "/v1/record-policies", tag = "records", security(("token" = ["admin"])),
    responses((status = 204, description = "It is gone"), Refusals)
)]
pub(super) async fn unset(caller: Caller<Admin>) -> Answer<StatusCode> {
    changed(&caller, None, None).await
}

/// Say what is recorded of a stack's documents
#[utoipa::path(
    put, path = "/v1/stacks/{stack}/record-policy", tag = "records", security(("token" = ["admin"])),
    params(StackPath),
    request_body = RecordPolicy, responses((status = 204, description = "It is set"), Refusals)
)]
pub(super) async fn set_of_stack(
    caller: Caller<Admin>,
    Path(path): Path<StackPath>,
    content: Body,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    let policy = caller.body(content, MAX_BODY).await?.json()?;
    changed(&caller, Some(stack), Some(policy)).await
}

/// Record of a stack's documents what is recorded of all else
#[utoipa::path(
    delete, path = "/v1/stacks/{stack}/record-policy", tag = "records", security(("token" = ["admin"])),
    params(StackPath), responses((status = 204, description = "It is gone"), Refusals)
)]
pub(super) async fn unset_of_stack(
    caller: Caller<Admin>,
    Path(path): Path<StackPath>,
) -> Answer<StatusCode> {
    let stack = path.name()?;
    changed(&caller, Some(stack), None).await
}

async fn changed(
    caller: &Caller<Admin>,
    stack: Option<compute_state::StackName>,
    policy: Option<RecordPolicy>,
) -> Answer<StatusCode> {
    let admitted = caller.admin().await?;
    admitted.run(move |tenant, _| tenant.set_record_policy(stack.as_ref(), policy)).await??;
    Ok(StatusCode::NO_CONTENT)
}
