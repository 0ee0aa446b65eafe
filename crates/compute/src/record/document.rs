//! A document's way through a stack, as a record has it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RecordedSecrets;
use super::content::Content;
use super::run::RunRecord;

/// What a document was, where it went, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DocumentRecord {
    /// The fuel that each compute could use, if they were metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// The document as it came.
    pub input: Content,
    /// Whether it could ask for fixtures in place of what rules run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mocks: bool,
    /// What its clock showed.
    pub now: Timestamp,
    /// The document at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Content>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The secrets that rules could name.
    #[serde(default, skip_serializing_if = "RecordedSecrets::is_empty")]
    pub secrets: RecordedSecrets,
    /// What its random numbers came from.
    pub seed: String,
    /// Where it began: `STACK/SCOPE`.
    pub stage: String,
    /// What it had below `_txc` besides, as whoever took it in said: JSON.
    pub stamp: Content,
    /// `ok`, or the code of what went wrong.
    pub status: String,
    /// What its rules ran, in order of rule and seed.
    pub steps: Vec<StepRecord>,
    /// How many more there were than a record has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub steps_dropped: u64,
    /// The hashes of the versions that were active, by stack.
    pub versions: BTreeMap<String, String>,
    /// What it said of the HTTP answer: `_txc.web.res`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub web: Option<Content>,
    /// How many units of work it took.
    pub work: u64,
}

const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One compute that a rule ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepRecord {
    /// `stack/scope/name` of the rule.
    pub rule: String,
    /// What it was given, and gave.
    pub run: RunRecord,
    /// How long it took, in nanoseconds; no part of what the id says.
    pub wall_ns: u64,
}

impl DocumentRecord {
    pub(super) fn contents_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        let own = [&mut self.input, &mut self.stamp];
        let steps = self.steps.iter_mut().flat_map(|step| step.run.contents_mut());
        let answer = self.output.iter_mut().chain(&mut self.web);
        own.into_iter().chain(answer).chain(steps)
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = (&'static str, &Content)> {
        let own = [("input", &self.input), ("stamp", &self.stamp)];
        let output = self.output.iter().map(|output| ("output", output));
        let output = output.chain(self.web.iter().map(|web| ("HTTP answer", web)));
        let steps = self.steps.iter().flat_map(|step| step.run.contents());
        own.into_iter().chain(output).chain(steps)
    }
}
