//! Benchmarks that print a table.

mod python;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::{cargo, root, run, target, tools};

/// The ops that are measured, in `bench/ops/`.
const OPS: [&str; 5] = ["trivial", "zod", "zod-warm", "document", "fib"];

/// Runs a benchmark, optimised.
pub(crate) fn bench(what: &str, seconds: Option<u32>, peers: bool) -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    let compute = target().join("release/compute");
    if what == "python" {
        return python::print(&compute, peers);
    }
    let mut bench = cargo(&["run", "--release", "-p", "compute-bench", "--", what]);
    bench.env("COMPUTE", &compute);
    if let Some(seconds) = seconds {
        bench.arg(seconds.to_string());
    }
    if ["js", "flow", "record", "server"].contains(&what) {
        bench.env("COMPUTE_OPS", build_ops(&compute)?);
    }
    if what == "server" {
        let (wrk, libraries) = tools::wrk()?;
        bench.env("COMPUTE_WRK", wrk).env("LD_LIBRARY_PATH", libraries);
    }
    if peers {
        let peers = root().join("bench/peers");
        tools::node_modules(&peers)?;
        bench.arg("--peers").env("COMPUTE_NODE", tools::node()?.get_program()).env(
            "COMPUTE_WORKERD",
            peers.join("node_modules/@cloudflare/workerd-linux-64/bin/workerd"),
        );
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
