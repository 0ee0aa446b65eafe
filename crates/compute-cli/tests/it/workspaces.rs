//! Workspaces as their authors use them: the examples, going back, missing artifacts, dying, `compute dev`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::running::Running;
use crate::{FIXED, Home, example, say, text, workspace};

/// Every document of an example gives its answer. `COMPUTE_BLESS=1` takes what is given now.
#[test]
fn the_example_workspaces_give_their_answers() {
    let home = Home::new();
    for (name, folder) in [
        ("triage", "triage"),
        ("pricing", "pricing"),
        ("cleaning", "cleaning"),
        // As they are written for the original.
        ("hello-world", "original/hello"),
        ("echo-room", "original/echo"),
        ("support", "original/support"),
        ("price", "original/price"),
    ] {
        let folder = example(folder);
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
            if name == "price" {
                args.extend(["--secret", "PRICE_KEY=k-123456", "--secret", "CURRENCY=EUR-euro"]);
            }
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

#[test]
fn a_version_is_rolled_out_on_this_machine() {
    let home = Home::new();
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    say(&folder, "two");
    home.stdout(&["apply", "--draft", text(&folder)], b"");
    let rollout = |args: &[&str]| {
        let output = home.compute(&[&["stack", "rollout", "shop"], args].concat(), b"");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {told}");
        (String::from_utf8(output.stdout).unwrap(), told)
    };
    let new = || -> Vec<i32> {
        let says_two = |id: &i32| {
            let document = format!("{{\"id\":{id}}}");
            home.stdout(&["fire", "shop", "--input", &document], b"").contains("two")
        };
        (0..12).filter(says_two).collect()
    };
    let (_, told) = rollout(&["2", "--share", "50%", "--by", ".id"]);
    assert_eq!(told, "shop: version 2 answers 50% by .id\n");
    let half = new();
    // Of what is drawn once and for all.
    assert!(!half.is_empty() && half.len() < 12, "{half:?}");
    let shown = rollout(&[]).0;
    assert_eq!(shown, "version 2 answers 50% by .id, version 1 the others\n");
    let json: serde_json::Value = serde_json::from_str(&rollout(&["--json"]).0).unwrap();
    let by = serde_json::json!({ "number": 2, "share": 0.5, "by": ".id", "active": 1 });
    assert_eq!(json, by);
    // What it answers as a shadow, servers count.
    home.stdout(&["stack", "shadow", "shop", "2", "--share", "5%"], b"");
    let (shown, told) = rollout(&[]);
    assert_eq!(shown, "version 2 answers 50% by .id, version 1 the others\n");
    assert!(told.contains("counted by each server: ask one with --server"), "{told}");
    home.stdout(&["stack", "shadow", "shop", "--off"], b"");
    let listed = home.stdout(&["stack", "ls"], b"");
    assert!(listed.trim_end().ends_with("; version 2 answers 50% by .id"), "{listed}");
    let shown = home.stdout(&["stack", "show", "shop"], b"");
    assert!(shown.starts_with("version 2    50%     "), "{shown}");
    assert!(shown.contains("\nversion 2 answers 50% by .id\n"), "{shown}");
    let shown = home.stdout(&["stack", "show", "shop", "--version", "2", "--json"], b"");
    assert!(shown.contains("\"rollout\":{"), "{shown}");
    // The trace says which it was.
    let document = format!("{{\"id\":{}}}", half[0]);
    let fired = home.compute(&["fire", "shop", "--input", &document, "--trace=summary"], b"");
    let told = String::from_utf8_lossy(&fired.stderr).into_owned();
    assert!(told.contains("\nshop@2\n"), "{told}");

    // Raised by the same value, and completed.
    assert_eq!(rollout(&["2", "--share", "100%"]).1, "shop: version 2 answers 100% by .id\n");
    assert_eq!(new().len(), 12);
    assert_eq!(rollout(&["--back"]).1, "version 2 of shop answers none any more\n");
    assert!(new().is_empty());
    let (_, told) = rollout(&["2", "--share", "50%", "--by", "@nonsense"]);
    assert!(told.contains("warning: a server says @web, @src, @rid, @tenant"), "{told}");
    let (_, told) = rollout(&["2", "--share", "50%", "--by", "@web.req.headers.id"]);
    assert!(!told.contains("warning"), "{told}");
    rollout(&["2", "--share", "50%", "--by", ".id"]);
    assert_eq!(new(), half);
    assert_eq!(rollout(&["--complete"]).1, "version 2 of shop is active\n");
    assert_eq!(new().len(), 12);
    // An activation is for all documents, of what is active already, too; one of `apply` says so before.
    rollout(&["1", "--share", "100%", "--by", ".id"]);
    assert!(new().is_empty());
    let activated = home.compute(&["stack", "activate", "shop", "2"], b"");
    assert_eq!(
        String::from_utf8_lossy(&activated.stderr),
        "version 2 of shop is active\nthe rollout has ended of which version 1 answers 100% by .id\n"
    );
    assert_eq!(new().len(), 12);
    rollout(&["1", "--share", "100%", "--by", ".id"]);
    say(&folder, "six");
    let applied = home.compute(&["apply", text(&folder)], b"");
    let told = String::from_utf8_lossy(&applied.stderr).into_owned();
    let ends = "this ends the rollout of shop, of which version 1 answers 100% by .id\n";
    assert!(applied.status.success() && told.contains(ends), "{told}");
    let none = home.compute(&["stack", "rollout", "shop", "--back"], b"");
    assert_eq!(none.status.code(), Some(2));
}

#[test]
fn a_days_work_on_the_command_line() {
    let home = Home::new();
    let work = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| home.compute_in(work.path(), args);
    let out = |args: &[&str]| {
        let output = run(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{args:?}: {words}");
        String::from_utf8(output.stdout).unwrap()
    };
    let made = out(&["init", "OPS/shop/100_TOTAL/total"]);
    let files = ["total.ts", "total.test.json", "total.txcl"];
    let expected: String = files.map(|file| format!("OPS/shop/100_TOTAL/{file}\n")).concat();
    assert_eq!(made, expected + "tsconfig.json\n");
    assert_eq!(run(&["init", "OPS/total"]).status.code(), Some(2));
    let tested = "ok   OPS/shop/100_TOTAL/total.ts > greets by name\n";
    for path in ["OPS/shop/100_TOTAL/total", "OPS/shop/100_TOTAL/total.txcl"] {
        assert_eq!(out(&["test", path]), tested);
    }
    fs::write(work.path().join("OPS/shop/100_TOTAL/done.txcl"), "EMIT .done = true").unwrap();
    let nothing = run(&["test", "OPS/shop/100_TOTAL/done"]);
    let words = String::from_utf8(nothing.stderr).unwrap();
    assert!(words.contains("runs no op beside it"), "{words}");

    assert_eq!(out(&["status"]), "this machine: shop only in the folder\n");
    out(&["apply"]);
    assert_eq!(out(&["status"]), "this machine: shop same, version 1\n");
    fs::remove_file(work.path().join("OPS/shop/100_TOTAL/done.txcl")).unwrap();
    fs::write(work.path().join("OPS/shop/100_TOTAL/new.txcl"), "EMIT .new = true").unwrap();
    assert_eq!(
        out(&["status"]),
        "this machine: shop changed, version 1\n  + 100_TOTAL/new.txcl\n  - 100_TOTAL/done.txcl\n"
    );
    let json: serde_json::Value = serde_json::from_str(&out(&["status", "--json"])).unwrap();
    assert_eq!((&json["status"], &json["active"]), (&"changed".into(), &1.into()));

    let pulled = out(&["pull", "shop@1", "old"]);
    assert_eq!(pulled, "old/OPS/shop/100_TOTAL/done.txcl\nold/OPS/shop/100_TOTAL/total.txcl\n");
    let rule = fs::read_to_string(work.path().join("old/OPS/shop/100_TOTAL/total.txcl")).unwrap();
    assert!(rule.starts_with("EXEC \"compute://sha256/"), "{rule}");
    // What was pulled is what is active; what differs is not written over.
    assert_eq!(out(&["apply", "old"]), "shop 1 unchanged\n");
    fs::write(work.path().join("old/OPS/shop/100_TOTAL/done.txcl"), "EMIT .mine = true").unwrap();
    assert_eq!(run(&["pull", "shop", "old"]).status.code(), Some(2));
    out(&["pull", "shop", "old", "--force"]);
    assert_eq!(run(&["pull", "shop@9"]).status.code(), Some(2));
    assert_eq!(run(&["pull", "shop@x"]).status.code(), Some(2));
}

#[test]
fn the_originals_file_says_where_a_workspace_goes_and_what_is_not_read_is_told() {
    let home = Home::new();
    let work = tempfile::tempdir().unwrap();
    let scope = work.path().join("OPS/s/100");
    fs::create_dir_all(&scope).unwrap();
    fs::write(scope.join("a.txcl"), "EXEC \"op://known\"").unwrap();
    let known = home.stdout(&["put", "tests/cmd/guests/echo.wat"], b"");
    let write = |text: &str| fs::write(work.path().join("txco.yaml"), text).unwrap();
    let words = |args: &[&str]| {
        let output = home.compute_in(work.path(), args);
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    write(&format!(
        "target: prod\nprofile: big\noperatons: {{}}\noperations:\n  known: {{url: 'https://example.com/x', mock: deny}}\n\
         targets:\n  prod: {{url: 'http://127.0.0.1:9', operations: {{known: {{url: '{}'}}}}}}\n  test: {{}}\n",
        known.trim()
    ));
    let (code, told) = words(&["check"]);
    assert_eq!(code, Some(0), "{told}");
    for key in ["`profile`", "`operatons`", "`operations.known.mock`"] {
        assert!(told.contains(&format!("{key} is not read here")), "{told}");
    }
    // It goes where its file says, and not silently to this machine.
    let (code, told) = words(&["apply"]);
    assert!(
        code != Some(0) && told.contains("target is prod") && told.contains("127.0.0.1:9"),
        "{told}"
    );
    // One without a place is none, and a folder that the command names comes before all.
    let (code, told) = words(&["apply", "--target", "test"]);
    assert!(code == Some(2) && told.contains("the target `test` says no place"), "{told}");
    let (_, told) = words(&["apply", "--target", "test", "--state", "here"]);
    assert!(told.contains("rules call no services here"), "{told}");
    let (_, told) = words(&["apply", "--state", "here"]);
    assert!(told.contains("activated s version 1"), "{told}");
    // Keys with nothing below them are as good as none.
    for empty in ["---\n", "operations:\n", "targets:\n  prod:\n", "operations:\n  known:\n"] {
        write(empty);
        let (_, told) = words(&["check"]);
        assert!(!told.contains("expected"), "{empty}: {told}");
    }
    write("operations:\n  known: {url: 'https://example.com/x'}\n");
    fs::write(scope.join("bad.name.txcl"), "").unwrap();
    let output = home.compute_in(work.path(), &["check", "--json"]);
    let json = String::from_utf8(output.stdout).unwrap();
    assert!(
        json.contains("\"code\":\"misplaced-file\"")
            && json.contains("{\"refused_services\":{\"https\":1}}"),
        "{json}"
    );
    fs::remove_file(scope.join("bad.name.txcl")).unwrap();
    write("target: other\n");
    let (code, told) = words(&["apply"]);
    assert!(code == Some(2) && told.contains("there is no target `other`"), "{told}");
}

#[test]
fn rules_answer_with_their_fixtures_where_that_is_allowed() {
    let home = Home::new();
    let work = tempfile::tempdir().unwrap();
    let scope = work.path().join("OPS/s/100_A");
    fs::create_dir_all(scope.join("more")).unwrap();
    let write = |name: &str, text: &str| fs::write(scope.join(name), text).unwrap();
    write("a.txcl", "EXEC \"txco://mock\"");
    write("b.txcl", "EXEC \"op://say\"");
    write(
        "say.js",
        "import { op } from \"@compute/op\";\nexport default op(() => ({ b: \"op\" }));\n",
    );
    write("more/c.txcl", "EMIT .c = \"rule\"");
    let words = |args: &[&str]| {
        let output = home.compute_in(work.path(), args);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, _, told) = words(&["check"]);
    assert!(
        code == Some(1) && told.contains("there is no mock-response.json beside the rule"),
        "{told}"
    );
    write("mock-response.json", "[1]");
    let (code, _, told) = words(&["check"]);
    assert!(code == Some(1) && told.contains("100_A/mock-response.json"), "{told}");
    write("mock-response.json", "{\"a\": \"mock\", \"_txc\": {\"stolen\": 1}}");
    write("b.mock-response.json", "{\"b\": \"mock\"}");
    write("more/mock-response.json", "{\"mocked\": true}");
    words(&["apply"]);
    let fire = |input: &str| words(&["fire", "s", "--trace=off", "--input", input]).1;
    assert_eq!(fire("{}"), "{\"a\":\"mock\",\"b\":\"op\",\"c\":\"rule\"}\n");
    let all = "{\"a\":\"mock\",\"b\":\"mock\",\"mocked\":true,\"c\":\"rule\"}\n";
    assert_eq!(fire("{\"_txc\":{\"mocks\":[\"s/**\"]}}"), all);
    let but_c = "{\"a\":\"mock\",\"b\":\"mock\",\"c\":\"rule\"}\n";
    assert_eq!(fire("{\"_txc\":{\"mocks\":[\"**\",\"!s/100/more_c\"]}}"), but_c);

    // What is pulled has them, and is the same.
    let (code, pulled, _) = words(&["pull", "s", "old"]);
    assert!(code == Some(0) && pulled.contains("100_A/more_c.mock-response.json"), "{pulled}");
    assert_eq!(words(&["apply", "old"]).1, "s 1 unchanged\n");
    let rules: serde_json::Value =
        serde_json::from_str(&words(&["stack", "ls", "--json"]).1).unwrap();
    assert!(rules.to_string().contains("\"active\":1"), "{rules}");

    // A server takes them, and lets callers ask for them only if its operator said so.
    let server = |options: &[&str]| crate::server::serve(&home, options);
    let asked = serde_json::json!({ "_txc": { "mocks": "s/100/b" } });
    for (options, b) in [(vec!["--dev"], "op"), (vec!["--dev", "--allow-mocks"], "mock")] {
        let (_running, url) = server(&options);
        let client = reqwest::blocking::Client::new();
        let answer = client.post(format!("{url}/stacks/s")).json(&asked).send().unwrap();
        assert_eq!(answer.json::<serde_json::Value>().unwrap()["b"], b);
        let web = client.get(format!("{url}/web/s")).header("X-Txco-Mocks", "**, !s/100/a").send();
        assert_eq!(web.unwrap().json::<serde_json::Value>().unwrap()["b"], b);
    }

    // A target may have none.
    fs::write(
        work.path().join("compute.toml"),
        "target = \"prod\"\n[targets.prod]\nmock = \"deny\"\nstate = \"there\"\n[targets.test]\nstate = \"there\"\n",
    )
    .unwrap();
    let (code, _, told) = words(&["apply"]);
    assert!(code == Some(1) && told.contains("this target denies mocks"), "{told}");
    assert_eq!(words(&["apply", "--target", "test"]).1, "s 1 activated\n");
    write("a.txcl", "EMIT .a = \"rule\"");
    assert_eq!(words(&["apply"]).1, "s 2 activated\n");
    let fire =
        |input: &str| words(&["fire", "s", "--trace=off", "--state", "there", "--input", input]).1;
    assert_eq!(
        fire("{\"_txc\":{\"mocks\":\"**\"}}"),
        "{\"a\":\"rule\",\"b\":\"op\",\"c\":\"rule\"}\n"
    );
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
fn what_is_named_and_not_there_is_told_with_who_names_it() {
    let home = Home::new();
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    home.stdout(&["verify"], b"");
    let lost = refs(&home, "1");
    let set = ["schedule", "set", "nightly", "--cron", "0 3 * * *", &lost];
    home.stdout(&set, b"");
    let job = home.stdout(&["job", "submit", &lost, "--after", "1h"], b"");
    let digest = lost.rsplit('/').next().unwrap();
    let stored = home.0.path().join("data/compute/store/computes/sha256");
    fs::remove_file(stored.join(digest)).unwrap();
    fs::remove_file(stored.join(format!("{digest}.json"))).unwrap();

    let expected = format!(
        "{lost} is not there, and is named by version 1 of shop (active), the schedule nightly, the job {}",
        job.trim()
    );
    let (_running, url) = crate::server::serve(&home, &["--dev"]);
    for args in [vec!["verify"], vec!["verify", "--server", &url]] {
        let output = home.compute(&args, b"");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(3) && told.contains(&expected), "{told}");
    }
    for args in [
        vec!["stack", "activate", "shop", "1"],
        vec!["stack", "activate", "shop", "1", "--server", &url],
    ] {
        let output = home.compute(&args, b"");
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{told}");
        assert!(told.contains(&format!("scope 100, rule rule: the store has no {lost}")), "{told}");
    }
    // As in a store that is another one.
    let output = home.compute(&["gc", "--min-age", "0s"], b"");
    let told = String::from_utf8(output.stderr).unwrap();
    let kept = format!("nothing was deleted: version 1 of shop, which is active, names {lost}");
    assert!(output.status.code() == Some(3) && told.contains(&kept), "{told}");
    // Applying brings it back.
    home.stdout(&["apply", text(&folder)], b"");
    home.stdout(&["verify"], b"");
    home.stdout(&["stack", "activate", "shop", "1"], b"");
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

    let fire = || {
        let told = String::from_utf8(home.compute(&["fire", "shop"], b"").stderr).unwrap();
        told.trim().strip_prefix("trace ").unwrap().to_owned()
    };
    let second = fire();
    let follow = Running::start(&home, &["trace", "ls", "--follow", "--last", "1"], true);
    // It has begun once the last is printed, and none of before comes again.
    assert!(follow.until("shop/0").contains(&second));
    let third = fire();
    assert!(follow.until("shop/0").contains(&third), "{third}");
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

#[test]
fn what_cannot_become_active_is_no_shadow_on_this_machine() {
    let home = Home::new();
    let folder = workspace(&home);
    home.stdout(&["apply", text(&folder)], b"");
    say(&folder, "two");
    home.stdout(&["apply", "--draft", text(&folder)], b"");
    let shadow = ["stack", "shadow", "shop", "2", "--share", "5%"];
    let refused = home.compute(&[&shadow[..], &["--store", "memory:"]].concat(), b"");
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("missing_compute_artifact: "), "{told}");
    let none = home.compute(&["stack", "shadow", "shop"], b"");
    assert_eq!(none.status.code(), Some(2));
    home.stdout(&shadow, b"");
    let shown = home.stdout(&["stack", "shadow", "shop"], b"");
    assert_eq!(shown, "version 2 gets 5%\n");
}
