//! Stacks, versions and documents, from the outside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bounds;
mod catalogue;
mod conformance;
mod processor;
mod quotas;
mod runner;
mod traces;
mod workspaces;
