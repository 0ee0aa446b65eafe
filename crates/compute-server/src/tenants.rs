//! Tenants: each with artifacts, stacks, secrets and traces of its own, all in the one engine.

mod allowed;
mod records;
mod resolver;
mod shadows;
mod storage;
mod unread;
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use compute::{
    Account, Algorithm, Artifact, ArtifactMap, BoxFuture, Charge, Error, Limits, LogWriter,
    Manager, Mask, Outcome, OverLimit, Ref, RunOptions, Runner,
};
use compute_flow::{Processor, RuleProblem, Snapshot, Stack};
use compute_replay::RecordWriter;
use compute_state::{
    Catalogue, Rated, RecordPolicies, RecordPolicy, SecretError, StackName, StacksError,
    StateError, TenantName, TenantState, TraceStore, Vault, VersionInfo, tenant_store,
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
pub(crate) use records::{Records, drawn, record_writer};
pub(crate) use shadows::{LiveShadow, ShadowCounts, Shadows};
pub use storage::Storage;
pub(crate) use usage::QuotaError;

/// `(module (memory (export "memory") 1) (func (export "_start")))`
const NOTHING: &[u8] = b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x05\x03\x01\0\x01\x07\x13\x02\x06memory\x02\0\x06_start\0\0\x0a\x04\x01\x02\0\x0b";
/// How long it may take to compile and run it.
const CHECK: Duration = Duration::from_secs(30);

/// How long what is recorded of runs may be as it was before somebody else changed it.
const POLICY: Duration = Duration::from_secs(1);

/// How long documents wait for one that reads what is active.
const RENEWING: Duration = Duration::from_secs(15);

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
    vault: Vault,
    live: Arc<ArcSwap<Live>>,
    /// What of rules that are replaced may be there because documents still use it.
    replaced: Account,
    /// What the rules and the mask in `live` take. Held by whoever makes it anew.
    renewing: Mutex<Charge>,
    unread: Unread,
    /// How long what is known may be used where it cannot be read anew.
    stale: Duration,
    /// Held by whoever changes what a version is made of, or makes one active.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

/// What documents need of a tenant, as the catalogue had it at one change.
#[derive(Debug, Default)]
pub(crate) struct Live {
    change: Option<i64>,
    pub(crate) snapshot: Snapshot,
    pub(crate) secrets: Secrets,
    pub(crate) mask: Arc<Mask>,
    pub(crate) policies: RecordPolicies,
    /// By stack.
    pub(crate) shadows: Vec<LiveShadow>,
    /// What of it is replaced, while documents still use it.
    replaced: OnceLock<Charge>,
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
    Stacks(#[from] StacksError),
    /// A version that was written by another version of this program.
    #[error("an active version cannot run: {0}")]
    Rule(Box<RuleProblem>),
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The rules of all active stacks, and the secrets, take too much memory.
    #[error("the active stacks cannot run: {0}; make smaller ones active, or have fewer secrets")]
    TooLarge(#[from] OverLimit),
}

impl LiveError {
    /// Whether the same may succeed later.
    fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Stacks(StacksError::State(StateError::Unavailable { .. }))
                | Self::Secret(SecretError::State(StateError::Unavailable { .. }))
        )
    }
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
    /// The active versions and the secrets. Where something changed, by this process or another, only what
    /// changed is made ready anew.
    ///
    /// What cannot be read now is as it was, if it was read before, for as long as that may be used.
    pub(crate) fn live(&self) -> Result<Arc<Live>, LiveError> {
        let change = Some(self.catalogue.change_number()?);
        let live = self.live.load_full();
        if live.change == change {
            self.unread.clear();
            return Ok(live);
        }
        if live.change.is_none() || !self.unread.is_recent() {
            match self.renewed() {
                Err(error) if live.change.is_some() && error.is_unavailable() => {
                    warn(&error);
                    self.unread.note();
                }
                Err(error) => return Err(error),
                Ok(renewed) => {
                    self.unread.clear();
                    return Ok(renewed);
                }
            }
        }
        match self.unread.lasts() {
            Some(time) if time > self.stale => {
                let why = format!("it has changed, and could not be read for {time:?}");
                Err(StacksError::from(StateError::unavailable("what is active", why)).into())
            }
            _ => Ok(live),
        }
    }

    /// For how long what is active could not be read, although it has changed. What was known is used meanwhile.
    pub(crate) fn unread_for(&self) -> Option<Duration> {
        self.unread.lasts()
    }

    /// The turn of one that renews it. The others wait, and not for ever.
    fn renewing(&self) -> Result<MutexGuard<'_, Charge>, LiveError> {
        let begun = Instant::now();
        loop {
            match self.renewing.try_lock() {
                Ok(renewing) => return Ok(renewing),
                Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) if begun.elapsed() < RENEWING => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(TryLockError::WouldBlock) => {
                    let late =
                        StateError::unavailable("what is active", "it takes long to be read");
                    return Err(StacksError::from(late).into());
                }
            }
        }
    }

    fn renewed(&self) -> Result<Arc<Live>, LiveError> {
        let mut renewing = self.renewing()?;
        // Read before the versions: what changes meanwhile is seen by the next document.
        let change = Some(self.catalogue.change_number()?);
        let live = self.live.load_full();
        if live.change == change {
            return Ok(live);
        }
        let first = |mut wrong: Vec<RuleProblem>| LiveError::Rule(Box::new(wrong.remove(0)));
        let running = self.catalogue.running()?;
        let mut snapshot = live.snapshot.still_running(&running);
        let kept =
            |shadows: &[LiveShadow]| shadows.iter().map(|one| one.stack.size()).sum::<usize>();
        let wanted = self.catalogue.shadows()?;
        self.shadows.retain(&wanted);
        let mut shadows = live.shadows.clone();
        shadows.retain(|one| wanted.iter().any(|shadow| one.is_of(shadow)));
        let all = live.snapshot.size() + kept(&live.shadows);
        let gone = all.saturating_sub(snapshot.size() + kept(&shadows));
        // Besides this and the one in `live`, documents have it.
        if gone > 0 && Arc::strong_count(&live) > 2 && live.replaced.get().is_none() {
            let _ = live.replaced.set(self.replaced.charge(gone)?);
        }
        renewing.resize(snapshot.size() + live.mask.size() + kept(&shadows))?;
        let mut ready = |info: &VersionInfo| -> Result<Stack, LiveError> {
            let VersionInfo { stack, number, .. } = info;
            let files = self.catalogue.version(stack, *number)?.files;
            // Before it is made ready.
            renewing.grow(Stack::estimate(&files))?;
            Ok(Stack::compile(stack.clone(), &files).map_err(first)?.numbered(*number))
        };
        for info in &running.active {
            if snapshot.stack(&info.stack).is_none() {
                let stack = ready(info)?;
                snapshot.insert(stack);
            }
        }
        for (rollout, info) in &running.rollouts {
            if snapshot.rolled_out(&info.stack).is_none() {
                match ready(info) {
                    Ok(stack) => snapshot.roll_out(rollout.clone(), stack),
                    // What there is no room for, or cannot run, gets no document: the active version answers them.
                    Err(error @ (LiveError::TooLarge(_) | LiveError::Rule(_))) => warn(&error),
                    Err(error) => return Err(error),
                }
            }
        }
        let secrets = self.catalogue.open_secrets(&self.vault)?;
        let mask = if secrets == *live.secrets.0 {
            Arc::clone(&live.mask)
        } else {
            renewing.grow(Mask::estimate(secrets.values().map(String::as_str)))?;
            Arc::new(Mask::new(secrets.values().cloned()))
        };
        let mut made = Vec::with_capacity(wanted.len());
        for shadow in wanted {
            // One that is active has nothing to be compared with, and one whose rules are wrong gets no document.
            let is_active = running
                .active
                .iter()
                .any(|one| one.stack == shadow.stack && one.number == shadow.number);
            let known =
                shadows.iter().find(|one| one.is_of(&shadow)).map(|one| Arc::clone(&one.stack));
            let stack = match known {
                Some(stack) => stack,
                None if is_active => continue,
                None => {
                    let files = self.catalogue.version(&shadow.stack, shadow.number)?.files;
                    // What there is no room for gets no document: it must not keep the active one from any.
                    if renewing.grow(Stack::estimate(&files)).is_err() {
                        continue;
                    }
                    match Stack::compile(shadow.stack.clone(), &files) {
                        Ok(stack) => Arc::new(stack),
                        Err(_) => continue,
                    }
                }
            };
            if !is_active {
                made.push(LiveShadow::new(shadow, stack, &snapshot));
            }
        }
        renewing.resize(snapshot.size() + mask.size() + kept(&made))?;
        let policies = self.catalogue.record_policies()?;
        let (secrets, replaced) = (Secrets(Arc::new(secrets)), OnceLock::new());
        let live = Live { change, snapshot, secrets, mask, policies, shadows: made, replaced };
        let live = Arc::new(live);
        self.live.store(Arc::clone(&live));
        Ok(live)
    }

    /// What is recorded of single runs: as it was said at least a second ago, or by this process at any time.
    pub(crate) fn run_policy(&self) -> RecordPolicy {
        let known = **self.run_policy.load();
        if let Some((asked, _, policy)) = known
            && asked.elapsed() < POLICY
        {
            return policy;
        }
        let read = || -> Result<_, StacksError> {
            let change = self.catalogue.change_number()?;
            match known {
                Some((_, read, policy)) if read == change => Ok((change, policy)),
                _ => Ok((change, self.catalogue.record_policies()?.of(None))),
            }
        };
        let (change, policy) = read().unwrap_or_else(|error| {
            warn(&error);
            // As it was, and read again as soon as that can be.
            (i64::MIN, known.map_or_else(RecordPolicy::default, |(.., policy)| policy))
        });
        self.run_policy.store(Arc::new(Some((Instant::now(), change, policy))));
        policy
    }

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

    /// For how long what is active of any of them could not be read, at most.
    pub(crate) fn unread_for(&self) -> Option<Duration> {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        entries.values().filter_map(|entry| entry.tenant.get()?.unread_for()).max()
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
