//! What is kept, from the outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod catalogue;
mod conformance;
mod memory;
mod quotas;
