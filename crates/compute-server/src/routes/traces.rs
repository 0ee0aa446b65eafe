//! What happened to documents.

use axum::Json;
use compute_flow::Trace;
use serde::Deserialize;
use utoipa::IntoParams;

use super::caller::{Caller, Read};
use super::extract::{Path, Query};
use super::{Answer, Refusals};
use crate::Problem;
use crate::wire::TraceList;

/// How many traces are listed at most.
const MAX_LISTED: usize = 1000;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Last {
    /// How many of the newest, at most 1,000
    #[serde(default = "twenty")]
    #[param(default = 20, maximum = 1000)]
    last: usize,
}

const fn twenty() -> usize {
    20
}

/// The newest traces
#[utoipa::path(
    get, path = "/v1/traces", tag = "traces", security(("token" = ["read"])),
    params(Last), responses((status = 200, body = TraceList), Refusals)
)]
pub(super) async fn list(
    caller: Caller<Read>,
    Query(Last { last }): Query<Last>,
) -> Answer<Json<TraceList>> {
    if last > MAX_LISTED {
        return Err(Problem::bad("invalid_query", format!("`last` is at most {MAX_LISTED}")));
    }
    let traces = caller.tenant.traces.clone();
    let traces = blocking::unblock(move || {
        let ids = traces.ids()?;
        let newest = &ids[ids.len().saturating_sub(last)..];
        // One may have been deleted since.
        Ok::<Vec<Trace>, Problem>(newest.iter().filter_map(|id| traces.read(id).ok()).collect())
    })
    .await?;
    Ok(Json(TraceList { traces }))
}

/// A trace
#[utoipa::path(
    get, path = "/v1/traces/{id}", tag = "traces", security(("token" = ["read"])),
    params(("id" = String, Path, description = "The request's id, or the beginning of one", min_length = 1, max_length = 128)),
    responses((status = 200, body = Object), Refusals)
)]
pub(super) async fn show(caller: Caller<Read>, Path(id): Path<String>) -> Answer<Json<Trace>> {
    let traces = caller.tenant.traces.clone();
    Ok(Json(blocking::unblock(move || traces.read(&id)).await?))
}
