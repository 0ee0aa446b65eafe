//! How a client is made.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderValue;
use url::Url;

use crate::mode::Mode;
use crate::send::Server;
use crate::{ApiClient, Error, Retries};

/// How long a connection is kept for the next request: half as long as a server keeps one that asks for nothing, so that a
/// request does not meet its end.
const IDLE: Duration = Duration::from_secs(5);

/// Makes a client: [`ApiClient::builder`] gives one.
#[derive(Clone)]
#[must_use = "it makes a client when it is told to `build`"]
pub struct ClientBuilder<M> {
    url: String,
    token: Option<String>,
    token_hint: Option<Arc<str>>,
    user_agent: String,
    connect_timeout: Duration,
    timeout: Duration,
    retries: Retries,
    max_answer: u64,
    mode: PhantomData<M>,
}

impl<M> fmt::Debug for ClientBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("url", &self.url).finish_non_exhaustive()
    }
}

impl<M: Mode> ApiClient<M> {
    /// What makes a client of the server at this URL, such as `http://127.0.0.1:7700`.
    pub fn builder(url: impl Into<String>) -> ClientBuilder<M> {
        ClientBuilder::new(url.into())
    }
}

impl<M: Mode> ClientBuilder<M> {
    fn new(url: String) -> Self {
        Self {
            url,
            token: None,
            token_hint: None,
            user_agent: concat!("compute/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
            retries: Retries::default(),
            max_answer: 256 << 20,
            mode: PhantomData,
        }
    }

    /// What says who asks. It is sent with each request, to this server alone.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// What an error adds where the server misses a token: where a person puts one.
    pub fn token_hint(mut self, hint: impl Into<Arc<str>>) -> Self {
        self.token_hint = Some(hint.into());
        self
    }

    /// What the client calls itself: `compute/` and its version, if that is not said.
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.user_agent = name.into();
        self
    }

    /// How long a connection may take: 10 seconds.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// How long one request may take until its whole answer is there, with all its retries: 120 seconds. Each page of a list is
    /// a request.
    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// How often a request is sent again that the server did not take up.
    pub const fn retries(mut self, retries: Retries) -> Self {
        self.retries = retries;
        self
    }

    /// How many bytes one answer may have: 256 MiB, as many as a server keeps of traces. An artifact has 32 MiB at most in
    /// any case.
    pub const fn max_answer(mut self, bytes: u64) -> Self {
        self.max_answer = bytes;
        self
    }

    /// Makes the client. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Url`] if the URL is none of a server, [`Error::Request`] if the token or the name cannot stand in a
    /// header, [`Error::Setup`] if the system gives what is needed for no client.
    pub fn build(self) -> Result<ApiClient<M>, Error> {
        let base = base(&self.url)?;
        let token = self.token.map(|token| {
            let header = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut header = header.map_err(|_| unsent("the token"))?;
            header.set_sensitive(true);
            Ok::<_, Error>(header)
        });
        let user_agent =
            HeaderValue::from_str(&self.user_agent).map_err(|_| unsent("the client's name"))?;
        let http = reqwest::Client::builder()
            .connect_timeout(self.connect_timeout)
            .user_agent(user_agent)
            .pool_idle_timeout(IDLE)
            // A token is for the server that it was given for.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Error::Setup { source: error.into() })?;
        let server = Server {
            http,
            base,
            token: token.transpose()?,
            token_hint: self.token_hint,
            timeout: self.timeout,
            retries: self.retries,
            max_answer: self.max_answer,
        };
        let mode = M::start().map_err(|error| Error::Setup { source: error.into() })?;
        Ok(ApiClient::new(server, mode))
    }
}

fn unsent(what: &str) -> Error {
    Error::Request { what: what.to_owned() }
}

/// A server's URL, ready for a path to follow.
fn base(text: &str) -> Result<Url, Error> {
    let wrong = |reason: String| Error::Url { url: text.to_owned(), reason };
    let mut base = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if !["http", "https"].contains(&base.scheme()) || base.host().is_none() {
        return Err(wrong("it does not begin with http:// or https://".to_owned()));
    }
    base.set_query(None);
    base.set_fragment(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    Ok(base)
}
