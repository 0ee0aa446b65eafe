//! The command line as a person sees it: `tests/cmd/*.trycmd` hold commands with what they print.
//! `TRYCMD=overwrite cargo test -p compute-cli` takes what is printed now; read the difference.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod budgets;
mod docs;
mod forecasts;
mod neighbours;
mod nodes;
mod provable;
mod records;
mod running;
mod server;
mod siege;
mod workspaces;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use running::Running;

#[test]
fn commands_print_what_is_written() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).display().to_string();
    trycmd::TestCases::new()
        .case("tests/cmd/*.trycmd")
        .env("COMPUTE_STORE", path("store"))
        .env("COMPUTE_STATE", path("state"))
        .env("XDG_CACHE_HOME", path("cache"))
        .env("XDG_CONFIG_HOME", path("config"))
        .env("COLUMNS", "100");
}

const FIXED: [&str; 4] = [
    "--now",
    "2026-01-01T00:00:00Z",
    "--seed",
    "0000000000000000000000000000000000000000000000000000000000000001",
];

fn example(name: &str) -> PathBuf {
    compute_guests::root().join("examples").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A small workspace in a folder of its own; its op is a module that needs no building.
fn workspace(home: &Home) -> PathBuf {
    let folder = home.0.path().join("shop");
    let scope = folder.join("OPS/shop/100");
    std::fs::create_dir_all(&scope).unwrap();
    std::fs::write(scope.join("rule.txcl"), "EXEC \"op://say\"\n").unwrap();
    std::fs::write(folder.join("compute.toml"), "").unwrap();
    say(&folder, "one");
    folder
}

/// An op that answers with this word, in WebAssembly text.
fn say(folder: &Path, word: &str) {
    let wat = format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "\10\00\00\00\0e\00\00\00")
            (data (i32.const 16) "{{\"say\":\"{word}\" }}")
            (func (export "_start")
                (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    );
    let module = wat::parse_str(wat).unwrap();
    std::fs::write(folder.join("OPS/shop/100/say.wasm"), module).unwrap();
}

/// A home of its own for one test's commands.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_compute"));
        command
            .args(args)
            .env_remove("COMPUTE_STORE")
            .env_remove("COMPUTE_STATE")
            .env_remove("COMPUTE_SERVER")
            .env_remove("COMPUTE_TOKEN")
            .env("XDG_DATA_HOME", self.0.path().join("data"))
            .env("XDG_CACHE_HOME", self.0.path().join("cache"))
            .env("XDG_CONFIG_HOME", self.0.path().join("config"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn compute(&self, args: &[&str], stdin: &[u8]) -> Output {
        self.finish(self.command(args), stdin)
    }

    /// Runs a command in a folder.
    fn compute_in(&self, folder: &Path, args: &[&str]) -> Output {
        let mut command = self.command(args);
        command.current_dir(folder);
        self.finish(command, b"")
    }

    fn finish(&self, mut command: Command, stdin: &[u8]) -> Output {
        let mut child = command.spawn().unwrap();
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

#[test]
fn from_nothing_to_a_tested_op_by_its_ref() {
    let home = Home::new();
    let work = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        let output = home.compute_in(work.path(), args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["init", "hello"]);
    assert_eq!(run(&["test", "hello"]), "ok   hello.ts > greets by name\n");
    let greeting = "{\"greeting\":\"Hello, Ada!\"}\n";
    let input = ["--input", "{\"name\":\"Ada\"}"];
    assert_eq!(run(&["run", "hello.ts", input[0], input[1]]), greeting);

    let built = run(&["build", "hello.ts"]);
    let [file, reference] = built.lines().collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(file, "dist/hello.wasm");
    assert_eq!(run(&["put", "hello.ts"]).trim(), reference);
    assert_eq!(run(&["put", file]).trim(), reference);
    assert_eq!(run(&["run", reference, input[0], input[1]]), greeting);
    // What it links to and its source map are in the store, too.
    let manifests = run(&["ls", "--json"]);
    assert_eq!(manifests.lines().count(), 2);
    assert!(manifests.contains("\"source-map\""), "{manifests}");
    let failed = home.compute_in(work.path(), &["run", reference, "--input", "null"]);
    let words = String::from_utf8(failed.stderr).unwrap();
    assert!(words.contains(" --> hello.ts:8:"), "{words}");

    // A collection that keeps the op keeps its plugin.
    run(&["gc", "--root", reference, "--min-age", "0s"]);
    assert_eq!(run(&["ls"]).lines().count(), 2);
    // Starting again would write over the op.
    assert_eq!(home.compute_in(work.path(), &["init", "hello"]).status.code(), Some(2));
}

#[test]
fn outputs_are_accepted_and_reported() {
    let home = Home::new();
    let work = tempfile::tempdir().unwrap();
    let file = |name: &str| work.path().join(name);
    home.compute_in(work.path(), &["init", "hello", "--js"]);
    let fixtures =
        r#"[{"name":"a","input":{"name":"B"},"output":null},{"name":"b","input":{},"error":"x"}]"#;
    std::fs::write(file("hello.test.json"), fixtures).unwrap();
    let failed = home.compute_in(work.path(), &["test", "--junit", "report.xml"]);
    assert_eq!(failed.status.code(), Some(1));
    let report = std::fs::read_to_string(file("report.xml")).unwrap();
    assert!(report.contains("failures=\"2\""), "{report}");
    let update = home.compute_in(work.path(), &["test", "--update"]);
    let lines = String::from_utf8(update.stdout).unwrap();
    assert_eq!(lines, "new  hello.js > a\nnew  hello.js > b\n");
    assert!(String::from_utf8(update.stderr).unwrap().contains("0 passed, 0 failed, 2 updated"));
    assert!(update.status.success());
    let updated = std::fs::read_to_string(file("hello.test.json")).unwrap();
    assert!(updated.contains("Hello, B!") && updated.contains("Hello, undefined!"), "{updated}");
    assert!(home.compute_in(work.path(), &["test"]).status.success());
    // What fails gives nothing to write down.
    const FAILING: &str = r#"[{"name":"a","input":null,"error":"another"}]"#;
    std::fs::write(file("hello.test.json"), FAILING).unwrap();
    assert_eq!(home.compute_in(work.path(), &["test", "--update"]).status.code(), Some(1));
    std::fs::write(file("hello.test.json"), updated).unwrap();

    // A scope's fixtures.
    let scope = file("OPS/shop/0100_GREET");
    std::fs::create_dir_all(&scope).unwrap();
    std::fs::copy(file("hello.js"), scope.join("greet.js")).unwrap();
    std::fs::write(scope.join("mock-request.json"), "{\"name\":\"C\"}").unwrap();
    std::fs::write(scope.join("mock-response.json"), "{\"greeting\": \"Hello, C!\"}").unwrap();
    let output = home.compute_in(work.path(), &["test", "OPS"]);
    let words = String::from_utf8(output.stdout).unwrap();
    assert_eq!(words, "ok   OPS/shop/0100_GREET/greet.js > mock\n");
}

#[test]
fn a_watch_runs_again_when_a_source_changes() {
    let home = Home::new();
    let work = tempfile::tempdir().unwrap();
    home.compute_in(work.path(), &["init", "hello"]);
    let mut command = home.command(&["test", "hello", "--watch"]);
    command.current_dir(work.path());
    let watch = Running::of(command, false);
    watch.until("1 passed, 0 failed");
    watch.until("waiting for changes");
    // What is written beside the sources does not count; what is written all the time does not keep others waiting.
    let log = work.path().join("log.txt");
    let ended = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let ended = Arc::clone(&ended);
        move || {
            while !ended.load(Ordering::Relaxed) {
                std::fs::write(&log, "x").unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    });
    let source = work.path().join("hello.ts");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("Hello", "Bye")).unwrap();
    let line = watch.until("passed");
    ended.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(line.starts_with("0 passed, 1 failed"), "{line}");
}

#[test]
fn the_examples_pass_their_fixtures() {
    let home = Home::new();
    let examples = compute_guests::root().join("examples");
    assert!(examples.join("node_modules").is_dir(), "run `cargo xtask test`");
    let output = home.compute_in(&examples, &["test"]);
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 28);
}

#[test]
fn a_plugin_is_bound_listed_and_unbound() {
    let home = Home::new();
    let plugin = compute_guests::root().join("target/guests/javy-plugin.wasm");
    let plugin = plugin.to_str().unwrap();
    let reference = home.stdout(&["plugin", "bind", "javy-default-plugin-v3", plugin], b"");
    let listed = home.stdout(&["plugin", "ls"], b"");
    assert_eq!(listed, format!("javy-default-plugin-v3  {reference}"));
    let echo = "tests/cmd/guests/echo.wat";
    let wrong = home.compute(&["plugin", "bind", "x", "tests/cmd/ops/greet.ts"], b"");
    assert_eq!(wrong.status.code(), Some(3));
    assert!(home.compute(&["run", echo], b"").status.success());
    home.stdout(&["plugin", "unbind", "javy-default-plugin-v3"], b"");
    assert_eq!(home.stdout(&["plugin", "ls"], b""), "");
}
