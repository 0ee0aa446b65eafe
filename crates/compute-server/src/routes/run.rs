//! One call to a compute: the body is its input, the answer its output.

use std::time::{Duration, Instant, SystemTime};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use compute::{Limits, Meta, Metrics, OpCall, RunOptions, Runner as _, Seed};
use jiff::Timestamp;

use super::extract::Path;
use super::{Answer, body, header as read, reference};
use crate::problem::status_of_run;
use crate::{Problem, Server};

/// The largest input, in bytes: that of the largest output.
pub(super) const MAX_INPUT: u64 = 4 << 20;
/// The longest request id.
const MAX_RID: usize = 128;

/// What a request says of how it is to be answered.
pub(super) struct Wishes {
    pub(super) rid: Option<String>,
    pub(super) deadline: Option<Duration>,
    pub(super) seed: Option<Seed>,
    pub(super) now: Option<SystemTime>,
}

impl Wishes {
    pub(super) fn read(headers: &HeaderMap) -> Answer<Self> {
        let deadline: Option<u64> =
            read(headers, "x-compute-deadline", "a number of milliseconds, at least 1")?;
        if deadline == Some(0) {
            let detail = "the header x-compute-deadline must be at least 1";
            return Err(Problem::bad("invalid_header", detail));
        }
        let now: Option<Timestamp> =
            read(headers, "x-compute-now", "a time such as 2026-01-31T12:00:00Z")?;
        let now = now.map(|time| {
            let nanos = u64::try_from(time.as_nanosecond()).map_err(|_| {
                let detail = "the header x-compute-now must be between 1970 and 2554";
                Problem::bad("invalid_header", detail)
            })?;
            Ok::<_, Problem>(SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos))
        });
        let rid: Option<String> = read(headers, "x-compute-rid", "text")?;
        if rid.as_ref().is_some_and(|rid| rid.len() > MAX_RID) {
            let detail = format!("the header x-compute-rid has at most {MAX_RID} bytes");
            return Err(Problem::bad("invalid_header", detail));
        }
        Ok(Self {
            rid,
            deadline: deadline.map(Duration::from_millis),
            seed: read(headers, "x-compute-seed", "64 hex digits")?,
            now: now.transpose()?,
        })
    }
}

pub(super) async fn run(
    State(server): State<Server>,
    Path((alg, digest)): Path<(String, String)>,
    headers: HeaderMap,
    content: Body,
) -> Answer<Response> {
    let accepted = Instant::now();
    let wishes = Wishes::read(&headers)?;
    let reference = reference(&alg, &digest)?;
    let settings = &server.shared.settings;
    let input = body(content, MAX_INPUT, settings.body).await?;
    let most = settings.limits.bounds().wall;
    let wall = wishes.deadline.map_or(most, |asked| asked.min(most));
    let place = within(wall, accepted, server.shared.admission.enter("")).await??;

    // The one deadline covers the queue, too; zero would mean the default.
    let left = wall.saturating_sub(accepted.elapsed()).max(Duration::from_nanos(1));
    let limits =
        Limits { wall: Some(left), now: wishes.now, seed: wishes.seed, ..Limits::default() };
    let meta = Meta { rid: wishes.rid.unwrap_or_default(), ..Meta::default() };
    let op = OpCall { meta, ..OpCall::default() };
    let options = RunOptions { limits, op: Some(op), ..RunOptions::default() };
    // Whoever goes away drops this future, which cancels the run.
    let outcome = server.shared.manager.run(&reference, input, options).await?;
    drop(place);

    let mut response = match outcome.result {
        Ok(output) => ([(header::CONTENT_TYPE, "application/json")], output).into_response(),
        Err(failure) => {
            let status = status_of_run(failure.status());
            let detail = failure.to_string();
            Problem::new(status, "compute_failed", detail)
                .with("status_name", failure.status().name())
                .into_response()
        }
    };
    stamp(response.headers_mut(), &outcome.metrics);
    Ok(response)
}

/// Waits no longer than the deadline, which then was spent in the queue.
pub(super) async fn within<T>(
    wall: Duration,
    accepted: Instant,
    turn: impl Future<Output = T>,
) -> Answer<T> {
    let left = wall.saturating_sub(accepted.elapsed());
    tokio::time::timeout(left, turn).await.map_err(|_| {
        let detail = format!("the wall limit of {wall:?} was reached in the queue");
        Problem::new(status_of_run(compute::Status::WallLimit), "deadline_exceeded", detail)
    })
}

/// What a run took, as headers.
fn stamp(headers: &mut HeaderMap, metrics: &Metrics) {
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    put("x-compute-status", metrics.status.name().to_owned());
    put("x-compute-wall", metrics.wall.as_nanos().to_string());
    put("x-compute-memory", metrics.peak_memory.to_string());
    if let Some(fuel) = metrics.fuel {
        put("x-compute-fuel", fuel.to_string());
    }
}
