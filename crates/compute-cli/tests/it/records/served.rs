//! What a server records, from elsewhere: found, repeated, tested, and compared before a new version is active.

use std::process::Command;

use compute_guests::S3Server;
use serde_json::{Value, json};

use super::{Desk, said};
use crate::Home;
use crate::running::Running;

const TOTAL: &str = "import { op } from \"@compute/op\";\n\nexport default op(({ input }: any) => {\n  const country = input.address.country;\n  return { total: country === \"lu\" ? input.net * 1.17 : input.net * 1.19 };\n});\n";

/// A server on a bucket, and a token for it.
struct Site {
    home: Home,
    s3: S3Server,
    url: String,
    token: String,
    running: Option<Running>,
}

impl Site {
    fn start() -> Self {
        let (home, s3) = (Home::new(), S3Server::start());
        s3.make_bucket("artifacts");
        let token = home.stdout(&["token", "create", "--scope", "admin"], b"").trim().to_owned();
        let mut site = Self { home, s3, url: String::new(), token, running: None };
        site.serve();
        site
    }

    fn serve(&mut self) {
        self.running = None;
        let mut command = self.home.command(&["serve", "--listen", "127.0.0.1:0"]);
        command.env("COMPUTE_STORE", "s3://artifacts/prod").envs(self.s3.variables());
        let running = Running::of(command, false);
        let line = running.until("listening on ");
        self.url = line.split(' ').nth(2).unwrap().trim_end_matches(';').to_owned();
        self.running = Some(running);
    }

    /// A command of somebody elsewhere, who has the token.
    fn run(&self, desk: &Desk, args: &[&str]) -> (Option<i32>, String, String) {
        let mut command: Command = desk.0.command(args);
        command.current_dir(desk.0.0.path());
        command.env("COMPUTE_SERVER", &self.url).env("COMPUTE_TOKEN", &self.token);
        said(&desk.0.finish(command, b""))
    }

    fn ok(&self, desk: &Desk, args: &[&str]) -> String {
        let (code, out, told) = self.run(desk, args);
        assert_eq!(code, Some(0), "{args:?}: {out}{told}");
        out
    }

    /// Sends a document, and gives back the headers of its answer and its body.
    fn send(&self, path: &str, document: &Value) -> (u16, Vec<(String, String)>, String) {
        let client = reqwest::blocking::Client::new();
        let request = client.post(format!("{}{path}", self.url)).bearer_auth(&self.token);
        let answer = request.body(document.to_string()).send().unwrap();
        let headers = answer.headers().iter();
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        (answer.status().as_u16(), headers, answer.text().unwrap())
    }
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(one, _)| one == name).map(|(_, value)| &**value)
}

fn shop(desk: &Desk, op: &str) {
    desk.write("shop/compute.toml", "");
    desk.write("shop/OPS/shop/100/total.txcl", "EXEC \"op://total\"\n");
    desk.write("shop/OPS/shop/100/total.ts", op);
}

#[test]
fn a_failing_document_of_a_server_is_repeated_tested_and_mended_elsewhere() {
    let (site, author) = (Site::start(), Desk::new());
    shop(&author, TOTAL);
    site.ok(&author, &["apply", "shop"]);
    site.ok(&author, &["record", "policy", "failures"]);
    assert_eq!(site.ok(&author, &["record", "policy"]), "all       failures, with bytes\n");
    let document = |number: usize| json!({ "net": number, "address": { "country": "de" } });
    for number in 0..10 {
        let (status, headers, _) = site.send("/stacks/shop", &document(number));
        assert_eq!((status, header(&headers, "x-compute-record")), (200, None));
    }
    let (status, headers, body) = site.send("/stacks/shop", &json!({ "net": 5 }));
    assert_eq!(status, 422, "{body}");
    let id = header(&headers, "x-compute-record").unwrap().to_owned();
    let rid = header(&headers, "x-compute-rid").unwrap().to_owned();

    // On another machine, with nothing on it.
    let other = Desk::new();
    let listed = site.ok(&other, &["record", "ls", "--status", "failed"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with(&id[..12]) && listed.contains(&rid), "{listed}");
    let shown = site.ok(&other, &["record", "show", &id[..12]]);
    assert!(shown.contains("step     shop/100/total"), "{shown}");
    // The trace names the record, and the record the trace.
    let trace: Value =
        serde_json::from_str(&site.ok(&other, &["trace", "show", &rid, "--json"])).unwrap();
    assert_eq!(trace["record"], id);
    for name in [&id[..12], &*rid] {
        let (code, out, told) = site.run(&other, &["replay", name]);
        assert_eq!((code, &*out), (Some(0), "identical\n"), "{told}");
        assert!(told.contains("total.ts:4:"), "{told}");
        assert!(told.contains("const country = input.address.country;"), "{told}");
    }
    assert_eq!(site.run(&other, &["replay", "ffffffffffff"]).0, Some(2));

    // It becomes a fixture; the op is mended; its test passes.
    shop(&other, TOTAL);
    let op = "shop/OPS/shop/100/total.ts";
    site.ok(&other, &["test", op, "--from-record", &id[..12]]);
    let mended = TOTAL.replace("input.address.country", "input.address?.country ?? \"de\"");
    shop(&other, &mended);
    assert_eq!(site.run(&other, &["test", op]).0, Some(1));
    site.ok(&other, &["test", op, "--update"]);
    site.ok(&other, &["test", op]);

    // Nothing but failures changes: what the server answers well is recorded, too, for a while.
    site.ok(&author, &["record", "policy", "all", "--stack", "shop"]);
    for number in 0..20 {
        let (status, headers, _) = site.send("/stacks/shop", &document(number));
        assert_eq!(status, 200);
        assert!(header(&headers, "x-compute-record").is_some());
    }
    let apply =
        |expect| site.run(&other, &["apply", "shop", "--replay", "recorded", "--expect", expect]);
    let (code, out, told) = apply("same");
    assert_eq!(code, Some(1), "{out}{told}");
    assert!(out.contains("20 of 21 the same, 1 differ"), "{out}{told}");
    assert!(out.contains(" → ok (1)"), "{out}");
    // What is to be otherwise may be written down, and is then expected.
    site.ok(&other, &["apply", "shop", "--replay", "recorded", "--expect-write", "expected.json"]);
    let written = std::fs::read_to_string(other.path("expected.json")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), json!({ "status": 1 }));
    other.write("none.json", "{}");
    let (code, _, told) = apply("none.json");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("status is otherwise in 1 recorded document, and none.json allows 0"),
        "{told}"
    );
    assert!(apply("nowhere.json").2.contains("--expect-write"));
    let (code, out, told) = apply("expected.json");
    assert_eq!(code, Some(0), "{out}{told}");
    assert_eq!(site.send("/stacks/shop", &json!({ "net": 100 })).0, 200);
    // Through the version that they went through, all is as it was; through the new one, it is not.
    let (code, out, _) = site.run(&other, &["replay", "--stack", "shop"]);
    assert_eq!((code, &*out), (Some(0), "22 of 22 the same\n"));
    let (code, out, _) = site.run(&other, &["replay", "--against", "shop@2", "--last", "50"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.starts_with("21 of 22 the same, 1 differ\n"), "{out}");
}

#[test]
fn one_change_among_a_thousand_documents_of_a_server_is_found() {
    let (mut site, author) = (Site::start(), Desk::new());
    shop(&author, TOTAL);
    site.ok(&author, &["apply", "shop"]);
    site.ok(&author, &["record", "policy", "all"]);
    for number in 0..1000 {
        let country = if number == 617 { "lu" } else { "de" };
        let document = json!({ "net": number, "address": { "country": country } });
        let (status, headers, _) = site.send("/stacks/shop", &document);
        assert_eq!(status, 200);
        assert!(header(&headers, "x-compute-record").is_some());
    }
    // They are there after the server was killed.
    site.ok(&author, &["record", "ls", "--last", "1"]);
    site.serve();
    let (code, out, told) = site.run(&author, &["replay"]);
    assert_eq!((code, &*out), (Some(0), "1000 of 1000 the same\n"), "{told}");
    shop(&author, &TOTAL.replace("1.17", "1.16"));
    let expect = ["apply", "shop", "--replay", "recorded", "--expect", "same"];
    let (code, out, told) = site.run(&author, &expect);
    assert_eq!(code, Some(1), "{out}{told}");
    assert!(out.contains("999 of 1000 the same, 1 differ"), "{out}");
    assert!(out.contains("output .total: 1 record"), "{out}");
    // What is recorded of a stack goes before what is recorded of all.
    site.ok(&author, &["record", "policy", "off", "--stack", "shop"]);
    let document = json!({ "net": 1, "address": { "country": "de" } });
    assert_eq!(header(&site.send("/stacks/shop", &document).1, "x-compute-record"), None);
    let (code, _, told) = site.run(&author, &["record", "policy", "all", "--stack", "nowhere"]);
    assert_eq!(code, Some(2), "{told}");
}

#[test]
fn a_shadow_answers_nobody_and_tells_what_it_would_answer_otherwise() {
    let (site, author) = (Site::start(), Desk::new());
    shop(&author, TOTAL);
    site.ok(&author, &["apply", "shop"]);
    shop(&author, &TOTAL.replace("1.17", "1.16"));
    site.ok(&author, &["apply", "shop"]);
    site.ok(&author, &["stack", "activate", "shop", "1"]);
    // A secret that it would answer is told to nobody.
    shop(
        &author,
        &TOTAL
            .replace("({ input }: any)", "({ input, secrets }: any)")
            .replace("{ total:", "{ key: secrets.KEY, [secrets.KEY]: 1, total:"),
    );
    author.write("shop/OPS/shop/100/total.txcl", "WITH secrets = \"KEY\"\nEXEC \"op://total\"\n");
    let mut command = author.0.command(&["secret", "set", "KEY"]);
    command.env("COMPUTE_SERVER", &site.url).env("COMPUTE_TOKEN", &site.token);
    assert_eq!(said(&author.0.finish(command, b"hunter2-hunter2")).0, Some(0));
    site.ok(&author, &["apply", "shop", "--draft"]);
    site.ok(&author, &["stack", "shadow", "shop", "3", "--share", "1"]);
    let one = json!({ "net": 100, "address": { "country": "de" } });
    let counted = |count: u64| {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        loop {
            let report = site.ok(&author, &["stack", "shadow", "shop", "--json"]);
            let seen: Value = serde_json::from_str(&report).unwrap();
            let number = |name: &str| seen[name].as_u64().unwrap();
            if number("documents") + number("skipped") >= count {
                return report;
            }
            assert!(std::time::Instant::now() < deadline, "{report}");
        }
    };
    assert_eq!(site.send("/stacks/shop", &one).0, 200);
    let report = counted(1);
    assert!(report.contains("[redacted]") && !report.contains("hunter2"), "{report}");
    let (code, _, told) = site.run(&author, &["stack", "shadow", "shop", "--off"]);
    assert_eq!(code, Some(0), "{told}");
    let (code, _, told) = site.run(&author, &["stack", "shadow", "shop"]);
    assert!(code == Some(2) && told.contains("has no shadow"), "{told}");
    let (code, _, told) = site.run(&author, &["stack", "shadow", "shop", "1", "--share", "5%"]);
    assert!(code == Some(2) && told.contains("is the active one"), "{told}");
    let (code, _, told) = site.run(&author, &["stack", "shadow", "shop", "9", "--share", "5%"]);
    assert!(code == Some(2) && told.contains("has no version 9"), "{told}");
    let (code, _, told) = site.run(&author, &["stack", "shadow", "shop", "2", "--share", "0%"]);
    assert!(code == Some(2) && told.contains("is no share"), "{told}");
    site.ok(&author, &["stack", "shadow", "shop", "2", "--share", "100%"]);
    for number in 0..20 {
        let country = if number % 5 == 0 { "lu" } else { "de" };
        let document = json!({ "net": 100, "address": { "country": country } });
        let (status, _, body) = site.send("/stacks/shop", &document);
        let answer: Value = serde_json::from_str(&body).unwrap();
        let total = if country == "lu" { 117.0 } else { 119.0 };
        assert_eq!((status, answer["total"].as_f64()), (200, Some(total)), "{body}");
        counted(number + 1);
    }
    // It runs after the answer, where a place is free.
    let seen: Value = serde_json::from_str(&counted(20)).unwrap();
    let number = |report: &Value, name: &str| report[name].as_u64().unwrap();
    assert_eq!(number(&seen, "incomparable"), 0, "{seen}");
    assert!(number(&seen, "different") >= 1 && number(&seen, "same") >= 1, "{seen}");
    assert_eq!(seen["groups"][0]["place"], "output .total", "{seen}");
    assert_eq!(seen["groups"][0]["ways"][0]["before"], "117", "{seen}");
    let after = seen["groups"][0]["ways"][0]["after"].as_str().unwrap();
    assert!(after.starts_with("115.99"), "{seen}");
    let shown = site.ok(&author, &["stack", "shadow", "shop"]);
    assert!(shown.starts_with("version 2 gets 100%: "), "{shown}");
    site.ok(&author, &["stack", "shadow", "shop", "--off"]);
    assert_eq!(site.run(&author, &["stack", "shadow", "shop"]).0, Some(2));
}

#[test]
fn a_shadow_decides_a_rollout_and_records_repeat_what_each_document_got() {
    let (site, author) = (Site::start(), Desk::new());
    shop(&author, TOTAL);
    site.ok(&author, &["apply", "shop"]);
    site.ok(&author, &["record", "policy", "all"]);
    shop(&author, &TOTAL.replace("1.17", "1.16"));
    site.ok(&author, &["apply", "shop", "--draft"]);
    site.ok(&author, &["stack", "shadow", "shop", "2", "--share", "100%"]);
    let send = |net: u64| {
        let document = json!({ "net": net, "address": { "country": "lu" } });
        let (status, headers, body) = site.send("/stacks/shop", &document);
        assert_eq!(status, 200, "{body}");
        let record = header(&headers, "x-compute-record").unwrap().to_owned();
        (header(&headers, "x-compute-versions").unwrap().to_owned(), record)
    };
    assert_eq!(send(100).0, "shop@1");
    site.ok(&author, &["stack", "rollout", "shop", "2", "--share", "50%", "--by", ".net"]);
    let answers: Vec<_> = (1..=20).map(send).collect();
    let by = |version: &str| answers.iter().filter(|(one, _)| one == version).count();
    assert!(by("shop@1") > 0 && by("shop@2") > 0, "{answers:?}");
    assert_eq!(by("shop@1") + by("shop@2"), 20, "{answers:?}");
    let shown = site.ok(&author, &["stack", "rollout", "shop"]);
    let begins = "version 2 answers 50% by .net, version 1 the others\nas the shadow of the active version, on documents that it does not answer:\nversion 2 gets 100%: ";
    assert!(shown.starts_with(begins), "{shown}");
    let report = site.ok(&author, &["stack", "rollout", "shop", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let counted = |name: &str| report["shadow"][name].as_u64().unwrap() as usize;
    assert!(counted("documents") + counted("skipped") <= 1 + by("shop@1"), "{report}");

    // Whatever became of the rollout, a record repeats what its document got.
    site.ok(&author, &["stack", "rollout", "shop", "--back"]);
    for version in ["shop@1", "shop@2"] {
        let (_, record) = answers.iter().find(|(one, _)| one == version).unwrap();
        assert_eq!(site.ok(&author, &["replay", record]), "identical\n", "{version}");
        let (code, out, _) = site.run(&author, &["replay", record, "--against", version]);
        assert_eq!(code, Some(0), "{version}: {out}");
        let other = if version == "shop@1" { "shop@2" } else { "shop@1" };
        let (code, out, _) = site.run(&author, &["replay", record, "--against", other]);
        assert_eq!(code, Some(1), "{other}: {out}");
    }
}

#[test]
fn runs_of_a_server_are_recorded_and_no_secret_is_in_any() {
    let (site, author) = (Site::start(), Desk::new());
    let reference = site.ok(&author, &["put", "greet.ts"]).trim().to_owned();
    site.ok(&author, &["record", "policy", "all"]);
    let path = format!("/run/{}", reference.trim_start_matches("compute://"));
    let (status, headers, _) = site.send(&path, &json!({ "name": "Ada" }));
    assert_eq!(status, 200);
    let id = header(&headers, "x-compute-record").unwrap();
    assert_eq!(site.run(&author, &["replay", id]).1, "identical\n");
    let body = json!({ "ref": reference, "rid": "for hunter2-hunter2", "input": { "name": "Ada" }, "secrets": { "KEY": "hunter2-hunter2" } });
    let (status, _, answer) = site.send("/v1/run", &body);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let record =
        site.ok(&author, &["record", "show", answer["record"].as_str().unwrap(), "--json"]);
    assert!(!record.contains("hunter2"), "{record}");
    // The op may have seen it.
    let id_of_run = answer["record"].as_str().unwrap();
    let secret = ["replay", id_of_run, "--secret", "KEY=hunter2-hunter2"];
    let (code, out, _) = site.run(&author, &secret);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.contains("its request's id held a secret"), "{out}");
    let by_tenant: Value = serde_json::from_str(&record).unwrap();
    assert_eq!(by_tenant["by"], "default");
    // What is no name of a secret is none here either.
    for name in ["", "a\0b", "a b", &"x".repeat(129)] {
        let body = json!({ "ref": reference, "secrets": { name: "value" } });
        let (status, _, answer) = site.send("/v1/run", &body);
        assert!(status == 400 && answer.contains("invalid_name"), "{name:?}: {answer}");
    }
    // Without its bytes it says how they are kept.
    site.ok(&author, &["record", "policy", "all", "--keep", "digests"]);
    let (_, headers, _) = site.send(&path, &json!({ "name": "Ada" }));
    let (code, out, _) =
        site.run(&author, &["replay", header(&headers, "x-compute-record").unwrap()]);
    assert_eq!(code, Some(3), "{out}");
    assert!(out.contains("`compute record policy all --keep bytes`"), "{out}");
    site.ok(&author, &["record", "policy", "all"]);
    // A document whose request is named after a secret of the tenant.
    shop(&author, TOTAL);
    site.ok(&author, &["apply", "shop"]);
    let mut command = author.0.command(&["secret", "set", "API_KEY"]);
    command.env("COMPUTE_SERVER", &site.url).env("COMPUTE_TOKEN", &site.token);
    assert_eq!(said(&author.0.finish(command, b"tenant-wide-secret")).0, Some(0));
    let client = reqwest::blocking::Client::new();
    let request = client.post(format!("{}/stacks/shop", site.url)).bearer_auth(&site.token);
    let request = request.header("x-compute-rid", "tenant-wide-secret");
    let document = json!({ "net": 1, "address": { "country": "de" } }).to_string();
    let answer = request.body(document).send().unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let id_of_document = answer.headers()["x-compute-record"].to_str().unwrap();
    let record = site.ok(&author, &["record", "show", id_of_document, "--json"]);
    assert!(record.contains("[redacted]") && !record.contains("tenant-wide"), "{record}");
    // Another tenant sees none of them.
    let token = site.home.stdout(&["token", "create", "--tenant", "acme", "--scope", "admin"], b"");
    let client = reqwest::blocking::Client::new();
    for path in
        ["/v1/records".to_owned(), format!("/v1/records/{id}"), "/v1/records/export".to_owned()]
    {
        let answer =
            client.get(format!("{}{path}", site.url)).bearer_auth(token.trim()).send().unwrap();
        let (status, body) = (answer.status().as_u16(), answer.text().unwrap());
        assert!(!body.contains(id) || status == 404, "{path}: {body}");
        assert!(!body.contains("compute-record/1"), "{path}: {body}");
    }
    // A folder that others may not read.
    let folder = site.home.0.path().join("data/compute/state/records");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(folder).unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn old_records_of_a_tenant_that_asks_for_nothing_go_after_a_restart() {
    let mut site = Site::start();
    let folder = site.home.0.path().join("data/compute/state/tenants/acme/records");
    std::fs::create_dir_all(&folder).unwrap();
    let [old, new] = [1, 2].map(|number| folder.join(format!("{number:016}.records")));
    let write = |path: &std::path::Path, days: u64| {
        std::fs::write(path, "").unwrap();
        let then = std::time::SystemTime::now() - std::time::Duration::from_hours(24 * days);
        std::fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
    };
    write(&old, 30);
    write(&new, 1);
    site.serve();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while old.exists() {
        assert!(std::time::Instant::now() < deadline, "it is still there");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(new.exists());
}

#[test]
fn what_gives_the_same_for_the_same_is_run_once_where_a_rule_or_a_caller_says_so() {
    let (site, author) = (Site::start(), Desk::new());
    shop(&author, TOTAL);
    author.write("shop/OPS/shop/100/total.txcl", "WITH cache = true\nEXEC \"op://total\"\n");
    author.write("shop/OPS/shop/200/lucky.txcl", "WITH cache = true\nEXEC \"op://lucky\"\n");
    author.write(
        "shop/OPS/shop/200/lucky.ts",
        "import { op } from \"@compute/op\";\nexport default op(({ input }: any) => ({ lucky: Math.random(), saw: Object.keys(input), txc: Object.keys(input._txc) }));\n",
    );
    site.ok(&author, &["apply", "shop"]);
    site.ok(&author, &["record", "policy", "all"]);
    let document = json!({ "net": 100, "address": { "country": "de" } });
    let mut lucky = Vec::new();
    for number in 0..3 {
        let (status, headers, body) = site.send("/stacks/shop", &document);
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["total"], 119);
        // What differs from document to document the compute does not see.
        assert_eq!(answer["saw"], json!(["net", "address", "_txc", "total"]), "{body}");
        assert_eq!(answer["txc"], json!(["op", "step"]), "{body}");
        lucky.push(answer["lucky"].clone());
        let rid = header(&headers, "x-compute-rid").unwrap();
        let trace: Value =
            serde_json::from_str(&site.ok(&author, &["trace", "show", rid, "--json"])).unwrap();
        let cached = |step: usize| trace["steps"][step]["metrics"]["cached"] == true;
        assert_eq!((cached(0), cached(1)), (number > 0, false), "{trace}");
        let id = header(&headers, "x-compute-record").unwrap();
        // It is run again all the same.
        assert_eq!(site.run(&author, &["replay", id]).1, "identical\n");
    }
    assert!(lucky[0] != lucky[1] && lucky[1] != lucky[2], "{lucky:?}");

    author.write("twice.ts", "import { op } from \"@compute/op\";\nexport default op(({ input }: any) => ({ twice: input.n * 2 }));\n");
    let reference = site.ok(&author, &["put", "twice.ts"]);
    let path = format!("{}/run/{}", site.url, reference.trim().trim_start_matches("compute://"));
    let client = reqwest::blocking::Client::new();
    let mut cached = Vec::new();
    for asked in ["true", "true", "false"] {
        let request = client.post(&path).bearer_auth(&site.token).header("x-compute-cache", asked);
        let answer = request.header("x-compute-rid", "r-1").body("{\"n\":4}").send().unwrap();
        cached.push(answer.headers().contains_key("x-compute-cached"));
        assert_eq!(answer.text().unwrap(), "{\"twice\":8}");
    }
    assert_eq!(cached, [false, true, false]);
    let metrics = client.get(format!("{}/metrics", site.url)).bearer_auth(&site.token).send();
    let metrics = metrics.unwrap().text().unwrap();
    assert!(metrics.contains("compute_results_hits 3"), "{metrics}");
    assert!(metrics.contains("compute_records_lost 0"), "{metrics}");
}
