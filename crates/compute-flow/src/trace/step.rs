//! What each rule on a document's way did.

use compute::{LogLine, Ref};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

/// What one rule did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// `stack/scope/name`
    pub op: String,
    /// In which of the scopes that the document entered, from 1.
    pub entry: u32,
    /// When it began, in nanoseconds from the start.
    pub at_ns: u64,
    /// How long it took, in nanoseconds.
    pub wall_ns: u64,
    /// `ok`, or how it ended.
    pub status: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Ref>,
    /// Whether it answered with its fixture, and not with what it runs.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mocked: bool,
    /// How many bytes its compute received.
    pub input_bytes: u64,
    /// How many bytes its compute gave.
    pub output_bytes: u64,
    /// What its compute took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<StepMetrics>,
    /// The rule's text; in full traces only, as all that follows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// What its compute received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What its compute gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// What its compute logged with a level.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<StepLog>,
    /// What its compute wrote to standard error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// What its compute emitted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<StepEvent>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

/// What a compute took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct StepMetrics {
    /// Fetching and compiling, in nanoseconds.
    pub load_ns: u64,
    /// In the sandbox, in nanoseconds.
    pub guest_ns: u64,
    /// The most memory that it had, in bytes.
    pub peak_memory: u64,
    /// The fuel that it used, if it was metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Whether nothing ran: an earlier run on the same had given the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

/// What a compute logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepLog {
    /// `debug`, `info`, `warn` or `error`
    pub level: String,
    /// What it says.
    pub text: String,
}

impl From<&LogLine> for StepLog {
    fn from(line: &LogLine) -> Self {
        Self { level: line.level.name().to_owned(), text: line.text.clone() }
    }
}

/// What a compute emitted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StepEvent {
    /// What it is.
    pub name: String,
    /// What it carries, as the compute wrote it.
    pub data: Box<RawValue>,
}

impl PartialEq for StepEvent {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.data.get()) == (&other.name, other.data.get())
    }
}
