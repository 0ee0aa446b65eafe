//! From a ref to its artifact.

use std::collections::HashMap;
use std::fmt;
use std::sync::RwLock;

use crate::{Artifact, BoxFuture, Error, Ref};

/// Finds artifacts.
///
/// A manager polls the future on a plain thread. An implementation that needs an async runtime brings
/// it, as the stores of `compute-store` do.
pub trait Resolver: fmt::Debug + Send + Sync {
    /// The artifact of this ref.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it surely isn't there; another error when that cannot be said or what
    /// is there is broken.
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>>;

    /// That there is an artifact of this ref, for who needs no more of it.
    ///
    /// # Errors
    /// As [`Resolver::resolve`].
    fn contains<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.resolve(reference).await.map(|_| ()) })
    }
}

/// A few artifacts in memory.
#[derive(Debug, Default)]
pub struct ArtifactMap(RwLock<HashMap<Ref, Artifact>>);

impl ArtifactMap {
    /// Takes an artifact away again.
    pub fn remove(&self, reference: &Ref) {
        self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner).remove(reference);
    }

    /// Adds an artifact, in place of any other of its ref.
    pub fn insert(&self, artifact: Artifact) {
        let mut map = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        map.insert(artifact.reference().clone(), artifact);
    }
}

impl<const N: usize> From<[Artifact; N]> for ArtifactMap {
    fn from(artifacts: [Artifact; N]) -> Self {
        let entry = |artifact: Artifact| (artifact.reference().clone(), artifact);
        Self(RwLock::new(artifacts.into_iter().map(entry).collect()))
    }
}

impl Resolver for ArtifactMap {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        let found = {
            let map = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            map.get(reference).cloned()
        };
        let found = found.ok_or_else(|| Error::NotFound { reference: reference.clone() });
        Box::pin(std::future::ready(found))
    }
}
