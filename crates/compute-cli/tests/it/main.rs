//! The command line as a person sees it: `tests/cmd/*.trycmd` hold commands with what they print.
//! `TRYCMD=overwrite cargo test -p compute-cli` takes what is printed now; read the difference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[test]
fn commands_print_what_is_written() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .env("COMPUTE_STORE", path("store"))
        .env("XDG_CACHE_HOME", path("cache"))
        .env("COLUMNS", "100");
}

/// A home of its own for one test's commands.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn compute(&self, args: &[&str], stdin: &[u8]) -> Output {
        let mut child = Command::new(env!("CARGO_BIN_EXE_compute"))
            .args(args)
            .env_remove("COMPUTE_STORE")
            .env("XDG_DATA_HOME", self.0.path().join("data"))
            .env("XDG_CACHE_HOME", self.0.path().join("cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin).unwrap();
        child.wait_with_output().unwrap()
    }

    fn stdout(&self, args: &[&str], stdin: &[u8]) -> String {
        let output = self.compute(args, stdin);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    }
}

#[test]
fn a_real_guest_runs_from_its_file_and_by_its_ref_alike() {
    let home = Home::new();
    let file = compute_guests::transform("assemblyscript").display().to_string();
    let reference = home.stdout(&["put", &file], b"");
    let reference = reference.strip_suffix('\n').unwrap();
    assert!(reference.starts_with("compute://sha256/") && !reference.contains('\n'));

    let expected = "{\"a\":1,\"computed\":true,\"keys\":1,\"depth\":1,\"bytes\":7}\n";
    assert_eq!(home.stdout(&["run", &file, "--input", "-"], b"{\"a\":1}"), expected);
    assert_eq!(home.stdout(&["run", reference, "--input", "-"], b"{\"a\":1}"), expected);

    let copy = home.0.path().join("copy.wasm");
    home.stdout(&["get", reference, "-o", copy.to_str().unwrap()], b"");
    assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(&file).unwrap());
}

#[test]
fn a_run_repeats_by_its_seed_and_differs_without() {
    let home = Home::new();
    let random = "tests/cmd/guests/random.wat";
    let seed = "00".repeat(32);
    let seeded = ["run", random, "--raw", "--seed", &seed, "--now", "2026-01-01T00:00:00Z"];
    let first = home.compute(&seeded, b"").stdout;
    assert_eq!(first.len(), 16);
    assert_eq!(first, home.compute(&seeded, b"").stdout);

    let run = || home.compute(&["run", random, "--raw", "--metrics"], b"");
    let fresh = run();
    assert_ne!(fresh.stdout, run().stdout);
    // The record of a run repeats it.
    let record: serde_json::Value = serde_json::from_slice(&fresh.stderr).unwrap();
    let again = ["run", random, "--raw", "--seed", record["seed"].as_str().unwrap()];
    assert_eq!(home.compute(&again, b"").stdout, fresh.stdout);
    assert_eq!(record["status"], "ok");
    assert!(record["wall_ns"].as_u64().unwrap() > 0);
}

#[test]
fn an_altered_artifact_is_found_out() {
    let home = Home::new();
    let reference = home.stdout(&["put", "tests/cmd/guests/echo.wat"], b"");
    let digest = reference.trim().rsplit('/').next().unwrap().to_owned();
    let stored = home.0.path().join("data/compute/store/computes/sha256").join(digest);
    std::fs::write(stored, "something else").unwrap();
    let output = home.compute(&["verify"], b"");
    assert_eq!(output.status.code(), Some(3));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("have another digest") && words.contains("1 of 1 artifacts are damaged"),
        "{words}"
    );
    assert_eq!(home.compute(&["run", reference.trim()], b"").status.code(), Some(3));
}

#[test]
fn benchmarks_say_what_a_call_costs() {
    let home = Home::new();
    let args = [
        "bench",
        "tests/cmd/guests/echo.wat",
        "--input",
        "[1]",
        "--threads",
        "2",
        "--seconds",
        "1",
        "--json",
    ];
    let report: serde_json::Value = serde_json::from_str(&home.stdout(&args, b"")).unwrap();
    assert!(report["calls"].as_u64().unwrap() > 10);
    assert_eq!(report["peak_memory"], 65536);
    for field in ["first_call_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns", "calls_per_second"] {
        assert!(report[field].as_f64().unwrap() > 0.0, "{field}");
    }
    let failing = home.compute(&["bench", "tests/cmd/guests/fail.wat", "--seconds", "1"], b"");
    assert_eq!(failing.status.code(), Some(1));
}

#[test]
fn completions_are_made_for_each_shell() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(home.stdout(&["completions", shell], b"").contains("inspect"), "{shell}");
    }
}

#[test]
fn a_reader_who_leaves_early_is_no_failure() {
    let compute = env!("CARGO_BIN_EXE_compute");
    let script = format!("set -o pipefail; '{compute}' completions bash | head -n 1");
    if Path::new("/bin/bash").exists() {
        let output = Command::new("/bin/bash").args(["-c", &script]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
