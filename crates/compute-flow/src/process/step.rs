//! One rule on one document: what it gives its compute, and what becomes of the answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{
    Cancel, Charge, Env, Meta, OpCall, Outcome, Ref, RunOptions, Runner, Secrets, Status,
};
use compute_state::StackName;
use serde_json::{Map, Value, json};
use txcl::{Budget, Context, Control, EvalError, Exec, GivenSecret, Path, Selected, Stop, TXC};

use super::control;
use super::failure::Reason;
use super::input::Input;
use super::mask::DocumentMask;
use super::mocks::Mocks;
use super::request::{Request, Settings, seed_of};
use crate::rules::{StackRule, StaticFiles};

/// Where a rule stands in a document's way, and what it may use there.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepContext<'a> {
    pub(super) stack: &'a StackName,
    pub(super) scope: u32,
    pub(super) entry: u32,
    pub(super) rid: &'a str,
    pub(super) deadline: Instant,
    pub(super) budget: &'a Budget,
    pub(super) settings: &'a Settings,
    pub(super) request: &'a Request,
    pub(super) mask: &'a DocumentMask,
    pub(super) mocks: Option<&'a Mocks>,
    pub(super) files: &'a StaticFiles,
}

/// A rule that matched, with all that its compute is given.
#[derive(Debug)]
pub(super) struct Prepared<'r> {
    pub(super) rule: &'r StackRule,
    /// `stack/scope/name`
    pub(super) op: String,
    context: Context,
    full: Arc<Value>,
    selected: Option<Selected>,
    /// What its author should be told.
    warnings: Vec<String>,
    /// What the compute receives, if there is one.
    pub(super) input: Option<Input>,
    pub(super) control: Control,
    pub(super) call: Option<Call>,
    /// What it answers with in place of what it runs.
    pub(super) mock: Option<&'r str>,
    /// What the processor answers itself.
    pub(super) own: Option<Value>,
}

/// A call that is to be made.
#[derive(Debug)]
pub(super) struct Call {
    reference: Ref,
    options: RunOptions,
    input: Input,
    timeout: Duration,
    deadline: Instant,
    budget: Budget,
}

/// A call that was made.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) began: Instant,
    pub(super) took: Duration,
    /// How many bytes the compute received.
    pub(super) input_bytes: u64,
    /// Whether it had less time than it might have, for the document's was nearly over.
    pub(super) cut_short: bool,
    pub(super) outcome: Result<Outcome, NoOutcome>,
}

/// Why a call was not made.
#[derive(Debug)]
pub(super) enum NoOutcome {
    /// It could not be run.
    Host(compute::Error),
    /// The document may not go on.
    Stop(Stop),
}

fn told(clause: &'static str) -> impl Fn(EvalError) -> Reason {
    move |error| Reason::Rule { clause, span: Some(error.span), message: error.message }
}

/// What stands in place of what a clause could not work out, for rules that ask for `.error.message`.
fn error_object(clause: &str, error: &EvalError) -> Value {
    json!({ "error": { "message": format!("{clause}: {}", error.message) } })
}

/// What the author of a rule is told of a clause that could not be worked out: what, and where in the rule.
fn warning(rule: &StackRule, clause: &str, error: &EvalError) -> String {
    let (line, column) = error.span.position(&rule.text);
    format!("{clause}: {} ({}.txcl:{line}:{column})", error.message, rule.name)
}

/// What a rule answers with in place of what it runs, if it is mocked: by its author, or by who sent the document, in which
/// case a rule without a fixture does what it does.
fn mock_of<'r>(
    rule: &'r StackRule,
    op: &str,
    mocks: Option<&Mocks>,
) -> Result<Option<&'r str>, Reason> {
    let is_mock = matches!(rule.program.exec(), Some(Exec::Mock));
    if is_mock && rule.mock.is_none() {
        return Err(Reason::Rule {
            clause: "EXEC",
            span: None,
            message:
                "`txco://mock` answers with mock-response.json beside the rule, and there is none"
                    .to_owned(),
        });
    }
    let asked = is_mock || mocks.is_some_and(|mocks| mocks.has(op));
    Ok(rule.mock.as_deref().filter(|_| asked))
}

impl<'r> Prepared<'r> {
    /// Works out what a rule gives its compute.
    pub(super) fn new(
        rule: &'r StackRule,
        op: String,
        document: &Arc<Value>,
        place: StepContext<'_>,
    ) -> Result<Self, Reason> {
        let seed = seed_of(place.request.seed, place.entry, &op, "rule");
        let mut context = Context::new(place.request.now, seed).within(place.budget);
        let mut warnings = Vec::new();
        let full = match rule.program.prepare(document, &mut context) {
            Ok(Cow::Borrowed(_)) => Arc::clone(document),
            Ok(Cow::Owned(full)) => Arc::new(full),
            Err(error) => {
                warnings.push(warning(rule, "SET", &error));
                Arc::new(error_object("SET", &error))
            }
        };
        let mut failed = Vec::new();
        let with = rule.program.with(&full, &mut context, &mut failed);
        warnings.extend(failed.drain(..).map(|error| warning(rule, "WITH", &error)));
        let selected = rule.program.select(&full, &mut context, &mut failed);
        warnings.extend(failed.drain(..).map(|error| warning(rule, "DEFAULT", &error)));
        let selected = selected.map_err(told("SELECT"))?;
        let message = |message| Reason::Rule { clause: "WITH", span: None, message };
        let control = Control::read(&with).map_err(message)?;
        // Whether there was memory for it is looked at when the rule is prepared.
        let _ = place.budget.charge(control.size());

        let mock = mock_of(rule, &op, place.mocks)?;
        let mut prepared = Self {
            rule,
            op,
            context,
            full,
            selected,
            warnings,
            input: None,
            control,
            call: None,
            mock,
            own: None,
        };
        if let (Some(Exec::Static), None) = (rule.program.exec(), mock)
            && let Some((answer, bytes)) = place.files.answer(document)
        {
            // Looked at when the rule is prepared, as the control is; it is merged into the document then.
            let _ = place.budget.charge(2 * bytes);
            prepared.own = Some(answer);
        }
        if let (Some(reference), None) = (&rule.reference, mock) {
            let input = prepared.received(place);
            prepared.call = Some(prepared.call(reference, input.clone(), with, place)?);
            prepared.input = Some(input);
        }
        Ok(prepared)
    }

    /// What the compute receives.
    fn received(&mut self, place: StepContext<'_>) -> Input {
        let value = match &mut self.selected {
            Some(selected) => {
                let mut input = std::mem::take(&mut selected.input);
                if let (Some(ts), Value::Object(map)) = (self.full.get("_ts"), &mut input) {
                    map.insert("_ts".into(), ts.clone());
                }
                Arc::new(input)
            }
            None => Arc::clone(&self.full),
        };
        let input = Input::new(value, format!("{}/{}", place.stack, self.rule.name), place.scope);
        if self.control.cache { input.bare() } else { input }
    }

    fn call(
        &self,
        reference: &Ref,
        input: Input,
        with: Map<String, Value>,
        place: StepContext<'_>,
    ) -> Result<Call, Reason> {
        let (settings, request) = (place.settings, place.request);
        let timeout = self.control.timeout.unwrap_or(settings.timeout).min(settings.max_timeout);
        let mut limits = settings.limits;
        limits.fuel = request.fuel.or(limits.fuel);
        limits.now = Some(request.now);
        limits.seed = Some(seed_of(request.seed, place.entry, &self.op, "compute"));
        // Which secrets there are is not told to the compute.
        let env: Env = with.into_iter().filter(|(key, _)| key != "secrets").collect();
        let _ = place.budget.charge(env.get().len());
        let op = OpCall {
            meta: Meta {
                rid: place.rid.to_owned(),
                op: self.op.clone(),
                stack: place.stack.to_string(),
                scope: place.scope,
                name: self.rule.name.clone(),
            },
            env,
            secrets: self.secrets(place)?,
            always: true,
        };
        let options = RunOptions {
            limits,
            cancel: request.cancel.as_ref().map(Cancel::child),
            op: Some(op),
            recording: request.recording.clone(),
            cache: self.control.cache,
            ..RunOptions::default()
        };
        let (deadline, budget) = (place.deadline, place.budget.clone());
        Ok(Call { reference: reference.clone(), options, input, timeout, deadline, budget })
    }

    /// The secrets that the rule names, with the one mask that knows them all.
    fn secrets(&self, place: StepContext<'_>) -> Result<Secrets, Reason> {
        if self.control.secrets.is_empty() {
            return Ok(Secrets::default());
        }
        let named = |one: &GivenSecret| {
            let value = place.request.secrets.get(&one.name);
            let value = value.ok_or_else(|| Reason::MissingSecret(one.name.clone()))?;
            Ok((one.key.clone(), value.clone()))
        };
        let named: Vec<_> = self.control.secrets.iter().map(named).collect::<Result<_, _>>()?;
        let _ =
            place.budget.charge(named.iter().map(|(name, value)| name.len() + value.len()).sum());
        let mask = place.mask.knowing(named.iter().map(|(_, value)| value), &place.request.secrets);
        Ok(named.into_iter().collect::<Secrets>().masked_by(mask))
    }

    /// The rule's answer, from its compute's outcome. Also what its author should be told.
    pub(super) fn answer(
        &mut self,
        document: &Value,
        output: Option<Value>,
    ) -> Result<(Value, Vec<String>), Reason> {
        let mut warnings = std::mem::take(&mut self.warnings);
        let mut response = Value::Object(Map::new());
        if let Some(output) = output {
            let kind = kind(&output);
            let Value::Object(mut output) = output else {
                return Err(Reason::OutputNotObject(kind));
            };
            let received = |key: &str| self.input.as_ref()?.received(key);
            warnings.extend(control::filter(&mut output, received));
            response = Value::Object(output);
        }
        if let Some(selected) = self.selected.take() {
            let kept = selected.keep(&mut response, &mut self.context);
            kept.map_err(|message| Reason::Rule { clause: "SELECT", span: None, message })?;
        }
        if let Err(error) = self.rule.program.emit(&self.full, &mut response, &mut self.context) {
            response = error_object("EMIT", &error);
            warnings.push(warning(self.rule, "EMIT", &error));
        }
        warnings.extend(control::filter_rule(&mut response));
        if let (Some(Exec::Stage(stage)), None) = (self.rule.program.exec(), self.mock) {
            self.jump(stage, document, &mut response)?;
        }
        Ok((response, warnings))
    }

    /// Sends the document to a stage with what the op would receive, unless the rule sends it elsewhere itself.
    fn jump(&mut self, stage: &str, document: &Value, response: &mut Value) -> Result<(), Reason> {
        let message = |message| Reason::Rule { clause: "EXEC", span: None, message };
        let added = self.rule.program.added(document, &self.full, response, &mut self.context);
        added.map_err(message)?;
        let goto = Path::new(vec![TXC.to_owned(), "goto".to_owned()]);
        if let Some(goto) = goto.filter(|goto| goto.get(response).is_none()) {
            goto.set(response, stage.into()).map_err(|error| message(error.to_string()))?;
        }
        Ok(())
    }

    /// Lets go of the document, and keeps what [`Finish::finish`] needs.
    pub(super) fn into_finish(self) -> Finish<'r> {
        Finish { rule: self.rule, op: self.op, context: self.context }
    }
}

/// What is left of a rule when its scope's answers are merged.
#[derive(Debug)]
pub(super) struct Finish<'a> {
    pub(super) rule: &'a StackRule,
    pub(super) op: String,
    context: Context,
}

impl Finish<'_> {
    /// What `SET` after `SELECT` says, on the merged document. What cannot be worked out stands in place of all of it; what
    /// its author should be told is given back.
    pub(super) fn finish(&mut self, document: &mut Value) -> Option<String> {
        let error = self.rule.program.finish(document, &mut self.context).err()?;
        *document = error_object("SET", &error);
        Some(warning(self.rule, "SET", &error))
    }
}

impl Call {
    /// What makes the call, on whatever thread.
    pub(super) fn job(self, runner: &Arc<dyn Runner>) -> Box<dyn FnOnce() -> Done + Send> {
        let runner = Arc::clone(runner);
        Box::new(move || self.make(&*runner))
    }

    fn make(mut self, runner: &dyn Runner) -> Done {
        let mut charge = self.budget.held().account().empty();
        let (mut input_bytes, mut cut_short) = (0, false);
        let mut began = Instant::now();
        let outcome = self.input(&mut charge).map_err(NoOutcome::Stop).and_then(|input| {
            input_bytes = input.len() as u64;
            // What came before it is the document's time, and not the compute's.
            began = Instant::now();
            let left = self.deadline.saturating_duration_since(began);
            cut_short = left < self.timeout;
            // Zero would mean the default.
            let wall = self.timeout.min(left).max(Duration::from_nanos(1));
            self.options.limits.wall = Some(wall);
            let outcome = runner.run_blocking(&self.reference, &input, &self.options);
            outcome.map_err(NoOutcome::Host)
        });
        let took = began.elapsed();
        let outcome = outcome.and_then(|outcome| {
            self.budget.charge(size_of_outcome(&outcome)).map_err(NoOutcome::Stop)?;
            Ok(outcome)
        });
        Done { began, took, input_bytes, cut_short, outcome }
    }

    /// The input as it is sent. It is charged twice: once more for the envelope around it.
    fn input(&self, charge: &mut Charge) -> Result<Vec<u8>, Stop> {
        self.budget.check()?;
        let input = self.input.to_json(charge, &self.budget)?;
        charge.grow(input.len())?;
        Ok(input)
    }
}

/// The bytes of memory that an outcome takes.
fn size_of_outcome(outcome: &Outcome) -> usize {
    let output = outcome.result.as_ref().map_or(0, Vec::capacity);
    let lines = outcome.log.lines.iter().map(|line| size_of_val(line) + line.text.len());
    let events = outcome
        .events
        .iter()
        .map(|event| size_of_val(event) + event.name.len() + event.data.get().len());
    output + outcome.log.bytes.len() + lines.sum::<usize>() + events.sum::<usize>()
}

/// Why a call failed, for the document.
pub(super) fn reason(failure: compute::Failure, cut_short: bool, limit: Duration) -> Reason {
    match failure.status() {
        Status::WallLimit if cut_short => Reason::Deadline { limit },
        Status::Cancelled => Reason::Cancelled,
        _ => Reason::Guest(failure),
    }
}

/// What kind of value it is, in a person's words.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
