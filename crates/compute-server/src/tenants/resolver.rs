//! Where a tenant's artifacts come from: its own store. What an artifact is, that store's manifest says.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use compute::{Artifact, BoxFuture, Error, Ref, Resolver};
use compute_store::{Store, StoreError, StoreResolver};

/// Resolves from a tenant's store; and, if the operator has bound them to names, plugins from the first tenant's.
#[derive(Debug)]
pub(super) struct TenantResolver {
    own: Arc<dyn Store>,
    operators: Option<Arc<dyn Store>>,
    plugins: Arc<OnceLock<BTreeSet<Ref>>>,
}

impl TenantResolver {
    pub(super) fn new(
        own: Arc<dyn Store>,
        operators: Option<Arc<dyn Store>>,
        plugins: Arc<OnceLock<BTreeSet<Ref>>>,
    ) -> Self {
        Self { own, operators, plugins }
    }

    /// The operator's store, if it is one of its plugins.
    fn operators(&self, reference: &Ref) -> Option<&Arc<dyn Store>> {
        let shared = self.plugins.get().is_some_and(|plugins| plugins.contains(reference));
        self.operators.as_ref().filter(|_| shared)
    }
}

impl Resolver for TenantResolver {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async move {
            let own = StoreResolver::new(Arc::clone(&self.own)).resolve(reference).await;
            match (own, self.operators(reference)) {
                (Err(Error::NotFound { .. }), Some(store)) => {
                    StoreResolver::new(Arc::clone(store)).resolve(reference).await
                }
                (own, _) => own,
            }
        })
    }

    fn contains<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            match (has(&*self.own, reference).await, self.operators(reference)) {
                (Err(Error::NotFound { .. }), Some(store)) => has(&**store, reference).await,
                (own, _) => own,
            }
        })
    }
}

async fn has(store: &dyn Store, reference: &Ref) -> Result<(), Error> {
    match store.head(reference).await {
        Ok(_) => Ok(()),
        Err(StoreError::NotFound { reference }) => Err(Error::NotFound { reference }),
        Err(StoreError::Digest(error)) => Err(error),
        Err(error) => Err(Error::unresolved(reference.clone(), error)),
    }
}
