//! A run as a record has it.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::content::Content;
use super::{RecordKey, RecordedSecrets};
use crate::{
    Bounds, Env, Limits, Log, Mask, Meta, OpCall, Origin, Outcome, Ref, RunOptions, Secrets, Seed,
};

/// What is said of a run that logged nothing, and of one that emitted nothing: most do neither.
static EMPTY_LOG: LazyLock<Content> = LazyLock::new(|| told_log(&Log::default(), &Mask::default()));
static NO_EVENTS: LazyLock<Content> = LazyLock::new(|| told(&[(); 0], &Mask::default()));

/// What is said of what a run told, which is its digest alone.
fn told(told: &impl Serialize, mask: &Mask) -> Content {
    Content::new(&serde_json::to_vec(told).unwrap_or_default(), mask, false)
}

fn told_log(log: &Log, mask: &Mask) -> Content {
    told(&(String::from_utf8_lossy(&log.bytes), &log.lines, log.dropped), mask)
}

/// What a run was given, and what it gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunRecord {
    /// Whether nothing ran: an earlier run on the same had given the result.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// What it emitted.
    pub events: Content,
    /// The fuel that it used, if it was metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Its input.
    pub input: Content,
    /// What it could use.
    pub limits: RecordedLimits,
    /// What it logged.
    pub log: Content,
    /// What its clock showed at the start.
    pub now: Timestamp,
    /// The context that it was called with, if it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<OpRecord>,
    /// What ran it, as far as its engine says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Arc<Origin>>,
    /// What it gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Content>,
    /// The most linear memory that it had, in bytes.
    pub peak_memory: u64,
    /// Whether its output was taken as it is, and need not be JSON.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
    /// What went wrong, in a line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What ran.
    #[serde(rename = "ref")]
    pub reference: Ref,
    /// What its random numbers came from.
    pub seed: String,
    /// `ok`, or how it ended.
    pub status: Cow<'static, str>,
}

/// The context of a call to an op, as a record has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpRecord {
    /// Whether the envelope was sent whatever the compute declares.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
    /// The environment values.
    pub env: Content,
    /// Who was called, and by whom.
    #[serde(serialize_with = "canonical_meta")]
    pub meta: Meta,
    /// The secrets.
    #[serde(default, skip_serializing_if = "RecordedSecrets::is_empty")]
    pub secrets: RecordedSecrets,
}

/// A guest sees the fields of a [`Meta`] in another order.
fn canonical_meta<S: Serializer>(meta: &Meta, serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Sorted<'a> {
        name: &'a str,
        op: &'a str,
        rid: &'a str,
        scope: u32,
        stack: &'a str,
    }
    let Meta { rid, op, stack, scope, name } = meta;
    Sorted { name, op, rid, scope: *scope, stack }.serialize(serializer)
}

/// What a run could use, as a record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedLimits {
    /// Fuel, if the run was metered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// Log that is kept, in bytes.
    pub log: u64,
    /// Linear memory, in bytes.
    pub memory: u64,
    /// Output, in bytes.
    pub output: u64,
    /// Call stack, in bytes.
    pub stack: u64,
    /// Elements in each table.
    pub table_elements: u64,
    /// Wall time, in nanoseconds.
    pub wall_ns: u64,
}

impl RecordedLimits {
    /// The largest whole number that JSON has for everybody (RFC 8785, 3.2.2.3): 2^53 - 1.
    pub const LARGEST: u64 = (1 << 53) - 1;
}

impl From<&Bounds> for RecordedLimits {
    fn from(bounds: &Bounds) -> Self {
        let exact = |number: u64| number.min(Self::LARGEST);
        Self {
            memory: exact(bounds.memory),
            wall_ns: exact(u64::try_from(bounds.wall.as_nanos()).unwrap_or(Self::LARGEST)),
            fuel: bounds.fuel.map(exact),
            stack: exact(bounds.stack),
            table_elements: exact(bounds.table_elements),
            output: exact(bounds.output),
            log: exact(bounds.log),
        }
    }
}

impl RunRecord {
    /// What a run was given and gave. The key is what secrets are known by; the mask is for a run that has none of its own. With `keep`,
    /// the bytes of its input, its environment values and its output are kept.
    #[must_use]
    pub fn new(
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
        outcome: &Outcome,
        (key, mask): (&RecordKey, Option<&Mask>),
        keep: bool,
    ) -> Self {
        let (bounds, none) = (&outcome.bounds, Mask::default());
        let own = options.op.as_ref().filter(|op| !op.secrets.is_empty());
        let mask = own.map_or_else(|| mask.unwrap_or(&none), |op| op.secrets.mask());
        let op = options.op.as_ref().map(|op| OpRecord {
            meta: Meta { rid: mask.text(&op.meta.rid).into_owned(), ..op.meta.clone() },
            env: Content::new(op.env.get().as_bytes(), mask, keep),
            secrets: key.recorded(&op.secrets),
            always: op.always,
        });
        // Both are masked by the manager, where the run has secrets.
        let log = match outcome.log.is_empty() {
            true => EMPTY_LOG.clone(),
            false => told_log(&outcome.log, mask),
        };
        let events = match outcome.events.is_empty() {
            true => NO_EVENTS.clone(),
            false => told(&outcome.events, mask),
        };
        Self {
            reference: reference.clone(),
            origin: outcome.origin.clone(),
            now: Timestamp::try_from(bounds.now).unwrap_or(Timestamp::UNIX_EPOCH),
            seed: bounds.seed.to_string(),
            limits: bounds.into(),
            raw: options.raw,
            input: Content::new(input, mask, keep),
            op,
            status: Cow::Borrowed(outcome.status().name()),
            cached: outcome.metrics.cached,
            reason: outcome
                .result
                .as_ref()
                .err()
                .map(|failure| mask.text(&failure.to_string()).into_owned()),
            output: outcome.result.as_ref().ok().map(|bytes| Content::new(bytes, mask, keep)),
            fuel: outcome.metrics.fuel,
            peak_memory: outcome.metrics.peak_memory,
            log,
            events,
        }
    }

    /// The options that repeat the run, if the record keeps what they need: without the secrets, which no record has.
    #[must_use]
    pub fn options(&self, secrets: Secrets) -> Option<RunOptions> {
        let op = match &self.op {
            Some(op) => {
                let env = String::from_utf8(op.env.bytes()?).ok()?;
                let env = serde_json::value::RawValue::from_string(env).ok()?;
                let (meta, always) = (op.meta.clone(), op.always);
                Some(OpCall { meta, env: Env::new(env).ok()?, secrets, always })
            }
            None => None,
        };
        Some(RunOptions { limits: self.limits()?, op, raw: self.raw, ..RunOptions::default() })
    }

    /// The limits, clock and seed; nothing if the seed is none.
    fn limits(&self) -> Option<Limits> {
        let limits = &self.limits;
        Some(Limits {
            memory: Some(limits.memory),
            wall: Some(Duration::from_nanos(limits.wall_ns)),
            fuel: limits.fuel,
            stack: Some(limits.stack),
            table_elements: Some(limits.table_elements),
            output: Some(limits.output),
            log: Some(limits.log),
            now: Some(SystemTime::try_from(self.now).ok()?),
            seed: Some(self.seed.parse::<Seed>().ok()?),
        })
    }

    pub(super) fn contents_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        let env = self.op.as_mut().map(|op| &mut op.env);
        let own = [&mut self.input, &mut self.log, &mut self.events];
        own.into_iter().chain(env).chain(self.output.as_mut())
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = (&'static str, &Content)> {
        let env = self.op.as_ref().map(|op| ("environment values", &op.env));
        let output = self.output.as_ref().map(|output| ("output", output));
        [("input", &self.input)].into_iter().chain(env).chain(output)
    }
}

impl RecordKey {
    fn recorded(&self, secrets: &Secrets) -> RecordedSecrets {
        if secrets.is_empty() {
            return RecordedSecrets::default();
        }
        self.secrets(secrets.iter())
    }
}
