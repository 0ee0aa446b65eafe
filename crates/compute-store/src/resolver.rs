//! A store as the resolver of a manager.

use std::sync::Arc;

use compute::{Artifact, BoxFuture, Error, Ref, Resolver};

use crate::{Store, StoreError};

/// Resolves refs from a store.
#[derive(Clone, Debug)]
pub struct StoreResolver(Arc<dyn Store>);

impl StoreResolver {
    /// A resolver that looks in this store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

impl Resolver for StoreResolver {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async move {
            match self.0.get(reference).await {
                Ok(stored) => Ok(stored.artifact),
                Err(StoreError::NotFound { reference }) => Err(Error::NotFound { reference }),
                Err(StoreError::Digest(error)) => Err(error),
                Err(error) => Err(Error::unresolved(reference.clone(), error)),
            }
        })
    }
}
