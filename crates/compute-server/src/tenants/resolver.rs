//! Where a tenant's artifacts come from: its own store. What an artifact is, that store's manifest says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use compute::{Artifact, BoxFuture, Error, Ref, Resolver};
use compute_store::{Store, StoreError, StoreResolver};

/// What every tenant may link to, though it has not stored it. Told once, before there are requests.
#[derive(Debug, Default)]
pub(super) struct Plugins {
    /// Those that the operator has bound to names: the first tenant's store has them.
    pub(super) bound: OnceLock<BTreeSet<Ref>>,
    /// Those that the program carries.
    pub(super) carried: OnceLock<BTreeMap<Ref, Artifact>>,
}

/// Resolves from a tenant's store, and plugins that are for every tenant from where they are.
#[derive(Debug)]
pub(crate) struct TenantResolver {
    own: Arc<dyn Store>,
    operators: Option<Arc<dyn Store>>,
    plugins: Arc<Plugins>,
}

impl TenantResolver {
    pub(super) fn new(
        own: Arc<dyn Store>,
        operators: Option<Arc<dyn Store>>,
        plugins: Arc<Plugins>,
    ) -> Self {
        Self { own, operators, plugins }
    }

    /// The operator's store, if it is one of its plugins.
    fn operators(&self, reference: &Ref) -> Option<&Arc<dyn Store>> {
        let bound = self.plugins.bound.get().is_some_and(|plugins| plugins.contains(reference));
        self.operators.as_ref().filter(|_| bound)
    }

    fn carried(&self, reference: &Ref) -> Option<&Artifact> {
        self.plugins.carried.get()?.get(reference)
    }
}

impl Resolver for TenantResolver {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async move {
            let own = StoreResolver::new(Arc::clone(&self.own)).resolve(reference).await;
            if let (Err(Error::NotFound { .. }), Some(carried)) = (&own, self.carried(reference)) {
                return Ok(carried.clone());
            }
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
            let own = has(&*self.own, reference).await;
            if matches!(own, Err(Error::NotFound { .. })) && self.carried(reference).is_some() {
                return Ok(());
            }
            match (own, self.operators(reference)) {
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
