//! The client for programs that wait: [`Client`], on a thread of its own.

use crate::client::ApiClient;
pub use crate::mode::{Blocking, Items};

/// A server, as a program sees it that waits for each answer. What it asks for is sent by a thread that the client
/// and its clones share, so it may be used anywhere; in an async program it blocks whoever calls it.
pub type Client = ApiClient<Blocking>;
