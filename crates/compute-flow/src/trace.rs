//! What happened to a document, for a person to read and a program to compare.

mod event;
mod kept;
mod step;
mod transition;

use std::collections::BTreeMap;

use compute_state::StackName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::rules::Stage;

pub use event::{Event, EventKind};
pub use step::{Step, StepEvent, StepLog, StepMetrics};
pub use transition::Transition;

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
    /// The numbers of these versions, of those that have one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub numbers: BTreeMap<StackName, u32>,
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
    /// The id of its record, if it is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
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

impl Trace {
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
                (metrics.load_ns, metrics.guest_ns, metrics.cached) = (0, 0, false);
            }
        }
        settled
    }
}
