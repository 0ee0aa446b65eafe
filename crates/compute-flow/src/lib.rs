//! Stacks of rules, and the processor that takes documents through them.
//!
//! - A [`Workspace`] is a folder of rules and what they run, as an author keeps it.
//! - A [`Stack`] is one version of a stack's rules, made ready; a [`Snapshot`] is all active stacks at one
//!   moment. One document sees one snapshot throughout.
//! - A [`Processor`] takes a document through a snapshot, scope by scope, and hands what the rules run to a
//!   [`compute::Runner`].
//! - [`activate`] makes versions active, once everything that they name is there.
//! - A [`Trace`] tells what happened.
//!
//! Versions, secrets and traces are kept by `compute-state`.
//!
//! ```
//! use std::sync::Arc;
//! use compute::NoRunner;
//! use compute_flow::{Processor, Request, Snapshot, Stack};
//! use compute_state::File;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let rule = File::new("100_GREET/hello.txcl", "EMIT .greeting = &concat(\"Hello, \", .name, \"!\")");
//! let stack = Stack::compile("greeter".parse()?, &[rule]).map_err(|wrong| wrong[0].to_string())?;
//! let snapshot = Arc::new(Snapshot::from_iter([stack]));
//!
//! let processor = Processor::new(Arc::new(NoRunner));
//! let request = Request::new("greeter/0".parse()?, br#"{"name":"Ada"}"#.to_vec());
//! let answer = processor.process(&snapshot, &request);
//! assert_eq!(answer.result?.to_string(), r#"{"name":"Ada","greeting":"Hello, Ada!"}"#);
//! # Ok(())
//! # }
//! ```

mod process;
mod rules;
mod trace;
mod workspace;

pub use process::{
    Answer, Detail, Failure, Helpers, Processor, ProcessorSettings, Reason, Request, merge,
};
pub use rules::{
    ActivationError, CompileError, Problem, ProblemCode, RuleProblem, Scope, Snapshot, Stack,
    StackRule, Stage, StageError, activate, complete, mock_path, problems, roll_out, rule_path,
    served_path, shadow, validate,
};
pub use trace::{Event, EventKind, Step, StepEvent, StepLog, StepMetrics, Trace, Transition};
pub use workspace::{
    Op, Settings, SettingsError, Target, Workspace, WorkspaceError, WorkspaceRule, loops,
};
