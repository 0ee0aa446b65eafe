//! Loads artifacts: one load at a time for each artifact and profile, on a thread of its own, while
//! those who wait for it leave at their own deadlines.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::cache::{Cache, Snapshot};
use crate::{
    Call, Engine, EngineConfig, Error, Failure, Instance, Load, Phase, Profile, Ref, Resolver,
    open_engine,
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

type Key = (Ref, Profile);
type LoadResult = Result<Arc<dyn Instance>, Error>;

pub(super) struct Loader {
    resolver: Option<Arc<dyn Resolver>>,
    configs: BTreeMap<String, EngineConfig>,
    engines: Mutex<HashMap<String, Arc<dyn Engine>>>,
    cache: Cache,
    /// The loads under way.
    flights: Mutex<HashMap<Key, Arc<Flight>>>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl Loader {
    pub(super) fn new(
        resolver: Option<Arc<dyn Resolver>>,
        configs: BTreeMap<String, EngineConfig>,
        cache_bytes: u64,
    ) -> Self {
        Self {
            resolver,
            configs,
            engines: Mutex::default(),
            cache: Cache::new(cache_bytes),
            flights: Mutex::default(),
        }
    }

    /// The artifacts that are loaded now.
    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        self.cache.snapshot()
    }

    /// How many artifacts are loaded, and their size in bytes.
    pub(super) fn held(&self) -> (usize, u64) {
        self.cache.held()
    }

    /// Waits until the artifact is loaded, the call's deadline has passed or its caller cancels. The
    /// load itself goes on in any case, for those who come later.
    pub(super) fn load(
        self: &Arc<Self>,
        reference: &Ref,
        call: &Call<'_>,
    ) -> Result<Loaded, Error> {
        if self.resolver.is_none() {
            return Err(Error::NoResolver { reference: reference.clone() });
        }
        let key = (reference.clone(), call.bounds.profile());
        let flight = self.join(key)?;
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

    /// The load under way for this key, started if there is none.
    fn join(self: &Arc<Self>, key: Key) -> Result<Arc<Flight>, Error> {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.get(&key) {
            return Ok(Arc::clone(flight));
        }
        let flight = Arc::new(Flight::default());
        // A load that landed since this caller looked in the cache is in there by now.
        if let Some(instance) = self.snapshot().get(&key.0, key.1, Instant::now()) {
            flight.land(Ok(Arc::clone(instance)));
            return Ok(flight);
        }
        let (loader, started, loading) = (Arc::clone(self), Arc::clone(&flight), key.clone());
        std::thread::Builder::new()
            .name("compute-load".into())
            .stack_size(LOADER_STACK)
            .spawn(move || loader.fly(loading, &started))
            .map_err(|error| Error::engine("manager", error))?;
        flights.insert(key, Arc::clone(&flight));
        Ok(flight)
    }

    /// One load, from start to landing, on its own thread.
    fn fly(&self, key: Key, flight: &Flight) {
        let reference = key.0.clone();
        // An engine that panics must not leave its callers waiting.
        let work = std::panic::AssertUnwindSafe(|| self.load_now(&key.0, key.1, flight));
        let result = std::panic::catch_unwind(work).unwrap_or_else(|_| {
            Err(Error::engine("manager", format!("loading {reference} panicked")))
        });
        if let Ok(instance) = &result {
            self.cache.insert(&key.0, key.1, Arc::clone(instance));
        }
        lock(&self.flights).remove(&key);
        flight.land(result);
    }

    fn load_now(&self, reference: &Ref, profile: Profile, flight: &Flight) -> LoadResult {
        let resolver = self
            .resolver
            .as_ref()
            .ok_or_else(|| Error::NoResolver { reference: reference.clone() })?;
        let artifact = pollster::block_on(resolver.resolve(reference))?;
        flight.fetched.store(true, Ordering::Relaxed);
        self.engine(artifact.engine())?.load(&artifact, &Load::new(profile, &**resolver))
    }

    /// The engine of this name, opened on first use.
    pub(super) fn engine(&self, name: &str) -> Result<Arc<dyn Engine>, Error> {
        let mut engines = lock(&self.engines);
        if let Some(engine) = engines.get(name) {
            return Ok(Arc::clone(engine));
        }
        let engine = match self.configs.get(name) {
            Some(config) => open_engine(name, config)?,
            None => open_engine(name, &EngineConfig::default())?,
        };
        engines.insert(name.to_owned(), Arc::clone(&engine));
        Ok(engine)
    }
}

/// One load that any number of callers wait for.
#[derive(Default)]
struct Flight {
    fetched: AtomicBool,
    landed: Mutex<Option<LoadResult>>,
    has_landed: Condvar,
}

impl Flight {
    fn phase(&self) -> Phase {
        if self.fetched.load(Ordering::Relaxed) { Phase::Compile } else { Phase::Fetch }
    }

    fn land(&self, result: LoadResult) {
        *lock(&self.landed) = Some(result);
        self.has_landed.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
