//! Rules made ready, and evaluated.

mod condition;
mod control;
mod expression;
mod pattern;
mod program;
mod remove;

pub use condition::same;
pub use control::Control;
pub(crate) use control::{names, paths, timeout};
pub use pattern::{MAX_COMPILED, MAX_HAYSTACK, MAX_PATTERN, RegexBudget};
pub(crate) use pattern::{Pattern, PatternError};
pub use program::{Program, Selected};
pub use remove::remove_all;
