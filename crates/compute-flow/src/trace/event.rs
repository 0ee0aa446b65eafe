//! Events on a document's way, in order.

use serde::{Deserialize, Serialize};

use crate::rules::Stage;

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
