//! Fuzzing with libFuzzer, on the stable compiler: coverage is asked of LLVM itself.

use std::fs;

use anyhow::{Context as _, Result};

use crate::{cargo, root, run, target};

/// What asks for coverage that libFuzzer reads.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Ccodegen-units=1";

/// Runs a fuzz target for some seconds, from the rules in `resources/` and what earlier runs found.
pub(crate) fn fuzz(name: &str, seconds: u32) -> Result<()> {
    let corpus = target().join("fuzz-corpus").join(name);
    fs::create_dir_all(&corpus)?;
    for folder in ["valid", "invalid"] {
        let folder = root().join("crates/txcl/resources").join(folder);
        for entry in fs::read_dir(&folder).context("the rules to begin with")? {
            let path = entry?.path();
            if path.extension().is_some_and(|ending| ending == "txcl")
                && let Some(file) = path.file_name()
            {
                fs::copy(&path, corpus.join(file))?;
            }
        }
    }
    let (folder, built) = (root().join("fuzz"), target().join("fuzz"));
    let mut build = cargo(&["build", "--release", "--bin", name]);
    // The instrumentation is for what is fuzzed, not for build scripts: so a target is named.
    build.args(["--target", "x86_64-unknown-linux-gnu"]);
    run(build.current_dir(&folder).env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", &built))?;
    let binary = built.join("x86_64-unknown-linux-gnu/release").join(name);
    run(std::process::Command::new(binary)
        .arg(&corpus)
        .arg(format!("-dict={}", folder.join("txcl.dict").display()))
        .arg(format!("-artifact_prefix={}/", target().display()))
        .args([&format!("-max_total_time={seconds}"), "-max_len=4096", "-timeout=5"])
        .args(["-rss_limit_mb=2048", "-print_final_stats=1"]))
}
