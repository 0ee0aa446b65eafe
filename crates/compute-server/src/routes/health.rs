//! Whether the server lives, and whether it takes work.

use axum::extract::State;
use axum::http::StatusCode;

use super::Answer;
use crate::{Problem, Server};

pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Not ready while it drains, or while the catalogue or the store does not answer.
pub(super) async fn readyz(State(server): State<Server>) -> Answer<&'static str> {
    if server.is_draining() {
        let detail = "the server is shutting down";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "draining", detail));
    }
    let shared = server.shared;
    blocking::unblock(move || shared.catalogue.change_number()).await?;
    Ok("ready")
}
