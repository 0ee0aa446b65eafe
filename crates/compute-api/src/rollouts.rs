//! Versions that answer a part of a stack's documents in place of the active ones.

use compute_state::{Rollout, RolloutPath, Share};
use serde::{Deserialize, Serialize};

use crate::records::ShadowReport;

/// All versions that answer a part of a stack's documents in place of the active ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutList {
    /// By stack.
    pub rollouts: Vec<Rollout>,
}

/// A version that is to answer a part of a stack's documents in place of the active one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewRollout {
    /// The version's number.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 4294967295_u64))]
    pub number: u32,
    /// Which part of the values at the path: above 0, and 1 at most.
    #[cfg_attr(feature = "openapi", schema(value_type = f64, example = 0.1, minimum = 0.000001, maximum = 1))]
    pub share: Share,
    /// Where in a document the value is that decides, as rules write it: a text of up to 1,024 bytes, a number or a bool. A
    /// document that has none there gets the active version.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = ".customer.id", max_length = 512))]
    pub by: RolloutPath,
}

/// A version that is to answer all of a stack's documents, since it answers a part of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompletedRollout {
    /// The version's number.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 4294967295_u64))]
    pub number: u32,
}

/// A version that answers a part of a stack's documents in place of the active one, and what it answered otherwise as a shadow.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RolloutReport {
    /// The version's number.
    pub number: u32,
    /// Which part of the values at the path it answers.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub share: Share,
    /// Where in a document the value is that decides.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub by: RolloutPath,
    /// The active version, which answers the others.
    pub active: u32,
    /// What it answers otherwise than the active version, if it is the stack's shadow as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
}
