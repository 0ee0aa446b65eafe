//! Writes a document's trace down, within bounds, and without what it must not hold.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use compute::{Account, Charge, MASKED, MAX_JSON_DEPTH, Mask, Outcome, parse_json};
use compute_state::StackName;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use txcl::Path;

use super::failure::Failure;
use super::input::Input;
use super::request::{Detail, Request};
use crate::rules::Stack;
use crate::trace::{Event, EventKind, Step, StepEvent, StepLog, StepMetrics, Trace};

/// How many bytes of memory one payload may have in a trace.
const MAX_PAYLOAD: usize = 256 << 10;
/// How many bytes of memory all of a trace may have.
const MAX_BYTES: usize = 8 << 20;
/// How many events, and how many steps.
const MAX_ITEMS: usize = 2000;
/// How many of the paths that were deleted at once are told.
const MAX_PATHS: usize = 100;
/// How many bytes of an error are told.
const MAX_ERROR: usize = 4 << 10;
/// How often a path may be looked for that must not be shown: in all payloads together.
const MAX_HIDING: usize = 1 << 20;
/// About what a path takes besides itself: a place in a tree, and to be told.
const PATH: usize = 96;

#[derive(Debug)]
pub(super) struct Recorder {
    detail: Detail,
    started: Instant,
    events: Vec<Event>,
    steps: Vec<Step>,
    versions: BTreeMap<StackName, String>,
    numbers: BTreeMap<StackName, u32>,
    redact: BTreeSet<Path>,
    omit: BTreeSet<Path>,
    /// Whether there is more to hide than can be remembered: then there are no payloads.
    hides_all: bool,
    left: usize,
    charge: Charge,
    dropped: u64,
}

/// What a step tells of the values that came and went.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    pub(super) input: Option<Value>,
    pub(super) output: Option<Value>,
}

impl Recorder {
    pub(super) fn new(detail: Detail, started: Instant, memory: &Account) -> Self {
        Self {
            detail,
            started,
            events: Vec::new(),
            steps: Vec::new(),
            versions: BTreeMap::new(),
            numbers: BTreeMap::new(),
            redact: BTreeSet::new(),
            omit: BTreeSet::new(),
            hides_all: false,
            left: MAX_BYTES,
            charge: memory.empty(),
            dropped: 0,
        }
    }

    fn is_on(&self) -> bool {
        self.detail != Detail::Off
    }

    pub(super) fn is_full(&self) -> bool {
        self.detail == Detail::Full
    }

    pub(super) fn event(&mut self, kind: impl FnOnce() -> EventKind) {
        if !self.is_on() {
            return;
        }
        if self.events.len() >= MAX_ITEMS {
            self.dropped += 1;
            return;
        }
        let kind = kind();
        if self.take(size_of::<Event>() + size_of_kind(&kind)) {
            self.events.push(Event { at_ns: nanos(self.started.elapsed()), kind });
        }
    }

    /// That these paths were deleted.
    pub(super) fn deleted(&mut self, paths: &[Path]) {
        self.event(|| {
            let mut told: Vec<_> = paths.iter().take(MAX_PATHS).map(Path::to_string).collect();
            if let Some(more) = paths.len().checked_sub(MAX_PATHS).filter(|more| *more > 0) {
                told.push(format!("and {more} more"));
            }
            EventKind::Delete { paths: told }
        });
    }

    pub(super) fn entered(&mut self, stack: &Stack) {
        if self.is_on()
            && !self.versions.contains_key(stack.name())
            && self.take(
                4 * size_of::<String>() + stack.hash().len() + 2 * stack.name().as_str().len(),
            )
        {
            self.versions.insert(stack.name().clone(), stack.hash().to_owned());
            if let Some(number) = stack.number() {
                self.numbers.insert(stack.name().clone(), number);
            }
        }
    }

    /// What the trace must not show, as a rule says it.
    pub(super) fn hide(&mut self, control: &txcl::Control) {
        if !self.is_on() {
            return;
        }
        for (paths, redacts) in [(&control.redact, true), (&control.omit, false)] {
            for path in paths {
                let known = if redacts { &self.redact } else { &self.omit };
                if known.contains(path) {
                    continue;
                }
                if self.take(PATH + path.size()) {
                    let known = if redacts { &mut self.redact } else { &mut self.omit };
                    known.insert(path.clone());
                } else {
                    self.hides_all = true;
                }
            }
        }
    }

    pub(super) fn step(
        &mut self,
        mut step: Step,
        rule: &str,
        payloads: Payloads,
        outcome: Option<&Outcome>,
    ) {
        if !self.is_on() {
            return;
        }
        cut(step.error.as_mut());
        let texts = step.op.len() + step.status.len() + step.error.as_ref().map_or(0, String::len);
        if self.steps.len() >= MAX_ITEMS || !self.take(size_of::<Step>() + 128 + texts) {
            self.dropped += 1;
            return;
        }
        step.metrics = outcome.map(|outcome| StepMetrics {
            load_ns: nanos(outcome.metrics.phases.load),
            guest_ns: nanos(outcome.metrics.phases.guest),
            peak_memory: outcome.metrics.peak_memory,
            fuel: outcome.metrics.fuel,
            cached: outcome.metrics.cached,
        });
        if self.is_full() {
            if self.take(rule.len()) {
                rule.clone_into(&mut step.rule);
            }
            (step.input, step.output) = (payloads.input, payloads.output);
            if let Some(outcome) = outcome {
                self.told(&mut step, outcome);
            }
        }
        self.steps.push(step);
    }

    /// What a compute logged and emitted.
    fn told(&mut self, step: &mut Step, outcome: &Outcome) {
        for line in &outcome.log.lines {
            if self.take(size_of::<StepLog>() + line.text.len() + 8) {
                step.log.push(StepLog::from(line));
            }
        }
        if self.take(outcome.log.bytes.len()) {
            step.stderr = String::from_utf8_lossy(&outcome.log.bytes).into_owned();
        }
        for event in &outcome.events {
            if self.take(size_of::<StepEvent>() + event.name.len()) {
                let data = self.data(&event.data);
                step.events.push(StepEvent { name: event.name.clone(), data });
            }
        }
    }

    fn data(&mut self, data: &RawValue) -> Box<RawValue> {
        let bytes = data.get().len();
        if is_deep(data.get()) {
            return to_raw(&json!({ "too_deep_for_the_trace": MAX_JSON_DEPTH }));
        }
        if bytes > MAX_PAYLOAD || !self.take(bytes) {
            return to_raw(&json!({ "too_large_for_the_trace": bytes }));
        }
        data.to_owned()
    }

    fn take(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.left && self.charge.grow(bytes).is_ok();
        if fits {
            self.left -= bytes;
        } else {
            self.dropped += 1;
        }
        fits
    }

    /// What a compute received, as it is kept; of so many bytes.
    pub(super) fn input(&mut self, input: &Input, bytes: u64) -> Option<Value> {
        if !self.is_full() {
            return None;
        }
        Some(match self.fits(input.value(), bytes) {
            Ok(()) => serde_json::to_value(input).unwrap_or(Value::Null),
            Err(instead) => instead,
        })
    }

    /// A value as it is kept: of one that is too large only that is said, and its bytes.
    pub(super) fn payload(&mut self, value: &Value, bytes: u64) -> Option<Value> {
        if !self.is_full() {
            return None;
        }
        Some(match self.fits(value, bytes) {
            Ok(()) => value.clone(),
            Err(instead) => instead,
        })
    }

    fn fits(&mut self, value: &Value, bytes: u64) -> Result<(), Value> {
        let mut left = MAX_PAYLOAD;
        if !within(value, &mut left, MAX_JSON_DEPTH) {
            self.dropped += 1;
            return Err(json!({ "too_large_for_the_trace": bytes }));
        }
        match self.take(MAX_PAYLOAD - left) {
            true => Ok(()),
            false => Err(json!({ "too_large_for_the_trace": bytes })),
        }
    }

    /// The document as it came.
    fn came(&mut self, input: &[u8]) -> Option<Value> {
        if !self.is_full() {
            return None;
        }
        let mut charge = self.charge.account().empty();
        let value = match input.len() {
            0 => Value::Null,
            // What is larger is not even read.
            bytes if bytes > MAX_PAYLOAD => json!({ "too_large_for_the_trace": bytes }),
            _ => parse_json(input, &mut charge).unwrap_or(Value::Null),
        };
        self.payload(&value, input.len() as u64)
    }

    pub(super) fn finish(
        mut self,
        request: &Request,
        rid: &str,
        (document, size): (&Value, u64),
        work: u64,
        failure: Option<&Failure>,
        mask: &Mask,
    ) -> Option<(Trace, Charge)> {
        if !self.is_on() {
            return None;
        }
        let status = failure.map_or("ok", |failure| failure.reason.code()).to_owned();
        let end = Event {
            at_ns: nanos(self.started.elapsed()),
            kind: EventKind::End { status: status.clone() },
        };
        self.events.push(end);
        let mut error = failure.map(Failure::to_string);
        cut(error.as_mut());
        let mut trace = Trace {
            id: rid.to_owned(),
            stage: request.stage.clone(),
            versions: std::mem::take(&mut self.versions),
            numbers: std::mem::take(&mut self.numbers),
            now: request.now.try_into().unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            seed: request.seed.to_string(),
            status,
            error,
            transitions: failure.map(|one| one.transitions.clone()).unwrap_or_default(),
            record: None,
            work,
            wall_ns: nanos(self.started.elapsed()),
            request: self.came(&request.input),
            response: self.payload(document, size),
            events: std::mem::take(&mut self.events),
            steps: std::mem::take(&mut self.steps),
            dropped: self.dropped,
        };
        self.clean(&mut trace, mask);
        Some((trace, self.charge))
    }

    /// Masks and leaves out what rules say, in every payload: what one step must not show, another must not
    /// show either. The values of secrets are masked wherever they stand.
    fn clean(&self, trace: &mut Trace, mask: &Mask) {
        let steps = trace.steps.iter_mut();
        let payloads = steps.flat_map(|step| [&mut step.input, &mut step.output]);
        let payloads = payloads.chain([&mut trace.request, &mut trace.response]).flatten();
        let mut hiding = 0;
        for value in payloads {
            hiding += self.redact.len() + self.omit.len();
            if self.hides_all || hiding > MAX_HIDING {
                *value = json!({ "hidden": "there is more to redact than a trace can" });
                continue;
            }
            for path in &self.redact {
                if path.get(value).is_some() {
                    // The path is there, so writing to it cannot fail.
                    let _ = path.set(value, MASKED.into());
                }
            }
            for path in &self.omit {
                path.remove(value);
            }
            mask.value(value);
        }
        mask_texts(trace, mask);
    }
}

/// Masks all of a trace that is no payload.
fn mask_texts(trace: &mut Trace, mask: &Mask) {
    if mask.is_empty() {
        return;
    }
    let hide = |text: &mut String| mask.apply(text);
    trace.error.iter_mut().for_each(hide);
    for step in &mut trace.steps {
        step.error.iter_mut().chain([&mut step.rule]).for_each(hide);
        // They may have been cut within a secret.
        step.stderr = mask.cut_text(&step.stderr).into_owned();
        step.log.iter_mut().for_each(|line| hide(&mut line.text));
        if let Some(last) = step.log.last_mut() {
            last.text = mask.cut_text(&last.text).into_owned();
        }
        for event in &mut step.events {
            hide(&mut event.name);
            if let Cow::Owned(masked) = mask.json(event.data.get()) {
                event.data =
                    RawValue::from_string(masked).unwrap_or_else(|_| to_raw(&MASKED.into()));
            }
        }
    }
    for event in &mut trace.events {
        match &mut event.kind {
            EventKind::Warning { message, .. } => hide(message),
            EventKind::Delete { paths } => paths.iter_mut().for_each(hide),
            _ => {}
        }
    }
}

fn to_raw(value: &Value) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

/// Cuts an error that repeats much of what a caller wrote.
fn cut(error: Option<&mut String>) {
    if let Some(error) = error
        && error.len() > MAX_ERROR
    {
        error.truncate(error.floor_char_boundary(MAX_ERROR));
        error.push('…');
    }
}

/// What an event holds besides its own size.
fn size_of_kind(kind: &EventKind) -> usize {
    match kind {
        EventKind::StepStart { op } => op.len(),
        EventKind::StepEnd { op, status } => op.len() + status.len(),
        EventKind::Delete { paths } => {
            paths.iter().map(|path| size_of::<String>() + path.len()).sum()
        }
        EventKind::Warning { op, message } => op.len() + message.len(),
        EventKind::End { status } => status.len(),
        // Stages are shared.
        _ => 0,
    }
}

/// Whether a value takes no more memory than is left, and is nested no deeper. It stops where that is clear.
fn within(value: &Value, left: &mut usize, depth: usize) -> bool {
    let mut take = |bytes: usize| match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    };
    if !take(size_of::<Value>()) {
        return false;
    }
    match value {
        Value::String(text) => take(text.len()),
        Value::Array(items) => depth > 0 && items.iter().all(|item| within(item, left, depth - 1)),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                let bytes = size_of::<(u64, String)>() + key.len();
                *left >= bytes && {
                    *left -= bytes;
                    within(value, left, depth - 1)
                }
            };
            depth > 0 && map.iter().all(entry)
        }
        _ => true,
    }
}

/// Whether JSON is nested deeper than a reader of the trace may read.
fn is_deep(json: &str) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => depth += 1,
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_JSON_DEPTH {
            return true;
        }
    }
    false
}

pub(super) fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
