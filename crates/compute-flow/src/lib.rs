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

mod activate;
mod batch;
mod control;
mod estimate;
mod failure;
mod index;
mod lint;
mod merge;
mod processor;
mod rule_path;
mod settings;
mod snapshot;
mod stack;
mod stage;
mod trace;
mod workspace;

pub use activate::{ActivationError, Problem, ProblemCode, activate, problems, validate};
pub use batch::Helpers;
pub use failure::{Failure, Reason, Transition};
pub use lint::loops;
pub use merge::merge;
pub use processor::{Answer, Detail, Processor, Request, Settings as ProcessorSettings};
pub use rule_path::rule_path;
pub use settings::{Settings, SettingsError, Target};
pub use snapshot::Snapshot;
pub use stack::{CompileError, RuleProblem, Scope, Stack, StackRule};
pub use stage::{Stage, StageError};
pub use trace::{Event, EventKind, Step, StepEvent, StepLog, StepMetrics, Trace};
pub use workspace::{Op, Workspace, WorkspaceError, WorkspaceRule};
