//! Rules that are made ready: a version as a stack, all that are active as a snapshot, and what must hold first.

mod activate;
mod estimate;
mod files;
mod path;
mod rollout;
mod snapshot;
mod stack;
mod stage;

pub use activate::{
    ActivationError, Problem, ProblemCode, activate, complete, problems, roll_out, shadow, validate,
};
pub(crate) use estimate::helpers;
pub(crate) use files::{MAX_SERVED, MAX_SERVED_FILE, MAX_SERVED_FILES, StaticFiles};
pub(crate) use path::{MOCK, SERVED, scope_number};
pub use path::{mock_path, rule_path, served_path};
pub(crate) use rollout::Chosen;
pub use snapshot::Snapshot;
pub use stack::{CompileError, RuleProblem, Scope, Stack, StackRule};
pub use stage::{Stage, StageError};
