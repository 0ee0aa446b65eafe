//! What is kept, from the outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod audit;
mod catalogue;
mod conformance;
mod cron;
mod memory;
mod opened;
mod quotas;
