//! A server, and the command line that uses it from elsewhere.

mod jobs;
mod lines;
mod mistakes;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::sync::mpsc;
use std::time::Duration;

use compute::{Algorithm, Ref};
use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::running::Running;
use crate::{FIXED, Home, example, text, workspace};

#[test]
fn a_server_answers_a_python_script_and_ends_when_told() {
    let home = Home::new();
    home.stdout(&["apply", text(&example("triage"))], b"");
    let serve = Running::start(&home, &["serve", "--dev", "--listen", "127.0.0.1:0"], false);
    let line = serve.until("listening on ");
    let address = line.split(' ').nth(2).unwrap().trim_end_matches(';');
    let output = Command::new("python3")
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
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    serve.until("finishing what was accepted");
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_server_without_tokens_is_for_this_machine_only() {
    let home = Home::new();
    for (args, told) in [
        (&["serve", "--dev", "--listen", "0.0.0.0:7700"][..], "use 127.0.0.1"),
        (&["serve", "--server", "http://127.0.0.1:7700"], "leave out --server"),
        (&["serve", "--log", "[["], "--log `[[`"),
        (&["serve", "--dev", "--listen", "here"], "invalid socket address"),
    ] {
        let output = home.compute(args, b"");
        assert_eq!(output.status.code(), Some(2));
        let words = String::from_utf8(output.stderr).unwrap();
        assert!(words.contains(told), "{words}");
    }
}

/// A server with its home, and a token for it.
struct Served {
    home: Home,
    _running: Running,
    url: String,
    token: String,
}

impl Served {
    fn start() -> Self {
        let home = Home::new();
        let token = home.stdout(&["token", "create", "--scope", "admin"], b"").trim().to_owned();
        let (running, url) = serve(&home, &[]);
        Self { home, _running: running, url, token }
    }

    /// A command of somebody elsewhere, who has the token.
    fn command(&self, elsewhere: &Home, args: &[&str]) -> Command {
        let mut command = elsewhere.command(args);
        // What is set for other commands does not count.
        command.env("COMPUTE_STORE", "/nowhere");
        command.env("COMPUTE_SERVER", &self.url).env("COMPUTE_TOKEN", &self.token);
        command
    }
}

pub(crate) fn serve(home: &Home, options: &[&str]) -> (Running, String) {
    let mut args = vec!["serve", "--listen", "127.0.0.1:0"];
    args.extend(options);
    let running = Running::start(home, &args, false);
    let line = running.until("listening on ");
    let url = line.split(' ').nth(2).unwrap().trim_end_matches(';').to_owned();
    (running, url)
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn commands_do_the_same_here_and_on_a_server() {
    let (here, elsewhere, served) = (Home::new(), Home::new(), Served::start());
    let folder = workspace(&here);
    let echo = "tests/cmd/guests/echo.wat";
    let fail = "tests/cmd/guests/fail.wat";
    let op = example("order-discount.ts");
    let reference = here.stdout(&["put", echo], b"");
    let reference = reference.trim();
    let gone = format!("compute://sha256/{}", "0".repeat(64));
    let fire: Vec<_> = ["fire", "shop"].into_iter().chain(FIXED).collect();
    let seeded: Vec<_> =
        ["run", "tests/cmd/guests/random.wat", "--raw"].into_iter().chain(FIXED).collect();
    let commands: Vec<Vec<&str>> = vec![
        vec!["put", echo],
        vec!["put", text(&op)],
        vec!["get", reference, "-o", "-"],
        vec!["get", &gone, "-o", "-"],
        vec!["verify", reference],
        vec!["run", reference, "--input", r#"{"n":12345678901234567890}"#],
        vec!["run", echo, "--input", "[1]"],
        vec!["run", &gone],
        vec!["run", fail],
        vec!["run", text(&op), "--input", r#"{"total":1}"#],
        vec!["run", echo, "--input", "{"],
        vec!["stack", "ls"],
        vec!["fire", "shop"],
        vec!["apply", text(&folder), "--dry-run"],
        vec!["apply", text(&folder)],
        vec!["apply", text(&folder)],
        fire.clone(),
        vec!["fire", "shop", "--input", "[1]"],
        vec!["fire", "shop/x/100"],
        vec!["stack", "activate", "shop", "1"],
        vec!["stack", "activate", "shop", "7"],
        vec!["stack", "activate", "shoop", "1"],
        vec!["stack", "diff", "shop", "1", "1"],
        vec!["trace", "show", "none"],
        vec!["secret", "ls"],
        vec!["secret", "rm", "NONE"],
        vec!["token", "revoke", "none"],
        vec!["inspect", reference],
    ];
    for args in commands {
        let near = here.finish(here.command(&args), b"");
        let far = elsewhere.finish(served.command(&elsewhere, &args), b"");
        let told = format!("{args:?}\nhere: {}\nthere: {}", words(&near), words(&far));
        assert_eq!(near.status.code(), far.status.code(), "{told}");
        assert_eq!(near.stdout, far.stdout, "{told}");
        assert_eq!(near.stderr.is_empty(), far.stderr.is_empty(), "{told}");
    }
    let raw = elsewhere.finish(served.command(&elsewhere, &seeded), b"");
    assert_eq!(raw.status.code(), Some(2), "{}", words(&raw));

    // A failure points at the author's line, wherever the op ran.
    let csv = example("csv-to-json.ts");
    let failing = ["run", text(&csv), "--input", r#"{"csv":3}"#];
    let near = here.finish(here.command(&failing), b"");
    let far = elsewhere.finish(served.command(&elsewhere, &failing), b"");
    assert_eq!(words(&near), words(&far));
    assert!(words(&far).contains("csv-to-json.ts:7:55"), "{}", words(&far));
    // What ran is told: the trace, and the log.
    let far = elsewhere.finish(served.command(&elsewhere, &["fire", "shop", "--trace"]), b"");
    assert!(words(&far).contains("shop/100\n  rule"), "{}", words(&far));
    let listed = elsewhere.finish(served.command(&elsewhere, &["trace", "ls"]), b"");
    assert_eq!(String::from_utf8(listed.stdout).unwrap().lines().count(), 5, "each that fired");
}

#[test]
fn a_target_names_a_server_and_where_its_token_is() {
    let (elsewhere, served) = (Home::new(), Served::start());
    let folder = workspace(&elsewhere);
    let settings =
        format!("[targets.staging]\nserver = \"{}\"\ntoken_env = \"STAGING\"\n", served.url);
    std::fs::write(folder.join("compute.toml"), settings).unwrap();
    let mut apply = elsewhere.command(&["apply", text(&folder), "--target", "staging"]);
    let without =
        elsewhere.finish(elsewhere.command(&["apply", text(&folder), "--target", "staging"]), b"");
    assert_eq!(without.status.code(), Some(2), "{}", words(&without));
    assert!(words(&without).contains("put a token into STAGING"), "{}", words(&without));
    apply.env("STAGING", &served.token);
    let with = elsewhere.finish(apply, b"");
    assert!(with.status.success(), "{}", words(&with));
    assert_eq!(String::from_utf8(with.stdout).unwrap(), "shop 1 activated\n");
    let fired = elsewhere.finish(served.command(&elsewhere, &["fire", "shop"]), b"");
    assert_eq!(String::from_utf8(fired.stdout).unwrap(), "{\"say\":\"one\"}\n");
}

#[test]
fn secrets_and_tokens_are_kept_from_a_shell() {
    let (elsewhere, served) = (Home::new(), Served::start());
    let far =
        |args: &[&str], stdin: &[u8]| elsewhere.finish(served.command(&elsewhere, args), stdin);
    assert!(far(&["secret", "set", "API_KEY"], b"hunter2-hunter2\n").status.success());
    let listed = String::from_utf8(far(&["secret", "ls"], b"").stdout).unwrap();
    assert!(listed.starts_with("API_KEY") && !listed.contains("hunter2"), "{listed}");
    let empty = far(&["secret", "set", "API_KEY"], b"");
    assert_eq!(empty.status.code(), Some(2), "{}", words(&empty));

    let made = far(&["token", "create", "--scope", "read", "--json"], b"");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    let (token, id) = (made["token"].as_str().unwrap(), made["id"].as_str().unwrap());
    let mut ls = served.command(&elsewhere, &["ls"]);
    ls.env("COMPUTE_TOKEN", token);
    assert!(elsewhere.finish(ls, b"").status.success());
    let mut put = served.command(&elsewhere, &["put", "tests/cmd/guests/echo.wat"]);
    put.env("COMPUTE_TOKEN", token);
    let refused = elsewhere.finish(put, b"");
    assert!(words(&refused).contains("lacks the scope `update`"), "{}", words(&refused));
    assert!(far(&["token", "revoke", id], b"").status.success());
    let mut ls = served.command(&elsewhere, &["ls"]);
    ls.env("COMPUTE_TOKEN", token);
    assert_ne!(elsewhere.finish(ls, b"").status.code(), Some(0));
    let other = far(&["token", "create", "--tenant", "acme", "--scope", "read"], b"");
    assert_eq!(other.status.code(), Some(2), "{}", words(&other));

    // Where the server is, the operator makes tenants.
    let acme =
        served.home.stdout(&["token", "create", "--tenant", "acme", "--scope", "admin"], b"");
    let mut ls = served.command(&elsewhere, &["secret", "ls"]);
    ls.env("COMPUTE_TOKEN", acme.trim());
    let theirs = elsewhere.finish(ls, b"");
    assert!(theirs.status.success() && theirs.stdout.is_empty(), "{}", words(&theirs));
    for (url, told) in [
        ("http://127.0.0.1:1", "cannot reach http://127.0.0.1:1/"),
        ("ftp://x", "is not a server's URL"),
        ("nonsense", "is not a server's URL"),
    ] {
        let output = elsewhere.compute(&["ls", "--server", url], b"");
        assert!(words(&output).contains(told), "{}", words(&output));
    }
}

#[test]
fn who_changed_what_is_listed_and_verified() {
    let (elsewhere, served) = (Home::new(), Served::start());
    let far = |args: &[&str], stdin: &[u8]| {
        let output = elsewhere.finish(served.command(&elsewhere, args), stdin);
        (output.status.code(), String::from_utf8(output.stdout.clone()).unwrap(), words(&output))
    };
    assert_eq!(far(&["secret", "set", "API_KEY"], b"hunter2-hunter2\n").0, Some(0));
    assert_eq!(far(&["secret", "rm", "API_KEY"], b"").0, Some(0));
    let nightly = ["schedule", "set", "nightly", "--cron", "@daily", "report", "{}"];
    assert_eq!(far(&nightly, b"").0, Some(0));
    let (_, listed, told) = far(&["audit", "ls"], b"");
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 4, "{listed}");
    assert!(lines[3].contains("schedules 1") && lines[3].contains("schedule.set"), "{listed}");
    assert!(lines[0].contains("tokens 1") && lines[0].contains("local"), "{listed}");
    assert!(lines[1].contains("secret.set") && lines[1].ends_with(r#"{"name":"API_KEY"}"#));
    assert!(!listed.contains("hunter2"));
    // Here and there alike.
    assert_eq!(served.home.stdout(&["audit", "ls"], b""), listed);
    let (code, heads, _) = far(&["audit", "verify"], b"");
    assert_eq!((code, &heads), (Some(0), &served.home.stdout(&["audit", "verify"], b"")));
    let head = heads.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert!(told.contains(head), "{told}");
    let newest = far(&["audit", "ls", "--last", "2", "--json"], b"").1;
    let newest: Vec<Value> =
        newest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&newest[0]["what"], &newest[0]["hash"]), (&"secret.delete".into(), &head.into()));
    assert_eq!((&newest[1]["log"], &newest[1]["number"]), (&"schedules".into(), &1.into()));
    assert!(heads.contains(newest[1]["hash"].as_str().unwrap()), "{heads}");

    // A job is in no log, and says itself who submitted it.
    let (_, job, _) = far(&["job", "submit", "report", "--input", "{}"], b"");
    let shown = served.home.stdout(&["job", "show", job.trim()], b"");
    let who = newest[0]["who"]["id"].as_str().unwrap();
    assert!(shown.contains(&format!("by       {who}\n")), "{shown}");
    let listed = served.home.stdout(&["job", "ls", "--json"], b"");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["submitted_by"], newest[0]["who"]);
    assert_eq!(served.home.stdout(&["audit", "verify"], b""), heads);

    // A head that was kept elsewhere is still there once more is done.
    assert_eq!(far(&["secret", "set", "MORE"], b"value\n").0, Some(0));
    assert_eq!(far(&["audit", "verify", "--head", head], b"").0, Some(0));
    let (code, _, told) = far(&["audit", "verify", "--head", &"7".repeat(64)], b"");
    assert_eq!(code, Some(3));
    assert!(told.contains("no entry has the hash 7777"), "{told}");
    let (code, _, told) = far(&["audit", "ls", "--tenant", "acme"], b"");
    assert_eq!((code, told.contains("leave out --tenant")), (Some(2), true), "{told}");
}

/// An entry that leads back makes no list without end.
#[test]
fn a_log_that_was_altered_is_listed_to_an_end() {
    let home = Home::new();
    for name in ["A", "B"] {
        home.stdout(&["secret", "set", name], b"value\n");
    }
    let state = home.0.path().join("data/compute/state");
    let alter = |from: &str, to: &str| {
        let altered = Command::new("python3")
            .args(["-c", "import sqlite3, sys; at = sqlite3.connect(sys.argv[1])\nat.execute('UPDATE audit SET entry = replace(entry, ?, ?)', sys.argv[2:])\nat.commit()"])
            .arg(state.join("catalogue.sqlite"))
            .args([from, to])
            .status();
        assert!(altered.unwrap().success());
    };
    alter("\"local\"", "\"locaX\"");
    let output = home.compute(&["audit", "verify"], b"");
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    let told = "stacks: the entry 1 of the audit log cannot be read: it was altered";
    assert!(words(&output).contains(told), "{}", words(&output));
    alter("\"locaX\"", "\"local\"");
    alter("\"number\":2", "\"number\":1");
    let output = home.compute(&["audit", "ls"], b"");
    assert_eq!(output.status.code(), Some(3), "{}", words(&output));
    assert!(words(&output).contains("the log was altered"), "{}", words(&output));
}

/// What is loaded runs without it, so nobody else would tell.
#[test]
fn a_store_that_does_not_answer_is_told_when_a_server_begins() {
    let home = Home::new();
    let with = |args: &[&str]| {
        let mut command = home.command(&[args, &["--store", "s3://bucket"]].concat());
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b");
        command.env("AWS_REGION", "c");
        command
    };
    let serve = Running::of(with(&["serve", "--dev", "--listen", "127.0.0.1:0"]), false);
    serve.until("warning: the store of artifacts does not answer: ");
    // What cannot be read is not damaged.
    let told = words(&home.finish(with(&["verify"]), b""));
    assert!(told.contains("not all of the store could be read"), "{told}");
}

#[test]
fn what_was_used_is_shown_as_a_table() {
    let (elsewhere, served) = (Home::new(), Served::start());
    let far = |args: &[&str]| elsewhere.finish(served.command(&elsewhere, args), b"");
    assert!(far(&["stack", "ls"]).status.success());
    let csv = String::from_utf8(far(&["usage", "--csv"]).stdout).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("day,requests,documents,runs,jobs,wall_us,fuel"));
    let requests = lines.map(|line| line.split(',').nth(1).unwrap().parse::<u64>().unwrap());
    assert!(requests.sum::<u64>() >= 2, "{csv}");
    // Where the state is, of any tenant.
    let here = served.home.stdout(&["usage", "--json"], b"");
    let first: Value = serde_json::from_str(here.lines().next().unwrap()).unwrap();
    assert_eq!((&first["runs"], first["requests"].is_u64()), (&0.into(), true), "{here}");
    let none = served.home.compute(&["usage", "--tenant", "acme"], b"");
    assert!(words(&none).contains("nothing was used"), "{}", words(&none));
    let all = served.home.stdout(&["usage", "--csv", "--all-tenants"], b"");
    let mut lines = all.lines();
    assert_eq!(lines.next(), Some("tenant,day,requests,documents,runs,jobs,wall_us,fuel"));
    assert!(lines.next().is_some_and(|line| line.starts_with("default,20")), "{all}");
    assert_eq!(far(&["usage", "--all-tenants"]).status.code(), Some(2));
    // So is it with jobs and what they go by.
    let theirs = |args: &[&str]| served.home.compute(&[args, &["--tenant", "acme"]].concat(), b"");
    let submitted = theirs(&[
        "job",
        "submit",
        "report",
        "--webhook",
        "https://a.example",
        "--webhook-secret",
        "KEY",
    ]);
    let told = words(&submitted);
    assert!(
        told.contains("no active stack `report`") && told.contains("no secret `KEY`"),
        "{told}"
    );
    let id = String::from_utf8(submitted.stdout).unwrap();
    assert!(theirs(&["job", "show", id.trim()]).status.success());
    assert_eq!(served.home.compute(&["job", "show", id.trim()], b"").status.code(), Some(2));
    assert!(theirs(&["trace", "ls"]).status.success());
    assert_eq!(far(&["usage", "--tenant", "acme"]).status.code(), Some(2));
}

#[test]
fn settings_say_where_they_come_from() {
    let home = Home::new();
    let mut show = home.command(&["config", "show", "--json", "--wall", "100ms"]);
    show.env("COMPUTE_LISTEN", "127.0.0.1:9000")
        .env("COMPUTE_DEV", "1")
        .env("COMPUTE_SECRET_KEY", "ab".repeat(32));
    let output = home.finish(show, b"");
    let settings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings: BTreeMap<_, _> = settings
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), (one["value"].clone(), one["from"].clone())))
        .collect();
    assert_eq!(settings["--listen"], (json!("127.0.0.1:9000"), json!("COMPUTE_LISTEN")));
    assert_eq!(settings["--wall"], (json!("100ms"), json!("option")));
    assert_eq!(settings["--dev"].1, "COMPUTE_DEV");
    assert_eq!(settings["--memory"], (json!("32MiB"), json!("default")));
    assert_eq!(settings["COMPUTE_SECRET_KEY"], (json!("(hidden)"), json!("COMPUTE_SECRET_KEY")));
    assert!(settings["--state"].0.as_str().unwrap().ends_with("compute/state"));
    assert_eq!(settings["--secret-key-file"].0, Value::Null, "the variable has it");
    assert!(settings.len() > 20, "{settings:?}");
    let key_file = |state: &[&str]| {
        let args = [&["config", "show", "--json"], state].concat();
        let settings: Vec<Value> = serde_json::from_str(&home.stdout(&args, b"")).unwrap();
        let file = settings.into_iter().find(|one| one["name"] == "--secret-key-file");
        file.unwrap()["value"].clone()
    };
    assert_eq!(key_file(&[]), json!("secret.key in --state"));
    assert_eq!(key_file(&["--state", "postgres://u@h/d"]), Value::Null);
}

#[test]
fn the_originals_hello_answers_over_http() {
    let home = Home::new();
    let hello = compute_guests::root().join("examples/original/hello");
    home.stdout(&["apply", hello.to_str().unwrap()], b"");
    let (_running, url) = serve(&home, &["--dev"]);
    let client = Client::new();
    let answer = client.get(format!("{url}/web/hello-world/anything")).send().unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain");
    assert_eq!(answer.text().unwrap(), "hello, world");
    let other = client.delete(format!("{url}/web/hello-world")).send().unwrap();
    assert_eq!(
        (other.status().as_u16(), &other.headers()["allow"]),
        (405, &"GET".parse().unwrap())
    );
    assert_eq!(other.json::<Value>().unwrap(), json!({ "src": "http" }));

    // Its files: the stack's own come before those of all stacks, and what a browser has is not sent again.
    let get = |path: &str| client.get(format!("{url}/web/hello-world/{path}"));
    let robots = get("robots.txt").send().unwrap();
    assert_eq!(robots.headers()["content-type"], "text/plain; charset=utf-8");
    let tag = robots.headers()["etag"].clone();
    assert!(robots.text().unwrap().ends_with("Disallow: /\n"));
    let again = get("robots.txt").header("if-none-match", tag).send().unwrap();
    assert_eq!((again.status().as_u16(), again.text().unwrap()), (304, String::new()));
    let dot = get("img/dot.svg").send().unwrap();
    assert_eq!(dot.headers()["content-type"], "image/svg+xml");
    assert!(dot.text().unwrap().starts_with("<svg "));
    let head = client.head(format!("{url}/web/hello-world/img/dot.svg")).send().unwrap();
    assert_eq!((head.status().as_u16(), head.text().unwrap()), (200, String::new()));
    assert_eq!(get("img/gone.svg").send().unwrap().status().as_u16(), 404);
    let folder = tempfile::tempdir().unwrap();
    home.stdout(&["pull", "hello-world", folder.path().to_str().unwrap()], b"");
    let pulled = folder.path().join("OPS/hello-world/FILES/img/dot.svg");
    let there = std::fs::read(hello.join("FILES/img/dot.svg")).unwrap();
    assert_eq!(std::fs::read(pulled).unwrap(), there);
}

/// What was answered with 200 is there after `kill -9`, and what was active is.
#[test]
fn what_a_server_accepted_survives_its_death() {
    let home = Home::new();
    let (mut uploaded, mut activated) = (Vec::new(), 0);
    let client = Client::new();
    for round in 0..5 {
        let (mut running, url) = serve(&home, &["--dev"]);
        // It dies some moment after its second activation.
        let (second, is_second) = mpsc::channel();
        let killed = std::thread::spawn(move || {
            let _ = is_second.recv();
            std::thread::sleep(Duration::from_millis(7 * u64::from(round)));
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        });
        for number in 0.. {
            let module = compute_guests::numbered_echo(round * 10_000 + number);
            let reference = Ref::of(Algorithm::Sha256, &module);
            let at = format!("{url}/v1/computes/sha256/{}", reference.digest());
            if !client.put(at).body(module).send().is_ok_and(|answer| answer.status() == 200) {
                break;
            }
            let files = json!({ "files": [{ "path": "100/a.txcl", "text": format!("EXEC \"{reference}\"") }] });
            uploaded.push(reference);
            let draft = client.post(format!("{url}/v1/stacks/s/drafts")).json(&files).send();
            let Ok(draft) = draft.and_then(|draft| draft.json::<Value>()) else { break };
            let version = draft["number"].as_u64().unwrap();
            let active =
                client.post(format!("{url}/v1/stacks/s/versions/{version}/activate")).send();
            if !active.is_ok_and(|answer| answer.status() == 200) {
                break;
            }
            activated = version;
            if number == 1 {
                second.send(()).unwrap();
            }
        }
        drop(second);
        killed.join().unwrap();
    }
    assert!(uploaded.len() > 5 && activated > 3, "{} uploads, version {activated}", uploaded.len());
    let (_running, url) = serve(&home, &["--dev"]);
    for reference in &uploaded {
        let at = format!("{url}/v1/computes/sha256/{}", reference.digest());
        let bytes = client.get(at).send().unwrap().bytes().unwrap();
        assert_eq!(Ref::of(Algorithm::Sha256, &bytes), *reference);
    }
    let stacks: Value = client.get(format!("{url}/v1/stacks")).send().unwrap().json().unwrap();
    // An activation that was not answered may have happened.
    let active = stacks["stacks"][0]["active"].as_u64().unwrap();
    assert!([activated, activated + 1].contains(&active), "{active}, and {activated} was answered");
    let fired = client.post(format!("{url}/stacks/s")).body("{}").send().unwrap();
    assert_eq!(fired.status(), 200, "{}", fired.text().unwrap());
    assert!(home.compute(&["verify"], b"").status.success());
}

/// What comes to a collector of OpenTelemetry: the path, and the body, whose texts stand in it as they are.
fn collector() -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let (mut path, mut length) = (String::new(), 0);
            for line in (&mut reader).lines() {
                let line = line.unwrap().to_ascii_lowercase();
                if let Some(rest) = line.strip_prefix("post ") {
                    path = rest.split(' ').next().unwrap_or_default().to_owned();
                } else if let Some(rest) = line.strip_prefix("content-length: ") {
                    length = rest.parse().unwrap();
                } else if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
            reader.get_mut().write_all(answer).unwrap();
            if sender.send((path, String::from_utf8_lossy(&body).into_owned())).is_err() {
                return;
            }
        }
    });
    (url, received)
}

#[test]
fn a_server_tells_of_what_it_does() {
    let home = Home::new();
    let (url, received) = collector();
    home.stdout(&["apply", text(&example("triage"))], b"");
    let args =
        ["serve", "--dev", "--listen", "127.0.0.1:0", "--log", "debug", "--log-format", "json"];
    let mut command = home.command(&args);
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    let mut serve = Running::of(command, false);
    let line = serve.until("listening on ");
    let address = line.split(' ').nth(2).unwrap().trim_end_matches(';').to_owned();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let fired = Client::new()
        .post(format!("{address}/stacks/triage"))
        .header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-compute-rid", "r-1")
        .body("{\"subject\":\"Refund\"}")
        .send()
        .unwrap();
    assert_eq!(fired.status(), 200);
    // The request, and what its compute logged, each as a line of JSON.
    let mut lines = [Value::Null, Value::Null];
    while lines.iter().any(Value::is_null) {
        let line: Value = serde_json::from_str(&serve.until("\"target\":")).unwrap();
        match line["target"].as_str() {
            Some("request") if line["route"] == "/stacks/{*stage}" => lines[0] = line,
            Some("guest") => lines[1] = line,
            _ => {}
        }
    }
    let [request, guest] = lines;
    assert_eq!(
        (&request["status"], &request["trace"], &request["tenant"]),
        (&json!(200), &json!(trace), &json!("default"))
    );
    assert_eq!(
        (&guest["tenant"], &guest["rid"], &guest["message"], &guest["level"]),
        (&json!("default"), &json!("r-1"), &json!("a refund ticket of priority 0"), &json!("INFO"))
    );
    // What it has not sent is sent at its end.
    let id = serve.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    assert_eq!(serve.child.wait().unwrap().code(), Some(0));
    let all: BTreeMap<_, String> =
        received.try_iter().fold(BTreeMap::new(), |mut all, (path, body)| {
            *all.entry(path).or_default() += &body;
            all
        });
    for span in ["POST /stacks/{*stage}", "triage/100/classify", "triage/300/answer"] {
        assert!(all["/v1/traces"].contains(span), "no span {span}");
    }
    for metric in ["compute.op.duration", "http.server.request.duration"] {
        assert!(all["/v1/metrics"].contains(metric), "no metric {metric}");
    }
}
