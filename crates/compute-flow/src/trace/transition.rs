//! A document's step from one scope to the next.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::rules::Stage;

/// From one scope to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Transition {
    /// From here.
    pub from: Stage,
    /// To here.
    pub to: Stage,
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} → {}", self.from, self.to)
    }
}
