//! A client of the HTTP API: computes, stacks, jobs, traces, secrets and tokens of a server.
//!
//! [`Client`] gives futures, for programs on tokio; [`blocking::Client`] has the same methods and waits. Both are
//! cheap to clone, and are shared by threads.
//!
//! - A request that the server had no room for (429), or that it could not take up (503), is sent again, later each time and
//!   not before the server's `Retry-After`: see [`Retries`]. One deadline covers all of it.
//! - An [`Error`] says by its [`ErrorKind`] what the same work on this machine would say: not found, immutable,
//!   too much, not allowed. A [`Problem`] has all that the server told.
//! - No redirect is followed, since a token is for the server that it was given for. An answer has at most as many bytes as
//!   the client was made for. The bytes of artifacts are checked against their digests.
//! - [`RemoteStore`] is a server's artifacts as a [`compute_store::Store`]; the blocking client is [`compute_state::Stacks`],
//!   `Secrets`, `Tokens` and `Traces`.
//!
//! ```
//! use compute_client::blocking::Client;
//!
//! fn count(url: &str, token: &str) -> Result<usize, compute_client::Error> {
//!     let client = Client::builder(url).token(token).build()?;
//!     for stack in client.stacks()? {
//!         println!("{} has {} versions", stack.stack, stack.versions);
//!     }
//!     // The list is fetched page by page while it is read.
//!     let mut artifacts = 0;
//!     for manifest in client.manifests() {
//!         manifest?;
//!         artifacts += 1;
//!     }
//!     Ok(artifacts)
//! }
//! # // Nothing listens there.
//! # assert!(count("http://127.0.0.1:1", "none").is_err());
//! ```
//!
//! The same on tokio:
//!
//! ```no_run
//! use compute_client::{Client, ErrorKind};
//! use futures_util::TryStreamExt as _;
//!
//! # async fn count() -> Result<(), compute_client::Error> {
//! let client = Client::builder("http://127.0.0.1:7700").build()?;
//! match client.trace("0198").await {
//!     Ok(trace) => println!("{}", trace.status),
//!     Err(error) if error.kind() == ErrorKind::NotFound => println!("it is gone"),
//!     Err(error) => return Err(error),
//! }
//! let artifacts: Vec<_> = client.manifests().try_collect().await?;
//! # Ok(())
//! # }
//! ```

pub mod blocking;
mod builder;
mod client;
mod error;
mod mode;
mod request;
mod retry;
mod send;
mod state;
mod store;

pub use builder::ClientBuilder;
pub use client::{
    ApiClient, BatchAnswer, BatchInput, CallAnswer, CallOptions, Client, SubmittedJob, TraceDetail,
};
pub use compute_api as api;
pub use error::{Error, ErrorKind, Problem};
pub use mode::{Async, Mode};
pub use retry::Retries;
pub use store::RemoteStore;

/// Makes the examples of the page for embedders tests. They are here because this crate has all others that they name.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/library.md")]
mod library {}
