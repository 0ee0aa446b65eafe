//! What every request passes first and last: it is counted, placed in a trace, and its answer is charged.

use std::borrow::Cow;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use compute_state::TenantName;
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, Status as SpanStatus};

use crate::Server;
use crate::http::{Answering, Life, charged, lend};
use crate::server::Shared;
use crate::telemetry::TRACEPARENT;
use crate::work::Present;

/// How often a request looks whether there is room for it, and how long it waits in between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(5);
/// For how long nothing was taken of answers that make room for others: of those who have a token, and of strangers.
const STALLED: Duration = Duration::from_secs(1);
const STRANGER_STALLED: Duration = Duration::from_millis(20);

/// The paths of those who ask whether the server lives and takes work.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];
/// For how many seconds whoever keeps the state has not answered, or not with what is active: what is known of it is used.
const AWAY: HeaderName = HeaderName::from_static("x-compute-state-away");

/// Observes every request: its time, its status, its place in a trace.
pub(crate) async fn observe(
    State(server): State<Server>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    // One too many is told so without a body: that could wait to be read, too.
    let life = request.extensions().get::<Arc<Life>>().cloned();
    let probe = PROBES.iter().position(|path| *path == request.uri().path());
    let is_probe = probe.is_some();
    // Each has places of its own: whoever asks for one takes none of the other's.
    let present = match probe.and_then(|at| server.shared.probes.get(at)) {
        Some(places) => places.enter().ok(),
        None => enter(&server, request.headers(), life.as_ref()).await,
    };
    let Some(present) = present else {
        let retry = [(header::RETRY_AFTER, "1")];
        return (StatusCode::SERVICE_UNAVAILABLE, retry).into_response();
    };
    let telemetry = &server.shared.telemetry;
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let method = method(request.method());
    let observed = Arc::new(telemetry.begin(format!("{method} {route}"), request.headers()));
    request.extensions_mut().insert(Arc::clone(&observed));
    let (request, unread) = lend(request);
    let mut response = next.run(request).await;
    // From here on it may make room for others.
    let answering = Answering::new(life.as_ref());
    let present = match is_probe {
        true => {
            // What comes now takes as long as whoever asked likes, and nobody keeps others from asking with it.
            drop(present);
            let stranger = enter_now(&server.shared, false);
            if stranger.is_none() {
                // The status is told all the same: it goes without a body, for which one would have to wait.
                response = response.status().into_response();
            }
            stranger
        }
        false => Some(present),
    };
    if let Some(unread) = unread
        && present.is_some()
        && (response.status().is_client_error() || response.status().is_server_error())
    {
        unread.take().await;
        answering.move_on();
    }
    let caller = observed.caller.get();
    let account = caller.map_or(&server.shared.nobody, |caller| &caller.memory).clone();
    let held = Arc::new((present, Arc::clone(&observed)));
    let mut response = charged(response, &account, answering, held).await;

    let status = response.status();
    let labels = [
        KeyValue::new("http.request.method", method.clone()),
        KeyValue::new("http.route", route.to_owned()),
        // Documents choose their status: those that nobody knows are one label.
        KeyValue::new("http.response.status_code", known(status)),
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
    let away = server.shared.state.away_for().max(observed.unread.get().copied());
    if let Some(away) = away {
        response.headers_mut().insert(AWAY, away.as_secs().into());
    }
    if let Ok(value) = HeaderValue::from_str(&observed.traceparent()) {
        response.headers_mut().insert(TRACEPARENT, value);
    }
    response
}

/// One more request: of those that have a token, or of those that have none, which are fewer and hinder no others. Where
/// there are too many, those whose answers nobody reads make room.
async fn enter(server: &Server, headers: &HeaderMap, life: Option<&Arc<Life>>) -> Option<Present> {
    let shared = &server.shared;
    let tenant = tenant(server, headers);
    let known = tenant.is_some() || is_dev(server, headers);
    if let (true, Some(life)) = (known, life) {
        let entry = tenant.map(|tenant| shared.tenants.entry(&tenant));
        life.note_known(entry.as_ref().map(|entry| &entry.pace));
    }
    for _ in 0..ATTEMPTS {
        if let Some(present) = enter_now(shared, known) {
            return Some(present);
        }
        tokio::time::sleep(PAUSE).await;
    }
    enter_now(shared, known)
}

/// As [`enter`], without waiting for room.
fn enter_now(shared: &Shared, known: bool) -> Option<Present> {
    let (requests, least) =
        if known { (&shared.requests, STALLED) } else { (&shared.strangers, STRANGER_STALLED) };
    requests.enter().ok().or_else(|| {
        // What those connections hold goes with them, in a moment.
        (shared.lives.close_stalled(known, least) > 0).then(|| requests.enter_anyway())
    })
}

/// Whose token a request has, if it has one that holds.
fn tenant(server: &Server, headers: &HeaderMap) -> Option<TenantName> {
    let token = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?.1;
    Some(server.shared.tokens.check_now(token.trim())?.ok()??.tenant)
}

/// Whether a request needs no token.
fn is_dev(server: &Server, headers: &HeaderMap) -> bool {
    server.shared.settings.dev && !headers.contains_key(header::AUTHORIZATION)
}

/// A status as a label.
fn known(status: StatusCode) -> i64 {
    let code = status.as_u16();
    i64::from(if status.canonical_reason().is_some() { code } else { code / 100 * 100 })
}

/// A method's name; callers may send any word as one, and a word is a label.
fn method(method: &axum::http::Method) -> Cow<'static, str> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or("_OTHER").into()
}
