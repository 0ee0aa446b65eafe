//! What was recorded, and what versions answer that nobody gets.

use compute::RecordHead;
use compute_state::{Shadow, Share};
use serde::{Deserialize, Serialize};

/// The newest records.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordList {
    /// The oldest of them first: each with its `id`, `rid`, `kind` (`run` or `document`), `what`, `status`, `at`, `wall_ns`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub records: Vec<RecordHead>,
    /// How many lines of what was looked at are no whole records: what wrote them was stopped, or they were changed.
    #[serde(default)]
    pub damaged: u64,
}

/// All versions that get documents besides the active ones.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowList {
    /// By stack.
    pub shadows: Vec<Shadow>,
}

/// A version that is to get a part of a stack's documents besides the active one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewShadow {
    /// The version's number.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 4294967295_u64))]
    pub number: u32,
    /// Which part of the documents: above 0, and 1 at most.
    #[cfg_attr(feature = "openapi", schema(value_type = f64, example = 0.05, minimum = 0.000001, maximum = 1))]
    pub share: Share,
}

/// What came of a version that gets documents besides the active one, since it was set or the server began.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowReport {
    /// The version's number.
    pub number: u32,
    /// Which part of the documents it gets.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    pub share: Share,
    /// How many documents it was given.
    pub documents: u64,
    /// How many it answered as the active version did.
    pub same: u64,
    /// How many it answered otherwise.
    pub different: u64,
    /// How many cannot be compared, since time stopped one of both.
    pub incomparable: u64,
    /// How many it was not given, since no place was free.
    pub skipped: u64,
    /// What was otherwise, the most frequent first.
    pub groups: Vec<ShadowGroup>,
}

/// A place in answers that is otherwise in several of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowGroup {
    /// Where: `output .items[*].price`, `status`.
    pub place: String,
    /// In how many answers.
    pub documents: u64,
    /// The most frequent ways.
    pub ways: Vec<ShadowWay>,
    /// The id of the record of one of the documents, or of its request if it is not recorded.
    pub example: String,
}

/// One way in which a place changed.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ShadowWay {
    /// What the active version answers.
    pub before: String,
    /// What the other one does.
    pub after: String,
    /// In how many answers.
    pub documents: u64,
}
