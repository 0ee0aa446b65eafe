//! Where a command's artifacts come from: those at hand, the plugin in this program, then the store.

use std::fmt;
use std::sync::{Arc, OnceLock};

use compute::{Artifact, ArtifactMap, BoxFuture, Error, Ref, Resolver};
use compute_store::{Store, StoreResolver};

use crate::failure::Failure;

/// Looks in the artifacts at hand first. The store is opened only if it is needed.
pub(crate) struct AtHand {
    known: ArtifactMap,
    url: Result<String, String>,
    store: OnceLock<Result<StoreResolver, Error>>,
}

impl AtHand {
    /// The store's URL, or why there is none, which matters only if the store is needed.
    pub(crate) fn new(url: Result<String, String>) -> Self {
        Self { known: ArtifactMap::default(), url, store: OnceLock::new() }
    }

    /// Keeps an artifact at hand.
    pub(crate) fn add(&self, artifact: Artifact) {
        self.known.insert(artifact);
    }

    /// The store itself.
    pub(crate) fn open_store(&self) -> Result<Arc<dyn Store>, Failure> {
        let url = self.url.as_ref().map_err(|error| Failure::Host(error.clone()))?;
        Ok(compute_store::open(url)?)
    }

    fn store(&self, reference: &Ref) -> Result<&StoreResolver, Error> {
        let open = || {
            let url =
                self.url.clone().map_err(|error| Error::unresolved(reference.clone(), error))?;
            let store: Arc<dyn Store> = compute_store::open(&url)
                .map_err(|error| Error::unresolved(reference.clone(), error))?;
            Ok(StoreResolver::new(store))
        };
        self.store.get_or_init(open).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for AtHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtHand").field("known", &self.known).field("url", &self.url).finish()
    }
}

impl Resolver for AtHand {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async move {
            match self.known.resolve(reference).await {
                Err(Error::NotFound { .. }) => {}
                found => return found,
            }
            let own = reference.digest() == compute_js_plugin::SHA256;
            if own && reference.alg() == compute::Algorithm::Sha256.name() {
                return Ok(compute_js_plugin::plugin());
            }
            self.store(reference)?.resolve(reference).await
        })
    }
}
