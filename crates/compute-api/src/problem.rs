//! Errors, as an answer has them.

use serde::{Deserialize, Serialize};

/// An error, as RFC 9457 has it. What else is known of it stands beside these.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = Problem))]
pub struct ProblemBody {
    /// `about:blank`: what it is, the code says.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status in words.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What it is, in a stable word.
    pub code: String,
    /// What happened, in a line.
    pub detail: String,
}
