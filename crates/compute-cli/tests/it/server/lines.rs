//! `--lines`: the same lines and words here and on a server, in order, while others are still to come.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Command;

use compute::Seed;
use serde_json::Value;

use super::Served;
use crate::{FIXED, Home, text, workspace};

#[test]
fn lines_are_the_same_here_and_on_a_server() {
    let (here, there, served) = (Home::new(), Home::new(), Served::start());
    let folder = workspace(&here);
    std::fs::write(folder.join("OPS/shop/100/draw.txcl"), "EMIT .drawn = &uuid(), .was = .n")
        .unwrap();
    let mut references = Vec::new();
    for guest in ["echo", "fail", "spin"] {
        let put = ["put", &format!("tests/cmd/guests/{guest}.wat")];
        references.push(here.stdout(&put, b"").trim().to_owned());
        assert!(served.command(&there, &put).status().unwrap().success());
    }
    assert!(served.command(&there, &["apply", text(&folder)]).status().unwrap().success());
    here.stdout(&["apply", text(&folder)], b"");
    let [echo, fail, spin] = &references[..] else { panic!("three were put") };
    let mut input = b"\xef\xbb\xbf{\"n\":1}\r\n\n{\"n\":\n[2]\n\"\xff\"\n".to_vec();
    input.extend(b"7".repeat((4 << 20) + 1));
    input.extend(b"\n{\"n\": \t5}");
    let file = here.0.path().join("in.ndjson");
    std::fs::write(&file, &input).unwrap();
    let at_file = format!("@{}", text(&file));
    let fire: Vec<_> =
        ["fire", "shop", "--lines", "--trace=off"].into_iter().chain(FIXED).collect();
    let commands: [(Vec<&str>, &[u8], i32, &str); 9] = [
        (vec!["run", echo, "--lines"], &input, 2, "error: 3 of 6 lines failed\n"),
        (vec!["run", echo, "--lines", "--input", &at_file], b"", 2, "error: 3 of 6 lines failed\n"),
        (vec!["run", echo, "--lines", "--input", "1\n2"], b"", 0, ""),
        (vec!["run", echo, "--lines", "--input", "-", "--fuel", "100000"], b"[1]\n", 0, ""),
        (vec!["run", echo, "--lines"], b"\n \r\n", 0, ""),
        (vec!["run", fail, "--lines"], b"1\n2\n", 1, "error: 2 of 2 lines failed\n"),
        (vec!["run", spin, "--lines", "--wall", "30ms"], b"1\n", 1, "error: 1 of 1 lines failed\n"),
        (fire.clone(), &input, 2, "error: 4 of 6 lines failed\n"),
        (vec!["fire", "shop/200", "--lines", "--fuel", "9"], b"", 0, ""),
    ];
    for (args, stdin, code, told) in commands {
        let near = here.finish(here.command(&args), stdin);
        let far = there.finish(served.command(&there, &args), stdin);
        let words =
            [&near, &far].map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        let lines =
            [&near, &far].map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        assert_eq!(lines[0], lines[1], "{args:?}: {words:?}");
        assert_eq!(near.status.code(), Some(code), "{args:?}: {words:?} {lines:?}");
        assert_eq!(far.status.code(), Some(code), "{args:?}: {words:?} {lines:?}");
        assert!(words.iter().all(|words| words.ends_with(told)), "{args:?}: {words:?}");
    }
    // Each line can be repeated alone.
    let lines = here.stdout(&fire, b"{\"n\":1}\n{\"n\":2}\n");
    let second: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    let seed = FIXED[3].parse::<Seed>().unwrap().of_line(2).to_string();
    let alone = ["fire", "shop", "--trace=off", "--now", FIXED[1], "--seed", &seed, "--input", "-"];
    let alone: Value = serde_json::from_str(&here.stdout(&alone, b"{\"n\":2}")).unwrap();
    assert_eq!(second["output"], alone);
    assert_eq!(second["output"]["was"], 2);

    // What does not go together is told.
    for (args, told) in [
        (
            vec!["run", "tests/cmd/guests/echo.wat", "--lines"],
            "compute put tests/cmd/guests/echo.wat",
        ),
        (vec!["run", echo, "--lines", "--memory", "1MiB"], "leave them out"),
        (vec!["run", echo, "--lines", "--raw"], "cannot be used with"),
        (vec!["run", echo, "--lines", "--input", "@/none"], "/none"),
        (vec!["fire", "shop", "--lines", "--record", "x"], "cannot be used with"),
    ] {
        let output = there.finish(served.command(&there, &args), b"1\n");
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {words}");
        assert!(words.contains(told) && output.stdout.is_empty(), "{args:?}: {words}");
    }
}

/// That a command prints a line before it gets the next, and ends when nobody reads.
fn streams(mut command: Command) {
    let mut child = command.spawn().unwrap();
    let (mut stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut stdout = BufReader::new(stdout);
    for number in 0..3 {
        writeln!(stdin, "{number}").unwrap();
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        assert_eq!(line, format!("{{\"output\":{number}}}\n"));
    }
    // A reader that has seen enough ends it, however much is still to come; that is no failure.
    drop(stdout);
    while writeln!(stdin, "7").is_ok() {}
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn lines_come_while_others_are_still_to_come() {
    let (here, there, served) = (Home::new(), Home::new(), Served::start());
    let put = ["put", "tests/cmd/guests/echo.wat"];
    let reference = here.stdout(&put, b"");
    assert!(served.command(&there, &put).status().unwrap().success());
    let run = ["run", reference.trim(), "--lines"];
    streams(here.command(&run));
    streams(served.command(&there, &run));
}
