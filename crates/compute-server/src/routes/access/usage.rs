//! What the caller's own tenant used, by day.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use compute_state::DayUsage;
use jiff::civil::Date;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::routes::caller::{Caller, Read};
use crate::routes::extract::Query;
use crate::routes::{Answer, Refusals};
use crate::telemetry::warn;
use crate::wire::UsageList;
use crate::{Problem, Server};

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct Days {
    /// The first day
    #[param(value_type = Option<String>, format = Date)]
    from: Option<Date>,
    /// The last day
    #[param(value_type = Option<String>, format = Date)]
    to: Option<Date>,
}

/// What this tenant used, by day
///
/// In UTC, for 400 days: what all servers have told, which each does every 10 seconds, and this one now. Days on which nothing was used are
/// left out. With `accept: text/csv` it is a table.
#[utoipa::path(
    get, path = "/v1/usage", tag = "access", security(("token" = ["read"])), params(Days),
    responses(
        (status = 200, content((UsageList = "application/json"), (String = "text/csv")), description = "The oldest day first"),
        Refusals
    )
)]
pub(in crate::routes) async fn list(
    caller: Caller<Read>,
    State(server): State<Server>,
    Query(Days { from, to }): Query<Days>,
    headers: HeaderMap,
) -> Answer<Response> {
    if from.zip(to).is_some_and(|(from, to)| from > to) {
        return Err(Problem::bad("invalid_query", "`from` is after `to`"));
    }
    let shared = Arc::clone(&server.shared);
    let admitted = caller.admin().await?;
    let days = admitted.run(move |tenant, _| {
        // What cannot be added now is added later: what is there can be read all the same.
        if let Err(error) = shared.usage.add(&shared.tenants, Some(&tenant.name)) {
            warn(&error);
        }
        shared.usage.days(&tenant.name, from, to)
    });
    let days = days.await??;
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_csv = accepts.is_some_and(|accept| {
        let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim());
        kinds.any(|kind| kind.eq_ignore_ascii_case("text/csv"))
    });
    if !wants_csv {
        return Ok(Json(UsageList { days }).into_response());
    }
    let lines: String = days.iter().map(DayUsage::csv).collect();
    let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present")];
    Ok((kind, DayUsage::csv_head() + &lines).into_response())
}
