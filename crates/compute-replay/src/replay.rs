//! Runs a record of a run again, and compares.

use std::time::Duration;

use compute::{
    Content, Error, Failure, Limits, MASKED, Outcome, Phase, Reason, RecordKey, Ref, RunRecord,
    Runner, Secrets, Status, with_causes,
};
use serde::Serialize;
use serde_json::Value;

use crate::difference::{Difference, changes};

/// How much longer a run may take when it is run again: the machine is another, and its time is no part of what is compared.
const PATIENCE: (u32, Duration) = (10, Duration::from_secs(10));

/// What came of running a record again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// All that can be compared is the same.
    Identical,
    /// These are otherwise.
    Different(Vec<Difference>),
    /// It cannot be compared, and this is why.
    Incomparable(Unrepeatable),
}

/// Why a record cannot be run again, or not be compared.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Unrepeatable {
    /// Its input is not kept.
    #[error(
        "the record keeps the digest of its {0} alone, which says nothing to run: record with bytes (`compute record policy all --keep bytes`)"
    )]
    NotKept(String),
    /// Its input held a secret, which no record has.
    #[error("its {0} held a secret, which is masked in the record")]
    Masked(String),
    /// It had a secret that is not set here.
    #[error(
        "it had the secret `{0}`, which is not set here: set it, or give it with --secret {0}=…"
    )]
    MissingSecret(String),
    /// A secret has another value here.
    #[error("the secret `{0}` has another value here than when it was recorded")]
    OtherSecret(String),
    /// Time or a person stopped it, and nobody knows where.
    #[error("it was stopped by {0}, and was not metered: where it was then is not repeated")]
    Stopped(String),
    /// Time or a person stopped a document, and not within steps that were metered alone.
    #[error(
        "time or its caller stopped the document, and not within metered steps alone: where it was then is not repeated"
    )]
    DocumentStopped,
    /// What is to be tried is no part of its way.
    #[error("it goes through {through}, and not through {other}, which is to be tried")]
    Elsewhere {
        /// The stacks that it goes through.
        through: String,
        /// The stacks that are to be tried.
        other: String,
    },
    /// An artifact is gone.
    #[error("{0}")]
    Gone(String),
    /// It could not be run.
    #[error("it cannot be run here: {0}")]
    Host(String),
}

/// What came of a record that was run again.
#[derive(Clone, Debug)]
pub struct Again<R> {
    /// What is recorded of it.
    pub record: R,
    /// What failed, with the guest's own stack, which no record has: where, and how.
    pub failure: Option<(Ref, Failure)>,
}

/// What a record is run on.
#[derive(Clone, Debug, Default)]
pub struct Against {
    /// Something else than what it ran: then fuel, memory and logs may be otherwise, and answers are compared alone.
    pub reference: Option<Ref>,
    /// The bytes of inputs that records do not keep, by their digest.
    pub input: Option<Vec<u8>>,
}

/// Runs it again, and compares what came of it.
///
/// `secrets` are those that are set here; `key` is what their digests in records were made with.
pub fn replay_run(
    record: &RunRecord,
    runner: &dyn Runner,
    secrets: &dyn Fn(&str) -> Option<String>,
    key: &RecordKey,
    against: &Against,
) -> (Verdict, Option<Again<RunRecord>>) {
    if against.reference.is_none() && record.status == "wall-limit" && !is_metered(record) {
        // It would take as long, for nothing.
        let what = "its wall limit".to_owned();
        return (Verdict::Incomparable(Unrepeatable::Stopped(what)), None);
    }
    match repeat(record, runner, secrets, key, against) {
        Ok(again) => {
            let other = against.reference.is_some();
            let verdict = match stopped(record, &again.record) {
                Some(why) => Verdict::Incomparable(why),
                None => verdict(compare_runs(record, &again.record, other)),
            };
            (verdict, Some(again))
        }
        Err(why) => (Verdict::Incomparable(why), None),
    }
}

pub(crate) fn verdict(differences: Vec<Difference>) -> Verdict {
    if differences.is_empty() { Verdict::Identical } else { Verdict::Different(differences) }
}

/// Whether time or a person stopped a run.
pub(crate) fn is_by_time(run: &RunRecord) -> bool {
    matches!(&*run.status, "wall-limit" | "cancelled")
}

/// Whether it is known where it was when it ended.
fn is_metered(run: &RunRecord) -> bool {
    run.fuel.is_some_and(|fuel| fuel > 0)
}

/// Gives a run time, and has it stop at the instruction at which time stopped the recorded one, where they were counted.
pub(crate) fn stop_there(record: &RunRecord, limits: &mut Limits) {
    if is_by_time(record) && is_metered(record) {
        limits.fuel = record.fuel;
    }
    let wall = Duration::from_nanos(record.limits.wall_ns);
    limits.wall = Some(wall.saturating_mul(PATIENCE.0) + PATIENCE.1);
}

/// What came of a run that was stopped there, told as it was told when time stopped it.
pub(crate) fn as_recorded(record: &RunRecord, mut outcome: Outcome) -> Outcome {
    if is_by_time(record)
        && let Err(failure) = &mut outcome.result
        && failure.status() == Status::FuelLimit
    {
        let limit = Duration::from_nanos(record.limits.wall_ns);
        failure.reason = match &*record.status {
            "cancelled" => Reason::Cancelled { phase: Phase::Guest },
            _ => Reason::WallLimit { limit, phase: Phase::Guest },
        };
    }
    outcome
}

/// Why two runs cannot be compared though both were made: one was stopped by time.
fn stopped(before: &RunRecord, after: &RunRecord) -> Option<Unrepeatable> {
    let metered = is_metered(before) && after.status == "fuel-limit";
    if is_by_time(after) || is_by_time(before) && !metered {
        let what = if before.status == "cancelled" { "its caller" } else { "its wall limit" };
        return Some(Unrepeatable::Stopped(what.to_owned()));
    }
    None
}

fn repeat(
    record: &RunRecord,
    runner: &dyn Runner,
    secrets: &dyn Fn(&str) -> Option<String>,
    key: &RecordKey,
    against: &Against,
) -> Result<Again<RunRecord>, Unrepeatable> {
    let input = match &against.input {
        Some(input) => input.clone(),
        None => kept("input", &record.input)?,
    };
    let mut given = Vec::new();
    if let Some(op) = &record.op {
        kept("environment values", &op.env)?;
        unmasked("request's id", &op.meta.rid)?;
        for (name, digest) in &op.secrets.digests {
            let value = secret(name, digest, &op.secrets.key, secrets, key)?;
            given.push((name.clone(), value));
        }
    }
    let secrets: Secrets = given.into_iter().collect();
    let mut options = record.options(secrets).ok_or_else(|| {
        Unrepeatable::Host("its limits, its seed or its context cannot be read".into())
    })?;
    stop_there(record, &mut options.limits);
    let reference = against.reference.as_ref().unwrap_or(&record.reference);
    let outcome =
        runner.run_blocking(reference, &input, &options).map_err(|error| match &error {
            Error::NotFound { .. } => Unrepeatable::Gone(with_causes(&error)),
            _ => Unrepeatable::Host(with_causes(&error)),
        })?;
    let again = RunRecord::new(reference, &input, &options, &outcome, (key, None), true);
    let failure =
        as_recorded(record, outcome).result.err().map(|failure| (reference.clone(), failure));
    Ok(Again { record: again, failure })
}

/// A secret that a run had, as it is set here.
pub(crate) fn secret(
    name: &str,
    digest: &str,
    recorded_key: &str,
    secrets: &dyn Fn(&str) -> Option<String>,
    key: &RecordKey,
) -> Result<String, Unrepeatable> {
    let value = secrets(name).ok_or_else(|| Unrepeatable::MissingSecret(name.to_owned()))?;
    // With another key there is nothing to compare.
    if recorded_key == key.id() && key.digest(name, &value) != digest {
        return Err(Unrepeatable::OtherSecret(name.to_owned()));
    }
    Ok(value)
}

/// The bytes of something that a record needs to have kept.
pub(crate) fn kept(what: &str, content: &Content) -> Result<Vec<u8>, Unrepeatable> {
    if content.masked {
        return Err(Unrepeatable::Masked(what.to_owned()));
    }
    content.bytes().ok_or_else(|| Unrepeatable::NotKept(what.to_owned()))
}

/// A text of a record, if no secret is masked in it.
pub(crate) fn unmasked<'a>(what: &str, text: &'a str) -> Result<&'a str, Unrepeatable> {
    if text.contains(MASKED) { Err(Unrepeatable::Masked(what.to_owned())) } else { Ok(text) }
}

/// What is otherwise in the second of two runs. Of runs of different computes, how they ended and what they answered alone.
#[must_use]
pub fn compare_runs(before: &RunRecord, after: &RunRecord, other: bool) -> Vec<Difference> {
    let mut found = Vec::new();
    let stopped_alike = is_by_time(before) && after.status == "fuel-limit";
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
    if other {
        return found;
    }
    if let (Some(one), Some(two)) = (before.fuel, after.fuel)
        && one != two
    {
        found.push(Difference::Fuel { before: one, after: two });
    }
    if before.peak_memory != after.peak_memory {
        let (before, after) = (before.peak_memory, after.peak_memory);
        found.push(Difference::Memory { before, after });
    }
    if !before.log.is_same(&after.log) {
        found.push(Difference::Log);
    }
    if !before.events.is_same(&after.events) {
        found.push(Difference::Events);
    }
    found
}

/// How something ended, and why.
pub(crate) fn ended(status: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| status.to_owned(), |reason| format!("{status} ({reason})"))
}

pub(crate) fn compare_outputs(before: &Content, after: &Content) -> Option<Difference> {
    if before.is_same(after) {
        return None;
    }
    let json = |content: &Content| serde_json::from_slice::<Value>(&content.bytes()?).ok();
    let (Some(one), Some(two)) = (json(before), json(after)) else {
        return Some(Difference::OutputDigest);
    };
    let changes = changes(&one, &two);
    // The same values in other bytes: another order of keys, another way to write a number.
    Some(if changes.is_empty() { Difference::OutputDigest } else { Difference::Output(changes) })
}
