//! `compute.budget.json`: the fuel and the memory that each fixture may take.
//!
//! Both are the same on every machine for the same op and fixture, so that the file can be in a repository and be checked there.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use compute::{Metrics, Status};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::fixtures::Suite;
use super::target;
use crate::failure::Failure;
use crate::show;

/// The file, in the folder that the command is run in.
pub(crate) const FILE: &str = "compute.budget.json";
/// What a case has of fuel while it is measured: more than it can use within its time.
pub(crate) const FUEL: u64 = 1 << 50;
/// The only form of the file that there is.
const VERSION: u32 = 1;
/// By how much a case may be over its budget, in percent, unless the file says so.
const TOLERANCE: u32 = 5;
/// The most that the file may say.
const MAX_TOLERANCE: f64 = 1000.0;
/// What memory grows by: so much more is never over.
const PAGE: u64 = 64 << 10;

/// What one case takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cost {
    fuel: u64,
    peak_memory: u64,
}

impl Cost {
    /// What a run took; nothing where that depends on the machine.
    pub(crate) fn of(metrics: &Metrics) -> Option<Self> {
        if matches!(metrics.status, Status::WallLimit | Status::Cancelled) {
            return None;
        }
        Some(Self { fuel: metrics.fuel?, peak_memory: metrics.peak_memory })
    }
}

/// The budgets of a folder's fixtures. Its fields are in the order of their names, as the file has them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budgets {
    /// By the op's path, then the case's name.
    fixtures: BTreeMap<String, BTreeMap<String, Cost>>,
    tolerance_percent: Number,
    version: u32,
}

impl Budgets {
    /// Those of this folder.
    pub(crate) fn read() -> Result<Self, Failure> {
        Self::find()?.ok_or_else(|| {
            Failure::usage(format!(
                "there is no {FILE} in this folder; `compute test --budget-write` writes it"
            ))
        })
    }

    /// Those of this folder, or none.
    pub(crate) fn read_or_new() -> Result<Self, Failure> {
        Ok(Self::find()?.unwrap_or_else(|| Self {
            fixtures: BTreeMap::new(),
            tolerance_percent: TOLERANCE.into(),
            version: VERSION,
        }))
    }

    fn find() -> Result<Option<Self>, Failure> {
        let bytes = match std::fs::read(FILE) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::usage(format!("cannot read {FILE}: {error}"))),
        };
        let budgets: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Failure::usage(format!("{FILE}: {error}; `compute test --budget-write` writes one"))
        })?;
        if budgets.version != VERSION {
            let version = budgets.version;
            return Err(Failure::usage(format!(
                "{FILE} has the version {version}, and this compute reads {VERSION}"
            )));
        }
        if !(0.0..=MAX_TOLERANCE).contains(&budgets.tolerance()) {
            return Err(Failure::usage(format!(
                "{FILE}: `tolerance_percent` is between 0 and {MAX_TOLERANCE}"
            )));
        }
        Ok(Some(budgets))
    }

    fn tolerance(&self) -> f64 {
        self.tolerance_percent.as_f64().unwrap_or(f64::NAN)
    }

    /// Compares with what is measured now.
    pub(crate) fn compare(self) -> Comparison {
        Comparison { budgets: self, ops: BTreeSet::new(), op: String::new(), words: Vec::new() }
    }

    /// Takes out what has no op any more; if everything was tested, `set` says what there is.
    pub(crate) fn forget_gone(&mut self, all: bool) {
        self.fixtures.retain(|op, _| !all && Path::new(op).is_file());
    }

    /// Takes over what the cases of a suite took.
    pub(crate) fn set(
        &mut self,
        suite: &Suite,
        results: impl Iterator<Item = Option<Cost>>,
    ) -> Result<(), Failure> {
        let cases = suite.cases.iter().zip(results);
        let costs = cases.filter_map(|(case, cost)| Some((case.name.clone(), cost?))).collect();
        self.fixtures.insert(key(suite)?, costs);
        Ok(())
    }

    /// Writes the file.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(self).map_err(|error| Failure::host(&error))?;
        target::write(Path::new(FILE), json + "\n")?;
        let cases = self.fixtures.values().map(BTreeMap::len).sum();
        show::tell!("wrote {FILE}: {}", show::count(cases, "fixture"));
        Ok(())
    }
}

/// What a test finds out about budgets.
pub(crate) struct Comparison {
    budgets: Budgets,
    /// The ops that were tested; what is left of their budgets has no case.
    ops: BTreeSet<String>,
    /// The one whose cases follow.
    op: String,
    words: Vec<String>,
}

impl Comparison {
    /// The cases of this suite follow.
    pub(crate) fn suite(&mut self, suite: &Suite) -> Result<(), Failure> {
        self.op = key(suite)?;
        self.ops.insert(self.op.clone());
        // Also one that could not be run is there.
        if let Some(cases) = self.budgets.fixtures.get(&self.op) {
            let gone =
                cases.keys().filter(|name| !suite.cases.iter().any(|case| case.name == **name));
            self.words.extend(gone.map(|name| gone_case(&self.op, name)));
        }
        Ok(())
    }

    /// What is over the budget of a case. One that has no budget is new, and one that takes much less is worth a word.
    pub(crate) fn over(&mut self, name: &str, now: Cost) -> Option<String> {
        let op = &self.op;
        let Some(before) = self.budgets.fixtures.get(op).and_then(|cases| cases.get(name)) else {
            self.words
                .push(format!("new: {op} > {name} has no budget; --budget-write gives it one"));
            return None;
        };
        let tolerance = self.budgets.tolerance();
        let amounts = [
            Amount { what: "fuel", unit: "", before: before.fuel, now: now.fuel, slack: 0 },
            Amount {
                what: "memory",
                unit: " bytes",
                before: before.peak_memory,
                now: now.peak_memory,
                slack: PAGE,
            },
        ];
        let less = amounts.iter().filter(|amount| amount.percent() < -tolerance);
        self.words.extend(less.map(|less| format!("less: {op} > {name}: {less}")));
        let over: Vec<_> = amounts
            .iter()
            .filter(|amount| amount.is_over(tolerance))
            .map(Amount::to_string)
            .collect();
        if over.is_empty() {
            return None;
        }
        let tolerance = &self.budgets.tolerance_percent;
        Some(format!("over its budget by more than {tolerance} %\n{}", over.join("\n")))
    }

    /// What is to be said: fixtures that are new, gone, or take much less. If everything was tested, what was not is gone.
    pub(crate) fn words(self, all: bool) -> Vec<String> {
        let mut words = self.words;
        for (op, cases) in &self.budgets.fixtures {
            if !self.ops.contains(op) && (all || !Path::new(op).is_file()) {
                words.extend(cases.keys().map(|name| gone_case(op, name)));
            }
        }
        words
    }
}

fn gone_case(op: &str, name: &str) -> String {
    format!("gone: {op} > {name} has a budget, and there is no such fixture")
}

/// Something that is measured, before and now.
struct Amount {
    what: &'static str,
    unit: &'static str,
    before: u64,
    now: u64,
    /// How much more is never over.
    slack: u64,
}

impl Amount {
    /// By how much it changed; nothing to something is without end.
    fn percent(&self) -> f64 {
        if self.before == self.now {
            return 0.0;
        }
        (self.now as f64 - self.before as f64) / self.before as f64 * 100.0
    }

    fn is_over(&self, tolerance: f64) -> bool {
        self.now > self.before.saturating_add(self.slack) && self.percent() > tolerance
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { what, unit, before, now, .. } = self;
        write!(f, "{what} {before} → {now}{unit} ({:+.1} %)", self.percent())
    }
}

/// An op's path from this folder, by which the file knows it.
fn key(suite: &Suite) -> Result<String, Failure> {
    let mut names = BTreeSet::new();
    if let Some(twice) = suite.cases.iter().find(|case| !names.insert(&case.name)) {
        return Err(Failure::usage(format!(
            "{}: two cases are named `{}`, and budgets go by their names",
            suite.file.display(),
            twice.name
        )));
    }
    let [here, op] = [Path::new("."), &suite.op].map(Path::canonicalize);
    let (here, op) = here
        .and_then(|here| Ok((here, op?)))
        .map_err(|error| Failure::usage(format!("cannot read {}: {error}", suite.op.display())))?;
    op.strip_prefix(&here).map(|path| path.display().to_string()).map_err(|_| {
        Failure::usage(format!(
            "{} is not below this folder, where its budget is kept: run the test in the op's project",
            suite.op.display()
        ))
    })
}
