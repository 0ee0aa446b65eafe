//! The rules of one scope: which match, what each gives its compute, and what becomes of the answers.

use std::sync::Arc;

use compute::{JsonError, Ref, parse_json};
use serde_json::Value;
use txcl::{Budget, Context};

use super::Run;
use crate::process::batch;
use crate::process::failure::{Failure, Reason};
use crate::process::merge::merge;
use crate::process::recorder::{self, Payloads};
use crate::process::request::seed_of;
use crate::process::step::{self, Done, NoOutcome, Prepared, StepContext};
use crate::rules::{self, Scope, Stack, StackRule, Stage};
use crate::trace::{EventKind, Step};

/// What running a compute costs.
const EXEC_WORK: u64 = 25;
/// What a compute costs for each millisecond of metered work.
const MILLISECOND_WORK: u64 = 10;
/// How much fuel counts as a millisecond. Fuel is the same on every machine; a millisecond is not.
const MILLISECOND_FUEL: u64 = 1_000_000;
/// How many warnings a document gives.
const MAX_WARNINGS: usize = 100;

/// A rule that failed, and why.
struct Failed {
    op: String,
    reference: Option<Ref>,
    rule: String,
    reason: Reason,
}

impl<'a> Run<'a> {
    /// Runs the rules of a scope that match, and merges their answers. Says whether any rule matched.
    pub(super) fn scope(
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
        let jobs: Vec<_> = calls.map(|call| call.job(self.runner)).collect();
        let estimates = called().map(|rule| rule.estimate.get());
        let helpers = rules::helpers(estimates, self.settings.parallel);
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
            merge(document, answer);
            self.check_step(&budget, step)?;
        }
        for (step, one) in finishes.iter_mut().enumerate() {
            let warning = one.finish(document);
            self.check_step(&budget, step)?;
            if let Some(warning) = warning {
                self.warn(&one.op, warning);
            }
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
            let place = StepContext {
                stack: stack.name(),
                scope: scope.number(),
                entry: self.entries,
                rid: self.rid,
                deadline: self.started + self.limit,
                budget,
                settings: self.settings,
                request: self.request,
                mask: &self.mask,
                mocks: self.mocks.as_ref(),
                files: stack.files(),
            };
            // What it takes is looked at below.
            let _ = budget.charge(size_of::<Prepared<'_>>() + 4 * op.len());
            let prepared = Prepared::new(rule, op, document, place);
            self.check_step(budget, step)?;
            if let Ok(prepared) = &prepared {
                self.recorder.hide(&prepared.control);
                let named = prepared.control.secrets.iter().map(|secret| secret.name.clone());
                self.secrets.extend(named);
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
        if let Some(own) = one.own.take() {
            result = Ok(Some(own));
        }
        if let Some(mock) = one.mock {
            step.mocked = true;
            step.output_bytes = mock.len() as u64;
            result = self.read_output(mock.as_bytes(), budget);
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

    pub(super) fn warn(&mut self, op: &str, message: String) {
        if self.warnings.len() >= MAX_WARNINGS {
            self.more_warnings += 1;
            return;
        }
        let named = if op.is_empty() { message.clone() } else { format!("{op}: {message}") };
        self.warnings.push(named);
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
            Ok(output) => self.read_output(output, budget),
        };
        (result, Some(outcome))
    }

    /// What a compute gave, or stands in its place, as a value.
    fn read_output(&self, output: &[u8], budget: &Budget) -> Result<Option<Value>, Reason> {
        let read = parse_json(output, &mut budget.held());
        read.map(Some).map_err(|error| match error {
            JsonError::OverLimit(over) => self.over(over),
            JsonError::TooDeep(limit) => Reason::TooDeep { what: "the output is", limit },
            JsonError::Syntax(_) => Reason::OutputNotObject("no JSON that can be read"),
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
