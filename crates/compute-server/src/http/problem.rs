//! Errors as RFC 9457 has them.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use compute::{Mask, with_causes};
use serde_json::{Map, Value};

use crate::wire::MAX_LINE;

/// What else a problem says of when to ask again: in how many seconds. The header of that name says it, too.
pub(crate) const RETRY_AFTER: &str = "retry_after";

/// An error as RFC 9457 has it: `application/problem+json`.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What it is, in a stable word.
    pub code: &'static str,
    /// What happened, in a line.
    pub detail: String,
    /// What else is known of it.
    pub extra: Map<String, Value>,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), extra: Map::new() }
    }

    /// This, with something more.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.extra.insert(name.to_owned(), value.into());
        self
    }

    /// What it says, as members of an object.
    #[must_use]
    pub fn members(self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("type".to_owned(), "about:blank".into());
        members
            .insert("title".to_owned(), self.status.canonical_reason().unwrap_or("Error").into());
        members.insert("status".to_owned(), self.status.as_u16().into());
        members.insert("code".to_owned(), self.code.into());
        members.insert("detail".to_owned(), self.detail.into());
        members.extend(self.extra);
        members
    }

    /// A request that its sender must correct.
    pub(crate) fn bad(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// That a line of a batch is too long to be looked at.
    #[must_use]
    pub fn line_too_large() -> Self {
        let detail = format!("the line has more than {MAX_LINE} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "line_too_large", detail).with("limit", MAX_LINE)
    }

    /// This, without the values of secrets.
    #[must_use]
    pub fn masked(mut self, mask: &Mask) -> Self {
        mask.apply(&mut self.detail);
        self.extra.values_mut().for_each(|value| mask.value(value));
        self
    }

    /// Something that is nobody's fault but the server's. What it was is for the log, and not for the caller.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(target: "request", "{}", with_causes(error));
        let detail = "the server failed, and its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let again = self.extra.get(RETRY_AFTER).and_then(Value::as_u64).unwrap_or(1);
        let body = Value::Object(self.members()).to_string();
        let mut response = (status, body).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if status == StatusCode::UNAUTHORIZED {
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, again.into());
        }
        response
    }
}
