//! What ran a run.

use serde::{Deserialize, Serialize};

use crate::Ref;

/// What runs an artifact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The engine's name.
    pub engine: String,
    /// The artifacts that it needs to run.
    pub links: Vec<Ref>,
    /// What decides how the engine's runs come out: two engines that say the same here give the same output, fuel and memory for
    /// the same artifact and input.
    pub version: String,
}
