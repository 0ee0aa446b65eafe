//! Records runs as they happen, whoever runs them.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Record, RecordKey};
use crate::{BoxFuture, Error, Mask, Outcome, Ref, RunOptions, RunSink, Runner};

/// Takes records. A closure of the same shape is one.
pub trait RecordSink: Send + Sync {
    /// Takes a record, which has no id yet: [`Record::sealed`] gives it one. Called on the run's own thread, so what it does is
    /// the run's time: it hands the record on, or drops it.
    fn take(&self, record: Record);
}

impl<F: Fn(Record) + Send + Sync> RecordSink for F {
    fn take(&self, record: Record) {
        self(record);
    }
}

/// How much of what a run had and gave is kept in its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKeep {
    /// Digests alone: what was run can be compared, and repeated by whoever has the input.
    #[default]
    Digests,
    /// The bytes of input, environment values and output as well: whoever has the record can repeat it.
    Bytes,
}

/// A runner that records what another runs.
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use compute::{
///     Algorithm, Artifact, ArtifactMap, Manager, Record, RecordKeep, RecordKey, Recorder, RunOptions, Runner,
/// };
///
/// # fn main() -> Result<(), compute::Error> {
/// let artifact = Artifact::new(Algorithm::Sha256, "identity", b"anything".to_vec());
/// let reference = artifact.reference().clone();
/// let manager = Manager::builder().resolver(ArtifactMap::from([artifact])).build();
///
/// let records = Arc::new(Mutex::new(Vec::new()));
/// let sink = Arc::clone(&records);
/// let take = move |record: Record| sink.lock().unwrap().push(record.sealed());
/// let runner = Recorder::new(Arc::new(manager), Arc::new(take), RecordKey::new([7; 32]))
///     .keep(RecordKeep::Bytes);
/// runner.run_blocking(&reference, br#"{"n":1}"#, &RunOptions::default())?;
///
/// let json = records.lock().unwrap()[0].to_json();
/// assert_eq!(Record::read(&json).unwrap().subject.status(), "ok");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recorder {
    runner: Arc<dyn Runner>,
    recording: Recording,
}

impl Recorder {
    /// A runner that hands a record of each run to this sink.
    #[must_use]
    pub fn new(runner: Arc<dyn Runner>, sink: Arc<dyn RecordSink>, key: RecordKey) -> Self {
        Self { runner, recording: Recording::new(sink, key) }
    }

    /// How much of each run is kept.
    #[must_use]
    pub fn keep(mut self, keep: RecordKeep) -> Self {
        self.recording = self.recording.keep(keep);
        self
    }
}

/// Where records go, and what of a run is in them. [`crate::RunOptions::recording`] takes one for a single run; a [`Recorder`]
/// records all that a runner runs.
#[derive(Clone)]
pub struct Recording {
    sink: Arc<dyn RecordSink>,
    key: RecordKey,
    keep: RecordKeep,
    mask: Option<Arc<Mask>>,
}

impl Recording {
    /// Hands records to this sink, with digests alone.
    #[must_use]
    pub fn new(sink: Arc<dyn RecordSink>, key: RecordKey) -> Self {
        Self { sink, key, keep: RecordKeep::default(), mask: None }
    }

    /// How much of each run is kept.
    #[must_use]
    pub fn keep(mut self, keep: RecordKeep) -> Self {
        self.keep = keep;
        self
    }

    /// What is masked in records of runs that have no secrets of their own: one that another run was given may come in their
    /// input. What masks the secrets of a run is to know these as well.
    #[must_use]
    pub fn masked_by(mut self, mask: Arc<Mask>) -> Self {
        self.mask = Some(mask);
        self
    }

    /// The record of a run that has ended.
    #[must_use]
    pub fn of(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
        outcome: &Outcome,
    ) -> Record {
        let keep = self.keep == RecordKeep::Bytes;
        let mask = self.mask.as_deref();
        Record::of_run(reference, input, options, outcome, (&self.key, mask), keep)
    }
}

impl RunSink for Recording {
    fn take(&self, reference: &Ref, input: &[u8], options: &RunOptions, outcome: &Outcome) {
        self.sink.take(self.of(reference, input, options, outcome));
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("key", &self.key)
            .field("keep", &self.keep)
            .finish_non_exhaustive()
    }
}

impl Runner for Recorder {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        mut options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            options.accepted.get_or_insert_with(Instant::now);
            let outcome = self.runner.run(reference, input.clone(), options.clone()).await?;
            self.recording.take(reference, &input, &options, &outcome);
            Ok(outcome)
        })
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let outcome = self.runner.run_blocking(reference, input, options)?;
        self.recording.take(reference, input, options, &outcome);
        Ok(outcome)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("runner", &self.runner).finish_non_exhaustive()
    }
}
