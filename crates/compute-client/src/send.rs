//! How a request is sent: again, if the server did not take it up; within one deadline; its answer up to a bound.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Response, StatusCode};
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
        let mut sent = self
            .http
            .request(request.method.clone(), self.url(request))
            .headers(request.headers.clone());
        if let Some(token) = &self.token {
            sent = sent.header(AUTHORIZATION, token);
        }
        if !request.body.is_empty() {
            sent = sent.body(request.body.clone());
        }
        let response = sent.send().await.map_err(|error| {
            let base = self.base.to_string();
            let error = Error::Unreachable { base, source: error.into() };
            let again = self.retries.refused && error.is_refused();
            Failed { error, again, after: None }
        })?;
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
