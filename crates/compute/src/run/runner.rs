//! What the rest of a program holds: anything that can run a ref.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::{BoxFuture, Cancel, Error, Limits, Log, Metrics, OpCall, Outcome, Ref};

/// Runs computes by their refs.
pub trait Runner: fmt::Debug + Send + Sync {
    /// Runs a compute without blocking the caller's thread.
    ///
    /// Dropping the future cancels the run.
    ///
    /// # Errors
    /// An [`Error`] when the host could not run it; what the guest does is in the [`Outcome`].
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>>;

    /// Runs a compute on the calling thread.
    ///
    /// # Errors
    /// As [`Runner::run`].
    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error>;
}

/// How one run differs from the runner's defaults. Each option given replaces the default, field by
/// field.
#[derive(Clone, Default)]
pub struct RunOptions {
    /// Limits, clock and seed.
    pub limits: Limits,
    /// Takes the guest's log, once the run has ended.
    pub log: Option<Arc<dyn LogWriter>>,
    /// Takes the run's metrics.
    pub metrics: Option<Arc<dyn MetricsSink>>,
    /// Stops the run.
    pub cancel: Option<Cancel>,
    /// The context, for a compute that is an op.
    pub op: Option<OpCall>,
    /// Take the output as it is, and do not ask for JSON.
    pub raw: bool,
    /// Take the result of an earlier run on the same, if it is kept, and keep this one's, if it looked neither at the clock nor
    /// at random numbers nor at what its request is called. Results are kept where [`crate::ManagerBuilder::results`] says how
    /// many.
    pub cache: bool,
    /// When the call was accepted, from when its wall limit counts; when it is made, if absent.
    pub accepted: Option<Instant>,
    /// Takes all that the run was given and gave, once it has ended: a [`crate::Recording`] makes a record of it.
    pub recording: Option<Arc<dyn RunSink>>,
}

impl RunOptions {
    /// Options with these limits.
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }
}

impl fmt::Debug for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunOptions")
            .field("limits", &self.limits)
            .field("op", &self.op)
            .field("raw", &self.raw)
            .finish_non_exhaustive()
    }
}

/// Takes all that a run was given and gave.
pub trait RunSink: Send + Sync {
    /// Takes a run, once it has ended. Called on the run's own thread, so what it does is the run's time.
    fn take(&self, reference: &Ref, input: &[u8], options: &RunOptions, outcome: &Outcome);
}

/// Takes what guests write to their logs. A closure of the same shape is one.
pub trait LogWriter: Send + Sync {
    /// Takes all that one run logged, within its log limit and without its secrets, and the id of the request that it served
    /// ([`crate::Meta::rid`], empty if it has none). Not called for a run that logged nothing.
    fn write(&self, reference: &Ref, rid: &str, log: &Log);
}

impl<F: Fn(&Ref, &str, &Log) + Send + Sync> LogWriter for F {
    fn write(&self, reference: &Ref, rid: &str, log: &Log) {
        self(reference, rid, log);
    }
}

/// Takes the metrics of runs. A closure of the same shape is one.
pub trait MetricsSink: Send + Sync {
    /// Takes the metrics of one run. Called once for each run that got as far as a sandbox.
    fn record(&self, reference: &Ref, metrics: &Metrics);
}

impl<F: Fn(&Ref, &Metrics) + Send + Sync> MetricsSink for F {
    fn record(&self, reference: &Ref, metrics: &Metrics) {
        self(reference, metrics);
    }
}

/// The runner of a program that has none: it fails, naming the ref.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoRunner;

impl Runner for NoRunner {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        _input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(std::future::ready(self.run_blocking(reference, &[], &options)))
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        _input: &[u8],
        _options: &RunOptions,
    ) -> Result<Outcome, Error> {
        Err(Error::NoRunner { reference: reference.clone() })
    }
}
