//! Bodies, taken within a size, a time, and a number of bytes that all of them together may have.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Problem;

/// How many bytes are counted as one.
const UNIT: usize = 16 << 10;

/// How many bytes the bodies of all requests and large answers may have together.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    units: Arc<Semaphore>,
    total: u64,
}

/// A body, and its part of the budget until it is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) bytes: Bytes,
    part: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(crate) fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
        Self { units: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))), total: bytes }
    }

    /// A body of at most so many bytes, within so much time.
    pub(crate) async fn take(
        &self,
        body: Body,
        limit: u64,
        time: Duration,
    ) -> Result<Taken, Problem> {
        let late = |_| {
            let detail = format!("the body did not arrive within {time:?}");
            Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
        };
        tokio::time::timeout(time, self.collect(body, limit)).await.map_err(late)?
    }

    async fn collect(&self, mut body: Body, limit: u64) -> Result<Taken, Problem> {
        // What is announced to be too large is not waited for.
        if body.size_hint().lower() > limit {
            return Err(too_large(limit));
        }
        let (mut all, mut part) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Problem::bad("broken_body", error.to_string()))?;
            let Ok(data) = frame.into_data() else { continue };
            if (all.len() + data.len()) as u64 > limit {
                return Err(too_large(limit));
            }
            self.grow(&mut part, all.len() + data.len())?;
            all.extend_from_slice(&data);
        }
        Ok(Taken { bytes: all.freeze(), part })
    }

    /// Has a part that is large enough for so many bytes.
    fn grow(&self, part: &mut Option<OwnedSemaphorePermit>, bytes: usize) -> Result<(), Problem> {
        let held = part.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(UNIT).saturating_sub(held);
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.units).try_acquire_many_owned(more).map_err(|_| {
            let detail = format!("the bodies under way have {} bytes together", self.total);
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail)
        })?;
        match part {
            Some(part) => part.merge(more),
            None => *part = Some(more),
        }
        Ok(())
    }

    /// An answer's body, counted until it is sent.
    pub(crate) fn give(&self, bytes: Bytes) -> Result<Body, Problem> {
        let mut part = None;
        self.grow(&mut part, bytes.len())?;
        Ok(Body::new(Given { bytes: Some(bytes), _part: part }))
    }
}

impl Taken {
    /// What it says as JSON.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        serde_json::from_slice(&self.bytes).map_err(|error| {
            Problem::bad("invalid_body", format!("the body is not as it should be: {error}"))
        })
    }

    /// Its bytes; its part of the budget is given back with the answer.
    pub(crate) fn split(self) -> (Bytes, impl Send) {
        (self.bytes, self.part)
    }
}

fn too_large(limit: u64) -> Problem {
    let detail = format!("the body has more than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).with("limit", limit)
}

/// A body of known bytes.
struct Given {
    bytes: Option<Bytes>,
    _part: Option<OwnedSemaphorePermit>,
}

impl HttpBody for Given {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // In pieces, so that the whole is not copied at once.
        let Some(bytes) = &mut self.bytes else { return Poll::Ready(None) };
        let piece = bytes.split_to(bytes.len().min(UNIT));
        if bytes.is_empty() {
            self.bytes = None;
        }
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.as_ref().is_none_or(Bytes::is_empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
