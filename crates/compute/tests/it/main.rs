//! The seam, from outside: refs, limits, the registry and the manager.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod manager;
mod new_engine;
mod refs;
