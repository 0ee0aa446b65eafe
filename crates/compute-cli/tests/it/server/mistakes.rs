//! What is told of mistakes that take more than a command to make: an environment, an input of many lines, a token.

use std::process::Output;

use super::{Served, words};
use crate::Home;

fn is_refused(output: &Output, code: i32, told: &str) {
    assert_eq!(output.status.code(), Some(code), "{}", words(output));
    assert!(words(output).contains(told), "{}", words(output));
}

#[test]
fn an_empty_variable_is_one_that_is_not_set() {
    let home = Home::new();
    let stored = home.stdout(&["put", "tests/cmd/guests/echo.wat"], b"");
    let mut ls = home.command(&["ls"]);
    for name in ["COMPUTE_SERVER", "COMPUTE_STORE", "COMPUTE_STATE", "COMPUTE_COLOR"] {
        ls.env(name, "");
    }
    let listed = home.finish(ls, b"");
    assert!(listed.status.success(), "{}", words(&listed));
    assert!(String::from_utf8_lossy(&listed.stdout).contains(stored.trim()));
    // What is said to be empty is a mistake.
    for option in ["--server", "--store", "--state"] {
        is_refused(&home.compute(&["gc", option, ""], b""), 2, option);
    }
}

#[test]
fn a_line_that_is_no_input_is_told_by_its_number_in_the_file() {
    let home = Home::new();
    let submit =
        |lines: &[u8]| home.compute(&["job", "submit", "triage", "--lines", "--input", "-"], lines);
    let told = "line 5 of the input is no JSON: expected ident at column 2: no job was submitted";
    is_refused(&submit(b"{}\n\n{}\n{}\nnot json\n{}\n"), 2, told);
    is_refused(&submit(b"{}\n\"\xff\"\n"), 2, "line 2 of the input is not UTF-8");
    let long = format!("\n\"{}\"", "a".repeat(4 << 20));
    is_refused(&submit(long.as_bytes()), 2, "line 2 of the input has more than 4 MiB");
    assert!(home.stdout(&["job", "ls"], b"").is_empty());
}

#[test]
fn what_a_job_or_a_schedule_would_run_and_is_not_there_is_told() {
    let home = Home::new();
    let stored = home.stdout(&["put", "tests/cmd/guests/echo.wat"], b"");
    let (stored, gone) = (stored.trim(), "compute://sha256/aa");
    let told = |args: &[&str]| words(&home.compute(args, b""));
    for args in [
        &["job", "submit"][..],
        &["schedule", "set", "s", "--cron", "@yearly"],
        &["schedule", "set", "s", "--cron", "@yearly", "--dry-run"],
    ] {
        let with = |work| told(&[args, &[work]].concat());
        let warned = with(gone);
        assert!(warned.contains("warning: compute://sha256/aa is not stored"), "{warned}");
        let warned = with("triage");
        assert!(warned.contains("warning: there is no active stack `triage`"), "{warned}");
        assert!(!with(stored).contains("warning"));
    }
}

#[test]
fn a_job_that_cannot_be_waited_for_is_told_of() {
    let (elsewhere, served) = (Home::new(), Served::start());
    let token = served.home.stdout(&["token", "create", "--scope", "run"], b"");
    let mut submit = served.command(&elsewhere, &["job", "submit", "triage", "--wait"]);
    submit.env("COMPUTE_TOKEN", token.trim());
    let output = elsewhere.finish(submit, b"");
    let id = served.home.stdout(&["job", "ls", "--json"], b"");
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    let told =
        format!("the job {} was accepted, and cannot be waited for", id["id"].as_str().unwrap());
    is_refused(&output, 2, &told);
    is_refused(&output, 2, "lacks the scope `read`");
}
