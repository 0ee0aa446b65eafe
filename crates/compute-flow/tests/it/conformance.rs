//! The contract's §4 to §6, as tables: `conformance/*.json` hold what is done and what must come of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use compute::Seed;
use compute_flow::{Answer, Processor, Request, Snapshot, Stack};
use compute_state::{File, StackName};
use serde::Deserialize;
use serde_json::{Value, json};
use txcl::Context;

use crate::runner::TestRunner;

pub(crate) fn cases<T: for<'de> Deserialize<'de>>(name: &str) -> Vec<T> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name);
    serde_json::from_slice(&std::fs::read(file).unwrap())
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The stacks of `stack/scope/name` → rule.
pub(crate) fn snapshot(files: &BTreeMap<String, String>) -> Snapshot {
    let mut stacks: BTreeMap<StackName, Vec<File>> = BTreeMap::new();
    for (path, text) in files {
        let (scope, name) = path.rsplit_once('/').unwrap();
        let (stack, scope) = scope.rsplit_once('/').unwrap();
        let file = File::new(format!("{scope}/{name}.txcl"), text);
        stacks.entry(stack.parse().unwrap()).or_default().push(file);
    }
    let compile = |(name, files): (StackName, Vec<File>)| {
        Stack::compile(name, &files).unwrap_or_else(|wrong| panic!("{}", wrong[0]))
    };
    stacks.into_iter().map(compile).collect()
}

pub(crate) fn request(stage: &str, input: &Value) -> Request {
    let input = if input.is_null() { Vec::new() } else { serde_json::to_vec(input).unwrap() };
    let mut request = Request::new(stage.parse().unwrap(), input);
    request.now = SystemTime::UNIX_EPOCH;
    request.seed = Seed::new([7; 32]);
    request.rid = Some("r-1".into());
    request.secrets = Arc::new([("KEY".to_owned(), "s3cret".to_owned())].into());
    request
}

fn process(files: &BTreeMap<String, String>, stage: &str, input: &Value) -> Answer {
    Processor::new(Arc::new(TestRunner)).process(&snapshot(files), &request(stage, input))
}

/// What is wrong with the cases of a table, all of it.
#[derive(Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn unless(&mut self, right: bool, told: impl FnOnce() -> String) {
        if !right {
            self.0.push(told());
        }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        assert!(
            self.0.is_empty() || std::thread::panicking(),
            "{} cases\n{}",
            self.0.len(),
            self.0.join("\n")
        );
    }
}

fn one(rule: &str) -> BTreeMap<String, String> {
    [("t/1/r".to_owned(), rule.to_owned())].into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    when: String,
    input: Value,
    holds: bool,
}

#[test]
fn conditions() {
    let mut wrong = Wrong::default();
    for When { when, input, holds } in cases("when.json") {
        let rule = format!("WHEN {when}\nEMIT .hit = true");
        let parsed = txcl::parse(&rule);
        wrong.unless(parsed.is_ok(), || format!("{when}: {:?}", parsed.diagnostics));
        let program = txcl::Program::new(&parsed.rule);
        let matches = program.matches(&input, &mut Context::default());
        wrong.unless(matches == holds, || format!("{when} on {input}: {matches}"));
        // Printed, it means the same.
        let again = txcl::parse(&parsed.rule.to_string());
        let again = txcl::Program::new(&again.rule).matches(&input, &mut Context::default());
        wrong.unless(again == matches, || format!("{when} on {input}, printed: {again}"));
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    value: String,
    #[serde(default)]
    input: Value,
    #[serde(default)]
    gives: Value,
    fails: Option<String>,
}

#[test]
fn functions() {
    let mut wrong = Wrong::default();
    let mut called = std::collections::BTreeSet::new();
    for Call { value, input, gives, fails } in cases("functions.json") {
        let parsed = txcl::parse(&format!("EMIT .out = {value}"));
        called.extend(value.split('&').filter_map(|call| Some(call.split_once('(')?.0.to_owned())));
        let mut response = json!({});
        // What can be seen in the text is told there.
        let result = match parsed.diagnostics.first() {
            Some(told) => Err(told.message.clone()),
            None => txcl::Program::new(&parsed.rule)
                .emit(&input, &mut response, &mut Context::default())
                .map_err(|error| error.message),
        };
        match (result, fails) {
            (Ok(()), None) => {
                wrong.unless(response["out"] == gives, || format!("{value}: {response}"));
            }
            (Err(error), Some(fails)) => {
                wrong.unless(error.contains(&fails), || format!("{value}: {error}"));
            }
            (result, _) => {
                wrong.unless(false, || format!("{value} on {input}: {result:?}, {response}"));
            }
        }
    }
    for function in txcl::functions() {
        assert!(called.contains(function.name), "no case calls &{}", function.name);
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parse {
    rule: String,
    codes: Vec<String>,
}

#[test]
fn mistakes() {
    let mut wrong = Wrong::default();
    for Parse { rule, codes } in cases("parse.json") {
        let diagnostics = txcl::parse(&rule).diagnostics;
        let told: Vec<_> = diagnostics.iter().map(|one| one.code.name()).collect();
        wrong.unless(told == codes, || format!("{rule}: {diagnostics:?}"));
    }
    let long = txcl::parse(&"#".repeat(txcl::MAX_SOURCE + 1)).diagnostics;
    assert_eq!(long[0].code.name(), "too-long");
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: String,
    rule: String,
    input: Value,
    #[serde(default)]
    output: Value,
    fails: Option<String>,
}

#[test]
fn rules() {
    let mut wrong = Wrong::default();
    for Rule { name, rule, input, output, fails } in cases("rules.json") {
        let answer = process(&one(&rule), "t/0", &input);
        match (answer.result, fails) {
            (Ok(given), None) => {
                wrong.unless(given == output, || format!("{name}: {rule}: {given}"));
            }
            (Err(failure), Some(code)) => {
                wrong.unless(failure.reason.code() == code, || format!("{name}: {failure}"));
            }
            (result, fails) => wrong.unless(false, || {
                format!("{name}: {result:?}, and should be {output} or {fails:?}")
            }),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Flow {
    name: String,
    files: BTreeMap<String, String>,
    input: Value,
    stage: Option<String>,
    output: Option<Value>,
    #[serde(default)]
    output_matches: BTreeMap<String, String>,
    fails: Option<OneOf>,
    warnings: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOf {
    One(String),
    Any(Vec<String>),
}

#[test]
fn flows() {
    let mut wrong = Wrong::default();
    for case in cases::<Flow>("flow.json") {
        let name = &case.name;
        let answer = process(&case.files, case.stage.as_deref().unwrap_or("s/0"), &case.input);
        if let Some(warnings) = case.warnings {
            let right = answer.warnings.len() == warnings;
            wrong.unless(right, || format!("{name}: {:?}", answer.warnings));
        }
        match (&answer.result, &case.fails) {
            (Ok(given), None) => {
                if let Some(output) = &case.output {
                    wrong.unless(given == output, || format!("{name}: {given}"));
                }
                for (key, pattern) in &case.output_matches {
                    let text = given[key].as_str().unwrap_or_default();
                    wrong.unless(text.starts_with(&pattern[1..]), || format!("{name}: {given}"));
                }
            }
            (Err(failure), Some(OneOf::One(code))) => {
                wrong.unless(failure.reason.code() == code, || format!("{name}: {failure}"));
            }
            (Err(failure), Some(OneOf::Any(codes))) => {
                let right = codes.iter().any(|code| code == failure.reason.code());
                wrong.unless(right, || format!("{name}: {failure}"));
            }
            (result, fails) => {
                wrong.unless(false, || format!("{name}: {result:?}, and should be {fails:?}"));
            }
        }
    }
}
