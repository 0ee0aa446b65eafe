//! What the original answers: cases that were made by running it, each with its rules, document and real answer.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use compute::{BoxFuture, Error, Limits, Metrics, Outcome, Ref, RunOptions, Runner, Seed};
use compute_flow::{Processor, Request, Snapshot, Stack};
use compute_state::{File, StackName};
use serde::Deserialize;
use serde_json::{Value, json};

/// When the cases were made: the clock shows in some of them.
const MADE: u64 = 1_795_612_749;

/// Cases that are answered otherwise here, by their lines in the file, and why.
const DEPARTURES: &[(usize, &str)] = &[
    (44, INTEGERS),
    (83, INTEGERS),
    (84, INTEGERS),
    (111, INTEGERS),
    (186, "a function that there is not is found by `check`, and not when a document comes"),
    (195, "a path that ends with a dot is told to its author"),
    (231, MERGE),
    (233, MERGE),
    (
        261,
        "the original does not find an address by this regular expression, and it is not known why",
    ),
    (360, MERGE),
    (361, MERGE),
    (367, INTEGERS),
    (373, NO_OBJECT),
    (374, NO_OBJECT),
    (375, NO_OBJECT),
    (376, NO_OBJECT),
    (381, MERGE),
    (420, "how many scopes are left is not told to rules"),
    (427, CALLERS),
    (428, CALLERS),
    (429, CALLERS),
    (431, CALLERS),
    (432, CALLERS),
    (438, "a document for a stack that there is not is a mistake of its sender, who is told"),
    (448, "ours: every rule of the highest priority runs, as documented"),
    (451, "ours: answers are merged in the order of the rules' names"),
    (460, NO_DOCUMENT),
    (461, NO_DOCUMENT),
    (462, NO_DOCUMENT),
    (463, NO_DOCUMENT),
    (464, NO_DOCUMENT),
    (465, NO_DOCUMENT),
];

const INTEGERS: &str = "ours: integers stay integers";
const MERGE: &str = "ours: a type change takes the new value, at every depth alike";
const NO_OBJECT: &str = "ours: an op whose output is not an object fails";
const NO_DOCUMENT: &str = "a document that is no object is a mistake of its sender, who is told";
const CALLERS: &str = "what a caller writes below `_txc` does not steer the processor";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    group: String,
    stage: String,
    document: String,
    /// What each op answers, whatever it is given; `SEEN` answers what it was given.
    computes: HashMap<String, String>,
    rules: Vec<CaseRule>,
    answer: Value,
    outcome: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseRule {
    stack: StackName,
    scope: u32,
    name: String,
    txcl: String,
}

/// Answers as a case says.
#[derive(Debug)]
struct Canned(HashMap<String, String>);

impl Runner for Canned {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(std::future::ready(self.run_blocking(reference, &input, &options)))
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let output = self.0.get(reference.digest());
        let mut output =
            output.ok_or_else(|| Error::NotFound { reference: reference.clone() })?.clone();
        if output == "SEEN" {
            let op = options.op.as_ref().expect("the processor calls ops");
            let envelope: Value = serde_json::from_slice(&op.envelope(input)?).unwrap();
            let seen = json!({ "env": envelope["env"], "input": envelope["input"] });
            output = json!({ "seen": seen }).to_string();
        }
        let bounds = options.limits.or(Limits::DEFAULT).bounds();
        Ok(Outcome::new(bounds, Ok(output.into_bytes()), Metrics::default()))
    }
}

impl Case {
    /// What this project answers: nothing if it refuses the rules or the document.
    fn answer(&self) -> Result<Value, String> {
        let mut stacks: BTreeMap<&StackName, Vec<File>> = BTreeMap::new();
        for rule in &self.rules {
            let path = format!("{}/{}.txcl", rule.scope, rule.name);
            let text = rule.txcl.replace("op://", "compute://test/");
            stacks.entry(&rule.stack).or_default().push(File::new(path, text));
        }
        let compile = |(name, files): (&StackName, Vec<File>)| {
            Stack::compile(name.clone(), &files).map_err(|wrong| wrong[0].to_string())
        };
        let snapshot = stacks.into_iter().map(compile).collect::<Result<Snapshot, _>>()?;
        let stage =
            self.stage.parse().map_err(|error: compute_flow::StageError| error.to_string())?;
        let mut request = Request::new(stage, self.document.clone().into_bytes());
        request.now = SystemTime::UNIX_EPOCH + Duration::from_secs(MADE);
        request.seed = Seed::new([7; 32]);
        let processor = Processor::new(Arc::new(Canned(self.computes.clone())));
        processor.process(&snapshot, &request).result.map_err(|failure| failure.to_string())
    }

    /// Whether it is what the original answers.
    fn is_same(&self, answer: &Result<Value, String>) -> bool {
        match answer {
            Err(_) => self.answer.is_null() && self.outcome != "ok",
            Ok(answer) => {
                let (ours, theirs) = (plain(answer), plain(&self.answer));
                if self.outcome.ends_with("is set") && theirs.pointer("/error/message").is_none() {
                    return false;
                }
                ours == theirs
            }
        }
    }
}

/// A value as it is compared: numbers as numbers, without the keys that start with `_`. What an error says is ours to say.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(map) => {
            let shown = map.iter().filter(|(key, _)| !key.starts_with('_'));
            let one = |(key, value): (&String, &Value)| match value.get("message") {
                Some(Value::String(_)) if key == "error" => (key.clone(), json!({"message": "…"})),
                _ => (key.clone(), plain(value)),
            };
            shown.map(one).collect()
        }
        other => other.clone(),
    }
}

fn cases() -> Vec<Case> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/original.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn rules_give_the_original_s_answers() {
    let departures: BTreeMap<_, _> = DEPARTURES.iter().copied().collect();
    let mut groups: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (at, case) in cases().into_iter().enumerate() {
        let line = at + 1;
        let answer = case.answer();
        let (same, other, new) = groups.entry(case.group.clone()).or_default();
        match (case.is_same(&answer), departures.contains_key(&line)) {
            (true, false) => *same += 1,
            (false, true) => *other += 1,
            (true, true) => wrong.push(format!("line {line} is the same, and no departure")),
            (false, false) => {
                *new += 1;
                let rules: Vec<_> = case.rules.iter().map(|rule| &*rule.txcl).collect();
                wrong.push(format!(
                    "line {line}, {}: {rules:?}\n  on      {}\n  theirs  {} ({})\n  here    {}",
                    case.group,
                    case.document,
                    case.answer,
                    case.outcome,
                    answer.map_or_else(|error| error, |answer| answer.to_string()),
                ));
            }
        }
    }
    let mut table =
        format!("{:<14} {:>5} {:>9} {:>9}\n", "group", "same", "departure", "different");
    for (group, (same, other, new)) in &groups {
        table.push_str(&format!("{group:<14} {same:>5} {other:>9} {new:>9}\n"));
    }
    std::io::stdout().write_all(table.as_bytes()).unwrap();
    assert!(wrong.is_empty(), "{} cases\n{}", wrong.len(), wrong.join("\n"));
}
