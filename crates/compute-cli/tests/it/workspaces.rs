//! Workspaces as their authors use them: the examples, going back, missing artifacts, dying, `compute dev`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Home;

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

/// Every document of an example gives its answer. `COMPUTE_BLESS=1` takes what is given now.
#[test]
fn the_example_workspaces_give_their_answers() {
    let home = Home::new();
    for name in ["triage", "pricing", "cleaning"] {
        let folder = example(name);
        home.stdout(&["check", text(&folder)], b"");
        assert_eq!(home.stdout(&["apply", text(&folder)], b""), format!("{name} 1 activated\n"));
        assert_eq!(home.stdout(&["apply", text(&folder)], b""), format!("{name} 1 unchanged\n"));
        let mut documents = 0;
        for entry in fs::read_dir(folder.join("documents")).unwrap() {
            let document = entry.unwrap().path();
            let answer = document.with_extension("answer");
            if document.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            documents += 1;
            let input = format!("@{}", document.display());
            let mut args = vec!["fire", name, "--trace=off", "--input", &input];
            args.extend(FIXED);
            let output = home.compute(&args, b"");
            let given = if output.status.success() {
                String::from_utf8(output.stdout).unwrap()
            } else {
                assert_eq!(output.status.code(), Some(1));
                String::from_utf8(output.stderr).unwrap()
            };
            if std::env::var_os("COMPUTE_BLESS").is_some() {
                fs::write(&answer, &given).unwrap();
            }
            assert_eq!(given, fs::read_to_string(&answer).unwrap(), "{}", document.display());
        }
        assert!(documents >= 1, "{name}");
    }
}

/// A small workspace in a folder of its own; its op is a module that needs no building.
fn workspace(home: &Home) -> PathBuf {
    let folder = home.0.path().join("shop");
    let scope = folder.join("OPS/shop/100");
    fs::create_dir_all(&scope).unwrap();
    fs::write(scope.join("rule.txcl"), "EXEC \"op://say\"\n").unwrap();
    fs::write(folder.join("compute.toml"), "").unwrap();
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
    fs::write(folder.join("OPS/shop/100/say.wasm"), module).unwrap();
}

fn fire(home: &Home) -> String {
    home.stdout(&["fire", "shop", "--trace=off"], b"")
}

fn refs(home: &Home, version: &str) -> String {
    let shown = home.stdout(&["stack", "show", "shop", "--version", version, "--json"], b"");
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    shown["rules"][0]["ref"].as_str().unwrap().to_owned()
}

#[test]
fn going_back_restores_digests_and_nothing_is_activated_without_its_artifacts() {
    let home = Home::new();
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    assert_eq!(fire(&home), "{\"say\":\"one\"}\n");
    say(&folder, "two");
    let output = home.compute(&["apply", text(&folder)], b"");
    let told = String::from_utf8(output.stderr).unwrap();
    let (one, two) = (refs(&home, "1"), refs(&home, "2"));
    let short = |reference: &str| reference["compute://sha256/".len()..][..12].to_owned();
    assert!(
        told.contains(&format!("runs sha256:{} → sha256:{}", short(&one), short(&two))),
        "{told}"
    );
    assert_eq!(fire(&home), "{\"say\":\"two\"}\n");

    let diff = home.stdout(&["stack", "diff", "shop", "1", "2"], b"");
    assert!(diff.contains(&format!("-EXEC \"{one}\"\n+EXEC \"{two}\"")), "{diff}");
    home.stdout(&["stack", "activate", "shop", "1"], b"");
    assert_eq!(fire(&home), "{\"say\":\"one\"}\n");
    assert_eq!(refs(&home, "1"), one);

    // The artifact of version 2 is lost.
    let digest = two.rsplit('/').next().unwrap();
    let stored = home.0.path().join("data/compute/store/computes/sha256");
    fs::remove_file(stored.join(format!("{digest}.json"))).unwrap();
    let output = home.compute(&["stack", "activate", "shop", "2"], b"");
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = format!(
        "missing_compute_artifact: stack shop, scope 100, rule rule: the store has no {two}\nnothing was activated"
    );
    assert!(told.contains(&expected), "{told}");
    assert_eq!(fire(&home), "{\"say\":\"one\"}\n");
    // Applying brings it back.
    assert_eq!(home.stdout(&["apply", text(&folder)], b""), "shop 2 activated\n");
    assert_eq!(fire(&home), "{\"say\":\"two\"}\n");
}

#[test]
fn a_collection_keeps_what_versions_need() {
    let home = Home::new();
    let nothing = home.compute(&["gc"], b"");
    assert_eq!(nothing.status.code(), Some(2), "everything would go");
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    let other = home.stdout(&["put", "tests/cmd/guests/echo.wat"], b"");
    let deleted = home.stdout(&["gc", "--min-age", "0s"], b"");
    assert_eq!(deleted, other, "only what no version names");
    assert_eq!(fire(&home), "{\"say\":\"one\"}\n");
}

#[test]
fn an_apply_that_is_killed_leaves_the_old_state_or_the_new() {
    let home = Home::new();
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    for round in 0..8_u64 {
        let before = fire(&home);
        let word = format!("n{round:02}");
        say(&folder, &word);
        let mut child = home.command(&["apply", text(&folder)]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(4 + 9 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        let after = fire(&home);
        let new = format!("{{\"say\":\"{word}\"}}\n");
        assert!(after == before || after == new, "{before}{after}");
    }
    say(&folder, "end");
    home.stdout(&["apply", text(&folder)], b"");
    assert_eq!(fire(&home), "{\"say\":\"end\"}\n");
    home.stdout(&["verify"], b"");
}

/// More builds than there are threads once waited for each other for ever.
#[test]
fn many_ops_are_built_at_once() {
    let home = Home::new();
    let folder = home.0.path().join("many");
    for n in 0..24 {
        let scope = folder.join(format!("OPS/many/{n}"));
        fs::create_dir_all(&scope).unwrap();
        fs::write(scope.join("rule.txcl"), "EXEC \"op://op\"").unwrap();
        let source = format!(
            "import {{ op }} from \"@compute/op\";\nexport default op(() => ({{ n{n}: {n} }}));\n"
        );
        fs::write(scope.join("op.js"), source).unwrap();
    }
    let check = Running::start(&home, &["check", text(&folder)], false);
    check.until("24 rules in 1 stack, 24 ops built: no mistakes");
}

#[test]
fn a_server_answers_a_python_script_and_ends_when_told() {
    let home = Home::new();
    home.stdout(&["apply", text(&example("triage"))], b"");
    let serve = Running::start(&home, &["serve", "--dev", "--listen", "127.0.0.1:0"], false);
    let line = serve.until("listening on ");
    let address = line.split(' ').nth(2).unwrap().trim_end_matches(';');
    let output = std::process::Command::new("python3")
        .arg(compute_guests::root().join("examples/client.py"))
        .arg(compute_guests::transform("c"))
        .env("COMPUTE_SERVER", address)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "stored compute://sha256/",
        "'computed': True",
        "we are looking into your payment",
        "step triage/100/classify ok",
        "step triage/300/answer ok",
    ] {
        assert!(told.contains(part), "no `{part}` in {told}");
    }
    // What the command line activates, the server answers with.
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    let listed = home.stdout(&["trace", "ls"], b"");
    assert!(listed.contains("triage/0"), "they share their traces: {listed}");

    let mut serve = serve;
    let id = i32::try_from(serve.child.id()).unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    serve.until("finishing what was accepted");
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_without_tokens_is_for_this_machine_only() {
    let home = Home::new();
    for (args, told) in [
        (&["serve"][..], "say so with --dev"),
        (&["serve", "--dev", "--listen", "0.0.0.0:7700"], "use 127.0.0.1"),
        (&["serve", "--dev", "--listen", "here"], "invalid socket address"),
    ] {
        let output = home.compute(args, b"");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains(told), "{words}");
    }
}

/// A command that goes on, and what it prints.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(home: &Home, args: &[&str], on_stdout: bool) -> Self {
        let mut child = home.command(args).stdin(Stdio::null()).spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stream: Box<dyn std::io::Read + Send> = if on_stdout {
            Box::new(child.stdout.take().unwrap())
        } else {
            Box::new(child.stderr.take().unwrap())
        };
        std::thread::spawn(move || {
            for line in BufReader::new(stream).lines() {
                if line.is_ok_and(|line| sender.send(line).is_err()) {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Waits for a line with a text in it.
    fn until(&self, wanted: &str) -> String {
        let mut seen = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| panic!("no `{wanted}` came, but: {seen}"));
            if line.contains(wanted) {
                return line;
            }
            seen += &line;
            seen.push('\n');
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn dev_applies_and_tests_what_changes() {
    let home = Home::new();
    let folder = workspace(&home);
    let scope = folder.join("OPS/shop/200");
    fs::create_dir_all(&scope).unwrap();
    fs::write(scope.join("twice.txcl"), "WHEN .n != null SELECT .n EXEC \"op://twice\"").unwrap();
    let source = |by: u32| {
        format!(
            "import {{ op }} from \"@compute/op\";\nexport default op(({{ input }}) => ({{ n: input.n * {by} }}));\n"
        )
    };
    fs::write(scope.join("twice.js"), source(2)).unwrap();
    fs::write(
        scope.join("twice.test.json"),
        r#"[{"name": "doubles", "input": {"n": 2}, "output": {"n": 4}}]"#,
    )
    .unwrap();

    let dev = Running::start(&home, &["dev", text(&folder)], false);
    dev.until("activated shop version 1");
    dev.until("1 passed, 0 failed");
    dev.until("waiting for changes");

    // A change that breaks a fixture is applied, and told.
    fs::write(scope.join("twice.js"), source(3)).unwrap();
    dev.until("activated shop version 2");
    dev.until("0 passed, 1 failed");
    dev.until("waiting for changes");

    // A mistake is told, and what ran before goes on.
    fs::write(scope.join("twice.txcl"), "WHEN .n = 1").unwrap();
    dev.until("to compare, write `==`");
    dev.until("waiting for changes");
    assert_eq!(fire(&home), "{\"say\":\"one\"}\n");

    // Only the rule changed, so nothing is tested.
    fs::write(scope.join("twice.txcl"), "EMIT .done = true").unwrap();
    dev.until("activated shop version 3");
    dev.until("waiting for changes");
    assert_eq!(fire(&home), "{\"say\":\"one\",\"done\":true}\n");
}

#[test]
fn traces_are_listed_shown_and_followed() {
    let home = Home::new();
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    assert_eq!(home.stdout(&["trace", "ls"], b""), "");
    let full = home.compute(&["fire", "shop", "--trace"], b"");
    let shown = String::from_utf8(full.stderr).unwrap();
    assert!(shown.contains("shop/100\n  rule") && shown.contains("█"), "{shown}");

    let line = home.stdout(&["trace", "ls"], b"");
    let id = line.split(' ').next().unwrap();
    assert!(line.contains("shop/0") && line.contains("1 step"), "{line}");
    let verbose = home.stdout(&["trace", "show", id, "--verbose"], b"");
    assert!(verbose.contains("output {\"say\":\"one\"}"), "{verbose}");
    let json = home.stdout(&["trace", "show", &id[..20], "--json"], b"");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["steps"][0]["output"]["say"], "one");

    let follow = Running::start(&home, &["trace", "ls", "--follow", "--last", "0"], true);
    // What is fired before the watch begins is printed as well.
    let second = home.compute(&["fire", "shop"], b"");
    let told = String::from_utf8(second.stderr).unwrap();
    let second = told.trim().strip_prefix("trace ").unwrap();
    if !follow.until("shop/0").contains(second) {
        panic!("another trace than {second} came");
    }
}

#[test]
fn the_same_workspace_has_the_same_refs_anywhere() {
    let found = ["a", "deep/er/b"].map(|place| {
        let home = Home::new();
        let folder = home.0.path().join(place);
        copy(Path::new("tests/cmd/shop"), &folder);
        home.stdout(&["apply", text(&folder)], b"");
        refs(&home, "1")
    });
    assert_eq!(found[0], found[1]);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
