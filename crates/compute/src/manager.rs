//! Joins the parts: resolve, open the engine, load, invoke, under one deadline.

mod cache;
mod loader;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::{
    Artifact, BoxFuture, Call, Cancel, EngineConfig, Error, Failure, Limits, LogWriter, Metrics,
    MetricsSink, OpCall, Outcome, Ref, Resolver, RunOptions, Runner,
};
use loader::{Loaded, Loader};

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
}

#[derive(Debug)]
struct Shared {
    loader: Arc<Loader>,
    defaults: RunOptions,
}

impl Manager {
    /// Starts a manager.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    /// Loads an artifact ahead of its first call, within the wall limit of these options.
    ///
    /// # Errors
    /// As [`Runner::run`]; the inner error is a limit reached before the artifact was loaded.
    pub fn preload(&self, reference: &Ref, limits: Limits) -> Result<Result<(), Failure>, Error> {
        let bounds = limits.or(self.shared.defaults.limits).bounds();
        let call = Call::new(&bounds, Instant::now());
        Ok(match self.shared.loader.load(reference, &call)? {
            Loaded::Ready(_) => Ok(()),
            Loaded::Stopped(failure) => Err(failure),
        })
    }

    /// The artifacts that this one needs to run.
    ///
    /// # Errors
    /// [`Error::UnknownEngine`] if no such engine is linked in, and what keeps it from being opened.
    pub fn links(&self, artifact: &Artifact) -> Result<Vec<Ref>, Error> {
        Ok(self.shared.loader.engine(artifact.engine())?.links(artifact))
    }

    /// How many artifacts are loaded, and how many bytes they hold.
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
        let accepted = Instant::now();
        let shared = Arc::clone(&self.shared);
        let reference = reference.clone();
        let cancel = options.cancel.as_ref().map_or_else(Cancel::new, Cancel::child);
        options.cancel = Some(cancel.clone());
        let on_drop = cancel.drop_guard();
        let work = blocking::unblock(move || shared.run(&reference, &input, &options, accepted));
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
        self.shared.run(reference, input, options, Instant::now())
    }
}

impl Shared {
    fn run(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
        accepted: Instant,
    ) -> Result<Outcome, Error> {
        let bounds = options.limits.or(self.defaults.limits).bounds();
        let mut call = Call::new(&bounds, accepted);
        call.cancel = options.cancel.as_ref();
        call.raw = options.raw || self.defaults.raw;

        let mut load = Duration::ZERO;
        let snapshot = self.loader.snapshot();
        let just_loaded;
        let instance = match snapshot.get(reference, bounds.profile(), accepted) {
            Some(instance) => instance,
            None => {
                let begun = Instant::now();
                match self.loader.load(reference, &call)? {
                    Loaded::Ready(instance) => just_loaded = instance,
                    Loaded::Stopped(failure) => return Ok(stopped(&call, failure)),
                }
                load = begun.elapsed();
                &just_loaded
            }
        };

        let envelope = self.envelope(instance.takes_envelope(), input, options)?;
        let mut outcome = instance.invoke(envelope.as_deref().unwrap_or(input), &call)?;
        let phases = &mut outcome.metrics.phases;
        (phases.load, phases.queue) = (load, phases.queue.saturating_sub(load));
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
    cache_bytes: u64,
}

impl Default for ManagerBuilder {
    fn default() -> Self {
        Self {
            resolver: None,
            engines: BTreeMap::new(),
            defaults: RunOptions::default(),
            cache_bytes: 512 << 20,
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

    /// The manager. Nothing is opened before the first run.
    #[must_use]
    pub fn build(self) -> Manager {
        let loader = Loader::new(self.resolver, self.engines, self.cache_bytes);
        Manager { shared: Arc::new(Shared { loader: Arc::new(loader), defaults: self.defaults }) }
    }
}
