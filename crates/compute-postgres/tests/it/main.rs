//! State on a real PostgreSQL server.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod conformance;
mod jobs;
mod outage;
mod paused;
mod put_back;
mod released;
mod schema;
