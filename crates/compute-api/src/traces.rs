//! What happened to documents.

use serde::{Deserialize, Serialize};

use crate::Trace;

/// The newest traces.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TraceList {
    /// The oldest of them first.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub traces: Vec<Trace>,
}
