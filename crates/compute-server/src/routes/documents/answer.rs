//! What a document answers over HTTP: itself, or what `_txc.web.res` says.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use crate::Problem;

/// Headers that hold for one hop (RFC 9110, 7.6.1): no document gets or sets them.
pub(super) const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
/// Those that say how long an answer is and where it belongs, which this server decides.
const SERVERS: [&str; 3] = ["content-length", "date", "traceparent"];
/// How the names of headers begin that the server itself sets.
const OWN: &str = "x-compute-";
/// How many headers a document may set.
const MAX_HEADERS: usize = 64;
/// How many bytes they may have together.
const MAX_HEADER_BYTES: usize = 16 << 10;
/// Base64 as Go reads it, with its padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The document as an answer, or what it says of the answer in `_txc.web.res`: `status`, `headers`, and `body` in base64 or
/// `body_text`. A body that is no text is answered as JSON.
pub(super) fn of(wanted: Option<&Value>, document: &Value) -> Response {
    let none = Value::Null;
    let wanted = wanted.unwrap_or(&none);
    let made = body(wanted, document).and_then(|(kind, body)| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status(wanted.get("status"));
        headers(wanted.get("headers"), response.headers_mut())?;
        // These have none, whatever is said (RFC 9110, 6.4.1 and 15.3.6).
        let none = [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED];
        if !none.contains(&response.status()) {
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().entry(header::CONTENT_TYPE).or_insert(kind);
            *response.body_mut() = Body::from(body);
        }
        Ok(response)
    });
    made.unwrap_or_else(|problem| problem.into_response())
}

/// The body, and what kind of text it is, if the document does not say.
fn body(wanted: &Value, document: &Value) -> Result<(&'static str, Vec<u8>), Problem> {
    const JSON: &str = "application/json";
    const TEXT: &str = "text/plain; charset=utf-8";
    if let Some(text) = wanted.get("body_text") {
        let text = text.as_str().map_or_else(|| text.to_string(), str::to_owned);
        return Ok((TEXT, text.into_bytes()));
    }
    match wanted.get("body") {
        Some(Value::String(text)) => {
            let bytes = BASE64.decode(text).map_err(|error| {
                let detail =
                    format!("`_txc.web.res.body` must be base64 ({error}); `body_text` takes text");
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "body_not_base64", detail)
            })?;
            let kind =
                if std::str::from_utf8(&bytes).is_ok() { TEXT } else { "application/octet-stream" };
            Ok((kind, bytes))
        }
        Some(body) => Ok((JSON, body.to_string().into_bytes())),
        None => Ok((JSON, document.to_string().into_bytes())),
    }
}

/// A status, as a number or as its digits. One of 1xx is not that of an answer.
fn status(wanted: Option<&Value>) -> StatusCode {
    let code = wanted.and_then(|wanted| match wanted {
        Value::String(digits) => digits.parse().ok(),
        other => u16::try_from(other.as_u64()?).ok(),
    });
    let code = code.filter(|code| *code >= 200);
    code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or_default()
}

/// The headers that a document may set: each has one value, or a list of them.
fn headers(wanted: Option<&Value>, headers: &mut HeaderMap) -> Result<(), Problem> {
    let wanted = wanted.and_then(Value::as_object).into_iter().flatten();
    let each = wanted.flat_map(|(name, values)| {
        let values = values.as_array().map_or(std::slice::from_ref(values), Vec::as_slice);
        values.iter().map(move |value| (name, value))
    });
    let mut bytes = 0;
    for (name, value) in each.take(MAX_HEADERS) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        // They are in no account: a connection may have many answers that wait.
        bytes += name.len() + text.len();
        if bytes > MAX_HEADER_BYTES {
            let detail = format!("the headers of an answer have at most {MAX_HEADER_BYTES} bytes");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            return Err(
                Problem::new(status, "headers_too_large", detail).with("limit", MAX_HEADER_BYTES)
            );
        }
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&text))
            && !HOP_BY_HOP.contains(&name.as_str())
            && !SERVERS.contains(&name.as_str())
            && !name.as_str().starts_with(OWN)
        {
            headers.append(name, value);
        }
    }
    Ok(())
}
