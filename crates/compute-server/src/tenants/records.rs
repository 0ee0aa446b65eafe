//! What a tenant's requests are recorded in, and which of them are.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use compute::{Account, Outcome, Record, RecordKeep, RecordKey, Ref, RunOptions, RunSink};
use compute_flow::{Answer, Processor, Request, Snapshot};
use compute_replay::{
    DocumentRecorder, LogSettings, LogSweep, RecordLog, RecordSigner, RecordWriter,
};
use compute_state::{LocalState, RecordPolicy, Recorded, State as _, TenantName, tenant_folder};

use crate::Settings;

/// How often it is told that records are lost.
const TELL: Duration = Duration::from_secs(60);
/// How long whoever looks for records, or ends the server, waits for those that are not written yet.
const SETTLE: Duration = Duration::from_secs(2);

/// The folder of a tenant's records, in that of its state.
const RECORDS: &str = "records";

/// Where a tenant's records are, below the folder for those of all.
pub(super) fn folder_of(folder: &Path, tenant: &TenantName) -> PathBuf {
    tenant_folder(folder, tenant).join(RECORDS)
}

pub(super) const fn log_settings(settings: &Settings) -> LogSettings {
    LogSettings {
        bytes: settings.record_bytes,
        age: settings.record_age,
        waiting: settings.record_memory / 2,
    }
}

/// Writes the records of all tenants, if there is a place for them, and forgets old ones: also of tenants that ask for nothing.
pub(crate) fn record_writer(
    folder: Option<PathBuf>,
    settings: &Settings,
) -> std::io::Result<Option<RecordWriter>> {
    let Some(folder) = folder else { return Ok(None) };
    let find = move || {
        let below = LocalState::new(&folder).tenants().unwrap_or_default();
        below.iter().map(|name| folder_of(&folder, name)).collect()
    };
    let sweep = LogSweep::new(log_settings(settings), find);
    RecordWriter::start_with(settings.record_memory, Some(sweep)).map(Some)
}

/// The records of a tenant: found in segments in a folder, written by a thread that all tenants share.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) folder: PathBuf,
    log: RecordLog,
    key: RecordKey,
    tenant: TenantName,
    /// How many were lost when that was last told, and when, in seconds since the server began.
    told: [AtomicU64; 2],
    begun: Instant,
}

impl Records {
    pub(crate) fn new(
        writer: &RecordWriter,
        folder: PathBuf,
        settings: LogSettings,
        key: RecordKey,
        tenant: TenantName,
        is_signed: bool,
    ) -> Self {
        let signer = is_signed.then(|| RecordSigner::new(&key));
        let (told, begun) = (Default::default(), Instant::now());
        Self { log: writer.log(&folder, settings, signer), folder, key, tenant, told, begun }
    }

    /// Waits until all that was recorded can be found, or is lost; not for long, where the disk is slow.
    pub(crate) fn settle(&self) -> std::io::Result<()> {
        self.log.settle(SETTLE)
    }

    /// Has a document recorded, if it is one that is.
    pub(crate) fn document(
        self: &Arc<Self>,
        policy: RecordPolicy,
        (processor, snapshot): (&Processor, &Snapshot),
        request: &mut Request,
    ) -> Option<DocumentRecording> {
        let recorder =
            || DocumentRecorder::new(processor, snapshot, request, self.key.clone(), policy.keep);
        is_chosen(policy.which).then(recorder).map(|recorder| DocumentRecording {
            records: Arc::clone(self),
            recorder,
            which: policy.which,
        })
    }

    /// What a single run is given to, if it is one that is recorded. What that keeps is charged to the account.
    pub(crate) fn run(
        self: &Arc<Self>,
        policy: RecordPolicy,
        memory: &Account,
    ) -> Option<Arc<RunRecording>> {
        let recording = || {
            Arc::new(RunRecording {
                records: Arc::clone(self),
                which: policy.which,
                keep: policy.keep,
                memory: memory.clone(),
                id: OnceLock::new(),
            })
        };
        is_chosen(policy.which).then(recording)
    }

    /// Hands a record to whoever writes it. Its id.
    fn keep(&self, mut record: Record) -> String {
        self.tenant.as_str().clone_into(&mut record.by);
        let id = self.log.take_now(record);
        self.tell_lost();
        id
    }

    /// Tells the operator of what was lost, once in a while.
    fn tell_lost(&self) {
        let (lost, [before, at]) = (self.log.stats().lost, &self.told);
        if lost == before.load(Ordering::Relaxed) {
            return;
        }
        let now = self.begun.elapsed().as_secs() + TELL.as_secs();
        let last = at.load(Ordering::Relaxed);
        let is_due = now - last >= TELL.as_secs();
        if is_due && at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            before.store(lost, Ordering::Relaxed);
            let why = self.log.failed().unwrap_or_else(|| "too many waited".to_owned());
            let (tenant, folder) = (self.tenant.as_str(), self.folder.display());
            tracing::warn!(target: "request", tenant, lost, %folder, "records are lost: {why}");
        }
    }
}

/// A number that no caller knows.
pub(crate) fn drawn() -> u64 {
    RandomState::new().hash_one(())
}

/// Whether a request is one that may be recorded, before it is known what becomes of it.
fn is_chosen(which: Recorded) -> bool {
    match which {
        Recorded::Off => false,
        Recorded::Failures | Recorded::All => true,
        // No caller can say which it is.
        Recorded::Sample(every) => drawn().is_multiple_of(u64::from(every.get())),
    }
}

/// A document that is recorded.
#[derive(Debug)]
pub(crate) struct DocumentRecording {
    records: Arc<Records>,
    recorder: DocumentRecorder,
    which: Recorded,
}

impl DocumentRecording {
    /// Records it, once it has its answer. The record's id, if it is kept.
    pub(crate) fn finish(self, request: &Request, answer: &Answer) -> Option<String> {
        let failed = || answer.result.is_err() || self.recorder.failed();
        if self.which == Recorded::Failures && !failed() {
            return None;
        }
        Some(self.records.keep(self.recorder.record(request, answer)))
    }
}

/// A single run that is recorded.
pub(crate) struct RunRecording {
    records: Arc<Records>,
    which: Recorded,
    keep: RecordKeep,
    memory: Account,
    id: OnceLock<String>,
}

impl RunRecording {
    /// The record's id, if it is kept.
    pub(crate) fn id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
    }
}

impl RunSink for RunRecording {
    fn take(&self, reference: &Ref, input: &[u8], options: &RunOptions, outcome: &Outcome) {
        if self.which == Recorded::Failures && outcome.result.is_ok() {
            return;
        }
        let output = outcome.result.as_ref().map_or(0, |bytes| bytes.len());
        // The bytes, as a text of JSON, and what a mask reads.
        let room = self.memory.charge(3 * (input.len() + output));
        let keep = if room.is_ok() { self.keep } else { RecordKeep::Digests };
        let (keep, keys) = (keep == RecordKeep::Bytes, (&self.records.key, None));
        let record = Record::of_run(reference, input, options, outcome, keys, keep);
        let _ = self.id.set(self.records.keep(record));
    }
}
