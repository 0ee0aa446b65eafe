//! Whether the server lives, whether it takes work, and what it does.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::caller::{Admin, Caller, operator};
use super::{Answer, Refusals};
use crate::server::Shared;
use crate::{Problem, Server};

/// Whether the server lives
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Whether the server takes work
///
/// Not while it shuts down, while it makes a language's plugin ready, or while what is known of the state is too old. Where whoever
/// keeps the state does not answer and what is known is still used, it says so and is ready.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn readyz(State(server): State<Server>) -> Answer<String> {
    if server.is_draining() {
        let detail = "the server is shutting down";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail));
    }
    if server.is_warming() {
        let detail =
            "the server makes the plugins of its languages ready; what needs none runs already";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "warming", detail));
    }
    let shared = Arc::clone(&server.shared);
    // In nobody's place: it waits for no tenant and for no store.
    let ask = move || {
        let tenant = shared.tenants.open(&compute_state::TenantName::default())?;
        tenant.catalogue.change_number()?;
        Ok(())
    };
    server.shared.ready.ask(ask).await?;
    let Shared { state, tenants, .. } = &*server.shared;
    Ok(match state.away_for().max(tenants.unread_for()) {
        None => "ready".to_owned(),
        Some(away) => {
            let away = away.as_secs();
            format!("ready, with what is known of the state: for {away} s it could not be read")
        }
    })
}

/// What the server does, in Prometheus' text format
///
/// For a token of the tenant `default` with the scope `admin`.
#[utoipa::path(get, path = "/metrics", tag = "health", security(("token" = ["admin"])), responses((status = 200, body = String, content_type = "text/plain"), Refusals))]
pub(super) async fn metrics(
    caller: Caller<Admin>,
    State(server): State<Server>,
) -> Answer<Response> {
    operator(&caller)?;
    let place = caller.admin().await?;
    let text = place.run(move |_, _| server.shared.telemetry.prometheus()).await?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text).into_response())
}
