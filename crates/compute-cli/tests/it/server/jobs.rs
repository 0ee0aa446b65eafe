//! Jobs: on a server, in a state that a server comes to, and across the death of a server.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{serve, words};
use crate::running::Running;
use crate::{FIXED, Home, text, workspace};

const ECHO: &str = "tests/cmd/guests/echo.wat";
const FAIL: &str = "tests/cmd/guests/fail.wat";
/// A compute that takes some seconds, and then answers `[4]`.
const SLOW: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write"
        (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\08\00\00\00\03\00\00\00[4]")
    (func (export "_start") (local $left i64)
        (local.set $left (i64.const 4000000000))
        (loop $again
            (local.set $left (i64.sub (local.get $left) (i64.const 1)))
            (br_if $again (i64.ne (local.get $left) (i64.const 0))))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A server on a folder, and whoever asks it from elsewhere.
struct Served {
    home: Home,
    elsewhere: Home,
    running: Running,
    url: String,
}

impl Served {
    fn start(options: &[&str]) -> Self {
        let home = Home::new();
        let (running, url) = serve(&home, &[&["--dev"], options].concat());
        Self { home, elsewhere: Home::new(), running, url }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.elsewhere.command(args);
        command.env("COMPUTE_SERVER", &self.url);
        command
    }

    fn compute(&self, args: &[&str]) -> Output {
        self.elsewhere.finish(self.command(args), b"")
    }

    fn stdout(&self, args: &[&str]) -> String {
        let output = self.compute(args);
        assert!(output.status.success(), "{args:?}: {}", words(&output));
        out(&output).trim_end().to_owned()
    }

    fn show(&self, id: &str) -> Value {
        serde_json::from_str(&self.stdout(&["job", "show", id, "--json"])).unwrap()
    }
}

#[test]
fn jobs_are_submitted_waited_for_ended_and_tried_again() {
    let served = Served::start(&[]);
    let shop = workspace(&served.home);
    served.home.stdout(&["apply", text(&shop)], b"");
    // The same as a request, with the same clock and seed: a stack, a ref, a file.
    let fired = served.stdout(&[&["fire", "shop"], &FIXED[..]].concat());
    let submit = ["job", "submit", "shop", "--input", "{}"];
    let submitted = served.compute(&[&submit[..], &FIXED[..]].concat());
    assert_eq!(words(&submitted), "");
    let shop = out(&submitted).trim_end().to_owned();
    assert_eq!(shop.len(), 36, "nothing but the id: {shop}");
    assert_eq!(served.stdout(&["job", "wait", &shop]), fired);
    let reference = served.stdout(&["put", ECHO]);
    let by_ref = served.compute(&["job", "submit", &reference, "--input", "[1]", "--wait"]);
    assert_eq!(out(&by_ref), "[1]\n", "{}", words(&by_ref));
    assert!(words(&by_ref).starts_with("job "), "{}", words(&by_ref));
    let echo = served.stdout(&["job", "submit", ECHO, "--input", "[2]"]);

    // What a compute did fails for good, and the exit code is that of `compute run`.
    let failed = served.compute(&["job", "submit", FAIL, "--wait", "--timeout", "1m"]);
    assert_eq!((failed.status.code(), out(&failed)), (Some(1), String::new()));
    let told = words(&failed);
    assert!(told.contains(" failed: ") && told.contains("[compute_failed]"), "{told}");
    let fail = told.lines().next().unwrap().strip_prefix("job ").unwrap().to_owned();
    let both = served.compute(&["job", "wait", &fail, &echo, &shop]);
    assert_eq!((both.status.code(), out(&both)), (Some(1), format!("[2]\n{fired}\n")));
    assert_eq!(served.show(&fail)["state"], "failed");

    // The dead letters, tried again.
    let listed = served.stdout(&["job", "ls", "--only", "failed"]);
    assert!(listed.starts_with(&format!("{fail}  failed      1/5 ")), "{listed}");
    assert_eq!(listed.lines().count(), 1);
    let asked = served.compute(&["job", "retry", "--failed"]);
    assert_eq!(asked.status.code(), Some(2));
    assert!(
        words(&asked).contains("1 job failed, and nobody can be asked: --yes"),
        "{}",
        words(&asked)
    );
    assert_eq!(served.stdout(&["job", "retry", "--failed", "--yes"]), fail);
    assert_eq!(served.compute(&["job", "wait", &fail]).status.code(), Some(1));
    assert_eq!(served.stdout(&["job", "retry", &fail]), fail);
    served.compute(&["job", "wait", &fail]);

    // What waits for its time, ended.
    let later = served.stdout(&["job", "submit", &reference, "--after", "1h", "--priority", "9"]);
    let shown = served.show(&later);
    assert_eq!((&shown["state"], &shown["priority"]), (&json!("scheduled"), &json!(9)));
    let waited = served.compute(&["job", "wait", &later, "--timeout", "1ms"]);
    assert_eq!(waited.status.code(), Some(3));
    assert!(words(&waited).contains(" is still scheduled after 1ms: "), "{}", words(&waited));
    served.stdout(&["job", "cancel", &later]);
    let again = served.compute(&["job", "cancel", &later, &shop]);
    assert_eq!(again.status.code(), Some(2));
    assert_eq!(words(&again).matches(" has ended: it is ").count(), 2, "{}", words(&again));
    let cancelled = served.compute(&["job", "wait", &later]);
    assert_eq!(cancelled.status.code(), Some(1));
    let all = served.stdout(&["job", "ls", "--json"]);
    assert_eq!(all.lines().count(), 5);
    let before = served.stdout(&["job", "ls", "--before", &fail, "--last", "1"]);
    assert!(before.starts_with(&echo), "{before}");
}

#[test]
fn a_key_submits_one_job() {
    let served = Served::start(&["--max-jobs", "0"]);
    let submit =
        ["job", "submit", "shop", "--key", "order 7", "--after", "10m", "--deadline", "1h"];
    let first = served.compute(&submit);
    assert!(
        words(&first).contains("warning: there is no active stack `shop`"),
        "{}",
        words(&first)
    );
    let second = served.compute(&submit);
    assert_eq!((first.status.code(), second.status.code()), (Some(0), Some(0)));
    assert_eq!(out(&first), out(&second));
    assert!(words(&second).contains("submitted before with this key: it is scheduled"));
    let other = served.compute(&["job", "submit", "shop", "--key", "order 7"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(words(&other).contains("take another key for another job"), "{}", words(&other));
}

/// In a state that nobody serves yet, a job waits for who does.
#[test]
fn a_job_waits_for_a_server() {
    let home = Home::new();
    let submitted = home.compute(&["job", "submit", ECHO, "--input", "[3]", "--key", "k"], b"");
    let told = words(&submitted);
    assert!(told.contains("waits until a `compute serve` on it runs it"), "{told}");
    let id = out(&submitted).trim_end().to_owned();
    let again = home.compute(&["job", "submit", ECHO, "--input", "[3]", "--key", "k"], b"");
    assert_eq!(out(&again), out(&submitted));
    let other = home.compute(&["job", "submit", ECHO, "--key", "k"], b"");
    assert!(words(&other).contains("take another key for another job"), "{}", words(&other));
    let waited = home.compute(&["job", "wait", &id, "--timeout", "1ms"], b"");
    assert_eq!(waited.status.code(), Some(3), "{}", words(&waited));
    let waiting = home.command(&["job", "wait", &id]).spawn().unwrap();
    let _running = serve(&home, &["--dev"]);
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!((waited.status.code(), out(&waited)), (Some(0), "[3]\n".to_owned()));
    let listed = home.stdout(&["job", "ls", "--only", "done"], b"");
    assert!(listed.starts_with(&id), "{listed}");
}

/// Whoever waits gets the result of a job whose server was killed while it ran, from the one that comes after.
#[test]
fn a_job_outlives_its_server() {
    let mut served = Served::start(&["--wall", "60s"]);
    let listen = served.url.strip_prefix("http://").unwrap().to_owned();
    let slow = served.home.0.path().join("slow.wat");
    std::fs::write(&slow, SLOW).unwrap();
    let id = served.stdout(&["job", "submit", text(&slow)]);
    let begun = Instant::now();
    while served.show(&id)["state"] != "running" {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
    // It dies at once: nothing is given back.
    served.running.child.kill().unwrap();
    served.running.child.wait().unwrap();
    let waiting = served.home.command(&["job", "wait", &id]).spawn().unwrap();
    let args = ["serve", "--dev", "--listen", &listen, "--wall", "60s"];
    served.running = Running::start(&served.home, &args, false);
    served.running.until("listening on ");
    // The lease lapses, and it has its second attempt.
    let waited = waiting.wait_with_output().unwrap();
    assert_eq!((waited.status.code(), out(&waited)), (Some(0), "[4]\n".to_owned()));
    assert_eq!(served.show(&id)["tried"], 2);
}

/// Many inputs are one job, whose answers are printed as those of a batch are; who waits for its end is told, and by whom.
#[test]
fn a_batch_is_printed_line_by_line() {
    let served = Served::start(&["--webhook-origin", "http://127.0.0.1:9"]);
    let reference = served.stdout(&["put", ECHO]);
    let lines: String = (0..300).map(|number| format!("[{number}]\n\n")).collect();
    let submit = ["job", "submit", &reference, "--lines", "--input", "-", "--wait"];
    let output = served.elsewhere.finish(served.command(&submit), lines.as_bytes());
    assert!(output.status.success(), "{}", words(&output));
    let expected: String = (0..300).map(|number| format!("{{\"output\":[{number}]}}\n")).collect();
    assert_eq!(out(&output), expected);
    let listed = served.stdout(&["job", "ls"]);
    assert!(listed.ends_with("parts") && listed.lines().count() == 1, "{listed}");
    // What fails is a line, and the worst of them the exit code.
    let shop = workspace(&served.home);
    served.home.stdout(&["apply", text(&shop)], b"");
    let submit = ["job", "submit", "shop", "--lines", "--input", "{}\n[]\n", "--wait"];
    let output = served.compute(&submit);
    assert_eq!(output.status.code(), Some(2), "{}", words(&output));
    assert!(words(&output).contains("1 of 2 lines failed"), "{}", words(&output));
    assert_eq!(out(&output).lines().count(), 2, "{}", out(&output));
    // A large output is an artifact, and printed all the same.
    let large = format!("{{\"note\":\"{}\"}}\n", "x".repeat(100_000)).repeat(9);
    let submit = ["job", "submit", "shop", "--lines", "--input", "-", "--wait"];
    let output = served.elsewhere.finish(served.command(&submit), large.as_bytes());
    assert_eq!(out(&output).lines().count(), 9, "{}", words(&output));

    let refused = |url: &str| {
        let submit = ["job", "submit", "shop", "--webhook", url, "--webhook-secret", "hook"];
        words(&served.compute(&submit))
    };
    assert!(refused("https://example.com/x").contains("--webhook-origin"));
    assert!(refused("example.com").contains("begins with `https://`"));
    assert!(refused("http://127.0.0.1:9/x").starts_with("warning: there is no secret `hook`"));
    let listed = served.stdout(&["job", "ls", "--only", "failed", "--json"]);
    let _: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
}
