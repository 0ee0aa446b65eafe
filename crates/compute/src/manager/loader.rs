//! Loads artifacts: one load at a time for each tenant, artifact and profile, on a thread of its own, while
//! those who wait for it leave at their own deadlines.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cache::{Cache, Snapshot, TenantCache};
use super::gate::{Gate, Refused};
use crate::{
    Artifact, Call, Engine, EngineConfig, Error, Failure, Instance, Load, Phase, Profile, Ref,
    Resolver, engine_names, open_engine,
};

/// How often a waiting caller looks whether it was cancelled.
const CANCEL_POLL: Duration = Duration::from_millis(5);
/// The stack of a loading thread: compilers recurse.
const LOADER_STACK: usize = 8 << 20;

/// A loaded artifact, or why a caller stopped waiting for it.
pub(super) enum Loaded {
    Ready(Arc<dyn Instance>),
    Stopped(Failure),
}

type Key = (u64, Ref, Profile);
type LoadResult = Result<Arc<dyn Instance>, Error>;

/// How loads are made.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) configs: BTreeMap<String, EngineConfig>,
    /// The engines that may be opened; all that are linked in, if none is named.
    pub(super) engines: Option<BTreeSet<String>>,
    pub(super) cache_bytes: u64,
    pub(super) loads: usize,
    pub(super) load_time: Duration,
}

/// How many loads of one tenant may wait.
const WAITING: usize = 64;

pub(super) struct Loader {
    settings: Settings,
    engines: Mutex<HashMap<String, Arc<dyn Engine>>>,
    cache: Cache,
    gate: Arc<Gate>,
    /// The loads under way.
    flights: Mutex<HashMap<Key, Arc<PendingLoad>>>,
    tenants: AtomicU64,
}

/// What one tenant can load, and has loaded: nothing of it depends on another's.
pub(super) struct View {
    id: u64,
    /// Whose it is.
    name: Option<Arc<str>>,
    pub(super) resolver: Option<Arc<dyn Resolver>>,
    tenant: Arc<TenantCache>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for View {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("View").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl View {
    /// What is loaded now.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.tenant.snapshot()
    }

    fn resolver(&self, reference: &Ref) -> Result<&dyn Resolver, Error> {
        let resolver = self.resolver.as_deref();
        resolver.ok_or_else(|| Error::NoResolver { reference: reference.clone() })
    }
}

impl Loader {
    pub(super) fn new(settings: Settings) -> Self {
        let loads = settings.loads.max(1);
        Self {
            engines: Mutex::default(),
            cache: Cache::new(settings.cache_bytes),
            gate: Arc::new(Gate::new(loads, loads.div_ceil(2), WAITING)),
            flights: Mutex::default(),
            tenants: AtomicU64::new(0),
            settings,
        }
    }

    /// What another tenant can load, from here.
    pub(super) fn view(&self, name: Option<&str>, resolver: Option<Arc<dyn Resolver>>) -> View {
        let id = self.tenants.fetch_add(1, Ordering::Relaxed);
        View { id, name: name.map(Arc::from), resolver, tenant: self.cache.new_tenant() }
    }

    /// The artifact, if it is loaded; it counts as used now.
    pub(super) fn loaded<'a>(
        &self,
        snapshot: &'a Snapshot,
        reference: &Ref,
        profile: Profile,
        now: Instant,
    ) -> Option<&'a Arc<dyn Instance>> {
        self.cache.get(snapshot, reference, profile, now)
    }

    /// How many artifacts are loaded, and their size in bytes.
    pub(super) fn held(&self) -> (usize, u64) {
        self.cache.held()
    }

    pub(super) fn forget(&self, view: &View, reference: &Ref) {
        self.cache.remove(&view.tenant, reference);
    }

    pub(super) fn keep(
        &self,
        view: &View,
        reference: &Ref,
        profile: Profile,
        instance: Arc<dyn Instance>,
    ) {
        self.cache.insert(&view.tenant, reference, profile, instance);
    }

    /// Waits until the artifact is loaded, the call's deadline has passed or its caller cancels. A load that
    /// has begun goes on in any case, for those who come later; one that waits for its turn goes when
    /// nobody waits for it.
    pub(super) fn load(
        self: &Arc<Self>,
        view: &Arc<View>,
        reference: &Ref,
        call: &Call<'_>,
    ) -> Result<Loaded, Error> {
        view.resolver(reference)?;
        let flight = self.join(view, reference, call.bounds.profile())?;
        let _waiting = flight.wait_for();
        let mut landed = lock(&flight.landed);
        loop {
            if let Some(result) = &*landed {
                return result.clone().map(Loaded::Ready);
            }
            if let Some(reason) = call.must_stop(Instant::now(), flight.phase()) {
                return Ok(Loaded::Stopped(Failure::new(reason)));
            }
            let left = call.deadline().map_or(CANCEL_POLL, |deadline| {
                deadline.saturating_duration_since(Instant::now()).min(CANCEL_POLL)
            });
            landed = flight
                .has_landed
                .wait_timeout(landed, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Loads an artifact that its caller has, on the caller's own thread and no longer than the caller wants
    /// it. It is not kept.
    pub(super) fn load_given(
        &self,
        view: &View,
        artifact: &Artifact,
        call: &Call<'_>,
    ) -> Result<Loaded, Error> {
        let resolver = view.resolver(artifact.reference())?;
        let stop = |phase| call.must_stop(Instant::now(), phase);
        let wanted = || stop(Phase::Queue).is_none();
        let stopped = |phase| {
            let limit = call.bounds.wall;
            let reason = stop(phase).unwrap_or(crate::Reason::WallLimit { limit, phase });
            Ok(Loaded::Stopped(Failure::new(reason)))
        };
        let _pass = match self.gate.enter(view.id, wanted) {
            Ok(pass) => pass,
            Err(Refused::Unwanted) => return stopped(Phase::Queue),
            Err(Refused::Full(waiting)) => {
                return Err(Error::Busy { reference: artifact.reference().clone(), waiting });
            }
        };
        let mut load = Load::new(call.bounds.profile(), resolver);
        (load.deadline, load.cancel) = (call.deadline(), call.cancel);
        load.tenant = view.name.as_deref();
        match self.engine(artifact.engine())?.load(artifact, &load) {
            Ok(instance) => Ok(Loaded::Ready(instance)),
            Err(_) if load.must_stop() => stopped(Phase::Compile),
            Err(error) => Err(error),
        }
    }

    /// The load under way for this key, started if there is none.
    fn join(
        self: &Arc<Self>,
        view: &Arc<View>,
        reference: &Ref,
        profile: Profile,
    ) -> Result<Arc<PendingLoad>, Error> {
        let key = (view.id, reference.clone(), profile);
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&key) {
            return Ok(Arc::clone(flight));
        }
        let flight = Arc::new(PendingLoad::default());
        // A load that landed since this caller looked in the cache is in there by now.
        if let Some(instance) = self.loaded(&view.snapshot(), reference, profile, Instant::now()) {
            flight.land(Ok(Arc::clone(instance)));
            return Ok(flight);
        }
        let (loader, view) = (Arc::clone(self), Arc::clone(view));
        let (started, loading) = (Arc::clone(&flight), key.clone());
        std::thread::Builder::new()
            .name("compute-load".into())
            .stack_size(LOADER_STACK)
            .spawn(move || loader.fly(&view, loading, &started))
            .map_err(|error| Error::engine("manager", error))?;
        flights.insert(key, Arc::clone(&flight));
        Ok(flight)
    }

    /// One load, from start to landing, on its own thread.
    fn fly(&self, view: &View, key: Key, flight: &PendingLoad) {
        let (reference, profile) = (key.1.clone(), key.2);
        // An engine that panics must not leave its callers waiting.
        let work =
            std::panic::AssertUnwindSafe(|| self.load_now(view, &reference, profile, flight));
        let result = std::panic::catch_unwind(work).unwrap_or_else(|_| {
            Err(Error::engine("manager", format!("loading {reference} panicked")))
        });
        if let Ok(instance) = &result {
            self.cache.insert(&view.tenant, &reference, profile, Arc::clone(instance));
        }
        lock(&self.flights).remove(&key);
        flight.land(result);
    }

    fn load_now(
        &self,
        view: &View,
        reference: &Ref,
        profile: Profile,
        flight: &PendingLoad,
    ) -> LoadResult {
        let resolver = view.resolver(reference)?;
        let _pass = self.gate.enter(view.id, || flight.is_wanted()).map_err(|refused| {
            let waiting = if let Refused::Full(waiting) = refused { waiting } else { 0 };
            Error::Busy { reference: reference.clone(), waiting }
        })?;
        let artifact = pollster::block_on(resolver.resolve(reference))?;
        flight.fetched.store(true, Ordering::Relaxed);
        let mut load = Load::new(profile, resolver);
        load.deadline = Instant::now().checked_add(self.settings.load_time);
        load.tenant = view.name.as_deref();
        self.engine(artifact.engine())?.load(&artifact, &load)
    }

    /// The engine of this name, opened on first use.
    pub(super) fn engine(&self, name: &str) -> Result<Arc<dyn Engine>, Error> {
        let mut engines = lock(&self.engines);
        if let Some(engine) = engines.get(name) {
            return Ok(Arc::clone(engine));
        }
        if let Some(named) = &self.settings.engines
            && !named.contains(name)
        {
            let linked = engine_names();
            let known =
                named.iter().filter(|one| linked.contains(&one.as_str())).cloned().collect();
            return Err(Error::UnknownEngine { name: name.to_owned(), known });
        }
        let engine = match self.settings.configs.get(name) {
            Some(config) => open_engine(name, config)?,
            None => open_engine(name, &EngineConfig::default())?,
        };
        engines.insert(name.to_owned(), Arc::clone(&engine));
        Ok(engine)
    }
}

/// One load that any number of callers wait for.
#[derive(Default)]
struct PendingLoad {
    fetched: AtomicBool,
    /// How many wait for it; one at least had before it began.
    waiting: AtomicUsize,
    landed: Mutex<Option<LoadResult>>,
    has_landed: Condvar,
    left: AtomicBool,
}

/// Somebody waits, until this is dropped.
struct Waiting<'a>(&'a PendingLoad);

impl PendingLoad {
    fn phase(&self) -> Phase {
        if self.fetched.load(Ordering::Relaxed) { Phase::Compile } else { Phase::Fetch }
    }

    fn wait_for(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(self)
    }

    /// Whether anybody waits, or has not come yet.
    fn is_wanted(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || !self.left.load(Ordering::Relaxed)
    }

    fn land(&self, result: LoadResult) {
        *lock(&self.landed) = Some(result);
        self.has_landed.notify_all();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.left.store(true, Ordering::Relaxed);
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
