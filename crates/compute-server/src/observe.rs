//! What every request passes first and last: it is counted, placed in a trace, and its answer is charged.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Status as SpanStatus};

use crate::Server;
use crate::http::{Answering, Life, charged};
use crate::telemetry::TRACEPARENT;
use crate::work::Present;

/// How often a request looks whether there is room for it, and how long it waits in between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);

/// Observes every request: its time, its status, its place in a trace.
pub(crate) async fn observe(
    State(server): State<Server>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    // One too many is told so without a body: that could wait to be read, too.
    let Some(present) = enter(&server).await else {
        let retry = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry).into_response();
    };
    let life = request.extensions().get::<Arc<Life>>().cloned();
    let telemetry = &server.shared.telemetry;
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let method = method(request.method());
    let observed = Arc::new(telemetry.begin(format!("{method} {route}"), request.headers()));
    request.extensions_mut().insert(Arc::clone(&observed));
    let response = next.run(request).await;
    let caller = observed.caller.get();
    let account = caller.map_or(&server.shared.nobody, |caller| &caller.memory).clone();
    let held = Arc::new((present, Arc::clone(&observed)));
    let answering = Answering::new(life.as_ref());
    let mut response = charged(response, &account, answering, held).await;

    let status = response.status();
    let labels = [
        KeyValue::new("http.request.method", method.clone()),
        KeyValue::new("http.route", route.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status.as_u16())),
    ];
    telemetry.requests.record(started.elapsed().as_secs_f64(), &labels);
    if let Some(mut span) = observed.span.lock().unwrap_or_else(PoisonError::into_inner).take() {
        span.set_attributes(labels);
        if status.is_server_error() {
            span.set_status(SpanStatus::error(status.to_string()));
        }
        span.end();
    }
    let tenant = observed.caller.get().map_or("", |caller| caller.tenant.as_str());
    let trace = observed.context.trace_id();
    let (code, wall_us) = (status.as_u16(), started.elapsed().as_micros() as u64);
    if status.is_server_error() {
        tracing::warn!(target: "request", %method, route, status = code, wall_us, tenant, %trace);
    } else {
        tracing::debug!(target: "request", %method, route, status = code, wall_us, tenant, %trace);
    }
    if let Ok(value) = HeaderValue::from_str(&observed.traceparent()) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response
}

/// One more request. Where there are too many, those whose answers nobody reads make room.
async fn enter(server: &Server) -> Option<Present> {
    for _ in 0..ATTEMPTS {
        match server.shared.requests.enter() {
            Ok(present) => return Some(present),
            Err(_) => server.shared.lives.close_unread(),
        }
        // What the connection held is dropped with it.
        tokio::time::sleep(PAUSE).await;
    }
    server.shared.requests.enter().ok()
}

/// A method's name; callers may send any word as one, and a word is a label.
fn method(method: &axum::http::Method) -> Cow<'static, str> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER").into()
}
