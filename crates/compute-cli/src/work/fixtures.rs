//! What ops are tested on: `NAME.test.json` beside an op, or a scope's `mock-*.json`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use compute::{Limits, Meta, OpCall, RunOptions, Seed};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::target;
use crate::args::values;
use crate::failure::Failure;

/// The ending of an op's fixtures.
const ENDING: &str = ".test.json";
/// The ending of a rule.
const RULE: &str = "txcl";
/// A scope's fixtures.
const MOCK_INPUT: &str = "mock-request.json";
const MOCK_OUTPUT: &str = "mock-response.json";
const MOCK_ENV: &str = "mock-env.json";
const MOCK_SECRETS: &str = "mock-secrets.json";
/// Folders without sources of the author's own.
const SKIPPED: [&str; 4] = ["node_modules", "dist", "target", ".compute"];

/// One op and what it is tested on.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The op's source, or its module.
    pub(crate) op: PathBuf,
    /// Where the cases are.
    pub(crate) file: PathBuf,
    pub(crate) cases: Vec<Case>,
}

/// One call, and what it must give.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) input: Value,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) env: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) secrets: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seed: Option<SeedText>,
    /// What the op gives. `null` is a value like any other.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub(crate) output: Option<Value>,
    /// A part of what the op fails with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Case {
    /// How its call is made, within these limits: where it says nothing, with the same clock and seed each time.
    pub(crate) fn call(&self, op: &Path, limits: Limits) -> Result<RunOptions, Failure> {
        let now = self.now.map(values::system_time).transpose().map_err(Failure::Usage)?;
        let seed = self.seed.as_ref().map(|seed| seed.0);
        let name = op.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(RunOptions {
            limits: Limits {
                now: limits.now.or(now),
                seed: limits.seed.or(seed).or_else(|| Some(Seed::new([0; 32]))),
                ..limits
            },
            op: Some(OpCall {
                meta: Meta { rid: "test".into(), name, ..Meta::default() },
                env: self.env.clone().into_iter().collect(),
                secrets: self.secrets.clone().into_iter().collect(),
                always: false,
            }),
            ..RunOptions::default()
        })
    }
}

/// A seed, as fixtures write it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct SeedText(pub(crate) Seed);

impl TryFrom<String> for SeedText {
    type Error = compute::SeedError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self)
    }
}

impl From<SeedText> for String {
    fn from(seed: SeedText) -> Self {
        seed.0.to_string()
    }
}

fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// The suites that these paths mean: folders, sources, fixtures or names of ops.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Vec<Suite>, Failure> {
    let here = [PathBuf::from(".")];
    let paths = if paths.is_empty() { &here } else { paths };
    let mut suites = Vec::new();
    for path in paths {
        if path.is_dir() {
            find_below(path, &mut suites)?;
        } else {
            suites.extend(find_one(path)?);
        }
    }
    suites.sort_by(|a, b| a.file.cmp(&b.file).then_with(|| a.op.cmp(&b.op)));
    suites.dedup_by(|a, b| a.file == b.file && a.op == b.op);
    Ok(suites)
}

fn find_one(path: &Path) -> Result<Vec<Suite>, Failure> {
    let text = path.to_string_lossy();
    if let Some(op) = text.strip_suffix(ENDING) {
        let op = op_named(Path::new(op)).ok_or_else(|| target::missing(Path::new(op)))?;
        return Ok(vec![Suite { cases: read(path)?, op, file: path.to_owned() }]);
    }
    let named =
        || op_named(path).or_else(|| Some(with_ending(path, RULE)).filter(|one| one.is_file()));
    let op = if path.is_file() { Some(path.to_owned()) } else { named() };
    let mut op = op.ok_or_else(|| target::missing(path))?;
    if op.extension().is_some_and(|ending| ending == RULE) {
        op = op_of_rule(&op)?;
    }
    let file = fixtures_of(&op);
    if file.is_file() {
        return Ok(vec![Suite { cases: read(&file)?, op, file }]);
    }
    let folder = op.parent().unwrap_or(Path::new(""));
    if let Some(suite) = mock_suite(folder, &op)? {
        return Ok(vec![suite]);
    }
    Err(Failure::usage(format!(
        "{} has no fixtures: write {}, a list of cases such as \
         [{{\"name\": \"greets\", \"input\": {{}}, \"output\": {{}}}}]",
        op.display(),
        file.display()
    )))
}

/// The op of this name: its module comes before its source, as in a workspace.
fn op_named(name: &Path) -> Option<PathBuf> {
    let endings = ["wasm", "js", "ts"].into_iter().chain(target::SOURCES);
    endings.map(|ending| with_ending(name, ending)).find(|file| file.is_file())
}

fn with_ending(name: &Path, ending: &str) -> PathBuf {
    let mut file = name.as_os_str().to_owned();
    file.push(".");
    file.push(ending);
    PathBuf::from(file)
}

/// The op beside a rule that the rule runs.
fn op_of_rule(rule: &Path) -> Result<PathBuf, Failure> {
    let text = std::fs::read_to_string(rule)
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", rule.display())))?;
    let parsed = txcl::parse(&text).rule;
    let name = parsed.exec().and_then(|exec| exec.node.strip_prefix("op://"));
    let op = name.and_then(|name| op_named(&rule.with_file_name(name)));
    op.ok_or_else(|| {
        let what = match name {
            Some(name) => format!("the op `{name}` that it runs is not beside it"),
            None => "it runs no op beside it, and only ops are tested: `compute fire` takes documents through rules".to_owned(),
        };
        Failure::usage(format!("{} has nothing to test: {what}", rule.display()))
    })
}

fn fixtures_of(op: &Path) -> PathBuf {
    let mut name = op.file_stem().unwrap_or_default().to_owned();
    name.push(ENDING);
    op.with_file_name(name)
}

fn find_below(folder: &Path, suites: &mut Vec<Suite>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {error}", folder.display()))
    };
    let entries: Vec<_> = std::fs::read_dir(folder).and_then(Iterator::collect).map_err(failed)?;
    for entry in &entries {
        let (kind, path) = (entry.file_type().map_err(failed)?, entry.path());
        let name = entry.file_name().to_string_lossy().into_owned();
        if kind.is_dir() && !SKIPPED.contains(&&*name) && !name.starts_with(".git") {
            find_below(&path, suites)?;
        } else if name.ends_with(ENDING) {
            suites.extend(find_one(&path)?);
        }
    }
    if folder.join(MOCK_INPUT).is_file() {
        for entry in &entries {
            let path = entry.path();
            let is_op =
                target::is_source(&path) || path.extension().is_some_and(|end| end == "wasm");
            if is_op && !fixtures_of(&path).is_file() {
                suites.extend(mock_suite(folder, &path)?);
            }
        }
    }
    Ok(())
}

/// A scope's fixtures, for one of its ops.
fn mock_suite(folder: &Path, op: &Path) -> Result<Option<Suite>, Failure> {
    let file = folder.join(MOCK_INPUT);
    if !file.is_file() {
        return Ok(None);
    }
    let case = Case {
        name: "mock".into(),
        input: read_json(&file)?,
        env: optional(&folder.join(MOCK_ENV))?.unwrap_or_default(),
        secrets: optional(&folder.join(MOCK_SECRETS))?.unwrap_or_default(),
        now: None,
        seed: None,
        output: optional(&folder.join(MOCK_OUTPUT))?,
        error: None,
    };
    Ok(Some(Suite { op: op.to_owned(), file, cases: vec![case] }))
}

/// Adds a case to an op's fixtures, in place of one of its name; says which file that is.
pub(crate) fn add(op: &Path, case: Case) -> Result<PathBuf, Failure> {
    let found = if op.is_file() { Some(op.to_owned()) } else { op_named(op) };
    let file = fixtures_of(&found.ok_or_else(|| target::missing(op))?);
    let mut cases = if file.is_file() { read(&file)? } else { Vec::new() };
    cases.retain(|one| one.name != case.name);
    cases.push(case);
    let mut json = serde_json::to_string_pretty(&cases).map_err(|error| Failure::host(&error))?;
    json.push('\n');
    target::write(&file, json)?;
    Ok(file)
}

fn optional<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<Option<T>, Failure> {
    if file.is_file() { read_json(file).map(Some) } else { Ok(None) }
}

fn read(file: &Path) -> Result<Vec<Case>, Failure> {
    let cases: Vec<Case> = read_json(file)?;
    for case in &cases {
        if case.output.is_some() == case.error.is_some() {
            return Err(Failure::usage(format!(
                "{}: the case `{}` must have either an output or an error",
                file.display(),
                case.name
            )));
        }
    }
    Ok(cases)
}

fn read_json<T: for<'de> Deserialize<'de>>(file: &Path) -> Result<T, Failure> {
    serde_json::from_slice(&target::read(file)?)
        .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))
}

/// Writes what the cases of a suite give now into its fixtures; says which file that is, if something is new.
pub(crate) fn update(suite: &Suite, outputs: &[Option<Value>]) -> Result<Option<PathBuf>, Failure> {
    if outputs.iter().all(Option::is_none) {
        return Ok(None);
    }
    let is_mock = suite.file.file_name().is_some_and(|name| name == MOCK_INPUT);
    let (file, json) = if is_mock {
        let Some(Some(output)) = outputs.first() else { return Ok(None) };
        (suite.file.with_file_name(MOCK_OUTPUT), serde_json::to_string_pretty(output))
    } else {
        let mut cases = suite.cases.clone();
        for (case, output) in cases.iter_mut().zip(outputs) {
            if let Some(output) = output {
                (case.output, case.error) = (Some(output.clone()), None);
            }
        }
        (suite.file.clone(), serde_json::to_string_pretty(&cases))
    };
    let json = json.map_err(|error| Failure::host(&error))?;
    target::write(&file, json + "\n")?;
    Ok(Some(file))
}
