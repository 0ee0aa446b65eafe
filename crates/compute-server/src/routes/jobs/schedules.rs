//! Schedules: set, listed, shown and deleted.

use axum::Json;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use compute_state::{CronTimes, NewSchedule, ScheduleName};
use serde_json::value::RawValue;

use super::super::caller::{Activate, Caller, Read};
use super::super::extract::Path;
use super::super::{Answer, Refusals};
use super::{AROUND, wrong};
use crate::wire::{JobRequest, ScheduleAnswer, ScheduleHead, ScheduleList, ScheduleRequest};
use crate::{Problem, http};

/// Set a schedule
///
/// In the place of the one of its name. Each time that its time comes, one job is submitted, however many servers there are; its clock
/// shows that time, and its seed is fresh. A time that a clock leaves out is the first moment after it, and one that comes twice is the
/// first of the two, unless the hour is `*`: that goes on every hour.
#[utoipa::path(
    put, path = "/v1/schedules/{name}", tag = "jobs", security(("token" = ["activate"])),
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    request_body = ScheduleRequest, responses((status = 200, body = ScheduleHead), Refusals)
)]
pub(in super::super) async fn set(
    caller: Caller<Activate>,
    Path(name): Path<String>,
    content: Body,
) -> Answer<Json<ScheduleHead>> {
    let name = name_of(&name)?;
    let taken = caller.body(content, NewSchedule::MAX_INPUT as u64 + AROUND).await?;
    let (asked, _read): (ScheduleRequest, _) = caller.few(taken).await?;
    // An expression that names no time is looked for in vain for a while.
    let set = caller.ask(move |queue, tenant| {
        let new = new_schedule(name, asked)?;
        Ok::<_, Problem>(queue.set_schedule(tenant, &new)?)
    });
    Ok(Json(set.await?.into()))
}

fn new_schedule(name: ScheduleName, asked: ScheduleRequest) -> Answer<NewSchedule> {
    let times = CronTimes::new(&asked.cron, asked.time_zone.as_deref().unwrap_or("UTC"));
    let times = times.map_err(|error| Problem::bad("invalid_schedule", error.to_string()))?;
    let work = JobRequest::work(asked.reference, asked.stack).map_err(wrong)?;
    let input = asked.input.map(|input| String::from(Box::<str>::from(input))).unwrap_or_default();
    if input.len() > NewSchedule::MAX_INPUT {
        let limit = NewSchedule::MAX_INPUT;
        let detail = format!("the input of a schedule's jobs has at most {limit} bytes");
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
        return Err(problem.with("limit", limit));
    }
    let mut new = NewSchedule::new(name, times, work, input.into_bytes());
    (new.fuel, new.catch_up) = (asked.fuel, asked.catch_up);
    new.priority = JobRequest::priority(asked.priority).map_err(wrong)?;
    new.attempts = JobRequest::attempts(asked.attempts).map_err(wrong)?;
    if asked.fuel == Some(0) {
        return Err(Problem::bad("invalid_body", "`fuel` must be at least 1"));
    }
    Ok(new)
}

/// The schedules
///
/// All of them, with the last time and the next.
#[utoipa::path(
    get, path = "/v1/schedules", tag = "jobs", security(("token" = ["read"])),
    responses((status = 200, body = ScheduleList), Refusals)
)]
pub(in super::super) async fn list(caller: Caller<Read>) -> Answer<Json<ScheduleList>> {
    let infos = caller.ask(|queue, tenant| queue.schedules(tenant)).await?;
    let schedules = infos.into_iter().map(ScheduleHead::from).collect();
    Ok(Json(ScheduleList { schedules }))
}

/// A schedule
///
/// With the input of its jobs.
#[utoipa::path(
    get, path = "/v1/schedules/{name}", tag = "jobs", security(("token" = ["read"])),
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses((status = 200, body = ScheduleAnswer), Refusals)
)]
pub(in super::super) async fn show(
    caller: Caller<Read>,
    Path(name): Path<String>,
) -> Answer<Response> {
    let name = name_of(&name)?;
    let schedule = caller.ask(move |queue, tenant| queue.schedule(tenant, &name)).await?;
    let _held = caller.memory.charge(2 * schedule.input.len())?;
    let input = String::from_utf8(schedule.input).ok();
    let input = input.and_then(|text| RawValue::from_string(text).ok());
    http::written(&caller.memory, &ScheduleAnswer { head: schedule.info.into(), input })
}

/// Delete a schedule
///
/// Jobs that it submitted go on.
#[utoipa::path(
    delete, path = "/v1/schedules/{name}", tag = "jobs", security(("token" = ["activate"])),
    params(("name" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$")),
    responses((status = 204, description = "It is gone"), Refusals)
)]
pub(in super::super) async fn delete(
    caller: Caller<Activate>,
    Path(name): Path<String>,
) -> Answer<StatusCode> {
    let name = name_of(&name)?;
    caller.ask(move |queue, tenant| queue.delete_schedule(tenant, &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn name_of(text: &str) -> Answer<ScheduleName> {
    text.parse().map_err(|error: compute_state::ScheduleNameError| {
        Problem::bad("invalid_name", error.to_string())
    })
}
