//! Stacks, versions and documents, from the outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod catalogue;
mod conformance;
mod processor;
mod runner;
mod traces;
mod workspaces;
