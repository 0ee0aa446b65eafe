//! Artifacts: what uploads and lists are answered with.

use compute::Ref;
use compute_store::Manifest;
use serde::{Deserialize, Serialize};

/// A stored artifact, as its upload is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Uploaded {
    /// Its address.
    #[serde(rename = "ref")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "compute://sha256/4a1f…"))]
    pub reference: Ref,
    /// The digest algorithm's name.
    pub alg: String,
    /// The digest.
    pub digest: String,
    /// The engine that runs it.
    pub engine: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Some of the artifacts, in the order of their refs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Computes {
    /// Their manifests.
    pub computes: Vec<Manifest>,
    /// The ref after which the rest follows; nothing if this is the last of them.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub next: Option<Ref>,
}

/// An attachment that was stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Attached {
    /// Its address.
    #[serde(rename = "ref")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub reference: Ref,
}
