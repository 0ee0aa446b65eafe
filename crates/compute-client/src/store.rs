//! A server's artifacts as a store like any other.

use std::collections::HashSet;

use bytes::Bytes;
use compute::{Artifact, BoxFuture, Ref};
use compute_store::{Manifest, NewArtifact, Store, StoreError, Stored, SweepReport, Usage};
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;

use crate::client::artifacts;
use crate::mode::Mode;
use crate::{ApiClient, Error, ErrorKind};

type Result<T> = std::result::Result<T, StoreError>;

/// A server's artifacts as a store. It believes what the server says: [`ApiClient::store`] puts it into a
/// [`compute_store::Verified`], which checks all bytes.
///
/// That of a [`blocking::Client`](crate::blocking::Client) may be polled anywhere, that of a [`Client`](crate::Client)
/// on tokio.
#[derive(Clone, Debug)]
pub struct RemoteStore<M>(ApiClient<M>);

impl<M: Mode> ApiClient<M> {
    /// The server's artifacts as a store, which believes none of the server's bytes.
    #[must_use]
    pub fn store(&self) -> compute_store::Verified<RemoteStore<M>> {
        compute_store::Verified::new(RemoteStore::new(self.clone()))
    }
}

impl<M: Mode> RemoteStore<M> {
    /// The artifacts of this client's server.
    #[must_use]
    pub const fn new(client: ApiClient<M>) -> Self {
        Self(client)
    }

    async fn upload(&self, new: &NewArtifact) -> std::result::Result<Manifest, Error> {
        let Self(client) = self;
        client.fetch(artifacts::upload(&new.artifact)).await?;
        let reference = new.artifact.reference();
        for (name, bytes) in &new.attachments {
            client.fetch(artifacts::attach(reference, name, bytes.clone())).await?;
        }
        client.fetch(artifacts::manifest(reference)).await
    }
}

fn failed(action: &'static str, reference: &Ref, error: Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::NotFound { reference: reference.clone() },
        _ => StoreError::storage(action, error),
    }
}

impl<M: Mode> Store for RemoteStore<M> {
    fn put<'a>(&'a self, new: &'a NewArtifact) -> BoxFuture<'a, Result<Manifest>> {
        Box::pin(async move {
            self.upload(new).await.map_err(|error| StoreError::storage("put it", error))
        })
    }

    fn get<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Stored>> {
        Box::pin(async move {
            let failed = |error| failed("get it", reference, error);
            let manifest = self.0.fetch(artifacts::manifest(reference)).await.map_err(failed)?;
            let bytes = self.0.fetch(artifacts::artifact(reference)).await.map_err(failed)?;
            let artifact = Artifact::unverified(reference.clone(), manifest.engine.clone(), bytes);
            Ok(Stored::new(manifest, artifact))
        })
    }

    fn head<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Manifest>> {
        Box::pin(async move {
            let manifest = self.0.fetch(artifacts::manifest(reference)).await;
            manifest.map_err(|error| failed("look for it", reference, error))
        })
    }

    fn attachment<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            let bytes = self.0.fetch(artifacts::attachment(reference)).await;
            bytes.map_err(|error| failed("get it", reference, error))
        })
    }

    fn list(&self) -> BoxStream<'_, Result<Manifest>> {
        self.0.pages().map_err(|error| StoreError::storage("list", error)).boxed()
    }

    fn usage(&self) -> BoxFuture<'_, Result<Usage>> {
        Box::pin(async {
            Err(StoreError::storage("count", "a server counts what it keeps by itself"))
        })
    }

    fn delete<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let deleted = self.0.fetch(artifacts::delete(reference)).await;
            deleted.map_err(|error| failed("delete it", reference, error))
        })
    }

    fn delete_attachment<'a>(&'a self, _reference: &'a Ref) -> BoxFuture<'a, Result<()>> {
        Box::pin(async {
            let why = "a server deletes attachments with the last artifact that names them";
            Err(StoreError::storage("delete an attachment", why))
        })
    }

    fn sweep<'a>(
        &'a self,
        _keep: &'a HashSet<Ref>,
        _before: Timestamp,
        _dry_run: bool,
    ) -> BoxFuture<'a, Result<SweepReport>> {
        Box::pin(async {
            Err(StoreError::storage("sweep", "a server's store is swept where the server is"))
        })
    }
}
