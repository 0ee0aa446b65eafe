//! Benchmarks that print a table.

use anyhow::Result;

use crate::{cargo, run, target};

/// Runs a benchmark, optimised.
pub(crate) fn bench(what: &str) -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    run(cargo(&["run", "--release", "-p", "compute-bench", "--", what])
        .env("COMPUTE", target().join("release/compute")))
}
