//! The project's chores: `cargo xtask --help`.

mod api;
mod bench;
mod check;
mod demo;
mod fuzz;
mod guests;
mod javascript;
mod plugin;
mod tidy;
mod tools;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

/// The project's chores.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Build everything, make a compute from source, store it, run it, and hit a limit
    Demo,
    /// Run all tests, after making the guests and getting the tools they need
    Test {
        /// Passed on to `cargo test`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Run the cases that the original answered, and print by group how many are the same, otherwise on purpose, or wrong
    Original,
    /// Run packages of npm in the sandbox and in Node.js, the web platform's tests and a sample of test262, and count what passes
    Javascript,
    /// Build the example guests, from source, into target/guests/
    Guests,
    /// Build the JS plugin anew, and record its digest
    Plugin,
    /// Bundle the prelude, which every JS op finds in its global scope, from its sources and npm packages
    Prelude {
        /// Only say whether it is as it should be
        #[arg(long)]
        check: bool,
    },
    /// Check what the machine can check of the architecture and the house style
    Tidy {
        /// Print what imports what in each crate, by floor
        #[arg(long)]
        print: bool,
    },
    /// Measure, side by side: `cargo xtask bench engine`, `js`, `python`, `flow`, `record` or `server`; or see what a server lives
    /// through: `siege` (callers who mean it no good) and `soak` (killed again and again under load)
    Bench {
        /// What to measure
        #[arg(value_parser = ["engine", "js", "python", "flow", "record", "server", "siege", "soak"])]
        what: String,
        /// For how long `soak` goes on (600, if that is not said), and `siege` with all that it does at once (not at
        /// all)
        #[arg(long)]
        seconds: Option<u32>,
        /// Measure what others do on the same input, too: they are installed from npm and PyPI
        #[arg(long)]
        peers: bool,
    },
    /// Give a target random input that coverage guides: `cargo xtask fuzz module --seconds 3600`
    Fuzz {
        /// What gets it
        #[arg(value_parser = fuzz::NAMES)]
        target: String,
        /// For how long
        #[arg(long, default_value = "60")]
        seconds: u32,
    },
    /// Record what examples, guests and libraries of npm give, and run each record again, optimised and not, on a busy machine
    Determinism,
    /// Load three servers on one database and one store while they are killed, stopped and started, and the database restarts
    Fleet {
        /// For how many seconds things go wrong
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// What the faults come from; drawn, if it is not said
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Try ops in Python: get CPython, run the examples, hostile ops, a workspace and a server
    Python,
    /// Run CPython's own tests in the sandbox
    Cpython,
    /// Check the server against its OpenAPI document, with schemathesis
    Api,
    /// Check what is in `deploy/` against the schemas of Kubernetes and Docker Compose
    Deploy,
    /// Everything that must hold before a change lands
    Ci,
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Demo => demo::demo(),
        Chore::Test { args } => check::test(&args),
        Chore::Original => check::original(),
        Chore::Javascript => javascript::javascript(),
        Chore::Guests => guests::build(),
        Chore::Plugin => plugin::record(),
        Chore::Prelude { check } => plugin::prelude(check),
        Chore::Tidy { print } => tidy::tidy(print),
        Chore::Bench { what, seconds, peers } => bench::bench(&what, seconds, peers),
        Chore::Fuzz { target, seconds } => fuzz::fuzz(&target, seconds),
        Chore::Determinism => check::determinism(),
        Chore::Fleet { seconds, seed } => check::fleet(seconds, seed),
        Chore::Python => check::python(),
        Chore::Cpython => check::cpython(),
        Chore::Api => api::check(),
        Chore::Deploy => check::deploy(),
        Chore::Ci => check::ci(),
    }
}

/// The repository's root.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Where everything that is built or installed goes.
fn target() -> PathBuf {
    root().join("target")
}

/// A cargo command, run at the root.
fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args).current_dir(root());
    cargo
}

/// Runs a command; what it prints is shown.
fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}
