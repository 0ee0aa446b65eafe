//! What happened to a document, for a person to read and a program to compare.

use std::collections::BTreeMap;

use compute::{LogLine, Ref};
use compute_state::{StackName, TraceStore, Traces, TracesError};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::{Stage, Transition};

/// What happened to one document.
///
/// The same document, version, clock and seed give the same trace, whatever the scheduling, but for its times:
/// [`Trace::settled`] leaves those out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    /// The request's id.
    pub id: String,
    /// Where the document began.
    pub stage: Stage,
    /// The hashes of the stacks it went through.
    pub versions: BTreeMap<StackName, String>,
    /// What its clock showed.
    pub now: Timestamp,
    /// What its random numbers came from, in hex.
    pub seed: String,
    /// `ok`, or the code of what went wrong.
    pub status: String,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The last three transitions, if it failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub transitions: Vec<Transition>,
    /// How many units of work it took.
    pub work: u64,
    /// How long it took, in nanoseconds.
    pub wall_ns: u64,
    /// The document as it came; in full traces only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Value>,
    /// The document at its end; in full traces only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// What each rule did, in order of scope and name.
    pub steps: Vec<Step>,
    /// How many events, steps, lines and payloads are left out, for there were too many or they were too large.
    #[serde(default)]
    pub dropped: u64,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Event {
    /// When, in nanoseconds from the start.
    pub at_ns: u64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind {
    /// The document came.
    Start,
    /// It entered a scope.
    StageEnter {
        /// The scope.
        stage: Stage,
    },
    /// A rule began.
    StepStart {
        /// `stack/scope/name`
        op: String,
    },
    /// A rule ended.
    StepEnd {
        /// `stack/scope/name`
        op: String,
        /// How.
        status: String,
    },
    /// The answers of a scope were merged.
    Merge {
        /// The scope.
        stage: Stage,
        /// How many rules answered.
        answers: usize,
    },
    /// Paths were deleted.
    Delete {
        /// Which.
        paths: Vec<String>,
    },
    /// A rule sent the document to another stage.
    Jump {
        /// From here.
        from: Stage,
        /// To here.
        to: Stage,
    },
    /// A rule stopped the document.
    Halt {
        /// After this scope.
        stage: Stage,
    },
    /// Something is not as its author may think.
    Warning {
        /// `stack/scope/name`
        op: String,
        /// What.
        message: String,
    },
    /// The document left.
    End {
        /// How.
        status: String,
    },
}

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

impl Trace {
    /// Keeps this trace, in place of what was kept under its id.
    ///
    /// # Errors
    /// [`TracesError::TooLarge`] if it is larger than all may be, and those of whoever keeps it.
    pub fn write(&self, traces: &dyn TraceStore) -> Result<(), TracesError> {
        traces.write(&self.id, &mut |text| Ok(serde_json::to_writer(text, self)?))
    }

    /// The trace of this id, or the one whose id begins so.
    ///
    /// # Errors
    /// [`TracesError::NotFound`] if there is none, or more than one; [`TracesError::Broken`] if it is not a trace.
    pub fn read(traces: &dyn Traces, id: &str) -> Result<Self, TracesError> {
        let broken = |source: Box<dyn std::error::Error + Send + Sync>| TracesError::Broken {
            id: id.to_owned(),
            source,
        };
        let mut bytes = Vec::new();
        let read = traces.read_text(id)?.read_to_end(&mut bytes);
        read.map_err(|error| broken(error.into()))?;
        serde_json::from_slice(&bytes).map_err(|error| broken(error.into()))
    }

    /// The trace without payloads, rules and logs.
    #[must_use]
    pub fn summary(&self) -> Self {
        let mut summary = self.clone();
        (summary.request, summary.response) = (None, None);
        for step in &mut summary.steps {
            (step.input, step.output) = (None, None);
            step.rule.clear();
            step.stderr.clear();
            step.log.clear();
            step.events.clear();
        }
        summary
    }

    /// The trace without its times: what repeats.
    #[must_use]
    pub fn settled(&self) -> Self {
        let mut settled = self.clone();
        settled.wall_ns = 0;
        for event in &mut settled.events {
            event.at_ns = 0;
        }
        for step in &mut settled.steps {
            (step.at_ns, step.wall_ns) = (0, 0);
            if let Some(metrics) = &mut step.metrics {
                (metrics.load_ns, metrics.guest_ns) = (0, 0);
            }
        }
        settled
    }
}
