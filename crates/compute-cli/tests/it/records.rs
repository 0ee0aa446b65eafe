//! Records on the command line: what happened becomes something that is repeated, tested and compared.

mod served;
mod unfit;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use crate::{Home, text};

const GREET: &str = "import { op } from \"@compute/op\";\nexport default op(({ input, secrets }: any) => {\n  if (input.name === \"Bob\") throw new Error(\"no Bobs\");\n  return { greeting: `Hello, ${input.name}!`, lucky: Math.random(), at: Date.now(), key: secrets.KEY ?? null };\n});\n";

struct Desk(Home);

impl Desk {
    fn new() -> Self {
        let desk = Self(Home::new());
        desk.write("greet.ts", GREET);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        said(&self.0.compute_in(self.0.0.path(), args))
    }

    /// Records a greeting, whatever comes of it.
    fn greet(&self, name: &str, more: &[&str]) {
        let input = serde_json::json!({ "name": name }).to_string();
        let (_, _, told) =
            self.run(&[&["run", "greet.ts", "--input", &input, "--record", "runs"], more].concat());
        assert!(told.contains("record runs/"), "{told}");
    }
}

fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn records(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|file| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()).collect()
}

#[test]
fn runs_are_repeated_and_compared() {
    let desk = Desk::new();
    for name in ["Ada", "Bob", "Cy"] {
        desk.greet(name, &[]);
    }
    assert_eq!(desk.run(&["replay", "runs"]), (Some(0), "3 of 3 the same\n".into(), String::new()));
    let (_, listed, _) = desk.run(&["record", "ls", "runs", "--status", "trapped"]);
    assert_eq!(listed.lines().count(), 1, "{listed}");

    // Another version answers otherwise where it does, and not where it does not.
    desk.write("other.ts", &GREET.replace("Hello", "Hullo").replace("Bob", "Cy"));
    let (code, out, _) = desk.run(&["replay", "runs", "--against", "other.ts"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.starts_with("0 of 3 the same, 3 differ\n"), "{out}");
    assert!(out.contains("output .greeting: 1 record"), "{out}");
    assert!(out.contains("\"Hello, Ada!\" → \"Hullo, Ada!\" (1)"), "{out}");
    assert!(out.contains("trapped (Error: no Bobs) → ok (1)"), "{out}");
    assert!(out.contains("the first that now fails: "), "{out}");
    let (code, out, _) = desk.run(&["replay", "runs", "--against", "greet.ts", "--json"]);
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &summary["same"]), (Some(0), &3.into()), "{summary}");
    let (code, _, _) = desk.run(&["replay", "runs", "--junit", "report.xml"]);
    assert_eq!(code, Some(0));
    let report = std::fs::read_to_string(desk.path("report.xml")).unwrap();
    assert_eq!(report.matches("<testcase").count(), 3, "{report}");
}

#[test]
fn a_failing_run_becomes_a_fixture_and_the_mended_op_passes() {
    let desk = Desk::new();
    desk.greet("Bob", &["--env", "region=eu"]);
    let record = std::fs::read_dir(desk.path("runs")).unwrap().next().unwrap().unwrap().path();
    let (code, out, told) = desk.run(&["test", "greet", "--from-record", text(&record)]);
    assert_eq!(code, Some(0), "{out}{told}");
    let fixtures = std::fs::read_to_string(desk.path("greet.test.json")).unwrap();
    let cases: Value = serde_json::from_str(&fixtures).unwrap();
    assert_eq!(cases[0]["input"]["name"], "Bob");
    assert_eq!(cases[0]["env"]["region"], "eu");
    assert_eq!(cases[0]["error"], "Error: no Bobs");
    desk.write("greet.ts", &GREET.replace("throw new Error(\"no Bobs\")", "input.name = \"Rob\""));
    assert_eq!(desk.run(&["test", "greet"]).0, Some(1));
    assert_eq!(desk.run(&["test", "greet", "--update"]).0, Some(0));
    assert_eq!(desk.run(&["test", "greet"]).0, Some(0));
}

#[test]
fn bad_records_say_what_is_wrong_and_the_rest_is_read() {
    let desk = Desk::new();
    desk.greet("Ada", &[]);
    let json = records(&desk.path("runs"))[0].to_string();
    let cases = [
        (
            "changed",
            json.replace("\"status\":\"ok\"", "\"status\":\"trapped\""),
            "it was changed after it was written",
        ),
        (
            "other",
            json.replace("Hello, Ada", "Hello, Eve"),
            "the bytes that it keeps of its output are not those",
        ),
        (
            "next",
            json.replace("compute-record/1", "compute-record/2"),
            "this version of compute reads `compute-record/1`",
        ),
        ("torn", json[..json.len() / 2].to_owned(), "it is no record"),
    ];
    for (name, text, expected) in &cases {
        let file = format!("{name}.json");
        desk.write(&file, text);
        let (code, _, told) = desk.run(&["replay", &file]);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(expected), "{name}: {told}");
        desk.write(&format!("runs/{file}"), text);
    }
    // One of them may be what differs.
    let (code, out, told) = desk.run(&["replay", "runs", "--junit", "report.xml"]);
    assert_eq!(code, Some(3), "{told}");
    assert_eq!(out, "1 of 1 the same\n4 records cannot be read\n");
    assert_eq!(told.matches("warning: ").count(), cases.len(), "{told}");
    let report = std::fs::read_to_string(desk.path("report.xml")).unwrap();
    assert!(report.contains("tests=\"5\"") && report.contains("errors=\"4\""), "{report}");
    let (code, out, _) = desk.run(&["replay", "runs", "--json"]);
    let summary: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &summary["same"], &summary["unread"]), (Some(3), &1.into(), &4.into()));
    assert_eq!(desk.run(&["replay", "nowhere"]).0, Some(2));
    // An artifact that is gone.
    std::fs::remove_dir_all(desk.path("data")).unwrap();
    let (code, out, told) = desk.run(&["replay", "runs"]);
    assert_eq!(code, Some(3), "{out}{told}");
    assert!(
        out.contains("1 record cannot be compared") && out.contains("compute://sha256/"),
        "{out}"
    );
}

#[test]
fn secrets_are_in_no_record_and_are_asked_for() {
    let desk = Desk::new();
    desk.greet("Ada", &["--secret", "KEY=hunter2-hunter2"]);
    let record = records(&desk.path("runs"))[0].to_string();
    assert!(!record.contains("hunter2"), "{record}");
    let (code, out, _) = desk.run(&["replay", "runs"]);
    assert_eq!(code, Some(3));
    assert!(out.contains("it had the secret `KEY`, which is not set here"), "{out}");
    let (code, out, _) = desk.run(&["replay", "runs", "--secret", "KEY=other-value"]);
    assert_eq!(code, Some(3));
    assert!(out.contains("the secret `KEY` has another value here"), "{out}");
    let (code, out, _) = desk.run(&["replay", "runs", "--secret", "KEY=hunter2-hunter2"]);
    assert_eq!((code, out.as_str()), (Some(0), "identical\n"));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(desk.path("config/compute/record.key")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
fn what_time_stopped_is_compared_where_it_was_metered() {
    let desk = Desk::new();
    desk.write(
        "loop.ts",
        "import { op } from \"@compute/op\";\nexport default op(() => { while (true); });\n",
    );
    let run = |file: &str, more: &[&str]| {
        desk.run(&[&["run", "loop.ts", "--wall", "200ms", "--record", file], more].concat());
        desk.run(&["replay", file])
    };
    let (code, out, _) = run("plain.json", &[]);
    assert_eq!(code, Some(3));
    assert!(out.contains("it was stopped by its wall limit, and was not metered"), "{out}");
    let (code, out, told) = run("metered.json", &["--fuel", "1000000000000"]);
    assert_eq!((code, out.as_str()), (Some(0), "identical\n"));
    // It is told as it was, whatever stopped it here.
    assert!(told.contains("the wall limit of 200ms was reached"), "{told}");
    assert!(told.contains("[wall-limit]") && !told.contains("fuel"), "{told}");
}

/// A workspace whose one rule prices a document, by this rate.
fn pricing(desk: &Desk, rate: &str) {
    desk.write("shop/compute.toml", "");
    desk.write("shop/OPS/shop/100/price.txcl", "EXEC \"op://price\"\n");
    let op = format!(
        "import {{ op }} from \"@compute/op\";\nexport default op(({{ input }}: any) => ({{ total: input.country === \"lu\" ? input.net * {rate} : input.net * 1.19, paid: input.net > 50 }}));\n"
    );
    desk.write("shop/OPS/shop/100/price.ts", &op);
}

#[test]
fn one_change_among_many_documents_is_found_before_it_is_active() {
    let desk = Desk::new();
    pricing(&desk, "1.17");
    assert_eq!(desk.run(&["apply", "shop"]).0, Some(0));
    for number in 0..40 {
        let country = if number == 17 { "lu" } else { "de" };
        let input = serde_json::json!({ "net": number * 10, "country": country }).to_string();
        let (code, _, told) = desk.run(&["fire", "shop", "--input", &input, "--record", "docs"]);
        assert_eq!(code, Some(0), "{told}");
    }
    assert_eq!(
        desk.run(&["replay", "docs"]),
        (Some(0), "40 of 40 the same\n".into(), String::new())
    );
    // Documents go through the version that they went through, whatever is active now.
    pricing(&desk, "1.16");
    let expect =
        |allowed: &str| desk.run(&["apply", "shop", "--replay", "docs", "--expect", allowed]);
    let (code, out, told) = expect("same");
    assert_eq!(code, Some(1), "{out}{told}");
    assert!(out.contains("39 of 40 the same, 1 differ"), "{out}");
    assert!(out.contains("output .total: 1 record") && out.contains(" → 197.2 (1)"), "{out}");
    assert!(
        told.contains(
            "1 recorded document came out otherwise, and --expect allows 0: nothing was written"
        ),
        "{told}"
    );
    let (code, _, told) = desk.run(&["replay", "docs", "--against", "shop@2"]);
    assert_ne!(code, Some(0), "there is no version 2 yet: {told}");
    assert!(told.contains("version"), "{told}");
    let (code, _, told) = expect("1");
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(desk.run(&["replay", "docs"]).1, "40 of 40 the same\n");
    let (code, out, _) = desk.run(&["replay", "docs", "--against", "shop@2"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.starts_with("39 of 40 the same, 1 differ\n"), "{out}");
    let (code, _, told) = desk.run(&["replay", "docs", "--against", "shop@9"]);
    assert_eq!(code, Some(2), "{told}");
}

#[test]
fn a_replay_that_compares_nothing_promises_nothing() {
    let desk = Desk::new();
    pricing(&desk, "1.17");
    assert_eq!(desk.run(&["apply", "shop"]).0, Some(0));
    desk.greet("Ada", &[]);
    for number in 0..2 {
        let input = serde_json::json!({ "net": number, "country": "de" }).to_string();
        desk.run(&["fire", "shop", "--input", &input, "--record", "docs"]);
    }
    pricing(&desk, "1.16");
    let apply =
        |records: &str| desk.run(&["apply", "shop", "--replay", records, "--expect", "same"]);
    let (code, _, told) = apply("runs");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("no recorded document goes through what changes"), "{told}");
    // One that cannot be read may be the one that differs.
    desk.write("docs/torn.json", "{");
    let (code, _, told) = apply("docs");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("1 record cannot be read"), "{told}");
    std::fs::remove_file(desk.path("docs/torn.json")).unwrap();
    // A version may be kept, to be tried first.
    let (code, out, told) = desk.run(&["apply", "shop", "--draft"]);
    assert_eq!((code, &*out), (Some(0), "shop 2 kept, and not active\n"), "{told}");
    assert!(told.contains("kept shop version 2, which is not active"), "{told}");
    let (code, out, told) = desk.run(&["apply", "shop", "--draft", "--json"]);
    let plan: Value = serde_json::from_str(&out).unwrap();
    let stack = &plan["stacks"][0];
    assert_eq!((code, &stack["active"], &stack["kept"]), (Some(0), &1.into(), &2.into()), "{told}");
    let (code, out, told) = apply("docs");
    assert_eq!(code, Some(0), "{out}{told}");
    assert!(out.contains("2 of 2 the same"), "{out}");
    // A file that is no record is not written over.
    desk.write("input.json", "{\"name\":\"Ada\"}");
    let (code, _, told) =
        desk.run(&["run", "greet.ts", "--input", "@input.json", "--record", "input.json"]);
    assert_eq!(code, Some(2), "{told}");
    assert_eq!(std::fs::read_to_string(desk.path("input.json")).unwrap(), "{\"name\":\"Ada\"}");
}
