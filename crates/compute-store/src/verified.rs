//! A store around a store that believes no bytes it is given.

use std::collections::HashSet;

use bytes::Bytes;
use compute::{BoxFuture, Ref};
use futures_util::stream::BoxStream;
use jiff::Timestamp;

use crate::{Manifest, NewArtifact, Store, StoreError, Stored, SweepReport, Usage};

/// Checks every artifact and attachment that is read against its digest.
#[derive(Clone, Debug)]
pub struct Verified<S>(S);

impl<S: Store> Verified<S> {
    /// Reads from this store, and checks.
    pub const fn new(store: S) -> Self {
        Self(store)
    }
}

impl<S: Store> Store for Verified<S> {
    fn put<'a>(&'a self, new: &'a NewArtifact) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        self.0.put(new)
    }

    fn get<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Stored, StoreError>> {
        Box::pin(async move {
            let Stored { manifest, artifact } = self.0.get(reference).await?;
            let artifact = artifact.into_verified().map_err(StoreError::Digest)?;
            Ok(Stored { manifest, artifact })
        })
    }

    fn head<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Manifest, StoreError>> {
        self.0.head(reference)
    }

    fn attachment<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let bytes = self.0.attachment(reference).await?;
            reference.verify(&bytes).map_err(StoreError::Digest)?;
            Ok(bytes)
        })
    }

    fn list(&self) -> BoxStream<'_, Result<Manifest, StoreError>> {
        self.0.list()
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage, StoreError>> {
        self.0.usage()
    }

    fn delete<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.delete(reference)
    }

    fn delete_attachment<'a>(
        &'a self,
        reference: &'a Ref,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        self.0.delete_attachment(reference)
    }

    fn sweep<'a>(
        &'a self,
        keep: &'a HashSet<Ref>,
        before: Timestamp,
        dry_run: bool,
    ) -> BoxFuture<'a, Result<SweepReport, StoreError>> {
        self.0.sweep(keep, before, dry_run)
    }
}
