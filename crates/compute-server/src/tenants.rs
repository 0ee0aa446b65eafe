//! Tenants: each with artifacts, stacks, secrets and traces of its own, all in the one engine.

mod allowed;
mod live;
mod records;
mod resolver;
mod shadows;
mod storage;
mod unread;
mod usage;

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use compute::{
    Account, Algorithm, Artifact, ArtifactMap, BoxFuture, Charge, Error, Limits, LogWriter,
    Manager, Outcome, Ref, RunOptions, Runner,
};
use compute_flow::Processor;
use compute_replay::RecordWriter;
use compute_state::{
    Catalogue, Rated, RecordPolicy, SecretError, StackName, StacksError, StateError, TenantName,
    TenantState, TraceStore, Vault, tenant_store,
};
use compute_store::{Store, StoreError};
use tokio::sync::Semaphore;

use crate::Settings;
use crate::http::Pace;
use crate::telemetry::{GuestLog, Labels, Used, warn};
use crate::work::{Rate, Requests};
use resolver::{Plugins, TenantResolver};
use unread::Unread;
use usage::Usage;

pub(crate) use allowed::{Allowed, Refused};
pub(crate) use live::{Live, LiveError};
pub(crate) use records::{Records, drawn, record_writer};
pub(crate) use shadows::{LiveShadow, ShadowCounts, Shadows};
pub use storage::Storage;
pub(crate) use usage::QuotaError;

/// `(module (memory (export "memory") 1) (func (export "_start")))`
const NOTHING: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\x07\x13\x02\x06memory\x02\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
/// How long it may take to compile and run it.
const CHECK: Duration = Duration::from_secs(30);

/// How long it may take to make an artifact ready before anybody asks for it.
const WARM: Duration = Duration::from_hours(1);

/// What the memory of rules is called that documents still use.
const REPLACED: &str = "the memory of rules that are replaced, and that documents still use,";

/// Which part of the requests may be batches, which may go on for long: one in so many.
pub(crate) const BATCHES: usize = 4;
/// What the memory of one tenant's rules, and of what keeps its secrets out of logs, is called.
pub(crate) const TENANT_RULES: &str = "the memory of a tenant's rules and secrets";

/// A tenant.
pub(crate) struct Tenant {
    pub(crate) name: TenantName,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) state: Arc<dyn TenantState>,
    pub(crate) catalogue: Arc<dyn Catalogue>,
    pub(crate) traces: Arc<dyn TraceStore>,
    /// Where what it may run and link to comes from.
    pub(crate) resolver: Arc<TenantResolver>,
    /// Runs what this tenant has, and nothing else.
    pub(crate) manager: Manager,
    /// Takes what its computes log.
    pub(crate) log: Arc<dyn LogWriter>,
    pub(crate) processor: Processor,
    /// What it keeps of artifacts.
    pub(crate) usage: Usage,
    /// What it uses.
    pub(crate) used: Arc<Used>,
    /// The series of metrics that are its own.
    pub(crate) labels: Labels,
    /// Where its requests are recorded, if the server has a place for that.
    pub(crate) records: Option<Arc<Records>>,
    pub(crate) shadows: Shadows,
    /// Takes documents through what answers nobody: what computes log there is kept nowhere.
    pub(crate) shadow_processor: Processor,
    /// What is recorded of single runs, when that was last asked for, and at which change it was read.
    run_policy: ArcSwap<Option<(Instant, i64, RecordPolicy)>>,
    /// Held by whoever asks for it.
    asking: Mutex<()>,
    vault: Vault,
    live: Arc<ArcSwap<Live>>,
    /// What of rules that are replaced may be there because documents still use it.
    replaced: Account,
    /// What the rules and the mask in `live` take. Held by whoever makes it anew.
    renewing: Mutex<Charge>,
    unread: Unread,
    /// How long what is known may be used where it cannot be read anew.
    stale: Duration,
    /// Held by whoever makes a version active, or deletes what one may name.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

/// A tenant's place cannot be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TenantError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Tenant {
    /// Says what is recorded of a stack's documents, or of all else.
    pub(crate) fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        self.catalogue.set_record_policy(stack, policy)?;
        self.run_policy.store(Arc::default());
        Ok(())
    }

    /// Keeps a secret.
    pub(crate) fn set_secret(&self, name: &str, value: &str) -> Result<(), SecretError> {
        self.catalogue.set_secret(&self.vault, name, value)
    }
}

/// The tenants that were asked for, opened when they first are.
#[derive(Debug)]
pub(crate) struct Tenants {
    storage: Storage,
    manager: Manager,
    memory: Account,
    settings: Settings,
    guest_log: GuestLog,
    /// Writes the records of all tenants, if there is a place for them.
    writer: Option<RecordWriter>,
    plugins: Arc<Plugins>,
    /// What the rules of all tenants may take, and what those may that are replaced.
    rules: Account,
    replaced: Account,
    /// Whether other servers share the state.
    is_shared: bool,
    entries: RwLock<HashMap<TenantName, Arc<Entry>>>,
}

/// What a tenant's requests may take together, and the tenant, once it is opened.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: TenantName,
    pub(crate) requests: Requests,
    /// Those that are batches.
    pub(crate) batches: Requests,
    /// Taken by each line of a batch that waits for a sandbox or has one: all batches together hold no more of them, and no more
    /// places in the queue, than there may be sandboxes, so that other requests wait for no more than that.
    pub(crate) lines: Arc<Semaphore>,
    pub(crate) memory: Account,
    /// What of the processors goes to its connections.
    pub(crate) pace: Arc<Pace>,
    /// What it uses.
    pub(crate) used: Arc<Used>,
    /// What it may use in a time, if that is bounded.
    pub(crate) allowed: Option<Box<Allowed>>,
    tenant: OnceLock<Arc<Tenant>>,
    /// Held by whoever opens it.
    opening: Mutex<()>,
}

impl Entry {
    /// The tenant, if it was opened already.
    pub(crate) fn opened(&self) -> Option<Arc<Tenant>> {
        self.tenant.get().cloned()
    }

    /// How many of these it may send in a second, if that is bounded.
    pub(crate) fn rate(&self, of: Rated) -> Option<MutexGuard<'_, Rate>> {
        self.allowed.as_ref()?.rate(of)
    }
}

impl Tenants {
    pub(crate) fn new(
        storage: Storage,
        manager: Manager,
        memory: &Account,
        settings: Settings,
        guest_log: GuestLog,
        writer: Option<RecordWriter>,
        is_shared: bool,
    ) -> Self {
        Self {
            writer,
            is_shared,
            storage,
            manager,
            memory: memory.clone(),
            settings,
            guest_log,
            plugins: Arc::default(),
            rules: Account::new(
                "the memory of all tenants' rules and secrets",
                settings.rule_memory,
            ),
            replaced: Account::new(REPLACED, settings.rule_memory),
            entries: RwLock::default(),
        }
    }

    /// Lets every tenant link to these artifacts of the first one's. Told once, before there are requests.
    pub(crate) fn share_plugins(&self, plugins: BTreeSet<Ref>) {
        let _ = self.plugins.bound.set(plugins);
    }

    /// Lets every tenant link to these artifacts, which nobody has stored. Told once, before there are requests.
    pub(crate) fn carry_plugins(&self, plugins: impl IntoIterator<Item = Artifact>) {
        let named = |plugin: Artifact| (plugin.reference().clone(), plugin);
        let _ = self.plugins.carried.set(plugins.into_iter().map(named).collect());
    }

    /// Compiles a module that does nothing, and runs it, as no tenant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let artifact = Artifact::new(Algorithm::Sha256, "wasm", NOTHING);
        let reference = artifact.reference().clone();
        let manager = self.manager.for_tenant(None, Arc::new(ArtifactMap::from([artifact])));
        let limits = Limits { wall: Some(CHECK), ..Limits::DEFAULT };
        manager.run_blocking(&reference, b"{}", &RunOptions::with_limits(limits)).map(drop)
    }

    /// Makes an artifact ready, as no tenant, with what it links to of what the program carries.
    pub(crate) fn warm(&self, artifact: &Artifact) -> Result<(), Error> {
        let carried = self.plugins.carried.get().into_iter().flat_map(|all| all.values().cloned());
        let resolver = ArtifactMap::default();
        carried.for_each(|plugin| resolver.insert(plugin));
        let manager = self.manager.for_tenant(None, Arc::new(resolver));
        let limits = Limits { wall: Some(WARM), ..Limits::DEFAULT };
        match manager.load(artifact, &RunOptions::with_limits(limits))? {
            Ok(_) => Ok(()),
            Err(failure) => {
                let source = Arc::from(Box::from(failure.to_string()));
                Err(Error::Refused { reference: artifact.reference().clone(), source })
            }
        }
    }

    /// Runs an artifact of a tenant no more that has gone.
    pub(crate) fn forget(&self, name: &TenantName, artifact: &Ref) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = entries.get(name).and_then(|entry| entry.opened()) {
            tenant.manager.forget(artifact);
        }
    }

    /// What a tenant may take.
    pub(crate) fn entry(&self, name: &TenantName) -> Arc<Entry> {
        let known = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        known.unwrap_or_else(|| {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            let Settings { max_requests, max_tenant_concurrency, tenant_memory, allowance, .. } =
                self.settings;
            let new = || {
                Arc::new(Entry {
                    name: name.clone(),
                    requests: Requests::new(max_requests.div_ceil(2)),
                    batches: Requests::new(max_requests.div_ceil(2 * BATCHES)),
                    lines: Arc::new(Semaphore::new(max_tenant_concurrency.max(1))),
                    memory: self.memory.child("the memory of a tenant's requests", tenant_memory),
                    pace: Arc::new(Pace::one_in(2)),
                    used: Arc::default(),
                    allowed: Allowed::new(allowance, self.is_shared, Instant::now()),
                    tenant: OnceLock::new(),
                    opening: Mutex::new(()),
                })
            };
            Arc::clone(entries.entry(name.clone()).or_insert_with(new))
        })
    }

    /// A tenant. Its files are opened, so this is for threads that may wait.
    pub(crate) fn open(&self, name: &TenantName) -> Result<Arc<Tenant>, TenantError> {
        let entry = self.entry(name);
        if let Some(tenant) = entry.opened() {
            return Ok(tenant);
        }
        let _opening = entry.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = entry.opened() {
            return Ok(tenant);
        }
        let state = self.storage.state.tenant(name)?;
        let store = self.open_store(name)?;
        let resolver = Arc::new(TenantResolver::new(
            Arc::clone(&store),
            // The first tenant's own store is where the plugins are.
            if name.is_default() { None } else { Some(self.open_default()?) },
            Arc::clone(&self.plugins),
        ));
        let rules = self.rules.child(TENANT_RULES, self.settings.rule_memory / 2);
        let manager = self.manager.for_tenant(Some(name.as_str()), Arc::clone(&resolver) as _);
        let live = Arc::<ArcSwap<Live>>::default();
        let masked = Arc::clone(&live);
        let log = self.guest_log.of(name, move || Arc::clone(&masked.load().mask));
        let runner = TenantRunner {
            manager: manager.clone(),
            log: Arc::clone(&log),
            used: Arc::clone(&entry.used),
        };
        let shadow_processor =
            Processor::with_settings(Arc::new(manager.clone()), self.settings.documents);
        let tenant = Arc::new(Tenant {
            name: name.clone(),
            catalogue: state.catalogue()?,
            traces: state.traces()?,
            state,
            processor: Processor::with_settings(Arc::new(runner), self.settings.documents),
            resolver,
            manager,
            log,
            usage: Usage::new(self.settings.quotas),
            used: Arc::clone(&entry.used),
            labels: Labels::default(),
            records: self.records(name),
            shadows: Shadows::default(),
            shadow_processor,
            run_policy: ArcSwap::default(),
            asking: Mutex::default(),
            vault: self.storage.vault.clone(),
            live,
            replaced: self.replaced.child(REPLACED, self.settings.rule_memory / 2),
            renewing: Mutex::new(rules.empty()),
            unread: Unread::new(),
            stale: self.storage.state.stale(),
            changing: tokio::sync::Mutex::new(()),
            store,
        });
        Ok(Arc::clone(entry.tenant.get_or_init(|| tenant)))
    }

    /// Where a tenant's requests are recorded.
    fn records(&self, name: &TenantName) -> Option<Arc<Records>> {
        let (writer, folder) = (self.writer.as_ref()?, self.storage.records.as_ref()?);
        let folder = records::folder_of(folder, name);
        let settings = records::log_settings(&self.settings);
        let key = self.storage.vault.record_key(name);
        let is_signed = self.settings.sign_records;
        Some(Arc::new(Records::new(writer, folder, settings, key, name.clone(), is_signed)))
    }

    /// All that were asked for.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Those that have used all their time of today, as far as that is known here.
    pub(crate) fn spent(&self) -> Vec<TenantName> {
        if self.settings.allowance.time.is_none() {
            return Vec::new();
        }
        let (now, entries) =
            (Instant::now(), self.entries.read().unwrap_or_else(PoisonError::into_inner));
        let is_spent =
            |entry: &&Arc<Entry>| entry.allowed.as_ref().is_some_and(|one| one.is_spent(now));
        entries.values().filter(is_spent).map(|entry| entry.name.clone()).collect()
    }

    /// For how long what is active of any of them could not be read, at most. What nobody asked for of late is nobody's.
    pub(crate) fn unread_for(&self) -> Option<Duration> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().filter_map(|entry| entry.tenant.get()?.missed_for()).max()
    }

    /// Has all records written that wait for it, or lost.
    pub(crate) fn settle_records(&self) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let opened: Vec<_> = entries.values().filter_map(|entry| entry.opened()).collect();
        drop(entries);
        for records in opened.iter().filter_map(|tenant| tenant.records.as_ref()) {
            if let Err(error) = records.settle() {
                warn(&error);
                // The disk is slow for all of them.
                return;
            }
        }
    }

    fn open_default(&self) -> Result<Arc<dyn Store>, StoreError> {
        match self.entry(&TenantName::default()).opened() {
            Some(tenant) => Ok(Arc::clone(&tenant.store)),
            None => self.open_store(&TenantName::default()),
        }
    }

    fn open_store(&self, name: &TenantName) -> Result<Arc<dyn Store>, StoreError> {
        compute_store::open(&tenant_store(&self.storage.store, name))
    }
}

/// Runs what a tenant has, for its documents.
struct TenantRunner {
    manager: Manager,
    log: Arc<dyn LogWriter>,
    used: Arc<Used>,
}

impl fmt::Debug for TenantRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantRunner").field("manager", &self.manager).finish_non_exhaustive()
    }
}

impl TenantRunner {
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
        let running = self.manager.run(reference, input, self.logged(options));
        Box::pin(async move {
            let outcome = running.await?;
            self.used.ran(&outcome.metrics, 0);
            Ok(outcome)
        })
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let outcome = self.manager.run_blocking(reference, input, &self.logged(options.clone()))?;
        self.used.ran(&outcome.metrics, 0);
        Ok(outcome)
    }
}
