//! Stacks, versions and documents, from the outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod activation;
mod bounds;
mod conformance;
mod original;
mod processor;
mod rollouts;
mod runner;
mod traces;
mod workspaces;
