//! How a request is sent: again, if the server did not take it up; within one deadline; its answer up to a bound.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::{Stream, TryStreamExt as _};
use http_body_util::StreamBody;
use hyper::body::Frame;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Response, StatusCode};
use url::Url;

use crate::error::{BoxError, Error, Problem};
use crate::request::{Call, Received, Request};
use crate::retry::{Retries, retry_after};

type Result<T, E = Error> = std::result::Result<T, E>;

/// The largest problem that is read.
const PROBLEM: u64 = 16 << 20;

/// A server, and how it is asked.
pub(crate) struct Server {
    pub(crate) http: reqwest::Client,
    /// Its URL, which ends with a slash.
    pub(crate) base: Url,
    pub(crate) token: Option<HeaderValue>,
    pub(crate) token_hint: Option<Arc<str>>,
    pub(crate) timeout: Duration,
    pub(crate) retries: Retries,
    pub(crate) max_answer: u64,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// An attempt that failed.
struct Failed {
    error: Error,
    /// Whether it may be made again.
    again: bool,
    /// How long the server asks to wait first.
    after: Option<Duration>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, again: false, after: None }
    }
}

impl Server {
    /// Sends a request until it is taken up, and reads the answer.
    pub(crate) async fn call<T>(self: Arc<Self>, call: Call<T>) -> Result<T> {
        let Call { request, read } = call;
        request.checked()?;
        let received = self.send(&request).await?;
        let status = received.status;
        read(received).map_err(|error| self.unexpected(&request, status, error))
    }

    async fn send(&self, request: &Request) -> Result<Received> {
        let begun = Instant::now();
        let mut made = 0;
        loop {
            let left = self.timeout.saturating_sub(begun.elapsed());
            let attempt = tokio::time::timeout(left, self.attempt(request)).await;
            let Ok(attempt) = attempt else { return Err(self.deadline(request)) };
            let Failed { error, again, after } = match attempt {
                Ok(received) => return Ok(received),
                Err(failed) => failed,
            };
            let wait = self.retries.wait(made, after).filter(|_| again);
            let left = self.timeout.saturating_sub(begun.elapsed());
            // What would come too late is not waited for: the error says more than that.
            let Some(wait) = wait.filter(|wait| *wait < left) else { return Err(error) };
            tokio::time::sleep(wait).await;
            made += 1;
        }
    }

    async fn attempt(&self, request: &Request) -> Result<Received, Failed> {
        let body = (!request.body.is_empty()).then(|| request.body.clone().into());
        let response = self.head(request, body).await.map_err(|error| {
            let again =
                if error.is_refused() { self.retries.refused } else { request.sent_if_lost };
            Failed { error, again, after: None }
        })?;
        self.received(request, response).await
    }

    /// The head of the answer.
    async fn head(&self, request: &Request, body: Option<Body>) -> Result<Response> {
        let mut sent = self
            .http
            .request(request.method.clone(), self.url(request))
            .headers(request.headers.clone());
        if let Some(token) = &self.token {
            sent = sent.header(AUTHORIZATION, token);
        }
        if let Some(body) = body {
            sent = sent.body(body);
        }
        sent.send().await.map_err(|error| {
            let base = self.base.to_string();
            Error::Unreachable { base, source: error.into() }
        })
    }

    /// Sends this body as it comes, once, and gives the answer as soon as it begins: that has the time for a whole answer.
    pub(crate) async fn begin<'a>(
        &'a self,
        request: &'a Request,
        body: impl Stream<Item = Result<Bytes, BoxError>> + Send + Sync + 'static,
    ) -> Result<Streamed<'a>> {
        request.checked()?;
        let body = Body::wrap(StreamBody::new(body.map_ok(Frame::data)));
        let head = tokio::time::timeout(self.timeout, self.head(request, Some(body)));
        let response = head.await.map_err(|_| self.deadline(request))??;
        if response.status().is_success() {
            let begun = BytesMut::new();
            return Ok(Streamed { server: self, request, response, begun, looked_at: 0 });
        }
        let status = response.status();
        match tokio::time::timeout(self.timeout, self.received(request, response)).await {
            Ok(Ok(_)) => Err(self.unexpected(request, status, format!("status {status}").into())),
            Ok(Err(Failed { error, .. })) => Err(error),
            Err(_) => Err(self.deadline(request)),
        }
    }

    /// The whole answer.
    async fn received(&self, request: &Request, response: Response) -> Result<Received, Failed> {
        let status = response.status();
        let headers = response.headers().clone();
        let limit = if status.is_success() {
            request.limit.unwrap_or(self.max_answer).min(self.max_answer)
        } else {
            self.max_answer.min(PROBLEM)
        };
        let body = self.body(request, response, limit).await?;
        let received = Received { status, headers, body };
        let problem = match Problem::read(&received.body) {
            _ if (request.accepts)(&received) && status.is_success() => return Ok(received),
            Some(problem) => problem,
            None if (request.accepts)(&received) => return Ok(received),
            None => {
                let error = self.unexpected(request, status, format!("status {status}").into());
                return Err(refused(request, &received, error));
            }
        };
        let rid = received.header("x-compute-rid").map(str::to_owned);
        let after = asked(&received);
        let token_hint = self.token_hint.clone();
        // What a body says of its status does not count.
        let status = status.as_u16();
        let problem = Problem { status, rid, retry_after: after, token_hint, ..problem };
        Err(refused(request, &received, Error::Problem(Box::new(problem))))
    }

    /// The body of an answer, if it has no more bytes than this.
    async fn body(&self, request: &Request, mut response: Response, limit: u64) -> Result<Bytes> {
        let too_large = || Error::AnswerTooLarge { url: self.url(request), limit };
        if request.method != reqwest::Method::HEAD
            && response.content_length().is_some_and(|length| length > limit)
        {
            return Err(too_large());
        }
        let status = response.status();
        let mut body = BytesMut::new();
        loop {
            let chunk = response.chunk().await;
            let chunk = chunk.map_err(|error| self.unexpected(request, status, error.into()))?;
            let Some(chunk) = chunk else { return Ok(body.freeze()) };
            if body.len() as u64 + chunk.len() as u64 > limit {
                return Err(too_large());
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn url(&self, request: &Request) -> String {
        format!("{}{}", self.base, request.path)
    }

    fn deadline(&self, request: &Request) -> Error {
        let base = self.base.to_string();
        Error::Deadline { base, url: self.url(request), limit: self.timeout }
    }

    /// That an answer is none of this API.
    pub(crate) fn unexpected(
        &self,
        request: &Request,
        status: StatusCode,
        source: BoxError,
    ) -> Error {
        let base = self.base.to_string();
        Error::UnexpectedAnswer { base, url: self.url(request), status: status.as_u16(), source }
    }
}

/// An answer that is read line by line.
pub(crate) struct Streamed<'a> {
    server: &'a Server,
    request: &'a Request,
    response: Response,
    /// What has come of the next line, and how much of it was looked at.
    begun: BytesMut,
    looked_at: usize,
}

impl Streamed<'_> {
    /// The next line, without its end. One that has no end is none.
    pub(crate) async fn line(&mut self) -> Result<Option<Bytes>> {
        loop {
            if let Some(at) = self.begun[self.looked_at..].iter().position(|byte| *byte == b'\n') {
                let line = self.begun.split_to(self.looked_at + at).freeze();
                self.begun.advance(1);
                self.looked_at = 0;
                return Ok(Some(line));
            }
            self.looked_at = self.begun.len();
            let chunk = self.response.chunk().await;
            match chunk.map_err(|error| self.unexpected(error.into()))? {
                Some(chunk) => self.begun.extend_from_slice(&chunk),
                None if self.begun.is_empty() => return Ok(None),
                None => return Err(self.unexpected("it ends within a line".into())),
            }
            if self.begun.len() as u64 > self.server.max_answer {
                let (url, limit) = (self.server.url(self.request), self.server.max_answer);
                return Err(Error::AnswerTooLarge { url, limit });
            }
        }
    }

    /// That the answer is none of this API.
    pub(crate) fn unexpected(&self, source: BoxError) -> Error {
        self.server.unexpected(self.request, self.response.status(), source)
    }
}

/// An answer that is an error, and whether it says that the work did not begin.
fn refused(request: &Request, received: &Received, error: Error) -> Failed {
    let again = match received.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::SERVICE_UNAVAILABLE => request.repeatable,
        _ => false,
    };
    // A document's answer may have any status; what ran did begin.
    Failed { error, again: again && !received.ran(), after: asked(received) }
}

fn asked(received: &Received) -> Option<Duration> {
    retry_after(received.header(RETRY_AFTER.as_str())?)
}
