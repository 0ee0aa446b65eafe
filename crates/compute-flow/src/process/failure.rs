//! Why a document got no answer.

use std::fmt;
use std::time::Duration;

use compute::{ErrorKind, OverLimit, Ref, with_causes};

use crate::rules::{Stage, StageError};
use crate::trace::Transition;

/// Why a document got no answer, and where it was.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// What happened.
    pub reason: Reason,
    /// The last scope that the document was in, if it came that far.
    pub stage: Option<Stage>,
    /// The rule that failed, as `stack/scope/name`.
    pub op: Option<String>,
    /// That rule's text.
    pub rule: Option<String>,
    /// The compute that failed.
    pub reference: Option<Ref>,
    /// The last three transitions from scope to scope.
    pub transitions: Vec<Transition>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(op) = &self.op {
            write!(f, "{op}: ")?;
        }
        match &self.reason {
            Reason::Host(error) => f.write_str(&with_causes(error))?,
            reason => write!(f, "{reason}")?,
        }
        let budget = matches!(self.reason, Reason::ScopeTtl { .. } | Reason::Fuel { .. });
        if let Some(stage) = self.stage.as_ref().filter(|_| budget) {
            write!(f, "; the last stage was {stage}")?;
            let shown: Vec<_> = self.transitions.iter().map(Transition::to_string).collect();
            if !shown.is_empty() {
                write!(f, ", the last transitions were {}", shown.join(", "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

/// What kept a document from its answer.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The document is not a JSON object.
    #[error("the document is not a JSON object: {0}")]
    Input(String),
    /// There is no such stack, nor one that it lies over.
    #[error("there is no active stack for the stage {0}")]
    UnknownStage(Stage),
    /// A compute failed.
    #[error("{0}")]
    Guest(compute::Failure),
    /// A compute could not be run.
    #[error("{0}")]
    Host(compute::Error),
    /// A value of the rule could not be worked out.
    #[error("{clause}: {message}")]
    Rule {
        /// The clause it stands in.
        clause: &'static str,
        /// Where, in the rule's text.
        span: Option<txcl::Span>,
        /// What is wrong.
        message: String,
    },
    /// A compute gave something else than an object.
    #[error("the output must be a JSON object, and is {0}")]
    OutputNotObject(&'static str),
    /// A rule asks for a secret that there isn't.
    #[error("there is no secret `{0}`")]
    MissingSecret(String),
    /// What was written to `_txc.goto`, `_txc.halt` or `_txc.delete` cannot be understood.
    #[error("`_txc.{key}` is {value}: {problem}")]
    Control {
        /// Which of them.
        key: &'static str,
        /// What was written.
        value: String,
        /// What is wrong with it.
        problem: String,
    },
    /// `_txc.goto` names a stage that cannot be.
    #[error("`_txc.goto`: {0}")]
    Goto(StageError),
    /// The document entered too many scopes.
    #[error("the document entered more than {limit} scopes")]
    ScopeTtl {
        /// How many it may enter.
        limit: u32,
    },
    /// The document was too much work.
    #[error("the document used up its {limit} units of work")]
    Fuel {
        /// How many it may use.
        limit: u64,
    },
    /// The document, or what a scope makes of it, is too large.
    #[error("{what} larger than the limit of {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The document, or what is made of it, takes more memory than there is for it.
    #[error("{0}")]
    OutOfMemory(OverLimit),
    /// The document, or what a compute gives, is nested too deep.
    #[error("{what} nested deeper than {limit} levels")]
    TooDeep {
        /// What is nested too deep.
        what: &'static str,
        /// The limit, in levels.
        limit: usize,
    },
    /// The time for the whole document is over.
    #[error("the document's limit of {limit:?} was reached")]
    Deadline {
        /// The limit.
        limit: Duration,
    },
    /// The caller cancelled.
    #[error("the caller cancelled")]
    Cancelled,
}

impl Reason {
    /// The reason in a stable word, for tools.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Input(_) => "invalid_document",
            Self::UnknownStage(_) => "unknown_stage",
            Self::Guest(_) => "compute_failed",
            Self::Host(error) => match error.kind() {
                ErrorKind::NotFound => "missing_compute_artifact",
                _ => "compute_unavailable",
            },
            Self::Rule { .. } => "expression_failed",
            Self::OutputNotObject(_) => "output_not_object",
            Self::MissingSecret(_) => "missing_secret",
            Self::Control { .. } | Self::Goto(_) => "invalid_control",
            Self::ScopeTtl { .. } => "scope_ttl_exhausted",
            Self::Fuel { .. } => "fuel_exhausted",
            Self::TooLarge { .. } | Self::OutOfMemory(_) | Self::TooDeep { .. } => {
                "document_too_large"
            }
            Self::Deadline { .. } => "deadline_exceeded",
            Self::Cancelled => "cancelled",
        }
    }
}
