//! Records documents, and takes them through stacks again.

mod stopped;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use compute::{
    Charge, Content, DocumentRecord, Error, Mask, Record, RecordKeep, RecordKey, RecordedLimits,
    RecordedSecrets, Recording, Runner, Status, StepRecord, Subject,
};
use compute_flow::{Answer, Detail, Processor, ProcessorSettings, Reason, Request, Snapshot};
use compute_state::StackName;
use jiff::Timestamp;
use serde_json::Value;

use crate::difference::{Difference, changes};
use crate::replay::{
    Again, Unrepeatable, Verdict, compare_outputs, compare_runs, ended, is_by_time, kept, secret,
    unmasked, verdict,
};

use stopped::{CANCELLED, DEADLINE, Stopped};

/// How many steps of one document are recorded.
const MOST_STEPS: usize = 1000;
/// How many bytes of one document and its steps are kept: those of a document and its answer of the largest size, twice.
const MOST_BYTES: usize = 16 << 20;
/// About how many bytes of memory a step's record takes without those that it keeps.
const STEP: usize = 4096;

/// Records one document, while a processor takes it through stacks.
///
/// What it records is charged to an account. Where that has no room, steps are left out and counted; where there are more bytes
/// than a record keeps, it has the digests of those that come later.
pub struct DocumentRecorder {
    began: SystemTime,
    steps: Arc<Mutex<Steps>>,
    key: RecordKey,
    keep: RecordKeep,
    mocks: bool,
    /// Knows all secrets that rules may name.
    mask: Arc<Mask>,
    /// The versions of the stack where it begins, and of those that it lies over.
    begun_in: BTreeMap<String, String>,
    /// Of those, the ones that get a part of the documents in place of these.
    rolled_out: BTreeMap<StackName, String>,
}

struct Steps {
    steps: Vec<StepRecord>,
    dropped: u64,
    /// How many bytes they keep.
    kept: usize,
    charge: Charge,
}

impl Steps {
    fn take(&mut self, mut record: Record) {
        let mut kept = record.subject.kept_bytes();
        if self.kept + kept > MOST_BYTES || self.charge.grow(kept).is_err() {
            record.subject.forget_bytes();
            kept = 0;
        }
        let Subject::Run(run) = record.subject else { return };
        if self.steps.len() >= MOST_STEPS || self.charge.grow(STEP).is_err() {
            self.dropped += 1;
            return;
        }
        self.kept += kept;
        let rule = run.op.as_ref().map(|op| op.meta.op.clone()).unwrap_or_default();
        self.steps.push(StepRecord { rule, wall_ns: record.wall_ns, run: *run });
    }
}

impl DocumentRecorder {
    /// A recorder for a document that this processor is to take: its runs are recorded, and its trace is made, as far as a record
    /// needs one.
    #[must_use]
    pub fn new(
        processor: &Processor,
        snapshot: &Snapshot,
        request: &mut Request,
        key: RecordKey,
        keep: RecordKeep,
    ) -> Self {
        let charge = request.memory.empty();
        let steps = Steps { steps: Vec::new(), dropped: 0, kept: 0, charge };
        let steps = Arc::new(Mutex::new(steps));
        let sink = Arc::clone(&steps);
        let take = move |record| sink.lock().unwrap_or_else(PoisonError::into_inner).take(record);
        // Those that one step is given, and another one's input repeats.
        let mask = match request.mask.is_empty() {
            true => Arc::new(Mask::new(request.secrets.values().cloned())),
            false => Arc::clone(&request.mask),
        };
        let recording = Recording::new(Arc::new(take), key.clone());
        let recording = recording.keep(keep).masked_by(Arc::clone(&mask));
        request.recording = Some(Arc::new(recording));
        if request.detail == Detail::Off {
            request.detail = Detail::Summary;
        }
        let mocks = processor.settings().mocks;
        // Where there is no scope left to enter, they decide that, too.
        let names = || request.stage.stack.overlay();
        let stacks = names().filter_map(|name| snapshot.stack(&name));
        let begun_in =
            stacks.map(|stack| (stack.name().to_string(), stack.hash().to_owned())).collect();
        let stacks = names().filter_map(|name| snapshot.rolled_out(&name));
        let rolled_out =
            stacks.map(|stack| (stack.name().clone(), stack.hash().to_owned())).collect();
        Self { began: SystemTime::now(), steps, key, keep, mocks, mask, begun_in, rolled_out }
    }

    /// Whether a step failed so far.
    #[must_use]
    pub fn failed(&self) -> bool {
        let steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        steps.steps.iter().any(|step| step.run.status != "ok")
    }

    /// The record of the document, once it has its answer.
    #[must_use]
    pub fn record(self, request: &Request, answer: &Answer) -> Record {
        let Self { began, steps, key, keep, mocks, mask, begun_in: mut versions, rolled_out } =
            self;
        let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
        let Steps { steps: ran, dropped, kept, charge } = &mut *steps;
        let mut ran = std::mem::take(ran);
        ran.sort_by(|a, b| (&a.rule, &a.run.seed).cmp(&(&b.rule, &b.run.seed)));
        let mut content = |bytes: &[u8]| {
            *kept = kept.saturating_add(bytes.len());
            let keep = keep == RecordKeep::Bytes && *kept <= MOST_BYTES;
            // The bytes, what a mask makes of them, and the record's own.
            let has_room = charge.grow(bytes.len().saturating_mul(3)).is_ok();
            Content::new(bytes, &mask, keep && has_room)
        };
        let json = |value: &Value| serde_json::to_vec(value).unwrap_or_default();
        let trace = answer.trace.as_ref();
        let got = rolled_out.into_iter().filter(|(name, _)| answer.rolled_out.contains(name));
        versions.extend(got.map(|(name, hash)| (name.to_string(), hash)));
        let entered = trace.into_iter().flat_map(|trace| &trace.versions);
        versions.extend(entered.map(|(name, hash)| (name.to_string(), hash.clone())));
        let reason = answer.result.as_ref().err();
        let given = answer.secrets.iter();
        let given = given.filter_map(|name| Some((&**name, &**request.secrets.get(name)?)));
        let secrets = match answer.secrets.is_empty() {
            true => RecordedSecrets::default(),
            false => key.secrets(given),
        };
        let document = DocumentRecord {
            stage: request.stage.to_string(),
            versions,
            now: Timestamp::try_from(request.now).unwrap_or(Timestamp::UNIX_EPOCH),
            seed: request.seed.to_string(),
            fuel: request.fuel.map(|fuel| fuel.min(RecordedLimits::LARGEST)),
            mocks,
            input: content(&request.input),
            stamp: content(&serde_json::to_vec(&request.stamp).unwrap_or_default()),
            secrets,
            status: reason
                .map_or_else(|| "ok".to_owned(), |failure| failure.reason.code().to_owned()),
            reason: reason.map(|failure| mask.text(&failure.to_string()).into_owned()),
            output: answer.result.as_ref().ok().map(|value| content(&json(value))),
            web: answer.web.as_ref().map(|web| content(&json(web))),
            work: trace.map_or(0, |trace| trace.work),
            steps: ran,
            steps_dropped: *dropped,
        };
        let at = Timestamp::try_from(began).unwrap_or(Timestamp::UNIX_EPOCH);
        let wall = trace.map_or(0, |trace| trace.wall_ns);
        Record::new(Subject::Document(Box::new(document)), mask.text(&answer.rid), at, wall)
    }
}

impl std::fmt::Debug for DocumentRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DocumentRecorder").field("keep", &self.keep).finish_non_exhaustive()
    }
}

/// Takes a recorded document through these stacks, and compares what came of it. With `other`, they are not those that it went
/// through: then answers are compared alone.
///
/// `settings` are what documents may use here. A document that time stopped within steps that were metered is stopped there again;
/// another one is not compared.
pub fn replay_document(
    record: &Record,
    snapshot: &Snapshot,
    runner: &Arc<dyn Runner>,
    settings: ProcessorSettings,
    secrets: &BTreeMap<String, String>,
    key: &RecordKey,
    other: bool,
) -> (Verdict, Option<Again<Record>>) {
    let Subject::Document(document) = &record.subject else {
        let what = "it is the record of a run, and not of a document".to_owned();
        return (Verdict::Incomparable(Unrepeatable::Host(what)), None);
    };
    let by_time = |one: &DocumentRecord| {
        matches!(&*one.status, DEADLINE | CANCELLED)
            || one.steps.iter().any(|step| is_by_time(&step.run))
    };
    let stops = if by_time(document) { Stopped::of(document, runner) } else { None };
    if !other && by_time(document) && stops.is_none() {
        // It would take as long, for nothing.
        return (Verdict::Incomparable(Unrepeatable::DocumentStopped), None);
    }
    // Other versions need not come to the same steps.
    let stops = stops.filter(|_| !other);
    let is_stopped = stops.is_some();
    let runner = stops.map_or_else(|| Arc::clone(runner), |stops| Arc::new(stops) as _);
    match request_of(record, document, (secrets, other), key) {
        Ok(mut request) => {
            let settings = ProcessorSettings { mocks: document.mocks, ..settings };
            let processor = Processor::with_settings(runner, settings);
            let (key, keep) = (key.clone(), RecordKeep::Bytes);
            let recorder = DocumentRecorder::new(&processor, snapshot, &mut request, key, keep);
            let answer = processor.process(snapshot, &request);
            let again = recorder.record(&request, &answer);
            let Subject::Document(after) = &again.subject else {
                return (Verdict::Identical, None);
            };
            let verdict = if by_time(document) && !is_stopped || by_time(after) {
                Verdict::Incomparable(Unrepeatable::DocumentStopped)
            } else {
                verdict(compare(document, after, other))
            };
            let failure =
                answer.result.err().and_then(|failed| match (failed.reference, failed.reason) {
                    (Some(reference), Reason::Guest(guest)) => Some((reference, guest)),
                    _ => None,
                });
            (verdict, Some(Again { record: again, failure }))
        }
        Err(why) => (Verdict::Incomparable(why), None),
    }
}

fn request_of(
    record: &Record,
    document: &DocumentRecord,
    (secrets, other): (&BTreeMap<String, String>, bool),
    key: &RecordKey,
) -> Result<Request, Unrepeatable> {
    let unread = |what: &str| Unrepeatable::Host(format!("its {what} cannot be read"));
    let stage = document.stage.parse().map_err(|_| unread("stage"))?;
    let mut request = Request::new(stage, kept("input", &document.input)?);
    let stamp = kept("stamp", &document.stamp)?;
    request.stamp = serde_json::from_slice(&stamp).map_err(|_| unread("stamp"))?;
    request.rid = Some(unmasked("request's id", &record.rid)?.to_owned());
    request.now = SystemTime::try_from(document.now).map_err(|_| unread("time"))?;
    request.seed = document.seed.parse().map_err(|_| unread("seed"))?;
    request.fuel = document.fuel;
    // Other versions may name others.
    let mut given = if other { secrets.clone() } else { BTreeMap::new() };
    for (name, digest) in &document.secrets.digests {
        let set = |name: &str| secrets.get(name).cloned();
        given.insert(name.clone(), secret(name, digest, &document.secrets.key, &set, key)?);
    }
    request.mask = Arc::new(Mask::new(given.values().cloned()));
    request.secrets = Arc::new(given);
    Ok(request)
}

/// What is otherwise in the second of two answers to one document, with secrets masked.
#[must_use]
pub fn compare_answers(before: &Answer, after: &Answer, mask: &Mask) -> Verdict {
    let by_time = |answer: &Answer| match answer.result.as_ref().map_err(|failed| &failed.reason) {
        Err(Reason::Guest(guest)) => {
            matches!(guest.status(), Status::WallLimit | Status::Cancelled)
        }
        Err(Reason::Host(error)) => matches!(error, Error::Busy { .. }),
        Err(reason) => matches!(reason.code(), DEADLINE | CANCELLED),
        Ok(_) => false,
    };
    if by_time(before) || by_time(after) {
        return Verdict::Incomparable(Unrepeatable::DocumentStopped);
    }
    let status = |answer: &Answer| match &answer.result {
        Ok(_) => "ok".to_owned(),
        Err(failure) => failure.reason.code().to_owned(),
    };
    let mut found = Vec::new();
    let (one, other) = (status(before), status(after));
    if one != other {
        found.push(Difference::Status { before: one, after: other });
    }
    let mut put = |before: Option<&Value>, after: Option<&Value>, place: &str| {
        let found_there = changes(before.unwrap_or(&Value::Null), after.unwrap_or(&Value::Null));
        if !found_there.is_empty() {
            let masked = found_there.into_iter().map(|change| change.masked(mask)).collect();
            found.push(Difference::Output(masked).below(place));
        }
    };
    if let (Ok(one), Ok(other)) = (&before.result, &after.result) {
        put(Some(one), Some(other), "");
    }
    put(before.web.as_ref(), after.web.as_ref(), WEB);
    verdict(found)
}

/// Where a document says what the HTTP answer is.
const WEB: &str = "._txc.web.res";

fn compare(before: &DocumentRecord, after: &DocumentRecord, other: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    // Its time ended within a step, which ends otherwise here.
    let stopped_alike = before.status == DEADLINE && after.status == "compute_failed";
    if !stopped_alike && (before.status != after.status || !other && before.reason != after.reason)
    {
        found.push(Difference::Status {
            before: ended(&before.status, before.reason.as_deref()),
            after: ended(&after.status, after.reason.as_deref()),
        });
    }
    if let (Some(one), Some(two)) = (&before.output, &after.output) {
        found.extend(compare_outputs(one, two));
    }
    let none = Content::new(b"null", &Mask::default(), true);
    let web = |one: &DocumentRecord| one.web.clone().unwrap_or_else(|| none.clone());
    if before.web.is_some() || after.web.is_some() {
        let found_there = compare_outputs(&web(before), &web(after));
        found.extend(found_there.into_iter().map(|one| one.below(WEB)));
    }
    // Of those that were left out nothing is known.
    if other || before.steps_dropped > 0 || after.steps_dropped > 0 {
        return found;
    }
    for step in &before.steps {
        let same = |one: &&StepRecord| one.rule == step.rule && one.run.seed == step.run.seed;
        let what = match after.steps.iter().find(same) {
            Some(again) => compare_runs(&step.run, &again.run, false),
            None => vec![gone(&step.run.status, "not run")],
        };
        if !what.is_empty() {
            found.push(Difference::Step { rule: step.rule.clone(), what });
        }
    }
    // What had no time left there has it here.
    for step in after.steps.iter().filter(|_| !stopped_alike) {
        let same = |one: &StepRecord| one.rule == step.rule && one.run.seed == step.run.seed;
        if !before.steps.iter().any(same) {
            let what = vec![gone("not run", &step.run.status)];
            found.push(Difference::Step { rule: step.rule.clone(), what });
        }
    }
    found
}

fn gone(before: &str, after: &str) -> Difference {
    Difference::Status { before: before.to_owned(), after: after.to_owned() }
}
