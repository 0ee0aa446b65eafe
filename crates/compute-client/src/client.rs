//! A server, as its client sees it. What it can be asked for stands in the files below, by subject.

mod access;
pub(crate) mod artifacts;
mod health;
mod invoke;
mod jobs;
mod lines;
mod records;
mod schedules;
mod stacks;

use std::fmt;
use std::sync::Arc;

use compute::BoxFuture;

use crate::Error;
use crate::mode::{Async, Mode};
use crate::request::Call;
use crate::send::Server;

pub use invoke::{CallAnswer, CallOptions, TraceDetail};
pub use jobs::SubmittedJob;
pub use lines::{BatchAnswer, BatchInput};

/// A server, as a program on tokio sees it: each method gives a future.
pub type Client = ApiClient<Async>;

/// A server, whether its client gives futures ([`Client`]) or waits ([`blocking::Client`](crate::blocking::Client)).
///
/// What a method gives, its mode says: `M::Answer<'_, T>` is a future of a `Result<T, Error>`, or the `Result` itself;
/// `M::Items<'_, T>` is a stream of them, or an iterator. Every method fails with an [`Error`], whose
/// [`kind`](Error::kind) says what it means; the kinds that a method names are those that are its own.
pub struct ApiClient<M> {
    server: Arc<Server>,
    mode: M,
}

impl<M: Clone> Clone for ApiClient<M> {
    fn clone(&self) -> Self {
        Self { server: Arc::clone(&self.server), mode: self.mode.clone() }
    }
}

impl<M> fmt::Debug for ApiClient<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.server.base.as_str()).finish_non_exhaustive()
    }
}

impl<M: Mode> ApiClient<M> {
    pub(crate) fn new(server: Server, mode: M) -> Self {
        Self { server: Arc::new(server), mode }
    }

    /// Where the server is. It ends with a slash.
    #[must_use]
    pub fn base(&self) -> &str {
        self.server.base.as_str()
    }

    /// Whether a token is sent that whoever is on the way can read: without TLS, and to another machine.
    #[must_use]
    pub fn exposes_token(&self) -> bool {
        let base = &self.server.base;
        let near = base.host_str().is_some_and(|host| {
            let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback())
        });
        self.server.token.is_some() && base.scheme() == "http" && !near
    }

    /// What this asks for, for whoever polls it.
    pub(crate) fn fetch<T: Send + 'static>(
        &self,
        call: Call<T>,
    ) -> BoxFuture<'_, Result<T, Error>> {
        self.mode.run(Arc::clone(&self.server).call(call))
    }

    /// What this work gives, as the mode gives it.
    fn work<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> M::Answer<'_, T> {
        M::answer(self.mode.run(work))
    }

    /// What this asks for, as the mode gives it.
    fn call<T: Send + 'static>(&self, call: Call<T>) -> M::Answer<'_, T> {
        M::answer(self.fetch(call))
    }
}
