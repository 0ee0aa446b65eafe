//! Who may do what, what rules may name and nobody gets to see, who did what, and what was used.

pub(super) mod audit;
pub(super) mod secrets;
pub(super) mod tokens;
pub(super) mod usage;
