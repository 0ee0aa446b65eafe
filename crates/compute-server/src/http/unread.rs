//! Bodies that nobody reads since their request is refused: what is small is taken all the same. A connection that is closed while
//! something comes may lose the answer, and who sends gets to read why it was refused.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, SizeHint};

/// The largest body that is taken for this.
const MOST: u64 = 64 << 10;
/// How long it may take to come.
const TIME: Duration = Duration::from_secs(1);

/// A body that was lent to whoever answers its request.
pub(crate) struct Unread(Arc<Mutex<Body>>);

/// Lends a request's body, if it is small.
pub(crate) fn lend(request: Request) -> (Request, Option<Unread>) {
    let is_small =
        request.body().size_hint().exact().is_some_and(|size| (1..=MOST).contains(&size));
    if !is_small {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let body = Arc::new(Mutex::new(body));
    let lent = Body::new(Lent(Arc::clone(&body)));
    (Request::from_parts(parts, lent), Some(Unread(body)))
}

impl Unread {
    /// Takes what was not read, if whoever answered is done with it.
    pub(crate) async fn take(self) {
        let Some(body) = Arc::into_inner(self.0) else { return };
        let mut body = body.into_inner().unwrap_or_else(PoisonError::into_inner);
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = tokio::time::timeout(TIME, rest).await;
    }
}

struct Lent(Arc<Mutex<Body>>);

impl hyper::body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).size_hint()
    }
}
