//! What a store is, and what it keeps of an artifact.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use bytes::Bytes;
use compute::{Artifact, BoxFuture, Ref};
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// Keeps artifacts by their digest.
///
/// Everything in a store is written once. Two writers of the same artifact both succeed; a writer that
/// dies leaves nothing that a reader could see half of; a put that was answered is durable.
pub trait Store: fmt::Debug + Send + Sync {
    /// Keeps an artifact. Keeping what is there already changes nothing, except that attachments of
    /// new names are added, those of known names replaced, and damage is repaired.
    ///
    /// # Errors
    /// [`StoreError::Digest`] if the bytes are not those that the ref means, [`StoreError::Conflict`]
    /// if they are stored for another engine or with other links.
    fn put<'a>(&'a self, new: &'a NewArtifact) -> BoxFuture<'a, Result<Manifest, StoreError>>;

    /// The artifact's bytes and manifest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it isn't there.
    fn get<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Stored, StoreError>>;

    /// The artifact's manifest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it isn't there.
    fn head<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Manifest, StoreError>>;

    /// The bytes of an attachment that a manifest names.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it isn't there.
    fn attachment<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Bytes, StoreError>>;

    /// All manifests, in no particular order. A manifest that cannot be read is an error in its place,
    /// and the rest follows.
    fn list(&self) -> BoxStream<'_, Result<Manifest, StoreError>>;

    /// How many artifacts it keeps, and how many bytes all that it keeps has, attachments included.
    ///
    /// # Errors
    /// When the storage fails.
    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>>;

    /// Deletes an artifact, whoever needs it; its attachments stay until they are deleted or swept.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if it isn't there.
    fn delete<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Deletes an attachment, whoever names it; one that is not there is as good as deleted.
    ///
    /// # Errors
    /// When the storage fails.
    fn delete_attachment<'a>(&'a self, reference: &'a Ref)
    -> BoxFuture<'a, Result<(), StoreError>>;

    /// Deletes what is not in `keep` and was written before `before`: artifacts, attachments that no
    /// artifact kept names, and what dead writers left. With `dry_run`, only says what it would delete.
    ///
    /// # Errors
    /// When the storage fails; what was deleted until then stays so.
    fn sweep<'a>(
        &'a self,
        keep: &'a HashSet<Ref>,
        before: Timestamp,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<SweepReport, StoreError>>;
}

/// What a store knows of an artifact; kept as JSON beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct Manifest {
    /// Its address.
    #[serde(rename = "ref")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub reference: Ref,
    /// The engine that runs it.
    pub engine: String,
    /// The digest algorithm's name.
    pub alg: String,
    /// The digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was first stored.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// The artifacts that it needs to run.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub links: Vec<Ref>,
    /// What belongs to it and is not needed to run it, by name.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub attachments: BTreeMap<String, Ref>,
}

/// An artifact to be stored.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NewArtifact {
    /// Its bytes, address and engine.
    pub artifact: Artifact,
    /// The artifacts that it needs to run.
    pub links: Vec<Ref>,
    /// What belongs to it and is not needed to run it, by name.
    pub attachments: BTreeMap<String, Bytes>,
}

impl NewArtifact {
    /// An artifact with neither links nor attachments.
    #[must_use]
    pub const fn new(artifact: Artifact) -> Self {
        Self { artifact, links: Vec::new(), attachments: BTreeMap::new() }
    }
}

/// A stored artifact.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stored {
    /// What the store knows of it.
    pub manifest: Manifest,
    /// The artifact, for an engine to load.
    pub artifact: Artifact,
}

impl Stored {
    /// An artifact that came from a storage, with what that knows of it.
    #[must_use]
    pub const fn new(manifest: Manifest, artifact: Artifact) -> Self {
        Self { manifest, artifact }
    }
}

/// How much a store keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// How many artifacts.
    pub artifacts: u64,
    /// How many bytes, of artifacts, manifests and attachments.
    pub bytes: u64,
}

/// What a sweep deleted, or would delete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Artifacts deleted.
    pub artifacts: Vec<Ref>,
    /// Attachments deleted.
    pub attachments: Vec<Ref>,
    /// Remains of dead writers deleted.
    pub remains: usize,
    /// Bytes given back.
    pub bytes: u64,
    /// Artifacts that nothing keeps but that are too young.
    pub young: usize,
}
