//! Where a command's artifacts come from: those at hand, the plugin in this program, then the store.

use std::fmt;
use std::sync::{Arc, OnceLock};

use compute::{Artifact, ArtifactMap, BoxFuture, Error, Ref, Resolver};
use compute_store::{Store, StoreResolver};

use crate::failure::Failure;
use crate::home::Home;
use crate::user::plugins;

/// Looks in the artifacts at hand first. The store is opened only if it is needed.
pub(crate) struct AtHand {
    known: ArtifactMap,
    home: Result<Arc<dyn Home>, String>,
    store: OnceLock<Result<StoreResolver, Error>>,
}

impl AtHand {
    /// Where the store is, or why there is none, which matters only if the store is needed.
    pub(crate) fn new(home: Result<Arc<dyn Home>, String>) -> Self {
        Self { known: ArtifactMap::default(), home, store: OnceLock::new() }
    }

    /// Keeps an artifact at hand.
    pub(crate) fn add(&self, artifact: Artifact) {
        self.known.insert(artifact);
    }

    /// The store itself.
    pub(crate) fn open_store(&self) -> Result<Arc<dyn Store>, Failure> {
        self.home.as_ref().map_err(|error| Failure::Host(error.clone()))?.store()
    }

    fn store(&self, reference: &Ref) -> Result<&StoreResolver, Error> {
        let open = || {
            let store = self
                .open_store()
                .map_err(|failure| Error::unresolved(reference.clone(), failure.to_string()))?;
            Ok(StoreResolver::new(store))
        };
        self.store.get_or_init(open).as_ref().map_err(Clone::clone)
    }
}

impl fmt::Debug for AtHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AtHand").field("known", &self.known).field("home", &self.home).finish()
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
            match plugins::read(reference) {
                Some(Ok(plugin)) => return Ok(plugin),
                Some(Err(missing)) => return Err(Error::unresolved(reference.clone(), missing)),
                None => {}
            }
            self.store(reference)?.resolve(reference).await
        })
    }
}
