//! Benchmarks that print a table.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{cargo, root, run, target, tools};

/// The ops that are measured, in `bench/ops/`.
const OPS: [&str; 5] = ["trivial", "zod", "zod-warm", "document", "fib"];

/// Runs a benchmark, optimised.
pub(crate) fn bench(what: &str, peers: bool) -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    let compute = target().join("release/compute");
    let mut bench = cargo(&["run", "--release", "-p", "compute-bench", "--", what]);
    bench.env("COMPUTE", &compute);
    if what != "engine" {
        bench.env("COMPUTE_OPS", build_ops(&compute)?);
    }
    if peers {
        tools::node_modules(&root().join("bench/peers"))?;
        bench.arg("--peers").env("COMPUTE_NODE", tools::node()?.get_program());
    }
    run(&mut bench)
}

/// Builds the ops that are measured, and says where they are.
fn build_ops(compute: &Path) -> Result<PathBuf> {
    let sources = root().join("bench/ops");
    tools::node_modules(&sources)?;
    let built = target().join("bench-ops");
    for op in OPS {
        run(Command::new(compute)
            .arg("build")
            .arg(sources.join(format!("{op}.js")))
            .arg("-o")
            .arg(built.join(format!("{op}.wasm"))))?;
    }
    Ok(built)
}
