//! Joins the parts: resolve, open the engine, load, invoke, under one deadline.

mod loader;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::{
    Bounds, BoxFuture, Call, Cancel, EngineConfig, Error, Failure, Limits, LogWriter, Metrics,
    MetricsSink, OpCall, Outcome, Reason, Ref, Resolver, RunOptions, Runner,
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
        let cancel = Cancel::new();
        let call = Call::new(&bounds, &cancel);
        Ok(match self.shared.loader.load(reference, &call)? {
            Loaded::Ready(_) => Ok(()),
            Loaded::Stopped(failure) => Err(failure),
        })
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
        options.cancel = options.cancel.child();
        let on_drop = CancelOnDrop(options.cancel.clone());
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
        let mut call = Call::new(&bounds, &options.cancel);
        call.accepted = accepted;
        call.raw = options.raw || self.defaults.raw;

        let waited = accepted.elapsed();
        let instance = match self.loader.cached(reference, bounds.profile()) {
            Some(instance) => instance,
            None => match self.loader.load(reference, &call)? {
                Loaded::Ready(instance) => instance,
                Loaded::Stopped(failure) => return Ok(stopped(reference, &call, failure)),
            },
        };
        let loaded = accepted.elapsed();

        let envelope = self.envelope(instance.takes_envelope(), input, options)?;
        let mut outcome = instance.invoke(envelope.as_deref().unwrap_or(input), &call)?;
        outcome.metrics.phases.queue += waited;
        outcome.metrics.phases.load = loaded.saturating_sub(waited);
        self.report(&outcome, options);
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

    fn report(&self, outcome: &Outcome, options: &RunOptions) {
        if let Some(writer) = options.log.as_ref().or(self.defaults.log.as_ref())
            && !outcome.log.bytes.is_empty()
        {
            writer.write(&outcome.reference, &outcome.log.bytes);
        }
        if let Some(sink) = options.metrics.as_ref().or(self.defaults.metrics.as_ref()) {
            sink.record(&outcome.reference, &outcome.metrics);
        }
    }
}

/// The outcome of a run that a limit stopped before its artifact was loaded.
fn stopped(reference: &Ref, call: &Call<'_>, failure: Failure) -> Outcome {
    let wall = call.accepted.elapsed();
    let mut metrics = Metrics { wall, ..Metrics::default() };
    metrics.phases.load = wall;
    Outcome::new(reference.clone(), *call.bounds, Err(failure), metrics)
}

/// The failure of a run that must stop now, if it must.
fn must_stop(bounds: &Bounds, call: &Call<'_>, phase: crate::Phase) -> Option<Failure> {
    if call.cancel.is_cancelled() {
        Some(Failure::new(Reason::Cancelled { phase }))
    } else if call.accepted.elapsed() >= bounds.wall {
        Some(Failure::new(Reason::WallLimit { limit: bounds.wall, phase }))
    } else {
        None
    }
}

struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
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
