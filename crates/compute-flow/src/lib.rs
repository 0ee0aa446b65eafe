//! Stacks of rules, and the processor that takes documents through them.
//!
//! - A [`Workspace`] is a folder of rules and what they run, as an author keeps it.
//! - A [`Stack`] is one version of a stack's rules, made ready; a [`Snapshot`] is all active stacks at one
//!   moment. One document sees one snapshot throughout.
//! - A [`Catalogue`] keeps the versions of stacks, and which of them are active.
//! - A [`Processor`] takes a document through a snapshot, scope by scope, and hands what the rules run to a
//!   [`compute::Runner`].
//! - A [`Place`] is where a tenant's stacks and artifacts are kept; a [`Vault`] seals the secrets among them.
//! - [`Tokens`] say who may do what with it over a network.
//! - A [`Trace`] tells what happened; [`Traces`] keeps some.
//!
//! ```
//! use std::sync::Arc;
//! use compute::NoRunner;
//! use compute_flow::{File, Processor, Request, Snapshot, Stack, Stage};
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
mod catalogue;
mod control;
mod database;
mod estimate;
mod failure;
mod index;
mod lint;
mod merge;
mod place;
mod processor;
mod settings;
mod snapshot;
mod stack;
mod stage;
mod tokens;
mod trace;
mod traces;
mod vault;
mod workspace;

pub use activate::{ActivationError, Problem, ProblemCode, activate, problems, validate};
pub use batch::Helpers;
pub use catalogue::{
    ActiveStack, Catalogue, CatalogueError, Draft, SecretError, SecretInfo, Version, VersionInfo,
};
pub use compute::Mask;
pub use database::DatabaseError;
pub use failure::{Failure, Reason, Transition};
pub use lint::loops;
pub use merge::merge;
pub use place::{Place, TenantError, TenantName};
pub use processor::{Answer, Detail, Processor, Request, Settings as ProcessorSettings};
pub use settings::{Settings, SettingsError, Target};
pub use snapshot::Snapshot;
pub use stack::{CompileError, File, RuleProblem, Scope, Stack, StackRule, manifest_hash};
pub use stage::{StackName, Stage, StageError};
pub use tokens::{NewToken, ScopeError, TokenInfo, TokenScope, Tokens, TokensError};
pub use trace::{Event, EventKind, Step, StepEvent, StepLog, StepMetrics, Trace};
pub use traces::{Traces, TracesError};
pub use vault::{Vault, VaultError};
pub use workspace::{Op, Workspace, WorkspaceError, WorkspaceRule};
