//! `compute test`: every op on its fixtures, in parallel.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::ops::AddAssign;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use compute::{Limits, Runner as _};
use notify::RecursiveMode;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use crate::args::{Cli, TestArgs};
use crate::failure::Failure;
use crate::home;
use crate::host::Host;
use crate::parallel;
use crate::show::print_line;
use crate::show::report;
use crate::watch::Watch;
use crate::work::budget::{self, Budgets, Cost};
use crate::work::fixtures::{self, Case, Suite};
use crate::work::records;
use crate::work::target;
use crate::work::target::Target;

/// How many lines around a difference are shown.
const CONTEXT: usize = 2;
/// What one suite gave.
struct Tested {
    suite: Suite,
    /// Each case's; or why the op cannot run at all.
    results: Result<Vec<CaseResult>, Failure>,
    sources: Vec<PathBuf>,
}

struct CaseResult {
    /// What the op gave, if it gave anything.
    output: Option<Value>,
    /// What is wrong with it.
    wrong: Option<String>,
    time: Duration,
    /// What it took, if that is the same each time.
    cost: Option<Cost>,
}

impl CaseResult {
    /// What the op gives now, if it is not what was expected.
    fn changed(&self) -> Option<&Value> {
        self.wrong.as_ref().and(self.output.as_ref())
    }
}

/// How many cases ended how.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    passed: usize,
    failed: usize,
    /// Whose expected output was written anew.
    updated: usize,
}

impl Counts {
    const fn all(self) -> usize {
        self.passed + self.failed + self.updated
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.updated += other.updated;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.updated > 0 { write!(f, ", {} updated", self.updated) } else { Ok(()) }
    }
}

pub(crate) fn test(cli: &Cli, args: &TestArgs) -> Result<(), Failure> {
    if let Some(record) = &args.from_record {
        let [op] = &args.paths[..] else {
            return Err(Failure::usage(
                "--from-record makes a fixture for one op: name that alone",
            ));
        };
        let home = home::of(cli, None)?;
        let file = fixtures::add(op, records::case_of(&*home, record)?)?;
        crate::show::tell!("wrote a case to {}", file.display());
    }
    let host = Host::new(cli, 0, parallel::threads())?;
    if args.watch { watch(&host, args) } else { run_all(&host, args).map(|_| ()) }
}

/// Runs everything once; gives back the files that it depends on.
fn run_all(host: &Host, args: &TestArgs) -> Result<Vec<PathBuf>, Failure> {
    let suites = fixtures::find(&args.paths)?;
    if suites.is_empty() {
        crate::show::tell!("no op has fixtures here; `compute test --help` says how they look");
        return Ok(Vec::new());
    }
    let started = Instant::now();
    // Before anything runs: without it there is nothing to compare.
    let budgets = args.budget.then(Budgets::read).transpose()?;
    let fuel = (args.budget || args.budget_write).then_some(budget::FUEL);
    let mut tested = run_suites(suites, Runs { host, fuel });
    let compared = budgets.map(|budgets| compare(budgets, &mut tested, args)).transpose()?;

    let mut counts = Counts::default();
    for one in &tested {
        counts += print(one, args.update)?;
        if let (true, Ok(results)) = (args.update, &one.results) {
            let outputs: Vec<_> = results.iter().map(|result| result.changed().cloned()).collect();
            if let Some(file) = fixtures::update(&one.suite, &outputs)? {
                crate::show::tell!("updated {}", shown(&file));
            }
        }
    }
    if let Some(file) = &args.junit {
        write_junit(file, &tested)?;
    }
    for line in compared.iter().flatten() {
        crate::show::tell!("{line}");
    }
    if args.budget_write {
        write_budgets(&tested, counts, args)?;
    }
    crate::show::tell!("{counts} ({:.2?})", started.elapsed());
    let files = tested.iter().flat_map(Tested::files).cloned().collect();
    if counts.failed > 0 && !args.watch {
        return Err(Failure::Guest(format!("{} of {} cases failed", counts.failed, counts.all())));
    }
    Ok(files)
}

/// How cases are run.
#[derive(Clone, Copy)]
struct Runs<'a> {
    host: &'a Host,
    /// The fuel that each has, if they are metered.
    fuel: Option<u64>,
}

fn run_suites(suites: Vec<Suite>, runs: Runs<'_>) -> Vec<Tested> {
    parallel::map(suites, |suite| run_suite(suite, runs))
}

/// Finds the cases that took more than their budget, and says what else is to be known of budgets.
fn compare(
    budgets: Budgets,
    tested: &mut [Tested],
    args: &TestArgs,
) -> Result<Vec<String>, Failure> {
    let mut comparison = budgets.compare();
    for one in tested {
        comparison.suite(&one.suite)?;
        let Ok(results) = &mut one.results else { continue };
        for (case, result) in one.suite.cases.iter().zip(results) {
            if result.wrong.is_none() {
                result.wrong = result.cost.and_then(|cost| comparison.over(&case.name, cost));
            }
        }
    }
    Ok(comparison.words(args.paths.is_empty()))
}

/// Writes what each case took, if nothing failed.
fn write_budgets(tested: &[Tested], counts: Counts, args: &TestArgs) -> Result<(), Failure> {
    if counts.failed > 0 {
        crate::show::tell!("{} was not written: cases failed", budget::FILE);
        return Ok(());
    }
    let mut budgets = Budgets::read_or_new()?;
    budgets.forget_gone(args.paths.is_empty());
    for one in tested {
        let costs = one.results.iter().flatten().map(|result| result.cost);
        budgets.set(&one.suite, costs)?;
    }
    budgets.write()
}

/// The files that each op depended on when it was last tested.
#[derive(Debug, Default)]
pub(crate) struct Suites(BTreeMap<PathBuf, BTreeSet<PathBuf>>);

/// Runs the fixtures below a folder whose ops depend on what changed; without that, all of them.
pub(crate) fn run_changed(
    host: &Host,
    root: &Path,
    known: &mut Suites,
    changed: Option<&BTreeSet<PathBuf>>,
) -> Result<(), Failure> {
    let mut suites = fixtures::find(&[root.to_owned()])?;
    if let Some(changed) = changed {
        suites
            .retain(|suite| known.0.get(&suite.op).is_none_or(|files| !files.is_disjoint(changed)));
    }
    let mut counts = Counts::default();
    for one in run_suites(suites, Runs { host, fuel: None }) {
        counts += print(&one, false)?;
        known.0.insert(one.suite.op.clone(), one.files().cloned().collect());
    }
    if counts.all() > 0 {
        crate::show::tell!("{counts}");
    }
    Ok(())
}

impl Tested {
    /// The files that it depends on.
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.sources.iter().chain([&self.suite.op, &self.suite.file])
    }
}

fn run_suite(suite: Suite, runs: Runs<'_>) -> Tested {
    let Runs { host, fuel } = runs;
    let op = match target::from_file(host, &suite.op, compute_wasm::NAME) {
        Ok(op) => op,
        Err(failure) => return Tested { suite, results: Err(failure), sources: Vec::new() },
    };
    // What is wrong with it, each case tells.
    let _ = host.prepare(&op.artifact, Limits { fuel, memory: None, ..Limits::COMMAND_LINE });
    let cases = suite.cases.iter();
    let results = cases.map(|case| run_case(case, &suite.op, &op, runs)).collect();
    Tested { sources: op.sources().to_vec(), suite, results }
}

fn run_case(
    case: &Case,
    file: &Path,
    op: &Target,
    Runs { host, fuel }: Runs<'_>,
) -> Result<CaseResult, Failure> {
    let options = case.call(file, Limits { fuel, memory: None, ..Limits::COMMAND_LINE })?;
    let input = serde_json::to_vec(&case.input).map_err(|error| Failure::host(&error))?;
    let started = Instant::now();
    let outcome = host.manager.run_blocking(op.artifact.reference(), &input, &options)?;
    let time = started.elapsed();
    let cost = Cost::of(&outcome.metrics);
    let (output, wrong) = match (outcome.result, &case.error) {
        (Ok(output), expected_error) => {
            let output: Value =
                serde_json::from_slice(&output).map_err(|error| Failure::host(&error))?;
            let wrong = match (&case.output, expected_error) {
                (Some(expected), _) if txcl::same(expected, &output) => None,
                (Some(expected), _) => Some(difference(expected, &output)),
                (None, Some(error)) => {
                    Some(format!("expected an error with `{error}`, and it gave {output}"))
                }
                (None, None) => Some("there is no expected output; --update writes it".into()),
            };
            (Some(output), wrong)
        }
        (Err(failure), Some(error)) if failure.to_string().contains(error) => (None, None),
        (Err(failure), expected) => {
            let told = report::failure(&failure, op.source_map(host).as_ref());
            let before = expected.as_ref().map_or_else(String::new, |error| {
                format!("expected an error with `{error}`, and got ")
            });
            (None, Some(format!("{before}{told}")))
        }
    };
    Ok(CaseResult { output, wrong, time, cost })
}

/// How an output differs from what was expected, by lines.
fn difference(expected: &Value, output: &Value) -> String {
    let [expected, output] = [expected, output].map(|value| {
        let sorted = sorted(value);
        serde_json::to_string_pretty(&sorted).unwrap_or_default()
    });
    let diff = TextDiff::from_lines(&expected, &output);
    let mut text = String::from("the output differs: - expected, + given");
    for group in diff.grouped_ops(CONTEXT) {
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, color) = match change.tag() {
                ChangeTag::Delete => ('-', Some(AnsiColor::Red)),
                ChangeTag::Insert => ('+', Some(AnsiColor::Green)),
                ChangeTag::Equal => (' ', None),
            };
            let style = Style::new().fg_color(color.map(Into::into));
            let line = change.value().trim_end();
            text.push_str(&format!("\n{style}{sign} {line}{style:#}"));
        }
    }
    text
}

/// The value with its keys in order, so that only values differ.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// Prints a line for each case; where expected outputs are written anew, an output that differs is no failure.
fn print(tested: &Tested, update: bool) -> Result<Counts, Failure> {
    let name = shown(&tested.suite.op);
    let results = match &tested.results {
        Ok(results) => results,
        Err(failure) => {
            print_line(format!("FAIL {name}"))?;
            failure.print();
            return Ok(Counts { failed: tested.suite.cases.len().max(1), ..Counts::default() });
        }
    };
    let mut counts = Counts::default();
    for (case, result) in tested.suite.cases.iter().zip(results) {
        let (word, count) = match &result.wrong {
            None => ("ok  ", &mut counts.passed),
            Some(_) if update && result.changed().is_some() => ("new ", &mut counts.updated),
            Some(_) => ("FAIL", &mut counts.failed),
        };
        *count += 1;
        print_line(format!("{word} {name} > {}", case.name))?;
        for line in result.wrong.iter().flat_map(|wrong| wrong.lines()) {
            crate::show::tell!("     {line}");
        }
    }
    Ok(counts)
}

fn shown(path: &Path) -> String {
    path.strip_prefix(".").unwrap_or(path).display().to_string()
}

fn write_junit(file: &Path, tested: &[Tested]) -> Result<(), Failure> {
    let mut junit = Report::new("compute test");
    for one in tested {
        let mut suite = TestSuite::new(shown(&one.suite.op));
        let results: Vec<_> = match &one.results {
            Ok(results) => {
                results.iter().map(|result| (result.wrong.clone(), result.time)).collect()
            }
            Err(failure) => one
                .suite
                .cases
                .iter()
                .map(|_| (Some(failure.to_string()), Duration::ZERO))
                .collect(),
        };
        for (case, (wrong, time)) in one.suite.cases.iter().zip(results) {
            let status = match wrong {
                None => TestCaseStatus::success(),
                Some(wrong) => {
                    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                    let plain = anstream::adapter::strip_str(&wrong).to_string();
                    status.set_message(plain.lines().next().unwrap_or_default().to_owned());
                    status.set_description(plain);
                    status
                }
            };
            let mut case = TestCase::new(case.name.clone(), status);
            case.set_time(time);
            suite.add_test_case(case);
        }
        junit.add_test_suite(suite);
    }
    let xml = junit.to_string().map_err(|error| Failure::host(&error))?;
    target::write(file, xml)
}

/// Runs again whenever something in the folders of what was run changes, until the process is ended.
fn watch(host: &Host, args: &TestArgs) -> Result<(), Failure> {
    let mut watch = Watch::new()?;
    let mut watched = Vec::new();
    loop {
        let files = match run_all(host, args) {
            Ok(files) => files,
            // A mistake in a fixture is mended while this waits.
            Err(failure) => {
                failure.print();
                args.paths.iter().cloned().chain([PathBuf::from(".")]).collect()
            }
        };
        for folder in files.iter().map(|file| folder_of(file)) {
            if !watched.contains(&folder) {
                watch.add(&folder, RecursiveMode::NonRecursive)?;
                watched.push(folder);
            }
        }
        crate::show::tell!("waiting for changes; ctrl-c ends it");
        loop {
            let Some(changed) = watch.next() else { return Ok(()) };
            if changed.iter().any(|file| matters(file)) {
                break;
            }
        }
    }
}

/// Whether it may be an op, what an op imports, or a fixture: what a test writes beside them does not count.
fn matters(file: &Path) -> bool {
    let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
    target::SOURCES.contains(&extension) || ["json", "txcl", "wasm", "wat"].contains(&extension)
}

fn folder_of(file: &Path) -> PathBuf {
    if file.is_dir() {
        return file.to_owned();
    }
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
