//! Writes a document's trace down, within bounds, and without what it must not hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use compute::Outcome;
use serde_json::{Value, json};
use txcl::{Path, TXC};

use super::{Detail, Request};
use crate::mask::{MASK, Mask};
use crate::trace::{StepEvent, StepLog, StepMetrics};
use crate::{Event, EventKind, Failure, Stack, StackName, Step, Trace};

/// How many bytes one payload may have in a trace.
const MAX_PAYLOAD: usize = 64 << 10;
/// How many bytes all payloads and logs of a trace may have.
const MAX_PAYLOADS: usize = 4 << 20;
/// How many events, and how many steps.
const MAX_ITEMS: usize = 2000;

#[derive(Debug)]
pub(super) struct Recorder {
    detail: Detail,
    started: Instant,
    events: Vec<Event>,
    steps: Vec<Step>,
    versions: BTreeMap<StackName, String>,
    redact: BTreeSet<Path>,
    omit: BTreeSet<Path>,
    mask: Mask,
    left: usize,
    dropped: u64,
}

impl Recorder {
    pub(super) fn new(detail: Detail, started: Instant) -> Self {
        Self {
            detail,
            started,
            events: Vec::new(),
            steps: Vec::new(),
            versions: BTreeMap::new(),
            redact: BTreeSet::new(),
            omit: BTreeSet::new(),
            mask: Mask::default(),
            left: MAX_PAYLOADS,
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
        let at_ns = nanos(self.started.elapsed());
        self.events.push(Event { at_ns, kind: kind() });
    }

    pub(super) fn entered(&mut self, stack: &Stack) {
        if self.is_on() && !self.versions.contains_key(stack.name()) {
            self.versions.insert(stack.name().clone(), stack.hash().to_owned());
        }
    }

    /// What the trace must not show, as a rule says it.
    pub(super) fn hide<'a>(
        &mut self,
        control: &txcl::Control,
        secrets: impl IntoIterator<Item = &'a String>,
    ) {
        if self.is_on() {
            self.redact.extend(control.redact.iter().cloned());
            self.omit.extend(control.omit.iter().cloned());
            self.mask.add(secrets);
        }
    }

    pub(super) fn step(
        &mut self,
        mut step: Step,
        rule: &str,
        payloads: [Option<&Value>; 2],
        outcome: Option<&Outcome>,
    ) {
        if !self.is_on() {
            return;
        }
        if self.steps.len() >= MAX_ITEMS {
            self.dropped += 1;
            return;
        }
        step.metrics = outcome.map(|outcome| StepMetrics {
            load_ns: nanos(outcome.metrics.phases.load),
            guest_ns: nanos(outcome.metrics.phases.guest),
            peak_memory: outcome.metrics.peak_memory,
            fuel: outcome.metrics.fuel,
        });
        if self.is_full() {
            rule.clone_into(&mut step.rule);
            let [input, output] = payloads;
            step.input = input.map(|value| self.payload(value));
            step.output = output.map(|value| self.payload(value));
            if let Some(outcome) = outcome {
                self.told(&mut step, outcome);
            }
        }
        self.steps.push(step);
    }

    /// What a compute logged and emitted.
    fn told(&mut self, step: &mut Step, outcome: &Outcome) {
        for line in &outcome.log.lines {
            if self.take(line.text.len()) {
                step.log.push(StepLog::from(line));
            }
        }
        if self.take(outcome.log.bytes.len()) {
            step.stderr = String::from_utf8_lossy(&outcome.log.bytes).into_owned();
        }
        for event in &outcome.events {
            let data = self.payload(&event.data);
            step.events.push(StepEvent { name: event.name.clone(), data });
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.dropped += 1;
                false
            }
        }
    }

    /// A payload as it is kept: what is too large is only said to be so.
    fn payload(&mut self, value: &Value) -> Value {
        let bytes = txcl::measure(value, usize::MAX).unwrap_or(usize::MAX);
        if bytes > MAX_PAYLOAD || !self.take(bytes) {
            return json!({ "too_large_for_the_trace": bytes });
        }
        value.clone()
    }

    pub(super) fn finish(
        mut self,
        request: &Request,
        rid: &str,
        document: &Value,
        work: u64,
        failure: Option<&Failure>,
    ) -> Option<Trace> {
        if !self.is_on() {
            return None;
        }
        let status = failure.map_or("ok", |failure| failure.reason.code()).to_owned();
        let end = Event {
            at_ns: nanos(self.started.elapsed()),
            kind: EventKind::End { status: status.clone() },
        };
        self.events.push(end);
        let full = self.is_full();
        let came = full.then(|| serde_json::from_slice(&request.input).unwrap_or(Value::Null));
        let mut trace = Trace {
            id: rid.to_owned(),
            stage: request.stage.clone(),
            versions: std::mem::take(&mut self.versions),
            now: request.now.try_into().unwrap_or(jiff::Timestamp::UNIX_EPOCH),
            seed: request.seed.to_string(),
            status,
            error: failure.map(Failure::to_string),
            transitions: failure.map(|one| one.transitions.clone()).unwrap_or_default(),
            work,
            wall_ns: nanos(self.started.elapsed()),
            request: came.map(|value| self.payload(&value)),
            response: full.then(|| self.payload(document)),
            events: std::mem::take(&mut self.events),
            steps: std::mem::take(&mut self.steps),
            dropped: self.dropped,
        };
        self.clean(&mut trace);
        Some(trace)
    }

    /// Masks and leaves out what rules say, in every payload: what one step must not show, another must not
    /// show either. The values of secrets are masked wherever they stand.
    fn clean(&self, trace: &mut Trace) {
        let steps = trace.steps.iter_mut();
        let payloads = steps.flat_map(|step| [&mut step.input, &mut step.output]);
        let payloads = payloads.chain([&mut trace.request, &mut trace.response]).flatten();
        for value in payloads {
            for path in &self.redact {
                if path.get(value).is_some() {
                    // The path is there, so writing to it cannot fail.
                    let _ = path.set(value, MASK.into());
                }
            }
            for path in &self.omit {
                path.remove(value);
            }
            self.mask.value(value);
        }
        if let Some(error) = &mut trace.error {
            self.mask.text(error);
        }
        for step in &mut trace.steps {
            step.error.iter_mut().chain([&mut step.stderr]).for_each(|text| self.mask.text(text));
            step.log.iter_mut().for_each(|line| self.mask.text(&mut line.text));
            step.events.iter_mut().for_each(|event| self.mask.value(&mut event.data));
        }
        for event in &mut trace.events {
            if let EventKind::Warning { message, .. } = &mut event.kind {
                self.mask.text(message);
            }
        }
    }
}

/// The document without what is only for the processor: its last form.
pub(super) fn answer(document: &Value) -> Value {
    match document {
        Value::Object(map) => {
            let own = |(key, value): (&String, &Value)| {
                (!key.starts_with('_')).then(|| (key.clone(), value.clone()))
            };
            map.iter().filter_map(own).collect()
        }
        other => other.clone(),
    }
}

/// What a document says of the HTTP answer that it wants.
pub(super) fn web_response(document: &Value) -> Option<Value> {
    document.get(TXC)?.get("web")?.get("res").cloned()
}

pub(super) fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
