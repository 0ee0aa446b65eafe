//! Tenants: each with artifacts, stacks, secrets and traces of its own, all in the one engine.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;
use bytes::Bytes;
use compute::{
    Artifact, BoxFuture, Error, LogWriter, Manager, Outcome, Ref, Resolver, RunOptions, Runner,
};
use compute_flow::{
    Catalogue, CatalogueError, Mask, Place, Processor, ProcessorSettings, RuleProblem, SecretError,
    Snapshot, TenantName, Traces, Vault,
};
use compute_store::{Store, StoreError, StoreResolver};

use crate::telemetry::GuestLog;

/// How many refs are remembered to be in a tenant's store.
const KNOWN: usize = 100_000;

/// A tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) name: TenantName,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) catalogue: Catalogue,
    pub(crate) traces: Traces,
    pub(crate) runner: Arc<TenantRunner>,
    pub(crate) processor: Processor,
    vault: Vault,
    live: ArcSwap<Live>,
    /// Held by whoever makes `live` anew.
    renewing: Mutex<()>,
    /// Held by whoever changes what a version is made of, or makes one active.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

/// What documents need of a tenant, as the catalogue had it at one change.
#[derive(Debug, Default)]
pub(crate) struct Live {
    change: Option<i64>,
    pub(crate) snapshot: Snapshot,
    pub(crate) secrets: Secrets,
    pub(crate) mask: Mask,
}

/// Values of secrets; they are not shown when debugged.
#[derive(Clone, Default)]
pub(crate) struct Secrets(pub(crate) Arc<BTreeMap<String, String>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The active versions cannot be made ready.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LiveError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// A version that was written by another version of this program.
    #[error("an active version cannot run: {0}")]
    Rule(Box<RuleProblem>),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// A tenant's place cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantError {
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Tenant {
    /// The active versions and the secrets. Where something changed, by this process or another, only what
    /// changed is made ready anew.
    pub(crate) fn live(&self) -> Result<Arc<Live>, LiveError> {
        let change = Some(self.catalogue.change_number()?);
        let live = self.live.load_full();
        if live.change == change {
            return Ok(live);
        }
        let _renewing = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        // Read before the versions: what changes meanwhile is seen by the next document.
        let change = Some(self.catalogue.change_number()?);
        let live = self.live.load_full();
        if live.change == change {
            return Ok(live);
        }
        let first = |mut wrong: Vec<RuleProblem>| LiveError::Rule(Box::new(wrong.remove(0)));
        let snapshot = live.snapshot.with_versions(self.catalogue.all_active()?).map_err(first)?;
        let secrets = self.catalogue.open_secrets(&self.vault)?;
        let mask = Mask::new(secrets.values().cloned());
        let live = Live { change, snapshot, secrets: Secrets(Arc::new(secrets)), mask };
        let live = Arc::new(live);
        self.live.store(Arc::clone(&live));
        Ok(live)
    }

    /// Keeps a secret.
    pub(crate) fn set_secret(&self, name: &str, value: &str) -> Result<(), SecretError> {
        self.catalogue.set_secret(&self.vault, name, value)
    }
}

/// The tenants that were asked for, opened when they first are.
#[derive(Debug)]
pub(crate) struct Tenants {
    place: Place,
    vault: Vault,
    manager: Manager,
    shelves: Arc<Shelves>,
    documents: ProcessorSettings,
    guest_log: GuestLog,
    open: Mutex<HashMap<TenantName, Arc<Tenant>>>,
}

impl Tenants {
    pub(crate) fn new(
        place: Place,
        vault: Vault,
        manager: Manager,
        shelves: Arc<Shelves>,
        documents: ProcessorSettings,
        guest_log: GuestLog,
    ) -> Self {
        Self { place, vault, manager, shelves, documents, guest_log, open: Mutex::default() }
    }

    /// A tenant that was opened already.
    pub(crate) fn opened(&self, name: &TenantName) -> Option<Arc<Tenant>> {
        self.lock().get(name).cloned()
    }

    /// A tenant. Its files are opened, so this is for threads that may wait.
    pub(crate) fn open(&self, name: &TenantName) -> Result<Arc<Tenant>, TenantError> {
        let mut open = self.lock();
        if let Some(tenant) = open.get(name) {
            return Ok(Arc::clone(tenant));
        }
        let place = self.place.tenant(name);
        let shelf = Arc::new(Shelf { store: place.open_store()?, known: Mutex::default() });
        let runner = Arc::new(TenantRunner {
            manager: self.manager.clone(),
            shelf: Arc::clone(&shelf),
            log: self.guest_log.of(name),
        });
        let tenant = Arc::new(Tenant {
            name: name.clone(),
            catalogue: place.catalogue()?,
            traces: place.traces(),
            processor: Processor::with_settings(Arc::clone(&runner) as _, self.documents),
            runner,
            vault: self.vault.clone(),
            live: ArcSwap::default(),
            renewing: Mutex::new(()),
            changing: tokio::sync::Mutex::new(()),
            shelf: Arc::clone(&shelf),
        });
        self.shelves.add(name.clone(), shelf);
        open.insert(name.clone(), Arc::clone(&tenant));
        Ok(tenant)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantName, Arc<Tenant>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tenant's artifacts, and which are known to be there.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) store: Arc<dyn Store>,
    known: Mutex<HashSet<Ref>>,
}

impl Shelf {
    fn known(&self) -> MutexGuard<'_, HashSet<Ref>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn knows(&self, reference: &Ref) -> bool {
        self.known().contains(reference)
    }

    /// That the tenant has this artifact. What is loaded already may be another's, and is none of its business.
    pub(crate) async fn has(&self, reference: &Ref) -> Result<(), Error> {
        if self.knows(reference) {
            return Ok(());
        }
        let manifest = self.store.head(reference).await.map_err(|error| match error {
            StoreError::NotFound { .. } => Error::NotFound { reference: reference.clone() },
            StoreError::Digest(error) => error,
            error => Error::unresolved(reference.clone(), error),
        })?;
        let mut known = self.known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.extend(manifest.links);
        known.insert(reference.clone());
        Ok(())
    }

    /// That it was deleted.
    pub(crate) fn forget(&self, reference: &Ref) {
        self.known().remove(reference);
    }
}

/// Runs what a tenant has, and nothing else.
pub(crate) struct TenantRunner {
    manager: Manager,
    shelf: Arc<Shelf>,
    log: Arc<dyn LogWriter>,
}

impl fmt::Debug for TenantRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRunner").field("shelf", &self.shelf).finish_non_exhaustive()
    }
}

impl TenantRunner {
    /// Runs what came with a request of the tenant's, whether it is stored or not.
    pub(crate) async fn run_given(
        &self,
        reference: &Ref,
        input: Bytes,
        options: RunOptions,
    ) -> Result<Outcome, Error> {
        self.manager.run(reference, input, self.logged(options)).await
    }

    /// These options, with the tenant's log.
    fn logged(&self, mut options: RunOptions) -> RunOptions {
        options.log.get_or_insert_with(|| Arc::clone(&self.log));
        options
    }
}

impl Runner for TenantRunner {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            self.shelf.has(reference).await?;
            self.run_given(reference, input, options).await
        })
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        pollster::block_on(self.shelf.has(reference))?;
        self.manager.run_blocking(reference, input, &self.logged(options.clone()))
    }
}

/// Where the one engine finds artifacts: what is just arriving, then the tenants' stores. Whether a tenant may
/// have one is decided before: the bytes of a ref are the same, whoever keeps them.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    arriving: Mutex<HashMap<Ref, (Artifact, usize)>>,
    shelves: RwLock<BTreeMap<TenantName, Arc<Shelf>>>,
}

/// Keeps an artifact within reach of the engine while it is not stored.
#[derive(Debug)]
pub(crate) struct AtHand {
    shelves: Arc<Shelves>,
    reference: Ref,
}

impl Shelves {
    fn add(&self, name: TenantName, shelf: Arc<Shelf>) {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner).insert(name, shelf);
    }

    /// Lets the engine find an artifact that is not stored yet, until the answer is dropped.
    pub(crate) fn hold(self: &Arc<Self>, artifact: Artifact) -> AtHand {
        let reference = artifact.reference().clone();
        self.arriving().entry(reference.clone()).or_insert((artifact, 0)).1 += 1;
        AtHand { shelves: Arc::clone(self), reference }
    }

    fn arriving(&self) -> MutexGuard<'_, HashMap<Ref, (Artifact, usize)>> {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stores that may have it, the likeliest first.
    fn stores(&self, reference: &Ref) -> Vec<Arc<dyn Store>> {
        let shelves = self.shelves.read().unwrap_or_else(PoisonError::into_inner);
        let mut shelves: Vec<_> = shelves.values().cloned().collect();
        shelves.sort_by_cached_key(|shelf| !shelf.knows(reference));
        shelves.iter().map(|shelf| Arc::clone(&shelf.store)).collect()
    }
}

impl Drop for AtHand {
    fn drop(&mut self) {
        let mut arriving = self.shelves.arriving();
        if let Some((_, holders)) = arriving.get_mut(&self.reference) {
            *holders -= 1;
            if *holders == 0 {
                arriving.remove(&self.reference);
            }
        }
    }
}

/// The resolver of the one engine.
#[derive(Debug)]
pub(crate) struct Everywhere(pub(crate) Arc<Shelves>);

impl Resolver for Everywhere {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async move {
            if let Some((artifact, _)) = self.0.arriving().get(reference) {
                return Ok(artifact.clone());
            }
            for store in self.0.stores(reference) {
                match StoreResolver::new(store).resolve(reference).await {
                    Err(Error::NotFound { .. }) => {}
                    found => return found,
                }
            }
            Err(Error::NotFound { reference: reference.clone() })
        })
    }
}
