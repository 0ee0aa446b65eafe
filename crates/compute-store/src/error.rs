//! What can go wrong with a store.

use std::sync::Arc;

use compute::Ref;

use crate::MAX_BYTES;

/// A store could not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It isn't there.
    #[error("there is no {reference} in the store")]
    NotFound {
        /// What was asked for.
        reference: Ref,
    },
    /// The bytes are not those that the ref means, or the ref's algorithm is unknown.
    #[error(transparent)]
    Digest(compute::Error),
    /// What is stored is incomplete or unreadable.
    #[error("{reference} is damaged in the store: {problem}; put it again to repair it")]
    Damaged {
        /// What was asked for.
        reference: Ref,
        /// What is wrong with it.
        problem: String,
    },
    /// The same bytes are stored with other properties.
    #[error("{reference} is stored already, with {stored} and not with {given}")]
    Conflict {
        /// What was to be stored.
        reference: Ref,
        /// The property it has.
        stored: String,
        /// The property it was to have.
        given: String,
    },
    /// More bytes than a store takes.
    #[error("{bytes} bytes are too many; an artifact may have {MAX_BYTES}")]
    TooLarge {
        /// How many there are.
        bytes: u64,
    },
    /// Not a store's URL.
    #[error(
        "`{url}` is not a store: {problem}; give file:///folder, memory:, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
    )]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The storage failed.
    #[error("could not {action} in the store")]
    Storage {
        /// What was tried.
        action: &'static str,
        /// What the storage said.
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// That the storage failed.
    pub fn storage(
        action: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Storage { action, source: source.into().into() }
    }

    pub(crate) fn damaged(reference: &Ref, problem: impl Into<String>) -> Self {
        Self::Damaged { reference: reference.clone(), problem: problem.into() }
    }
}
