//! Joins the parts: resolve, open the engine, load, invoke, under one deadline.

mod cache;
mod gate;
mod loader;
mod results;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    Artifact, Bounds, BoxFuture, Call, Cancel, EngineConfig, Error, Failure, Instance, Limits,
    LogWriter, Metrics, MetricsSink, OpCall, Outcome, Profile, Ref, Resolver, RunOptions, Runner,
};
use loader::{Loaded, Loader, View};
pub use results::ResultStats;
use results::{ResultSettings, Results, TenantResults};

/// Runs computes by their refs; the front door of the library.
///
/// A manager resolves a ref, opens the engine that the artifact names (once, then reused), loads the
/// artifact (once, however many callers wait for it) and invokes it. Loaded artifacts are kept up to a
/// number of bytes, those least used given up first. A manager is cheap to clone and to share; what it
/// opened closes with the last clone.
///
/// [`Runner::run_blocking`] runs the guest on the calling thread. [`Runner::run`] is for async callers:
/// it does the same on a pool of threads for blocking work, so that no guest ever holds up an async
/// worker.
#[derive(Clone, Debug)]
pub struct Manager {
    shared: Arc<Shared>,
    view: Arc<View>,
    results: Arc<TenantResults>,
}

#[derive(Debug)]
struct Shared {
    loader: Arc<Loader>,
    results: Results,
    defaults: RunOptions,
}

/// An artifact that was loaded without being kept: see [`Manager::load`].
#[derive(Clone)]
pub struct LoadedArtifact {
    reference: Ref,
    profile: Profile,
    instance: Arc<dyn Instance>,
}

impl std::fmt::Debug for LoadedArtifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LoadedArtifact").field("reference", &self.reference).finish_non_exhaustive()
    }
}

impl Manager {
    /// Starts a manager.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    /// A manager for another tenant, with the same engines and the same bounds for both together. What it
    /// runs comes from its own resolver only: nothing that one has loaded is there for the other. Code that is
    /// kept on disk counts as the tenant's of this name, if it has one, and who has most of it gives up first.
    #[must_use]
    pub fn for_tenant(&self, name: Option<&str>, resolver: Arc<dyn Resolver>) -> Self {
        let view = Arc::new(self.shared.loader.view(name, Some(resolver)));
        let results = self.shared.results.new_tenant();
        Self { shared: Arc::clone(&self.shared), view, results }
    }

    /// Loads an artifact ahead of its first call, within the wall limit of these limits.
    ///
    /// # Errors
    /// As [`Runner::run`]; the inner error is a limit reached before the artifact was loaded.
    pub fn preload(&self, reference: &Ref, limits: Limits) -> Result<Result<(), Failure>, Error> {
        let bounds = limits.or(self.shared.defaults.limits).bounds();
        let call = Call::new(&bounds, Instant::now());
        Ok(match self.shared.loader.load(&self.view, reference, &call)? {
            Loaded::Ready(_) => Ok(()),
            Loaded::Stopped(failure) => Err(failure),
        })
    }

    /// Loads an artifact that need not be stored, on the calling thread and within the limits and the
    /// patience of these options: whoever cancels it ends it. It is run by [`Manager::run_loaded`], and
    /// kept for later runs only by [`Manager::keep`].
    ///
    /// # Errors
    /// As [`Runner::run`]; the inner error is a limit reached before the artifact was loaded.
    pub fn load(
        &self,
        artifact: &Artifact,
        options: &RunOptions,
    ) -> Result<Result<LoadedArtifact, Failure>, Error> {
        let bounds = options.limits.or(self.shared.defaults.limits).bounds();
        let mut call = Call::new(&bounds, options.accepted.unwrap_or_else(Instant::now));
        call.cancel = options.cancel.as_ref();
        Ok(match self.shared.loader.load_given(&self.view, artifact, &call)? {
            Loaded::Ready(instance) => {
                let (reference, profile) = (artifact.reference().clone(), bounds.profile());
                Ok(LoadedArtifact { reference, profile, instance })
            }
            Loaded::Stopped(failure) => Err(failure),
        })
    }

    /// Keeps what was loaded for later runs by its ref, as if it had been resolved.
    pub fn keep(&self, loaded: LoadedArtifact) {
        let LoadedArtifact { reference, profile, instance } = loaded;
        self.shared.loader.keep(&self.view, &reference, profile, instance);
    }

    /// Forgets an artifact, and all results: the next run resolves it anew.
    pub fn forget(&self, reference: &Ref) {
        self.shared.results.forget(&self.results);
        self.shared.loader.forget(&self.view, reference);
    }

    /// Runs what was loaded, on the calling thread.
    ///
    /// # Errors
    /// As [`Runner::run`].
    pub fn run_loaded(
        &self,
        loaded: &LoadedArtifact,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let bounds = options.limits.or(self.shared.defaults.limits).bounds();
        let call = self.shared.call(&bounds, options);
        let (instance, reference) = (&*loaded.instance, &loaded.reference);
        let outcome =
            self.shared.invoke(instance, reference, input, options, &call, Duration::ZERO)?;
        self.shared.record(reference, input, options, &outcome);
        Ok(outcome)
    }

    /// The artifacts that this one needs to run.
    ///
    /// # Errors
    /// [`Error::UnknownEngine`] if no such engine is linked in, and what keeps it from being opened.
    pub fn links(&self, artifact: &Artifact) -> Result<Vec<Ref>, Error> {
        Ok(self.shared.loader.engine(artifact.engine())?.links(artifact))
    }

    /// What became of runs whose results may be kept, of all tenants together.
    #[must_use]
    pub fn results(&self) -> ResultStats {
        self.shared.results.stats()
    }

    /// How many artifacts are loaded, for all tenants together, and how many bytes they hold.
    #[must_use]
    pub fn loaded(&self) -> (usize, u64) {
        self.shared.loader.held()
    }
}

impl Runner for Manager {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        mut options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        options.accepted.get_or_insert_with(Instant::now);
        let manager = self.clone();
        let reference = reference.clone();
        let cancel = options.cancel.as_ref().map_or_else(Cancel::new, Cancel::child);
        options.cancel = Some(cancel.clone());
        let on_drop = cancel.drop_guard();
        let work = blocking::unblock(move || manager.run_blocking(&reference, &input, &options));
        Box::pin(async move {
            let outcome = work.await;
            drop(on_drop);
            outcome
        })
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        self.shared.run((&self.view, &self.results), reference, input, options)
    }
}

impl Shared {
    fn call<'a>(&self, bounds: &'a Bounds, options: &'a RunOptions) -> Call<'a> {
        let mut call = Call::new(bounds, options.accepted.unwrap_or_else(Instant::now));
        call.cancel = options.cancel.as_ref();
        call.raw = options.raw || self.defaults.raw;
        call
    }

    fn run(
        &self,
        (view, results): (&Arc<View>, &TenantResults),
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let outcome = if options.cache && self.results.are_kept() {
            self.run_or_find((view, results), reference, input, options)?
        } else {
            self.run_unrecorded(view, reference, input, options)?
        };
        self.record(reference, input, options, &outcome);
        Ok(outcome)
    }

    /// Gives what an earlier run on the same gave, or runs it.
    fn run_or_find(
        &self,
        (view, tenant): (&Arc<View>, &TenantResults),
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let accepted = options.accepted.unwrap_or_else(Instant::now);
        let bounds = options.limits.or(self.defaults.limits).bounds();
        let op = options.op.as_ref().or(self.defaults.op.as_ref());
        let given = (&bounds, options.raw || self.defaults.raw, op);
        let key = self.results.key(tenant, reference, input, given);
        let found = self.results.find(tenant, &key);
        if let Some(kept) = &found
            && !self.results.is_to_be_verified()
        {
            let mut outcome = (**kept).clone();
            // It had the memory that its engine wanted.
            outcome.bounds = Bounds { memory: outcome.bounds.memory, ..bounds };
            outcome.metrics.cached = true;
            outcome.metrics.wall = accepted.elapsed();
            if let Some(op) = op
                && !op.secrets.is_empty()
                && outcome.says_something()
            {
                // It may know more secrets than that of the earlier run.
                outcome.mask(op.secrets.mask());
            }
            self.report(reference, &outcome, options);
            return Ok(outcome);
        }
        let outcome = self.run_unrecorded(view, reference, input, options)?;
        if let Some(kept) = &found {
            self.results.is_same(tenant, &key, (kept, &outcome));
        } else if outcome.pure && outcome.result.is_ok() {
            self.results.keep(tenant, key, &outcome);
        }
        Ok(outcome)
    }

    /// Hands on what was run, if somebody wants it.
    fn record(&self, reference: &Ref, input: &[u8], options: &RunOptions, outcome: &Outcome) {
        let Some(recording) = &options.recording else { return };
        let defaults = &self.defaults;
        if options.op.is_none() && defaults.op.is_some() || defaults.raw && !options.raw {
            // As it was run.
            let op = options.op.clone().or_else(|| defaults.op.clone());
            let raw = options.raw || defaults.raw;
            recording.take(reference, input, &RunOptions { op, raw, ..options.clone() }, outcome);
        } else {
            recording.take(reference, input, options, outcome);
        }
    }

    fn run_unrecorded(
        &self,
        view: &Arc<View>,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let bounds = options.limits.or(self.defaults.limits).bounds();
        let call = self.call(&bounds, options);
        let snapshot = view.snapshot();
        let loaded = self.loader.loaded(&snapshot, reference, bounds.profile(), call.accepted);
        if let Some(instance) = loaded {
            return self.invoke(&**instance, reference, input, options, &call, Duration::ZERO);
        }
        let begun = Instant::now();
        let instance = match self.loader.load(view, reference, &call)? {
            Loaded::Ready(instance) => instance,
            Loaded::Stopped(failure) => return Ok(stopped(&call, failure)),
        };
        self.invoke(&*instance, reference, input, options, &call, begun.elapsed())
    }

    fn invoke(
        &self,
        instance: &dyn Instance,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
        call: &Call<'_>,
        load: Duration,
    ) -> Result<Outcome, Error> {
        let envelope = self.envelope(instance.takes_envelope(), input, options)?;
        let mut bounds = *call.bounds;
        if options.limits.memory.is_none_or(|bytes| bytes == 0) {
            bounds.memory = bounds.memory.max(instance.wanted_memory());
        }
        let call = &Call { bounds: &bounds, ..*call };
        let mut outcome = instance.invoke(envelope.as_deref().unwrap_or(input), call)?;
        // Who reads the envelope itself has seen all of it.
        let op = options.op.as_ref().or(self.defaults.op.as_ref());
        let is_named = op.is_some_and(|op| !op.meta.rid.is_empty());
        outcome.pure &= envelope.is_none() || !is_named || instance.notes_request();
        outcome.origin = instance.origin().cloned();
        let phases = &mut outcome.metrics.phases;
        (phases.load, phases.queue) = (load, phases.queue.saturating_sub(load));
        // Whoever the log, the events and the failure go to, they go there without secrets.
        if let Some(op) = options.op.as_ref().or(self.defaults.op.as_ref())
            && !op.secrets.is_empty()
            && outcome.says_something()
        {
            outcome.mask(op.secrets.mask());
        }
        self.report(reference, &outcome, options);
        Ok(outcome)
    }

    /// The envelope, for a compute that takes one or a caller who always sends one.
    fn envelope(
        &self,
        taken: bool,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Option<Vec<u8>>, Error> {
        let op = options.op.as_ref().or(self.defaults.op.as_ref());
        match op {
            Some(op) if taken || op.always => op.envelope(input).map(Some),
            None if taken => OpCall::default().envelope(input).map(Some),
            _ => Ok(None),
        }
    }

    fn report(&self, reference: &Ref, outcome: &Outcome, options: &RunOptions) {
        if let Some(writer) = options.log.as_ref().or(self.defaults.log.as_ref())
            && !outcome.log.is_empty()
        {
            let op = options.op.as_ref().or(self.defaults.op.as_ref());
            writer.write(reference, op.map_or("", |op| &op.meta.rid), &outcome.log);
        }
        if let Some(sink) = options.metrics.as_ref().or(self.defaults.metrics.as_ref()) {
            sink.record(reference, &outcome.metrics);
        }
    }
}

/// The outcome of a run that a limit stopped before its artifact was loaded.
fn stopped(call: &Call<'_>, failure: Failure) -> Outcome {
    let wall = call.accepted.elapsed();
    let mut metrics = Metrics { wall, ..Metrics::default() };
    metrics.phases.load = wall;
    Outcome::new(*call.bounds, Err(failure), metrics)
}

/// Sets up a [`Manager`]. Every setting has a default but the resolver.
#[derive(Debug)]
#[must_use]
pub struct ManagerBuilder {
    resolver: Option<Arc<dyn Resolver>>,
    engines: BTreeMap<String, EngineConfig>,
    defaults: RunOptions,
    only_engines: Option<BTreeSet<String>>,
    cache_bytes: u64,
    loads: usize,
    load_time: Duration,
    results: ResultSettings,
}

impl Default for ManagerBuilder {
    fn default() -> Self {
        Self {
            resolver: None,
            engines: BTreeMap::new(),
            defaults: RunOptions::default(),
            only_engines: None,
            cache_bytes: 512 << 20,
            loads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get).max(2),
            load_time: Duration::from_secs(60),
            results: ResultSettings::default(),
        }
    }
}

impl ManagerBuilder {
    /// Where artifacts come from.
    pub fn resolver(self, resolver: impl Resolver + 'static) -> Self {
        self.shared_resolver(Arc::new(resolver))
    }

    /// Where artifacts come from, shared with the caller.
    pub fn shared_resolver(mut self, resolver: Arc<dyn Resolver>) -> Self {
        self.resolver = Some(resolver);
        self
    }

    /// What the engine of this name is opened with.
    pub fn engine(mut self, name: impl Into<String>, config: EngineConfig) -> Self {
        self.engines.insert(name.into(), config);
        self
    }

    /// The only engines that may be opened, whatever else is linked in.
    pub fn only_engines(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only_engines = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// How many artifacts are loaded at once: as many as there are processors, and two at least. One tenant's
    /// take half of them at most.
    pub const fn loads(mut self, loads: usize) -> Self {
        self.loads = loads;
        self
    }

    /// How long the load of a stored artifact may take, whoever waits for it: a minute unless set.
    pub const fn load_time(mut self, time: Duration) -> Self {
        self.load_time = time;
        self
    }

    /// The limits of runs that set none.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.defaults.limits = limits;
        self
    }

    /// Takes the logs of runs that set no log writer.
    pub fn log(mut self, writer: impl LogWriter + 'static) -> Self {
        self.defaults.log = Some(Arc::new(writer));
        self
    }

    /// Takes the metrics of runs that set no sink.
    pub fn metrics(mut self, sink: impl MetricsSink + 'static) -> Self {
        self.defaults.metrics = Some(Arc::new(sink));
        self
    }

    /// How many bytes of loaded artifacts are kept; 512 MiB unless set.
    pub const fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// How many bytes of memory results may take that [`RunOptions::cache`] asks to keep, of all tenants together: none are kept
    /// unless set. One tenant's take half of it at most.
    pub const fn results(mut self, bytes: u64) -> Self {
        self.results.bytes = bytes;
        self
    }

    /// Of so many results that are found, run one all the same, and compare: [`Manager::results`] says how many came out
    /// otherwise.
    pub const fn verify_results(mut self, every: NonZeroU32) -> Self {
        self.results.verify = Some(every);
        self
    }

    /// The manager. Nothing is opened before the first run.
    #[must_use]
    pub fn build(self) -> Manager {
        let loader = Loader::new(loader::Settings {
            configs: self.engines,
            engines: self.only_engines,
            cache_bytes: self.cache_bytes,
            loads: self.loads,
            load_time: self.load_time,
        });
        let view = Arc::new(loader.view(None, self.resolver));
        let results = Results::new(self.results);
        let own = results.new_tenant();
        let shared = Shared { loader: Arc::new(loader), results, defaults: self.defaults };
        Manager { shared: Arc::new(shared), view, results: own }
    }
}
