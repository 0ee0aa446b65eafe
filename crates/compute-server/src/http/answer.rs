//! Answers: charged until they are sent, and sent within a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use compute::{Account, Charge, OverLimit};
use futures_util::StreamExt as _;
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde::Serialize;

use super::life::{Answering, Endless};
use crate::Problem;

/// How much is given to the connection at once.
pub(crate) const PIECE: usize = 64 << 10;
/// What a small answer is let go with, whatever the accounts say: errors tell of full ones.
const SMALL: u64 = 16 << 10;

/// Marks an answer whose bytes all who ask for it share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared;

/// Marks an answer that goes on for as long as there is something to answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoesOn;

/// What an answer holds until it is sent.
pub(crate) type Held = Arc<dyn std::any::Any + Send + Sync>;

/// Charges an answer to whoever asked for it until it is sent, and keeps what it holds for as long.
pub(crate) async fn charged(
    response: Response,
    account: &Account,
    answering: Answering,
    held: Held,
) -> Response {
    let (parts, body) = response.into_parts();
    let Some(size) = body.size_hint().exact() else {
        // One that is made while it is sent is charged by who makes it.
        let goes_on = parts.extensions.get::<GoesOn>().and_then(|_| answering.never_ends());
        let body = Kept { body, answering, _goes_on: goes_on, _held: held };
        return Response::from_parts(parts, Body::new(body));
    };
    if size == 0 {
        return Response::from_parts(parts, body);
    }
    let charge = if size <= SMALL || parts.extensions.get::<Shared>().is_some() {
        None
    } else {
        match account.charge(usize::try_from(size).unwrap_or(usize::MAX)) {
            Ok(charge) => Some(charge),
            Err(over) => return Problem::from(over).into_response(),
        }
    };
    // What has a known size is there already.
    let Ok(bytes) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Response::from_parts(parts, Body::empty());
    };
    let sent = Sent { bytes, _charge: charge, answering, _held: held };
    Response::from_parts(parts, Body::new(sent))
}

/// A body of known bytes, given away in pieces, so that the whole is not copied at once.
struct Sent {
    bytes: Bytes,
    _charge: Option<Charge>,
    answering: Answering,
    _held: Held,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.answering.move_on();
        let bytes = &mut self.bytes;
        let piece = bytes.split_to(bytes.len().min(PIECE));
        Poll::Ready((!piece.is_empty()).then(|| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

/// A body that is made while it is sent.
struct Kept {
    body: Body,
    answering: Answering,
    _goes_on: Option<Endless>,
    _held: Held,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.answering.move_on();
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if polled.is_pending() {
            self.answering.wait();
        }
        polled
    }
}

/// The rest of a list cannot be made: whoever reads it must not take it for whole.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer ends here")]
pub(crate) struct BrokenStream;

/// A body of pieces that are made as they are sent, one at a time. What two of them hold is charged.
pub(crate) fn pieces(
    account: &Account,
    pieces: impl futures_util::Stream<Item = Result<Bytes, BrokenStream>> + Send + 'static,
) -> Result<Body, Problem> {
    let charge = account.charge(2 * PIECE)?;
    let charged = pieces.map(move |piece| {
        let _ = &charge;
        piece
    });
    Ok(Body::from_stream(charged))
}

/// A value as the JSON of an answer, charged as it is written: what it takes is not known before. For threads that work.
pub(crate) fn written(account: &Account, value: &impl Serialize) -> Result<Response, Problem> {
    // The answer is charged itself, by what it holds.
    let (bytes, _) = json(account, value)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], bytes).into_response())
}

/// A value as JSON, and what it is charged.
pub(crate) fn json(
    account: &Account,
    value: &impl Serialize,
) -> Result<(Vec<u8>, Charge), Problem> {
    let mut writer = ChargedWriter { bytes: Vec::new(), charge: account.empty(), over: None };
    match serde_json::to_writer(&mut writer, value) {
        Ok(()) => Ok((writer.bytes, writer.charge)),
        Err(error) => Err(writer.over.map_or_else(|| Problem::internal(&error), Problem::from)),
    }
}

/// Bytes that are charged before they are kept.
struct ChargedWriter {
    bytes: Vec<u8>,
    charge: Charge,
    /// Which account is full.
    over: Option<OverLimit>,
}

impl io::Write for ChargedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            let wanted = needed.max(2 * self.bytes.capacity()).max(4096);
            if let Err(over) = self.charge.grow(wanted - self.bytes.capacity()) {
                self.over = Some(over);
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
