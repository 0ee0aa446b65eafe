//! Budgets: what fixtures may take, written down and checked.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::Home;

const FILE: &str = "compute.budget.json";

/// A folder with two ops and their fixtures.
struct Project(Home);

impl Project {
    fn new() -> Self {
        let project = Self(Home::new());
        project.op("count", 1_000);
        project.op("deep/other", 1_000);
        let cases = r#"[{"name":"small","input":{},"output":{"n":1}},{"name":"refused","input":null,"error":"no input"}]"#;
        project.write("count.test.json", cases);
        project.write("deep/other.test.json", r#"[{"name":"only","input":{},"output":{"n":1}}]"#);
        project
    }

    fn folder(&self) -> &Path {
        self.0.0.path()
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// An op that goes round so often.
    fn op(&self, name: &str, rounds: u32) {
        let source = format!(
            "import {{ op }} from \"@compute/op\";\nexport default op(({{ input }}) => {{\n\
             if (input === null) throw new Error(\"no input\");\n\
             let n = 0; for (let i = 0; i < {rounds}; i++) n += i % 3;\n return {{ n: n ? 1 : 0 }};\n}});\n"
        );
        self.write(&format!("{name}.js"), &source);
    }

    fn test(&self, args: &[&str]) -> Output {
        self.0.compute_in(self.folder(), &[&["test"], args].concat())
    }

    fn budgets(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder().join(FILE)).unwrap()).unwrap()
    }

    fn change(&self, change: impl FnOnce(&mut Value)) {
        let mut budgets = self.budgets();
        change(&mut budgets);
        self.write(FILE, &budgets.to_string());
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
fn ends(output: &Output, code: i32, expected: &[&str]) {
    let words = words(output);
    assert_eq!(output.status.code(), Some(code), "{words}");
    for expected in expected {
        assert!(words.contains(expected), "no `{expected}` in: {words}");
    }
}

#[test]
fn a_case_that_takes_more_than_its_budget_fails_with_the_numbers() {
    let project = Project::new();
    ends(&project.test(&["--budget"]), 2, &["there is no compute.budget.json", "--budget-write"]);
    ends(&project.test(&["--budget-write"]), 0, &["wrote compute.budget.json: 3 fixtures"]);
    let written = std::fs::read_to_string(project.folder().join(FILE)).unwrap();
    let budgets = project.budgets();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&budgets), ["fixtures", "tolerance_percent", "version"]);
    assert_eq!(keys(&budgets["fixtures"]), ["count.js", "deep/other.js"]);
    assert_eq!(keys(&budgets["fixtures"]["count.js"]), ["refused", "small"]);
    assert_eq!(budgets["tolerance_percent"], 5);
    let before = budgets["fixtures"]["count.js"]["small"]["fuel"].as_u64().unwrap();
    // It is the same each time, and in whichever order ops are tested.
    ends(&project.test(&["deep", "count", "--budget-write"]), 0, &[]);
    assert_eq!(std::fs::read_to_string(project.folder().join(FILE)).unwrap(), written);
    let within = project.test(&["--budget"]);
    ends(&within, 0, &["3 passed, 0 failed"]);
    assert!(!words(&within).contains("fuel"), "{}", words(&within));

    project.op("count", 2_000);
    let over = project.test(&["--budget", "--junit", "report.xml"]);
    let fuel = format!("fuel {before} → ");
    ends(&over, 1, &["over its budget by more than 5 %", &fuel, "(+", "1 of 3 cases failed"]);
    let lines = String::from_utf8_lossy(&over.stdout).into_owned();
    assert!(lines.contains("FAIL count.js > small") && lines.contains("ok   count.js > refused"));
    let report = std::fs::read_to_string(project.folder().join("report.xml")).unwrap();
    assert!(report.contains("failures=\"1\"") && report.contains(&fuel), "{report}");
    // Without being asked, a test does not look at budgets; and a larger tolerance allows it.
    ends(&project.test(&[]), 0, &[]);
    project.change(|budgets| budgets["tolerance_percent"] = json!(1000));
    ends(&project.test(&["--budget"]), 0, &[]);
    // It is kept when the numbers are written anew.
    ends(&project.test(&["--budget-write"]), 0, &[]);
    let budgets = project.budgets();
    assert_eq!(budgets["tolerance_percent"], 1000);
    assert!(budgets["fixtures"]["count.js"]["small"]["fuel"].as_u64().unwrap() > before);

    // Much less is told, and is no failure.
    project.change(|budgets| budgets["tolerance_percent"] = json!(0.5));
    project.op("count", 1_000);
    ends(&project.test(&["--budget"]), 0, &["less: count.js > small: fuel", "(-"]);
    // So is memory, but not for one page of it.
    let budgets = project.budgets();
    let memory = budgets["fixtures"]["count.js"]["small"]["peak_memory"].as_u64().unwrap();
    let with = |bytes: u64| {
        project.change(|budgets| {
            budgets["fixtures"]["count.js"]["small"]["peak_memory"] = json!(bytes);
        });
        project.test(&["--budget"])
    };
    ends(&with(memory - 65_536), 0, &[]);
    let told = format!("memory {} → {memory} bytes (+", memory - 131_072);
    ends(&with(memory - 131_072), 1, &[&told]);
}

#[test]
fn fixtures_that_are_new_or_gone_are_said() {
    let project = Project::new();
    project.test(&["--budget-write"]);
    let cases = r#"[{"name":"small","input":{},"output":{"n":1}},{"name":"fresh","input":{},"output":{"n":1}}]"#;
    project.write("count.test.json", cases);
    let output = project.test(&["--budget", "count"]);
    ends(
        &output,
        0,
        &["new: count.js > fresh has no budget", "gone: count.js > refused has a budget"],
    );
    // What was not asked for is not gone.
    assert!(!words(&output).contains("other"), "{}", words(&output));
    std::fs::remove_file(project.folder().join("deep/other.test.json")).unwrap();
    assert!(!words(&project.test(&["--budget", "count"])).contains("other"));
    ends(&project.test(&["--budget"]), 0, &["gone: deep/other.js > only"]);
    // Writing a part keeps the rest, as long as it is there.
    project.test(&["--budget-write", "count"]);
    let budgets = project.budgets();
    assert!(budgets["fixtures"]["count.js"]["fresh"].is_object(), "{budgets}");
    assert!(budgets["fixtures"]["count.js"]["refused"].is_null(), "{budgets}");
    assert!(budgets["fixtures"]["deep/other.js"]["only"].is_object(), "{budgets}");
    project.test(&["--budget-write"]);
    assert!(project.budgets()["fixtures"]["deep/other.js"].is_null());
    // What fails has no budget.
    project.write("count.test.json", r#"[{"name":"small","input":{},"output":{"n":2}}]"#);
    let before = project.budgets();
    ends(&project.test(&["--budget-write"]), 1, &["was not written: cases failed"]);
    assert_eq!(project.budgets(), before);
}

#[test]
fn budgets_that_cannot_be_read_are_mistakes() {
    type Change = fn(&mut Value);
    let project = Project::new();
    project.test(&["--budget-write"]);
    let good = project.budgets();
    let changes: [(Change, &str); 5] = [
        (|all| all["version"] = json!(2), "has the version 2, and this compute reads 1"),
        (|all| all["tolerance_percent"] = json!(-1), "between 0 and 1000"),
        (|all| all["more"] = json!(1), "unknown field `more`"),
        (|all| all["fixtures"]["count.js"]["small"]["fuel"] = json!("x"), "invalid type"),
        (|all| *all = json!(null), "compute.budget.json: invalid type"),
    ];
    for (change, expected) in changes {
        project.change(change);
        ends(&project.test(&["--budget"]), 2, &[expected]);
        ends(&project.test(&["--budget-write"]), 2, &[expected]);
        project.write(FILE, &good.to_string());
    }
    let twice =
        r#"[{"name":"a","input":{},"output":{"n":1}},{"name":"a","input":{},"output":{"n":1}}]"#;
    project.write("count.test.json", twice);
    ends(&project.test(&["--budget", "count"]), 2, &["two cases are named `a`"]);
    let elsewhere = project.folder().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let outside = project.0.compute_in(&elsewhere, &["test", "--budget-write", "../deep/other"]);
    ends(&outside, 2, &["is not below this folder"]);
    ends(&project.test(&["--budget", "--update"]), 2, &["cannot be used with"]);
}
