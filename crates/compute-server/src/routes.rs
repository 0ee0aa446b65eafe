//! The routes: each takes its request apart, calls, and puts the answer together.

mod computes;
mod extract;
mod health;
mod run;
mod stacks;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post, put};
use bytes::{Bytes, BytesMut};
use compute::Ref;
use http_body_util::BodyExt as _;

use crate::{Problem, Server};

/// The routes of a server.
pub fn router(server: Server) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/v1/computes", get(computes::list))
        .route(
            "/v1/computes/{alg}/{digest}",
            put(computes::put).get(computes::get).head(computes::head).delete(computes::delete),
        )
        .route("/v1/stacks", get(stacks::list))
        .route("/v1/stacks/{stack}", get(stacks::show))
        .route("/v1/stacks/{stack}/versions/{number}/activate", post(stacks::activate))
        .route("/v1/traces", get(stacks::traces))
        .route("/v1/traces/{id}", get(stacks::trace))
        .route("/run/{alg}/{digest}", post(run::run))
        .route("/stacks/{*stage}", post(stacks::process))
        .fallback(|| async { Problem::not_found("there is no such route") })
        .method_not_allowed_fallback(|| async {
            let detail = "this route does not take this method";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
        })
        .with_state(server)
}

type Answer<T> = Result<T, Problem>;

/// The ref that a path names.
fn reference(alg: &str, digest: &str) -> Answer<Ref> {
    Ref::parse(&format!("compute://{alg}/{digest}"))
        .map_err(|error| Problem::bad("invalid_ref", error.to_string()))
}

/// A body of at most so many bytes, within so much time.
async fn body(body: Body, limit: u64, time: Duration) -> Answer<Bytes> {
    let late = |_| {
        let detail = format!("the body did not arrive within {time:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    };
    tokio::time::timeout(time, collect(body, limit)).await.map_err(late)?
}

async fn collect(mut body: Body, limit: u64) -> Answer<Bytes> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad("broken_body", error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if (all.len() + data.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

fn too_large(limit: u64) -> Problem {
    let detail = format!("the body has more than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).with("limit", limit)
}

/// A header's value, read as something.
fn header<T: std::str::FromStr>(
    headers: &HeaderMap,
    name: &'static str,
    wanted: &str,
) -> Answer<Option<T>> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    let wrong = || Problem::bad("invalid_header", format!("the header {name} must be {wanted}"));
    text.map(Some).ok_or_else(wrong)
}
