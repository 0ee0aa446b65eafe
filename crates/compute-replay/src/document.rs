//! Records documents, and takes them through a stack again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use compute::{
    Content, DocumentRecord, Mask, Record, RecordKeep, RecordKey, Recorder, Runner, StepRecord,
    Subject,
};
use compute_flow::{Answer, Detail, Processor, ProcessorSettings, Request, Snapshot};
use jiff::Timestamp;

use crate::difference::Difference;
use crate::replay::{
    Unrepeatable, Verdict, compare_outputs, compare_runs, ended, kept, secret, verdict,
};

/// How many steps of one document are recorded.
const MOST_STEPS: usize = 10_000;

/// Takes documents through stacks as a processor does, and records one.
#[derive(Debug)]
pub struct DocumentRecorder {
    processor: Processor,
    steps: Arc<Mutex<Vec<StepRecord>>>,
    key: RecordKey,
    keep: RecordKeep,
}

impl DocumentRecorder {
    /// A recorder for one document.
    #[must_use]
    pub fn new(
        runner: Arc<dyn Runner>,
        settings: ProcessorSettings,
        key: RecordKey,
        keep: RecordKeep,
    ) -> Self {
        let steps = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&steps);
        let take = move |record: Record| {
            let Subject::Run(run) = record.subject else { return };
            let rule = run.op.as_ref().map(|op| op.meta.op.clone()).unwrap_or_default();
            let mut steps = sink.lock().unwrap_or_else(PoisonError::into_inner);
            if steps.len() < MOST_STEPS {
                steps.push(StepRecord { rule, wall_ns: record.wall_ns, run: *run });
            }
        };
        let runner = Recorder::new(runner, Arc::new(take), key.clone()).keep(keep);
        let processor = Processor::with_settings(Arc::new(runner), settings);
        Self { processor, steps, key, keep }
    }

    /// Takes a document through the stacks of a snapshot. What its trace would say is in the record, whatever the request's
    /// detail.
    #[must_use]
    pub fn process(self, snapshot: &Snapshot, request: &Request) -> (Answer, Record) {
        let began = SystemTime::now();
        let mut traced = request.clone();
        if traced.detail == Detail::Off {
            traced.detail = Detail::Summary;
        }
        let mut answer = self.processor.process(snapshot, &traced);
        let record = self.record(request, &answer, began);
        if request.detail == Detail::Off {
            answer.trace = None;
        }
        (answer, record)
    }

    fn record(&self, request: &Request, answer: &Answer, began: SystemTime) -> Record {
        let keep = self.keep == RecordKeep::Bytes;
        let mask = Mask::new(request.secrets.values().cloned());
        let content = |bytes: &[u8]| Content::new(bytes, &mask, keep);
        let mut steps =
            std::mem::take(&mut *self.steps.lock().unwrap_or_else(PoisonError::into_inner));
        steps.sort_by(|a, b| (&a.rule, &a.run.seed).cmp(&(&b.rule, &b.run.seed)));
        let trace = answer.trace.as_ref();
        let versions = trace.map(|trace| {
            trace.versions.iter().map(|(name, hash)| (name.to_string(), hash.clone())).collect()
        });
        let output = answer.result.as_ref().ok();
        let reason = answer.result.as_ref().err();
        let secrets = request.secrets.iter().map(|(name, value)| (&**name, &**value));
        let document = DocumentRecord {
            stage: request.stage.to_string(),
            versions: versions.unwrap_or_default(),
            now: Timestamp::try_from(request.now).unwrap_or(Timestamp::UNIX_EPOCH),
            seed: request.seed.to_string(),
            fuel: request.fuel,
            input: content(&request.input),
            stamp: content(&serde_json::to_vec(&request.stamp).unwrap_or_default()),
            secrets: self.key.secrets(secrets),
            status: reason
                .map_or_else(|| "ok".to_owned(), |failure| failure.reason.code().to_owned()),
            reason: reason.map(|failure| mask.text(&failure.to_string()).into_owned()),
            output: output.map(|value| content(&serde_json::to_vec(value).unwrap_or_default())),
            work: trace.map_or(0, |trace| trace.work),
            steps,
        };
        let at = Timestamp::try_from(began).unwrap_or(Timestamp::UNIX_EPOCH);
        let wall = trace.map_or(0, |trace| trace.wall_ns);
        Record::new(Subject::Document(Box::new(document)), answer.rid.clone(), at, wall)
    }
}

/// Takes a recorded document through these stacks, and compares what came of it. With `other`, they are not those that it went
/// through: then answers are compared alone.
///
/// `settings` are what documents may use here; a document that time stopped is not compared.
pub fn replay_document(
    record: &Record,
    snapshot: &Snapshot,
    runner: &Arc<dyn Runner>,
    settings: ProcessorSettings,
    secrets: &dyn Fn(&str) -> Option<String>,
    key: &RecordKey,
    other: bool,
) -> (Verdict, Option<Record>) {
    let Subject::Document(document) = &record.subject else {
        let what = "it is the record of a run, and not of a document".to_owned();
        return (Verdict::Incomparable(Unrepeatable::Host(what)), None);
    };
    match request_of(record, document, secrets, key) {
        Ok(request) => {
            let recorder =
                DocumentRecorder::new(Arc::clone(runner), settings, key.clone(), RecordKeep::Bytes);
            let (_, again) = recorder.process(snapshot, &request);
            let Subject::Document(after) = &again.subject else {
                return (Verdict::Identical, None);
            };
            let by_time = |one: &DocumentRecord| {
                matches!(&*one.status, "deadline" | "cancelled")
                    || one.steps.iter().any(|step| step.run.status == "wall-limit")
            };
            let verdict = if by_time(document) || by_time(after) {
                Verdict::Incomparable(Unrepeatable::Stopped("time".to_owned()))
            } else {
                verdict(compare(document, after, other))
            };
            (verdict, Some(again))
        }
        Err(why) => (Verdict::Incomparable(why), None),
    }
}

fn request_of(
    record: &Record,
    document: &DocumentRecord,
    secrets: &dyn Fn(&str) -> Option<String>,
    key: &RecordKey,
) -> Result<Request, Unrepeatable> {
    let unread = |what: &str| Unrepeatable::Host(format!("its {what} cannot be read"));
    let stage = document.stage.parse().map_err(|_| unread("stage"))?;
    let mut request = Request::new(stage, kept("input", &document.input)?);
    let stamp = kept("stamp", &document.stamp)?;
    request.stamp = serde_json::from_slice(&stamp).map_err(|_| unread("stamp"))?;
    request.rid = Some(record.rid.clone());
    request.now = SystemTime::try_from(document.now).map_err(|_| unread("time"))?;
    request.seed = document.seed.parse().map_err(|_| unread("seed"))?;
    request.fuel = document.fuel;
    let mut given = std::collections::BTreeMap::new();
    for (name, digest) in &document.secrets.digests {
        // One that is not set here is missed where a rule names it.
        match secret(name, digest, &document.secrets.key, secrets, key) {
            Ok(value) => drop(given.insert(name.clone(), value)),
            Err(Unrepeatable::MissingSecret(_)) => {}
            Err(why) => return Err(why),
        }
    }
    request.mask = Arc::new(Mask::new(given.values().cloned()));
    request.secrets = Arc::new(given);
    Ok(request)
}

fn compare(before: &DocumentRecord, after: &DocumentRecord, other: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    if before.status != after.status || !other && before.reason != after.reason {
        found.push(Difference::Status {
            before: ended(&before.status, before.reason.as_deref()),
            after: ended(&after.status, after.reason.as_deref()),
        });
    }
    if let (Some(one), Some(two)) = (&before.output, &after.output) {
        found.extend(compare_outputs(one, two));
    }
    if other {
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
    for step in &after.steps {
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
