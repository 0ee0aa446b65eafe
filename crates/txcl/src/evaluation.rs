//! Rules made ready, and evaluated.

mod condition;
mod control;
mod expression;
mod pattern;
mod program;
mod remove;
mod translate;

pub use condition::same;
pub use control::{Control, GivenSecret};
pub(crate) use control::{paths, secrets, timeout};
pub use pattern::{MAX_COMPILED, MAX_HAYSTACK, MAX_PATTERN, RegexBudget};
pub(crate) use pattern::{Pattern, PatternError};
pub use program::{Program, Selected};
pub use remove::remove_all;
