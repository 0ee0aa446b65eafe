//! State on a real PostgreSQL server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conformance;
mod outage;
mod schema;
