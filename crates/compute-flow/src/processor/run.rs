//! One document on its way from scope to scope.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compute::{Cancel, Charge, JsonError, OverLimit, Ref, json_size, parse_json};
use serde_json::{Map, Value};
use txcl::{Budget, Context, Stop};

use super::mask::DocumentMask;
use super::recorder::{self, Payloads, Recorder};
use super::step::{self, Done, NoOutcome, Place, Prepared};
use super::{Processor, Request, seed_of};
use crate::control::{self, Control, NoControl};
use crate::{
    EventKind, Failure, Reason, Scope, Snapshot, Stack, StackRule, Stage, Step, Trace, Transition,
};
use crate::{batch, estimate};

/// What entering a scope costs, in units of work.
const SCOPE_WORK: u64 = 10;
/// What running a compute costs.
const EXEC_WORK: u64 = 25;
/// What a transition costs that the document made before.
const REPEATED_WORK: u64 = 50;
/// What a compute costs for each millisecond of metered work.
const MILLISECOND_WORK: u64 = 10;
/// How much fuel counts as a millisecond. Fuel is the same on every machine; a millisecond is not.
const MILLISECOND_FUEL: u64 = 1_000_000;
/// After how many rules the clock is looked at: it takes longer than to merge a small answer.
const STEPS: usize = 8;
/// How deep a document may be nested; what JSON's readers take is 128.
const MAX_DEPTH: usize = 100;
/// How many warnings a document gives.
const MAX_WARNINGS: usize = 100;
/// What the account of the document itself is called.
const DOCUMENT: &str = "the document";

/// One document on its way.
pub(super) struct Run<'a> {
    processor: &'a Processor,
    snapshot: &'a Snapshot,
    request: &'a Request,
    rid: &'a str,
    started: Instant,
    /// How long it may take.
    limit: Duration,
    /// What its rules may use together: the request's memory, until the document's deadline. What a scope charged
    /// is given back at its end.
    budget: Budget,
    recorder: Recorder,
    mask: DocumentMask,
    /// What the document itself takes.
    charge: Charge,
    warnings: Vec<String>,
    more_warnings: usize,
    entries: u32,
    work: u64,
    /// How large the document was at the last scope's end, in bytes of memory.
    size: usize,
    here: Option<Stage>,
    transitions: Vec<Transition>,
    seen: HashSet<Transition>,
}

/// What is left of a run.
pub(super) struct Ended {
    pub(super) warnings: Vec<String>,
    pub(super) trace: Option<Trace>,
    pub(super) memory: Vec<Charge>,
}

/// A rule that failed, and why.
struct Failed {
    op: String,
    reference: Option<Ref>,
    rule: String,
    reason: Reason,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        processor: &'a Processor,
        snapshot: &'a Snapshot,
        request: &'a Request,
        rid: &'a str,
        started: Instant,
    ) -> Self {
        let limit = processor.settings.deadline;
        let account = request.memory.child(DOCUMENT, processor.settings.document as u64);
        let limit = request.deadline.map_or(limit, |asked| asked.min(limit));
        let deadline = started.checked_add(limit);
        Self {
            processor,
            snapshot,
            request,
            rid,
            started,
            limit,
            budget: Budget::new(&request.memory, deadline, request.cancel.clone()),
            recorder: Recorder::new(request.detail, started, &request.memory),
            mask: DocumentMask::new(&request.mask),
            charge: account.empty(),
            warnings: Vec::new(),
            more_warnings: 0,
            entries: 0,
            work: 0,
            size: 0,
            here: None,
            transitions: Vec::new(),
            seen: HashSet::new(),
        }
    }

    pub(super) fn run(&mut self, document: &mut Arc<Value>) -> Result<(), Box<Failure>> {
        self.recorder.event(|| EventKind::Start);
        let mut empty = self.request.input.is_empty();
        *document = Arc::new(self.read().map_err(|reason| self.failure(reason))?);
        self.check_size(document)?;
        let mut stage = self.request.stage.clone();
        if !self.snapshot.knows(&stage.stack) {
            return Err(self.failure(Reason::UnknownStage(stage)));
        }
        while let Some((stack, at)) = self.snapshot.find(&stage) {
            let scope = &stack.scopes()[at];
            let here = Stage::new(stack.name().clone(), scope.number());
            self.enter(stack, &here)?;
            let changed = self.scope(stack, scope, document, empty)?;
            empty &= !changed;
            self.check_size(document)?;
            let next = self.obey(Arc::make_mut(document), stack, &here)?;
            // What it says counts only within its time.
            self.check_budgets()?;
            match next {
                Some(next) => stage = next,
                None => break,
            }
        }
        Ok(())
    }

    /// The trace, the warnings, and what they and the document take.
    pub(super) fn end(mut self, document: &Value, failure: Option<&Failure>) -> Ended {
        if self.more_warnings > 0 {
            self.warnings.push(format!("and {} more", self.more_warnings));
        }
        let mask = self.mask.current();
        self.warnings.iter_mut().for_each(|warning| mask.apply(warning));
        let document = (document, self.size as u64);
        let written =
            self.recorder.finish(self.request, self.rid, document, self.work, failure, mask);
        let (trace, charge) = written.unzip();
        Ended {
            warnings: self.warnings,
            trace,
            memory: charge.into_iter().chain([self.charge]).collect(),
        }
    }

    /// The document as it came, with the time.
    fn read(&mut self) -> Result<Value, Reason> {
        let mut document = match &self.request.input[..] {
            [] => Value::Object(Map::new()),
            input => parse_json(input, &mut self.charge).map_err(|error| match error {
                JsonError::OverLimit(over) => self.over(over),
                JsonError::TooDeep(limit) => Reason::TooDeep { what: "the document is", limit },
                error => Reason::Input(error.to_string()),
            })?,
        };
        control::strip_callers(&mut document);
        match &mut document {
            Value::Object(map) => {
                let since = self.request.now.duration_since(SystemTime::UNIX_EPOCH);
                let millis = since.map_or(0, |since| since.as_millis());
                let millis = u64::try_from(millis).unwrap_or(u64::MAX);
                map.entry("_ts").or_insert_with(|| millis.into());
                Ok(document)
            }
            other => Err(Reason::Input(format!("it is {}", step::kind(other)))),
        }
    }

    /// Counts an entry, and the way here.
    fn enter(&mut self, stack: &Stack, here: &Stage) -> Result<(), Box<Failure>> {
        let from = self.here.replace(here.clone());
        self.entries += 1;
        self.work += SCOPE_WORK;
        self.recorder.entered(stack);
        self.recorder.event(|| EventKind::StageEnter { stage: here.clone() });
        if let Some(from) = from {
            let transition = Transition { from, to: here.clone() };
            if !self.seen.insert(transition.clone()) {
                self.work += REPEATED_WORK;
            }
            self.transitions.push(transition);
            if self.transitions.len() > 3 {
                self.transitions.remove(0);
            }
        }
        if self.entries > self.processor.settings.entries {
            return Err(self.failure(Reason::ScopeTtl { limit: self.processor.settings.entries }));
        }
        self.check_budgets()
    }

    fn check_work(&self) -> Result<(), Box<Failure>> {
        let limit = self.processor.settings.work;
        if self.work > limit { Err(self.failure(Reason::Fuel { limit })) } else { Ok(()) }
    }

    fn check_budgets(&self) -> Result<(), Box<Failure>> {
        self.check_work()?;
        if self.started.elapsed() >= self.limit {
            return Err(self.failure(Reason::Deadline { limit: self.limit }));
        }
        if self.request.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(self.failure(Reason::Cancelled));
        }
        Ok(())
    }

    fn check(&self, budget: &Budget) -> Result<(), Box<Failure>> {
        budget.check().map_err(|stop| self.failure(self.stopped(stop)))
    }

    /// The same for a step of a loop over rules: the clock is looked at every few steps.
    fn check_step(&self, budget: &Budget, step: usize) -> Result<(), Box<Failure>> {
        if step % STEPS == STEPS - 1 {
            return self.check(budget);
        }
        match budget.stopped() {
            Some(stop) => Err(self.failure(self.stopped(stop.clone()))),
            None => Ok(()),
        }
    }

    fn stopped(&self, stop: Stop) -> Reason {
        match stop {
            Stop::OverLimit(over) => self.over(over),
            Stop::Deadline => Reason::Deadline { limit: self.limit },
            Stop::Cancelled => Reason::Cancelled,
        }
    }

    /// Why a rule failed: not for what it says, if the document may not go on anyway.
    fn reason(&self, reason: Reason, budget: &Budget) -> Reason {
        budget.stopped().map_or(reason, |stop| self.stopped(stop.clone()))
    }

    fn over(&self, over: OverLimit) -> Reason {
        match over.name {
            DOCUMENT => {
                let limit = self.processor.settings.document;
                Reason::TooLarge { what: "the document is", limit }
            }
            _ => Reason::OutOfMemory(over),
        }
    }

    /// Charges what the document takes now.
    fn check_size(&mut self, document: &Value) -> Result<(), Box<Failure>> {
        let Some(size) = json_size(document, MAX_DEPTH) else {
            let (what, limit) = ("the document is", MAX_DEPTH);
            return Err(self.failure(Reason::TooDeep { what, limit }));
        };
        self.size = size;
        self.charge.resize(size).map_err(|over| self.failure(self.over(over)))
    }

    /// Runs the rules of a scope that match, and merges their answers. Says whether any rule matched.
    fn scope(
        &mut self,
        stack: &'a Stack,
        scope: &'a Scope,
        document: &mut Arc<Value>,
        empty: bool,
    ) -> Result<bool, Box<Failure>> {
        let budget = self.budget.clone();
        let rules = self.choose(scope, if empty { &Value::Null } else { document }, &budget)?;
        let called = || rules.iter().filter(|rule| rule.reference.is_some());
        self.work += called().count() as u64 * EXEC_WORK;
        self.check_work()?;

        let mut prepared = self.prepare(&rules, document, (stack, scope), &budget)?;
        let calls = prepared.iter_mut().filter_map(|one| one.as_mut().ok()?.call.take());
        let jobs: Vec<_> = calls.map(|call| call.job(&self.processor.runner)).collect();
        let estimates = called().map(|rule| rule.estimate.get());
        let helpers = estimate::helpers(estimates, self.processor.settings.parallel);
        let mut done = batch::run(jobs, helpers, self.request.helpers.as_deref()).into_iter();

        let (mut answers, mut finishes) = (Vec::new(), Vec::new());
        let mut failed = None;
        for (step, one) in prepared.into_iter().enumerate() {
            let answer = one.map_err(|one| self.not_prepared(one)).and_then(|mut one| {
                let done = if one.input.is_some() { done.next() } else { None };
                let answer = self.answer(&mut one, done, document, &budget)?;
                Ok((answer, one.into_finish()))
            });
            self.check_step(&budget, step)?;
            match answer {
                Ok((answer, finish)) => {
                    answers.push(answer);
                    finishes.push(finish);
                }
                Err(one) => failed = failed.or(Some(one)),
            }
        }
        if let Some(failed) = failed {
            return Err(self.failed(*failed));
        }

        let stage = Stage::new(stack.name().clone(), scope.number());
        self.recorder.event(|| EventKind::Merge { stage, answers: answers.len() });
        let matched = !answers.is_empty();
        // Nobody shares it any more: the calls are made, and the rules have let go of it.
        let document = Arc::make_mut(document);
        for (step, answer) in answers.into_iter().enumerate() {
            crate::merge(document, answer);
            self.check_step(&budget, step)?;
        }
        for (step, one) in finishes.iter_mut().enumerate() {
            let finished = one.finish(document);
            self.check_step(&budget, step)?;
            finished
                .map_err(|reason| self.failed(*Failed::new(one.op.clone(), one.rule, reason)))?;
        }
        budget.give_back();
        Ok(matched)
    }

    /// The rules that match; of those with a priority, the ones with the highest.
    fn choose(
        &self,
        scope: &'a Scope,
        document: &Value,
        budget: &Budget,
    ) -> Result<Vec<&'a StackRule>, Box<Failure>> {
        let seed = seed_of(self.request.seed, self.entries, "", "when");
        let mut context = Context::new(self.request.now, seed).within(budget);
        let mut rules = Vec::new();
        for (at, rule) in scope.candidates(document).enumerate() {
            if at % 64 == 63 {
                self.check(budget)?;
            }
            if rule.program.matches(document, &mut context) {
                rules.push(rule);
            }
        }
        // A condition that met the end is false, whatever it says.
        self.check(budget)?;
        let highest = rules.iter().map(|rule| rule.program.priority()).max().unwrap_or(0);
        if highest > 0 {
            rules.retain(|rule| rule.program.priority() == highest);
        }
        Ok(rules)
    }

    /// What each rule gives its compute, or why it cannot.
    fn prepare<'r>(
        &mut self,
        rules: &[&'r StackRule],
        document: &Arc<Value>,
        (stack, scope): (&Stack, &Scope),
        budget: &Budget,
    ) -> Result<Vec<Result<Prepared<'r>, Box<Failed>>>, Box<Failure>> {
        let mut all = Vec::with_capacity(rules.len());
        for (step, &rule) in rules.iter().enumerate() {
            let name = || format!("{}/{}/{}", stack.name(), scope.number(), rule.name);
            let op = name();
            self.recorder.event(|| EventKind::StepStart { op: op.clone() });
            let place = Place {
                stack: stack.name(),
                scope: scope.number(),
                entry: self.entries,
                rid: self.rid,
                deadline: self.started + self.limit,
                budget,
                settings: &self.processor.settings,
                request: self.request,
                mask: &self.mask,
            };
            // What it takes is looked at below.
            let _ = budget.charge(size_of::<Prepared<'_>>() + 4 * op.len());
            let prepared = Prepared::new(rule, op, document, place);
            self.check_step(budget, step)?;
            if let Ok(prepared) = &prepared {
                self.recorder.hide(&prepared.control);
            }
            all.push(prepared.map_err(|reason| Failed::new(name(), rule, reason)));
        }
        Ok(all)
    }

    /// A rule that could not even be prepared, written down.
    fn not_prepared(&mut self, failed: Box<Failed>) -> Box<Failed> {
        let status = failed.reason.code().to_owned();
        let step = Step {
            op: failed.op.clone(),
            entry: self.entries,
            status: status.clone(),
            error: Some(failed.reason.to_string()),
            ..Step::default()
        };
        self.recorder.step(step, &failed.rule, Payloads::default(), None);
        self.recorder.event(|| EventKind::StepEnd { op: failed.op.clone(), status });
        failed
    }

    /// A rule's answer, written down.
    fn answer(
        &mut self,
        one: &mut Prepared<'_>,
        done: Option<Option<Done>>,
        document: &Value,
        budget: &Budget,
    ) -> Result<Value, Box<Failed>> {
        let mut step = Step { op: one.op.clone(), entry: self.entries, ..Step::default() };
        let mut payloads = Payloads::default();
        let mut outcome = None;
        let mut result = Ok(None);
        if let (Some(input), Some(done)) = (&one.input, done) {
            step.reference.clone_from(&one.rule.reference);
            match done {
                Some(done) => {
                    step.input_bytes = done.input_bytes;
                    payloads.input = self.recorder.input(input, done.input_bytes);
                    step.at_ns =
                        recorder::nanos(done.began.saturating_duration_since(self.started));
                    step.wall_ns = recorder::nanos(done.took);
                    one.rule.estimate.learn(done.took);
                    (result, outcome) = self.output(done, budget);
                }
                None => result = Err(panicked(one.rule.reference.as_ref())),
            }
            if let Some(Ok(bytes)) = outcome.as_ref().map(|outcome| &outcome.result) {
                step.output_bytes = bytes.len() as u64;
            }
        }
        if let Ok(Some(value)) = &result {
            payloads.output = self.recorder.payload(value, step.output_bytes);
        }
        let answer = result.and_then(|output| one.answer(document, output));
        let answer = answer.map_err(|reason| self.reason(reason, budget));
        step.status = answer.as_ref().err().map_or("ok", status_of).to_owned();
        step.error = answer.as_ref().err().map(Reason::to_string);
        let (op, status) = (one.op.clone(), step.status.clone());
        self.recorder.step(step, &one.rule.text, payloads, outcome.as_ref());
        self.recorder.event(|| EventKind::StepEnd { op, status });
        match answer {
            Ok((answer, warnings)) => {
                for message in warnings {
                    self.warn(&one.op, message);
                }
                Ok(answer)
            }
            Err(reason) => Err(Failed::new(one.op.clone(), one.rule, reason)),
        }
    }

    fn warn(&mut self, op: &str, message: String) {
        if self.warnings.len() >= MAX_WARNINGS {
            self.more_warnings += 1;
            return;
        }
        self.warnings.push(format!("{op}: {message}"));
        self.recorder.event(|| EventKind::Warning { op: op.to_owned(), message });
    }

    /// A compute's output as a value; and what it took, which is accounted for.
    fn output(
        &mut self,
        done: Done,
        budget: &Budget,
    ) -> (Result<Option<Value>, Reason>, Option<compute::Outcome>) {
        let outcome = match done.outcome {
            Ok(outcome) => outcome,
            Err(NoOutcome::Host(error)) => return (Err(Reason::Host(error)), None),
            Err(NoOutcome::Stop(stop)) => return (Err(self.stopped(stop)), None),
        };
        let fuel = outcome.metrics.fuel.unwrap_or(0);
        self.work += fuel.saturating_mul(MILLISECOND_WORK) / MILLISECOND_FUEL;
        let result = match &outcome.result {
            Err(failure) => Err(step::reason(failure.clone(), done.cut_short, self.limit)),
            Ok(output) => {
                let read = parse_json(output, &mut budget.held());
                read.map(Some).map_err(|error| match error {
                    JsonError::OverLimit(over) => self.over(over),
                    JsonError::TooDeep(limit) => Reason::TooDeep { what: "the output is", limit },
                    JsonError::Syntax(_) => Reason::OutputNotObject("no JSON that can be read"),
                })
            }
        };
        (result, Some(outcome))
    }

    /// Deletes, and says where the document goes.
    fn obey(
        &mut self,
        document: &mut Value,
        stack: &Stack,
        here: &Stage,
    ) -> Result<Option<Stage>, Box<Failure>> {
        let budget = self.budget.clone();
        let control: Control =
            control::take(document, stack.name(), &budget).map_err(|one| match one {
                NoControl::Wrong(reason) => self.failure(reason),
                NoControl::Stop(stop) => self.failure(self.stopped(stop)),
            })?;
        if !control.delete.is_empty() {
            let removed = txcl::remove_all(document, &control.delete, &budget);
            removed.map_err(|stop| self.failure(self.stopped(stop)))?;
            self.recorder.deleted(&control.delete);
        }
        budget.give_back();
        if control.halt {
            self.recorder.event(|| EventKind::Halt { stage: here.clone() });
            return Ok(None);
        }
        if let Some(to) = control.goto {
            if !self.snapshot.knows(&to.stack) {
                return Err(self.failure(Reason::UnknownStage(to)));
            }
            self.recorder.event(|| EventKind::Jump { from: here.clone(), to: to.clone() });
            return Ok(Some(to));
        }
        Ok(here.scope.checked_add(1).map(|next| Stage::new(here.stack.clone(), next)))
    }

    fn failure(&self, reason: Reason) -> Box<Failure> {
        Box::new(Failure {
            reason,
            stage: self.here.clone(),
            op: None,
            rule: None,
            reference: None,
            transitions: self.transitions.clone(),
        })
    }

    fn failed(&self, failed: Failed) -> Box<Failure> {
        let Failed { op, reference, rule, reason } = failed;
        let mut failure = self.failure(reason);
        (failure.op, failure.rule, failure.reference) = (Some(op), Some(rule), reference);
        failure
    }
}

impl Failed {
    fn new(op: String, rule: &StackRule, reason: Reason) -> Box<Self> {
        let (reference, text) = (rule.reference.clone(), rule.text.clone());
        Box::new(Self { op, reference, rule: text, reason })
    }
}

/// How a step ended, in a word: a compute's own status where it has one.
fn status_of(reason: &Reason) -> &'static str {
    match reason {
        Reason::Guest(failure) => failure.status().name(),
        other => other.code(),
    }
}

fn panicked(reference: Option<&Ref>) -> Reason {
    let error = std::io::Error::other("the runner panicked; this is a bug");
    let name = reference.map_or_else(String::new, Ref::to_string);
    Reason::Host(compute::Error::engine(name, error))
}
