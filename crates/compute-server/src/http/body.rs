//! Bodies, taken within a size, a time, and the memory that their request may have.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use compute::{Account, Charge};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use serde::de::DeserializeOwned;

use crate::Problem;

/// How many times its bytes a body of many small fields takes while it is read into them.
const FIELDS: usize = 4;

/// A body, and what it is charged until it is dropped.
#[derive(Debug)]
pub(crate) struct ChargedBody {
    pub(crate) bytes: Bytes,
    pub(crate) charge: Charge,
}

/// A body of at most so many bytes, within so much time.
pub(crate) async fn take(
    account: &Account,
    body: Body,
    limit: u64,
    time: Duration,
) -> Result<ChargedBody, Problem> {
    let late = |_| {
        let detail = format!("the body did not arrive within {time:?}");
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    };
    tokio::time::timeout(time, collect(account, body, limit)).await.map_err(late)?
}

async fn collect(account: &Account, mut body: Body, limit: u64) -> Result<ChargedBody, Problem> {
    // What is announced to be too large is not waited for.
    let announced = body.size_hint();
    if announced.lower() > limit {
        return Err(too_large(limit));
    }
    let mut charge = account.empty();
    let mut all = BytesMut::new();
    // A frame is charged before it is kept, and the buffer by what it holds, which grows by doubling.
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Problem::bad("broken_body", error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if (all.len() + data.len()) as u64 > limit {
            return Err(too_large(limit));
        }
        if all.is_empty() && announced.exact() == Some(data.len() as u64) {
            charge.grow(data.len())?;
            return Ok(ChargedBody { bytes: data, charge });
        }
        let needed = all.len() + data.len();
        if needed > all.capacity() {
            let most = usize::try_from(limit).unwrap_or(usize::MAX);
            let wanted = needed.max(all.capacity().saturating_mul(2)).min(most.max(needed));
            charge.grow(wanted - all.capacity())?;
            all.reserve(wanted - all.len());
        }
        all.extend_from_slice(&data);
    }
    Ok(ChargedBody { bytes: all.freeze(), charge })
}

impl ChargedBody {
    /// What it says as JSON, in known fields, which may be many and small. What they take besides the body's bytes is
    /// charged with it.
    pub(crate) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        self.charge.grow(self.bytes.len().saturating_mul(FIELDS - 1))?;
        self.few()
    }

    /// The same, in a few fields that are texts.
    pub(crate) fn few<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        self.charge.grow(self.bytes.len())?;
        serde_json::from_slice(&self.bytes).map_err(|error| {
            Problem::bad("invalid_body", format!("the body is not as it should be: {error}"))
        })
    }
}

fn too_large(limit: u64) -> Problem {
    let detail = format!("the body has more than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).with("limit", limit)
}
