//! Several servers on one PostgreSQL database.

use std::process::{Command, Output};
use std::time::{Duration, Instant};

use compute_postgres::testing::Cluster;
use reqwest::blocking::{Client, Response};

use crate::running::Running;
use crate::{Home, say, text, workspace};

const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";

/// Nodes that share a database and a store, each with a home of its own.
struct Nodes {
    home: Home,
    cluster: Cluster,
    address: String,
}

impl Nodes {
    fn new() -> Self {
        let cluster = Cluster::start();
        let address = cluster.database("one");
        Self { home: Home::new(), cluster, address }
    }

    /// A command of a node, or of somebody at work on the database itself.
    fn command(&self, home: &Home, args: &[&str]) -> Command {
        let mut command = home.command(args);
        command
            .env("COMPUTE_STATE", &self.address)
            .env("COMPUTE_STORE", self.home.0.path().join("store"))
            .env("COMPUTE_SECRET_KEY", KEY);
        command
    }

    fn stdout(&self, args: &[&str]) -> String {
        self.stdout_with(args, b"")
    }

    fn stdout_with(&self, args: &[&str], stdin: &[u8]) -> String {
        let output = self.home.finish(self.command(&self.home, args), stdin);
        assert!(output.status.success(), "{args:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(&self, home: &Home, options: &[&str]) -> (Running, String) {
        let mut args = vec!["serve", "--listen", "127.0.0.1:0"];
        args.extend(options);
        let running = Running::of(self.command(home, &args), false);
        let line = running.until("listening on ");
        let url = line.split(' ').nth(2).unwrap().trim_end_matches(';').to_owned();
        (running, url)
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits for an answer, with time for a machine that does other things.
fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    begun.elapsed()
}

#[test]
fn what_one_node_changes_all_nodes_know() {
    let nodes = Nodes::new();
    let folder = workspace(&nodes.home);
    nodes.stdout(&["apply", text(&folder)]);
    let token = nodes.stdout(&["token", "create", "--scope", "admin"]).trim().to_owned();
    let (homes, client) = ([Home::new(), Home::new()], Client::new());
    let started = homes.each_ref().map(|home| nodes.start(home, &["--stale", "3s"]));
    let urls = started.each_ref().map(|(_, url)| url.as_str());
    let get = |url: &str, path: &str| {
        client.get(format!("{url}{path}")).bearer_auth(&token).send().unwrap()
    };
    let fire_with = |url: &str, token: &str| -> Response {
        let fire = client.post(format!("{url}/stacks/shop")).bearer_auth(token);
        fire.body("{}").send().unwrap()
    };
    let said = |url: &str| fire_with(url, &token).text().unwrap();
    for url in urls {
        assert!(said(url).contains("\"say\":\"one\""), "{}", said(url));
        until("it is ready", || get(url, "/readyz").text().unwrap() == "ready");
    }

    // A version, a token and a secret, by one node.
    say(&folder, "two");
    let elsewhere = Home::new();
    let remote = |args: &[&str]| {
        let mut command = elsewhere.command(args);
        command.env("COMPUTE_SERVER", urls[0]).env("COMPUTE_TOKEN", &token);
        let output = elsewhere.finish(command, b"");
        assert!(output.status.success(), "{args:?}: {}", words(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    remote(&["apply", text(&folder)]);
    assert!(said(urls[0]).contains("two"));
    until("the version is active elsewhere", || said(urls[1]).contains("two"));
    let other = remote(&["token", "create", "--scope", "run"]).trim().to_owned();
    assert_eq!(fire_with(urls[1], &other).status(), 200, "at once");
    let id = other.split('_').nth(1).unwrap();
    remote(&["token", "revoke", id]);
    let took = until("the token ends elsewhere", || fire_with(urls[1], &other).status() == 401);
    assert!(took < Duration::from_secs(1), "{took:?}");
    // A part of the documents, raised, taken back and completed: what one node says, the others do.
    say(&folder, "six");
    remote(&["apply", "--draft", text(&folder)]);
    let by = |url: &str| -> Vec<String> {
        let version = |id: u32| {
            let fire = client.post(format!("{url}/stacks/shop")).bearer_auth(&token);
            let answer = fire.body(format!("{{\"id\":{id}}}")).send().unwrap();
            answer.headers()["x-compute-versions"].to_str().unwrap().to_owned()
        };
        (0..20).map(version).collect()
    };
    let (mut before, rollout) = (by(urls[0]), ["stack", "rollout", "shop"]);
    for step in [
        &["3", "--share", "30%", "--by", ".id"][..],
        &["3", "--share", "70%"],
        &["--back"],
        &["3", "--share", "30%", "--by", ".id"],
        &["--complete"],
    ] {
        remote(&[&rollout, step].concat());
        let now = by(urls[0]);
        assert_ne!(now, before, "{step:?} at once, where it was said");
        until("it is so elsewhere", || by(urls[1]) == now);
        before = now;
    }
    assert!(before.iter().all(|version| version == "shop@3"), "{before:?}");
    // A trace is read where it was not made.
    let traced = client.post(format!("{}/stacks/shop", urls[0])).bearer_auth(&token);
    let traced = traced.header("x-compute-trace", "summary").body("{}").send().unwrap();
    let rid = traced.headers()["x-compute-rid"].to_str().unwrap().to_owned();
    let path = format!("/v1/traces/{rid}");
    until("a trace is read elsewhere", || get(urls[1], &path).status() == 200);
    // What one deletes, none runs, though all have it loaded.
    let echo = remote(&["put", "tests/cmd/guests/echo.wat"]);
    let path = echo.trim().trim_start_matches("compute://");
    let run = |url: &str| {
        let run = client.post(format!("{url}/run/{path}")).bearer_auth(&token);
        run.body("[1]").send().unwrap().status()
    };
    for url in urls {
        assert_eq!(run(url), 200);
    }
    let delete = client.delete(format!("{}/v1/computes/{path}", urls[0])).bearer_auth(&token);
    assert_eq!(delete.send().unwrap().status(), 204);
    assert_eq!(run(urls[0]), 404);
    let took = until("it is gone elsewhere", || run(urls[1]) == 404);
    assert!(took < Duration::from_secs(1), "{took:?}");
    // What is no token costs nobody else anything.
    let wrong = format!("compute_{}_{}", "0".repeat(16), "A".repeat(43));
    assert_eq!(fire_with(urls[1], &wrong).status(), 401);

    // What changed last and was not read yet keeps nobody from going on.
    let put = client.put(format!("{}/v1/secrets/NEW", urls[0])).bearer_auth(&token);
    assert!(put.body(r#"{"value":"x"}"#).send().unwrap().status().is_success());
    std::thread::sleep(Duration::from_millis(300));
    nodes.cluster.crash();
    assert_eq!(fire_with(urls[1], &token).status(), 200);
    until("it says that it is away", || {
        let answer = fire_with(urls[1], &token);
        answer.status() == 200 && answer.headers().contains_key("x-compute-state-away")
    });
    assert!(get(urls[1], "/readyz").text().unwrap().starts_with("ready, with what is known"));
    assert!(get(urls[1], "/metrics").text().unwrap().contains("compute_state_away"));
    let apply = client.put(format!("{}/v1/secrets/KEY", urls[0])).bearer_auth(&token);
    let refused = apply.body(r#"{"value":"x"}"#).send().unwrap();
    assert_eq!(refused.status(), 503, "{}", refused.text().unwrap());
    until("what is known is too old", || fire_with(urls[1], &token).status() == 503);
    assert_eq!(client.get(format!("{}/readyz", urls[1])).send().unwrap().status(), 503);
    nodes.cluster.resume();
    for url in urls {
        until("it is back", || fire_with(url, &token).status() == 200);
    }
}

#[test]
fn state_moves_to_a_database_and_back() {
    let nodes = Nodes::new();
    let folder = workspace(&nodes.home);
    let old = nodes.home.0.path().join("data/compute/state");
    // What was here before there was a database.
    for (args, stdin) in [
        (&["apply", text(&folder)][..], ""),
        (&["token", "create", "--tenant", "acme", "--scope", "run"], ""),
        (&["secret", "set", "KEY"], "value"),
        (&["secret", "set", "KEY", "--tenant", "acme"], "other"),
    ] {
        nodes.home.stdout(args, stdin.as_bytes());
    }
    // Whoever is only asked about is no tenant.
    for args in [
        &["audit", "ls", "--tenant", "ghost"][..],
        &["audit", "verify", "--tenant", "ghost"],
        &["secret", "ls", "--tenant", "ghost"],
        &["secret", "rm", "KEY", "--tenant", "ghost"],
        &["gc", "--dry-run", "--tenant", "ghost"],
    ] {
        nodes.home.compute(args, b"");
        assert!(!old.join("tenants/ghost").exists(), "{args:?}");
    }
    let key = std::fs::read_to_string(old.join("secret.key")).unwrap();
    let copy = |from: &str, to: &str| {
        let mut command = nodes.home.command(&["state", "copy", from, to]);
        // One that was drawn for the nodes, and opens nothing.
        command.env("COMPUTE_SECRET_KEY", KEY);
        nodes.home.finish(command, b"")
    };
    let copied = copy(text(&old), &nodes.address);
    assert!(copied.status.success(), "{}", words(&copied));
    let told = "copied, and the same in both: 2 tenants, 1 versions, 2 secrets, 1 tokens, 0 jobs";
    assert!(words(&copied).contains(told), "{}", words(&copied));
    let back = nodes.home.0.path().join("back");
    let copied = copy(&nodes.address, text(&back));
    assert!(copied.status.success() && words(&copied).contains(told), "{}", words(&copied));

    // With the key of before, the secrets open; with another, nobody begins.
    let with = |key: Option<&str>, args: &[&str]| {
        let mut command = nodes.command(&nodes.home, args);
        match key {
            Some(key) => command.env("COMPUTE_SECRET_KEY", key),
            None => command.env_remove("COMPUTE_SECRET_KEY"),
        };
        nodes.home.finish(command, b"value")
    };
    for args in [&["serve", "--dev", "--listen", "127.0.0.1:0"][..], &["secret", "set", "MORE"]] {
        let refused = with(Some(KEY), args);
        assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
        let told = "is not the one of PostgreSQL's database";
        assert!(words(&refused).contains(told), "{args:?}: {}", words(&refused));
        let refused = with(None, args);
        assert_eq!(refused.status.code(), Some(2), "{}", words(&refused));
        assert!(words(&refused).contains("put it into COMPUTE_SECRET_KEY"), "{}", words(&refused));
    }
    let set = with(Some(key.trim()), &["secret", "set", "MORE"]);
    assert!(set.status.success(), "{}", words(&set));
    // Something else is there now.
    let again = copy(text(&old), &nodes.address);
    assert_eq!(again.status.code(), Some(2), "{}", words(&again));
    let told = "of the tenant default there are not what a copy would have made of these";
    assert!(words(&again).contains(told), "{}", words(&again));
    // Who has lost the key forgets the secrets of all tenants, for which nobody needs it; then a new one is taken.
    let refused = with(Some(KEY), &["secret", "set", "MORE"]);
    let told = "forget all secrets first, which takes no key (`compute secret ls --tenant acme`";
    assert!(words(&refused).contains(told), "{}", words(&refused));
    for (name, tenant) in [("KEY", "acme"), ("KEY", "default"), ("MORE", "default")] {
        let removed = with(None, &["secret", "rm", name, "--tenant", tenant]);
        assert!(removed.status.success(), "{}", words(&removed));
    }
    let set = with(Some(KEY), &["secret", "set", "MORE"]);
    assert!(set.status.success(), "{}", words(&set));
    let refused = with(Some(key.trim()), &["secret", "set", "KEY"]);
    assert!(words(&refused).contains("it opens none of the tenant default"), "{}", words(&refused));
    // Without its key a folder is not served: a new one would open none of the secrets.
    let args = ["serve", "--dev", "--listen", "127.0.0.1:0", "--state", text(&back)];
    let refused = nodes.home.compute(&args, b"");
    assert!(!refused.status.success(), "{}", words(&refused));
    assert!(words(&refused).contains("the key that sealed them is not in"), "{}", words(&refused));
    let same = copy(text(&old), text(&old));
    assert!(words(&same).contains("both are the same folder"), "{}", words(&same));
    // What is no state is left as it is.
    let empty = nodes.home.0.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    for from in ["/nowhere", text(&folder), text(&empty)] {
        let refused = copy(from, text(&back));
        assert_eq!(refused.status.code(), Some(2), "{from}: {}", words(&refused));
        let told = format!("there is no state in {from}");
        assert!(words(&refused).contains(&told), "{}", words(&refused));
    }
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
}

#[test]
fn a_password_is_not_shown_and_a_wrong_address_is_explained() {
    let home = Home::new();
    let address = "postgres://me:hunter2@127.0.0.1:9/d?password=hunter3";
    let shown = home.stdout(&["config", "show", "--state", address], b"");
    assert!(shown.contains("postgres://me:(hidden)@127.0.0.1:9/d?password=(hidden)"), "{shown}");
    for (address, told) in [
        (address, "127.0.0.1:9"),
        ("postgres://me:hunter2@127.0.0.1:9/d?sslmode=prefer", "sslmode=prefer does not protect"),
        ("postgres://me:hunter2@:x/d", "postgres://USER:PASSWORD@HOST:PORT/DATABASE"),
        ("postgress://me:hunter2@h/d", "`postgress://` is no place for a state"),
    ] {
        let output = home.compute(&["stack", "ls", "--state", address], b"");
        let words = words(&output);
        assert!(!output.status.success() && words.contains(told), "{words}");
        assert!(!words.contains("hunter"), "{words}");
    }
}
