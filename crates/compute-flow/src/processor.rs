//! Takes a document through the scopes of a stack, and hands what the rules run to a runner.

mod recorder;
mod step;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compute::{Cancel, Limits, Ref, Runner, Seed};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use txcl::Context;

use crate::control::{self, Control};
use crate::{
    EventKind, Failure, Reason, Scope, Snapshot, Stack, StackRule, Stage, Step, Trace, Transition,
};
use crate::{batch, estimate};
use recorder::Recorder;
use step::{Done, Place, Prepared};

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
/// How deep a document may be nested; what JSON's readers take is 128.
const MAX_DEPTH: usize = 100;
/// How many bytes the inputs, and the answers, of one scope may have together.
const MAX_SCOPE: usize = 64 << 20;

/// What documents may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The limits of each compute, but for its wall limit, clock and seed.
    pub limits: Limits,
    /// How long a compute may take whose rule does not say: 5 seconds.
    pub timeout: Duration,
    /// How long a document may take: 30 seconds.
    pub deadline: Duration,
    /// How many scopes a document may enter: 500.
    pub entries: u32,
    /// How many units of work a document may use: 100,000.
    pub work: u64,
    /// How large a document may be, in bytes of memory: 16 MiB.
    pub document: usize,
    /// How many computes of one document run at once: as many as there are processors.
    pub parallel: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(30),
            entries: 500,
            work: 100_000,
            document: 16 << 20,
            parallel: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        }
    }
}

/// Takes documents through stacks.
#[derive(Clone, Debug)]
pub struct Processor {
    runner: Arc<dyn Runner>,
    settings: Settings,
}

/// A document that is to be processed.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// Where it begins.
    pub stage: Stage,
    /// The document: a JSON object, or nothing.
    pub input: Vec<u8>,
    /// The request's id; one is made of the clock and the seed if there is none.
    pub rid: Option<String>,
    /// What the clock shows, to rules and computes alike: the time of now, unless set.
    pub now: SystemTime,
    /// What all random numbers come from: a fresh one, unless set.
    pub seed: Seed,
    /// How long it may take, if that is less than the settings say.
    pub deadline: Option<Duration>,
    /// Meter each compute, and stop it after this many instructions; as the settings say, unless set.
    pub fuel: Option<u64>,
    /// The secrets that rules may name.
    pub secrets: Arc<BTreeMap<String, String>>,
    /// How much of it is written down.
    pub detail: Detail,
    /// Stops it.
    pub cancel: Option<Cancel>,
}

impl Request {
    /// A request that writes nothing down.
    #[must_use]
    pub fn new(stage: Stage, input: Vec<u8>) -> Self {
        Self {
            stage,
            input,
            rid: None,
            now: SystemTime::now(),
            seed: Seed::random(),
            deadline: None,
            fuel: None,
            secrets: Arc::default(),
            detail: Detail::Off,
            cancel: None,
        }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("stage", &self.stage)
            .field("rid", &self.rid)
            .field("now", &self.now)
            .field("seed", &self.seed)
            .field("secrets", &self.secrets.keys())
            .finish_non_exhaustive()
    }
}

/// How much of a document's way is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    #[default]
    Off,
    /// What happened, and what it took.
    Summary,
    /// That, and all payloads, rules and logs.
    Full,
}

/// What became of a document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The request's id.
    pub rid: String,
    /// The document at its end, without the keys that start with `_`; or why there is none.
    pub result: Result<Value, Box<Failure>>,
    /// What the document says of the HTTP answer it wants: `_txc.web.res`.
    pub web: Option<Value>,
    /// What rules' authors should know.
    pub warnings: Vec<String>,
    /// What was written down.
    pub trace: Option<Trace>,
}

impl Processor {
    /// A processor that runs computes here, with the default settings.
    #[must_use]
    pub fn new(runner: Arc<dyn Runner>) -> Self {
        Self::with_settings(runner, Settings::default())
    }

    /// A processor that runs computes here.
    #[must_use]
    pub const fn with_settings(runner: Arc<dyn Runner>, settings: Settings) -> Self {
        Self { runner, settings }
    }

    /// Takes a document through the stacks of a snapshot, on the calling thread and those of its computes.
    ///
    /// The same document, snapshot, clock and seed give the same answer and the same trace.
    #[must_use]
    pub fn process(&self, snapshot: &Snapshot, request: &Request) -> Answer {
        let started = Instant::now();
        let rid = request.rid.clone().unwrap_or_else(|| rid_of(request));
        let limit = self.settings.deadline;
        let limit = request.deadline.map_or(limit, |asked| asked.min(limit));
        let mut run = Run {
            processor: self,
            snapshot,
            request,
            rid: &rid,
            started,
            limit,
            recorder: Recorder::new(request.detail, started),
            warnings: Vec::new(),
            entries: 0,
            work: 0,
            size: 0,
            here: None,
            transitions: Vec::new(),
            seen: HashSet::new(),
        };
        let mut document = Value::Null;
        let result = run.run(&mut document);
        let (warnings, work) = (std::mem::take(&mut run.warnings), run.work);
        let trace = run.recorder.finish(
            request,
            &rid,
            &document,
            work,
            result.as_ref().err().map(|one| &**one),
        );
        let web = recorder::web_response(&document);
        let result = result.map(|()| recorder::answer(&document));
        Answer { rid, result, web, warnings, trace }
    }
}

/// The id of a request that has none: a UUID of version 7, of its clock and its seed.
fn rid_of(request: &Request) -> String {
    let mut context = Context::new(request.now, seed_of(request.seed, 0, "", "rid"));
    txcl::uuid(&mut context)
}

/// The seed of one use in a document.
fn seed_of(seed: Seed, entry: u32, op: &str, of: &str) -> Seed {
    let mut hash = Sha256::new();
    hash.update(seed.as_bytes());
    hash.update(entry.to_le_bytes());
    hash.update(op.as_bytes());
    hash.update([0]);
    hash.update(of.as_bytes());
    Seed::new(hash.finalize().into())
}

/// One document on its way.
struct Run<'a> {
    processor: &'a Processor,
    snapshot: &'a Snapshot,
    request: &'a Request,
    rid: &'a str,
    started: Instant,
    /// How long it may take.
    limit: Duration,
    recorder: Recorder,
    warnings: Vec<String>,
    entries: u32,
    work: u64,
    /// How large the document was at the last scope's end, in bytes of memory.
    size: usize,
    here: Option<Stage>,
    transitions: Vec<Transition>,
    seen: HashSet<Transition>,
}

/// A rule that failed, and why.
struct Failed {
    op: String,
    reference: Option<Ref>,
    rule: String,
    reason: Reason,
}

impl<'a> Run<'a> {
    fn run(&mut self, document: &mut Value) -> Result<(), Box<Failure>> {
        self.recorder.event(|| EventKind::Start);
        let mut empty = self.request.input.is_empty();
        *document = self.read().map_err(|reason| self.failure(reason))?;
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
            let control = control::take(document, stack.name()).map_err(|one| self.failure(one))?;
            match self.obey(control, document, &here)? {
                Some(next) => stage = next,
                None => break,
            }
        }
        Ok(())
    }

    /// The document as it came, with the time.
    fn read(&self) -> Result<Value, Reason> {
        let mut document = match &self.request.input[..] {
            [] => Value::Object(Map::new()),
            // As a value it takes at least as many bytes.
            input if input.len() > self.processor.settings.document => {
                let limit = self.processor.settings.document;
                return Err(Reason::TooLarge { what: "the document is", limit });
            }
            input => {
                serde_json::from_slice(input).map_err(|error| Reason::Input(error.to_string()))?
            }
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

    fn check_budgets(&self) -> Result<(), Box<Failure>> {
        let settings = &self.processor.settings;
        if self.work > settings.work {
            return Err(self.failure(Reason::Fuel { limit: settings.work }));
        }
        if self.started.elapsed() >= self.limit {
            return Err(self.failure(Reason::Deadline { limit: self.limit }));
        }
        if self.request.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(self.failure(Reason::Cancelled));
        }
        Ok(())
    }

    fn check_size(&mut self, document: &Value) -> Result<(), Box<Failure>> {
        let limit = self.processor.settings.document;
        match txcl::measure(document, MAX_DEPTH) {
            None => Err(self.failure(Reason::TooDeep { limit: MAX_DEPTH })),
            Some(size) if size > limit => {
                Err(self.failure(Reason::TooLarge { what: "the document is", limit }))
            }
            Some(size) => {
                self.size = size;
                Ok(())
            }
        }
    }

    /// Runs the rules of a scope that match, and merges their answers. Says whether any rule matched.
    fn scope(
        &mut self,
        stack: &'a Stack,
        scope: &'a Scope,
        document: &mut Value,
        empty: bool,
    ) -> Result<bool, Box<Failure>> {
        let rules = self.choose(scope, if empty { &Value::Null } else { document })?;
        let called = || rules.iter().filter(|rule| rule.reference.is_some());
        self.work += called().count() as u64 * EXEC_WORK;
        self.check_budgets()?;

        let place = Place {
            stack: stack.name(),
            scope: scope.number(),
            entry: self.entries,
            rid: self.rid,
            deadline: self.started + self.limit,
        };
        let mut prepared = self.prepare(&rules, document, place)?;
        let calls = prepared.iter_mut().filter_map(|one| one.as_mut().ok()?.call.as_mut());
        let jobs: Vec<_> = calls.filter_map(|call| call.job(&self.processor.runner)).collect();
        let estimates = called().map(|rule| rule.estimate.get());
        let helpers = estimate::helpers(estimates, self.processor.settings.parallel);
        let mut done = batch::run(jobs, helpers).into_iter();

        let (mut answers, mut finishes) = (Vec::new(), Vec::new());
        let (mut failed, mut bytes) = (None, 0);
        for one in prepared {
            let answer = one.map_err(|one| self.not_prepared(one)).and_then(|mut one| {
                let done = if one.call.is_some() { done.next() } else { None };
                let answer = self.answer(&mut one, done, document, &mut bytes)?;
                Ok((answer, one.into_finish()))
            });
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
        self.check_budgets()?;

        let stage = Stage::new(stack.name().clone(), scope.number());
        self.recorder.event(|| EventKind::Merge { stage, answers: answers.len() });
        let matched = !answers.is_empty();
        for answer in answers {
            crate::merge(document, answer);
        }
        for one in &mut finishes {
            let finished = one.finish(document);
            finished
                .map_err(|reason| self.failed(*Failed::new(one.op.clone(), one.rule, reason)))?;
        }
        Ok(matched)
    }

    /// The rules that match; of those with a priority, the ones with the highest.
    fn choose(
        &self,
        scope: &'a Scope,
        document: &Value,
    ) -> Result<Vec<&'a StackRule>, Box<Failure>> {
        let seed = seed_of(self.request.seed, self.entries, "", "when");
        let mut context = Context::new(self.request.now, seed);
        let mut rules = Vec::new();
        for (at, rule) in scope.candidates(document).enumerate() {
            if at % 64 == 63 {
                self.check_budgets()?;
            }
            if rule.program.matches(document, &mut context) {
                rules.push(rule);
            }
        }
        let highest = rules.iter().map(|rule| rule.program.priority()).max().unwrap_or(0);
        if highest > 0 {
            rules.retain(|rule| rule.program.priority() == highest);
        }
        Ok(rules)
    }

    /// What each rule gives its compute, or why it cannot.
    fn prepare<'r, 'd>(
        &mut self,
        rules: &[&'r StackRule],
        document: &'d Value,
        place: Place<'_>,
    ) -> Result<Vec<Result<Prepared<'r, 'd>, Box<Failed>>>, Box<Failure>> {
        let mut bytes = 0;
        let mut all = Vec::with_capacity(rules.len());
        for &rule in rules {
            let op = || format!("{}/{}/{}", place.stack, place.scope, rule.name);
            self.recorder.event(|| EventKind::StepStart { op: op() });
            let prepared =
                Prepared::new(rule, document, place, (&self.processor.settings, self.request));
            self.check_budgets()?;
            if let Ok(prepared) = &prepared {
                bytes += prepared.call.as_ref().map_or(0, |call| call.bytes);
                bytes += if prepared.owns_document() { self.size } else { 0 };
                let secrets = prepared.control.secrets.iter();
                let secrets = secrets.filter_map(|name| self.request.secrets.get(name));
                self.recorder.hide(&prepared.control, secrets);
            }
            if bytes > MAX_SCOPE {
                let what = "what one scope's rules receive is";
                return Err(self.failure(Reason::TooLarge { what, limit: MAX_SCOPE }));
            }
            all.push(prepared.map_err(|reason| Failed::new(op(), rule, reason)));
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
        self.recorder.step(step, &failed.rule, [None, None], None);
        self.recorder.event(|| EventKind::StepEnd { op: failed.op.clone(), status });
        failed
    }

    /// A rule's answer, written down.
    fn answer(
        &mut self,
        one: &mut Prepared<'_, '_>,
        done: Option<Option<Done>>,
        document: &Value,
        bytes: &mut usize,
    ) -> Result<Value, Box<Failed>> {
        let mut step = Step { op: one.op.clone(), entry: self.entries, ..Step::default() };
        let mut output = None;
        let mut outcome = None;
        let mut result = Ok(None);
        if let (Some(call), Some(done)) = (&one.call, done) {
            step.input_bytes = call.bytes as u64;
            step.reference.clone_from(&one.rule.reference);
            match done {
                Some(done) => {
                    step.at_ns =
                        recorder::nanos(done.began.saturating_duration_since(self.started));
                    step.wall_ns = recorder::nanos(done.took);
                    one.rule.estimate.learn(done.took);
                    (result, outcome) = self.output(call, done.outcome, bytes);
                }
                None => result = Err(panicked(one.rule.reference.as_ref())),
            }
            if let Some(Ok(bytes)) = outcome.as_ref().map(|outcome| &outcome.result) {
                step.output_bytes = bytes.len() as u64;
            }
        }
        if let Ok(Some(value)) = &result {
            output = self.recorder.is_full().then(|| value.clone());
        }
        let answer = result.and_then(|output| one.answer(document, output));
        step.status = answer.as_ref().err().map_or("ok", status_of).to_owned();
        step.error = answer.as_ref().err().map(Reason::to_string);
        let (op, status) = (one.op.clone(), step.status.clone());
        let input = one.call.is_some().then_some(&one.input);
        self.recorder.step(step, &one.rule.text, [input, output.as_ref()], outcome.as_ref());
        self.recorder.event(|| EventKind::StepEnd { op, status });
        match answer {
            Ok((answer, warnings)) => {
                for message in warnings {
                    self.warnings.push(format!("{}: {message}", one.op));
                    self.recorder.event(|| EventKind::Warning { op: one.op.clone(), message });
                }
                Ok(answer)
            }
            Err(reason) => Err(Failed::new(one.op.clone(), one.rule, reason)),
        }
    }

    /// A compute's output as a value; and what it took, which is accounted for.
    fn output(
        &mut self,
        call: &step::Call,
        outcome: Result<compute::Outcome, compute::Error>,
        bytes: &mut usize,
    ) -> (Result<Option<Value>, Reason>, Option<compute::Outcome>) {
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(error) => return (Err(Reason::Host(error)), None),
        };
        let fuel = outcome.metrics.fuel.unwrap_or(0);
        self.work += fuel.saturating_mul(MILLISECOND_WORK) / MILLISECOND_FUEL;
        let result = match &outcome.result {
            Err(failure) => Err(call.reason(failure.clone(), self.limit)),
            Ok(output) => {
                *bytes += output.len();
                if *bytes > MAX_SCOPE {
                    let what = "what one scope's computes give is";
                    Err(Reason::TooLarge { what, limit: MAX_SCOPE })
                } else {
                    serde_json::from_slice(output)
                        .map(Some)
                        .map_err(|_| Reason::OutputNotObject("no JSON that can be read"))
                }
            }
        };
        (result, Some(outcome))
    }

    /// Deletes, and says where the document goes.
    fn obey(
        &mut self,
        control: Control,
        document: &mut Value,
        here: &Stage,
    ) -> Result<Option<Stage>, Box<Failure>> {
        if !control.delete.is_empty() {
            for path in &control.delete {
                path.remove(document);
            }
            let paths = control.delete.iter().map(txcl::Path::to_string).collect();
            self.recorder.event(|| EventKind::Delete { paths });
        }
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
