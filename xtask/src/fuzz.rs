//! Fuzzing with libFuzzer, on the stable compiler: coverage is asked of LLVM itself.

mod seeds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::{cargo, root, run, target};

/// What asks for coverage that libFuzzer reads.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table";

/// A folder that is in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// One that gets random input.
struct Target {
    name: &'static str,
    /// The longest input that is made, in bytes.
    longest: u32,
    /// How long one input may take, in seconds: a compilation takes longer than a rule.
    timeout: u32,
    /// Prepares what the inputs are made from, and the first of them.
    seeds: fn(corpus: &Path) -> Result<()>,
}

/// All targets' names.
pub(crate) const NAMES: [&str; 6] = ["rule", "document", "module", "request", "js-heap", "js"];

const TARGETS: [Target; NAMES.len()] = [
    Target { name: NAMES[0], longest: 4096, timeout: 5, seeds: seeds::rules },
    Target { name: NAMES[1], longest: 4096, timeout: 10, seeds: seeds::documents },
    Target { name: NAMES[2], longest: 64 << 10, timeout: 30, seeds: seeds::modules },
    Target { name: NAMES[3], longest: 4096, timeout: 30, seeds: seeds::numbers },
    Target { name: NAMES[4], longest: 64, timeout: 60, seeds: seeds::heaps },
    Target { name: NAMES[5], longest: 4096, timeout: 60, seeds: seeds::programs },
];

/// Runs a target for some seconds: first what was found before, then what earlier runs and the seeds lead to.
pub(crate) fn fuzz(name: &str, seconds: u32) -> Result<()> {
    let target = TARGETS.iter().find(|one| one.name == name).context("no such target")?;
    let corpus = corpus(name);
    fs::create_dir_all(&corpus)?;
    (target.seeds)(&corpus)?;
    build(&["--bin", name])?;
    let found = regressions(name)?;
    if !found.is_empty() {
        run(binary(name).args(["-timeout=60", "-rss_limit_mb=4096"]).args(found))?;
    }
    let dictionary = folder().join(format!("{name}.dict"));
    let mut fuzzer = binary(name);
    fuzzer.arg(&corpus);
    if dictionary.exists() {
        fuzzer.arg(format!("-dict={}", dictionary.display()));
    }
    run(fuzzer
        .arg(format!("-artifact_prefix={}/fuzz-{name}-", crate::target().display()))
        .arg(format!("-max_total_time={seconds}"))
        .args([format!("-max_len={}", target.longest), format!("-timeout={}", target.timeout)])
        .args(["-rss_limit_mb=4096", "-print_final_stats=1"]))
}

/// That all targets fit what they fuzz. To build them anew with their instrumentation takes longer than a few seconds of each are worth
/// for every change: whoever changes what they fuzz runs them.
pub(crate) fn check() -> Result<()> {
    run(cargo(&["check", "--locked", "--bins"])
        .current_dir(folder())
        .env("CARGO_TARGET_DIR", crate::target()))
}

fn build(what: &[&str]) -> Result<()> {
    let mut build = cargo(&["build", "--release"]);
    // The instrumentation is for what is fuzzed, not for build scripts: so a target is named.
    build.args(["--target", "x86_64-unknown-linux-gnu"]).args(what);
    run(build.current_dir(folder()).env("RUSTFLAGS", COVERAGE).env("CARGO_TARGET_DIR", built()))
}

/// A target, which finds what was prepared for it.
fn binary(name: &str) -> Command {
    let mut binary = Command::new(built().join("x86_64-unknown-linux-gnu/release").join(name));
    binary.env("COMPUTE_FUZZ_SEEDS", seeds::folder());
    // Servers that live for one input sync what they write: in memory, that takes a sixth of the time.
    if Path::new(MEMORY).is_dir() {
        binary.env("TMPDIR", MEMORY);
    }
    binary
}

/// The inputs that a mistake was found with.
fn regressions(name: &str) -> Result<Vec<PathBuf>> {
    let folder = folder().join("regressions").join(name);
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    found.sort();
    Ok(found)
}

fn folder() -> PathBuf {
    root().join("fuzz")
}

fn built() -> PathBuf {
    target().join("fuzz")
}

/// What a target has come to know.
fn corpus(name: &str) -> PathBuf {
    target().join("fuzz-corpus").join(name)
}
