//! One rule on one document: what it gives its compute, and what becomes of the answer.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use compute::{Cancel, Meta, OpCall, Outcome, Ref, RunOptions, Runner, Secrets, Status};
use serde_json::{Map, Value};
use txcl::{Context, Control, EvalError, Selected, TXC};

use super::{Request, Settings, seed_of};
use crate::control;
use crate::{Reason, StackName, StackRule};

/// Where a rule stands in a document's way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) stack: &'a StackName,
    pub(super) scope: u32,
    pub(super) entry: u32,
    pub(super) rid: &'a str,
    pub(super) deadline: Instant,
}

/// A rule that matched, with all that its compute is given.
#[derive(Debug)]
pub(super) struct Prepared<'r, 'd> {
    pub(super) rule: &'r StackRule,
    /// `stack/scope/name`
    pub(super) op: String,
    context: Context,
    full: Cow<'d, Value>,
    selected: Option<Selected>,
    /// What the compute receives.
    pub(super) input: Value,
    pub(super) control: Control,
    pub(super) call: Option<Call>,
}

/// A call that is to be made.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) bytes: usize,
    /// What it takes to make it; taken when it is made.
    parts: Option<(Ref, Bytes, RunOptions)>,
    /// Whether it has less time than it might have, for the document's is nearly over.
    cut_short: bool,
}

/// A call that was made.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) began: Instant,
    pub(super) took: Duration,
    pub(super) outcome: Result<Outcome, compute::Error>,
}

fn told(clause: &'static str) -> impl Fn(EvalError) -> Reason {
    move |error| Reason::Rule { clause, span: Some(error.span), message: error.message }
}

impl<'r, 'd> Prepared<'r, 'd> {
    /// Works out what a rule gives its compute.
    pub(super) fn new(
        rule: &'r StackRule,
        document: &'d Value,
        place: Place<'_>,
        (settings, request): (&Settings, &Request),
    ) -> Result<Self, Reason> {
        let op = format!("{}/{}/{}", place.stack, place.scope, rule.name);
        let mut context =
            Context::new(request.now, seed_of(request.seed, place.entry, &op, "rule"));
        let full = rule.program.prepare(document, &mut context).map_err(told("SET"))?;
        let with = rule.program.with(&full, &mut context).map_err(told("WITH"))?;
        let selected = rule.program.select(&full, &mut context).map_err(told("SELECT"))?;
        let message = |message| Reason::Rule { clause: "WITH", span: None, message };
        let control = Control::read(&with).map_err(message)?;

        let mut prepared =
            Self { rule, op, context, full, selected, input: Value::Null, control, call: None };
        if let Some(reference) = &rule.reference {
            prepared.input = prepared.stamped(place);
            prepared.call = Some(prepared.call(reference, with, place, (settings, request))?);
        }
        Ok(prepared)
    }

    /// Whether it holds a copy of the document.
    pub(super) const fn owns_document(&self) -> bool {
        matches!(self.full, Cow::Owned(_))
    }

    /// What the compute receives, with where it is.
    fn stamped(&mut self, place: Place<'_>) -> Value {
        let document = &*self.full;
        let mut input = match &mut self.selected {
            Some(selected) => {
                let mut input = std::mem::take(&mut selected.input);
                if let (Some(ts), Value::Object(map)) = (document.get("_ts"), &mut input) {
                    map.insert("_ts".into(), ts.clone());
                }
                input
            }
            None => document.clone(),
        };
        if let Value::Object(map) = &mut input {
            let txc = map.entry(TXC).or_insert_with(|| Value::Object(Map::new()));
            if !txc.is_object() {
                *txc = Value::Object(Map::new());
            }
            if let Value::Object(txc) = txc {
                txc.insert("op".into(), format!("{}/{}", place.stack, self.rule.name).into());
                txc.insert("step".into(), place.scope.into());
            }
        }
        input
    }

    fn call(
        &self,
        reference: &Ref,
        with: Map<String, Value>,
        place: Place<'_>,
        (settings, request): (&Settings, &Request),
    ) -> Result<Call, Reason> {
        let secret = |name: &String| {
            let value = request.secrets.get(name).cloned();
            value
                .map(|value| (name.clone(), value))
                .ok_or_else(|| Reason::MissingSecret(name.clone()))
        };
        let secrets = self.control.secrets.iter().map(secret).collect::<Result<Secrets, _>>()?;
        let timeout = self.control.timeout.unwrap_or(settings.timeout);
        let left = place.deadline.saturating_duration_since(Instant::now());
        let mut limits = settings.limits;
        // Zero would mean the default.
        limits.wall = Some(timeout.min(left).max(Duration::from_nanos(1)));
        limits.fuel = request.fuel.or(limits.fuel);
        limits.now = Some(request.now);
        limits.seed = Some(seed_of(request.seed, place.entry, &self.op, "compute"));
        let op = OpCall {
            meta: Meta {
                rid: place.rid.to_owned(),
                op: self.op.clone(),
                stack: place.stack.to_string(),
                scope: place.scope,
                name: self.rule.name.clone(),
            },
            env: with.into_iter().collect(),
            secrets,
            always: true,
        };
        let input =
            serde_json::to_vec(&self.input).map_err(|error| Reason::Input(error.to_string()))?;
        let options = RunOptions {
            limits,
            cancel: request.cancel.as_ref().map(Cancel::child),
            op: Some(op),
            ..RunOptions::default()
        };
        Ok(Call {
            bytes: input.len(),
            parts: Some((reference.clone(), input.into(), options)),
            cut_short: left < timeout,
        })
    }

    /// The rule's answer, from its compute's outcome. Also what its author should be told.
    pub(super) fn answer(
        &mut self,
        document: &Value,
        output: Option<Value>,
    ) -> Result<(Value, Vec<String>), Reason> {
        let mut warnings = Vec::new();
        let mut response = Value::Object(Map::new());
        if let Some(output) = output {
            let kind = kind(&output);
            let Value::Object(mut output) = output else {
                return Err(Reason::OutputNotObject(kind));
            };
            warnings = control::filter(&mut output, &self.input);
            response = Value::Object(output);
        }
        if let Some(selected) = self.selected.take() {
            selected.keep(document, &mut response).map_err(|error| Reason::Rule {
                clause: "SELECT",
                span: None,
                message: error.to_string(),
            })?;
        }
        self.rule
            .program
            .emit(&self.full, &mut response, &mut self.context)
            .map_err(told("EMIT"))?;
        Ok((response, warnings))
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
    /// What `SET` after `SELECT` says, on the merged document.
    pub(super) fn finish(&mut self, document: &mut Value) -> Result<(), Reason> {
        self.rule.program.finish(document, &mut self.context).map_err(told("SET"))
    }
}

impl Call {
    /// What makes the call, on whatever thread; nothing the second time.
    pub(super) fn job(
        &mut self,
        runner: &Arc<dyn Runner>,
    ) -> Option<Box<dyn FnOnce() -> Done + Send>> {
        let runner = Arc::clone(runner);
        let (reference, input, options) = self.parts.take()?;
        Some(Box::new(move || {
            let began = Instant::now();
            let outcome = runner.run_blocking(&reference, &input, &options);
            Done { began, took: began.elapsed(), outcome }
        }))
    }

    /// Why the call failed, for the document.
    pub(super) fn reason(&self, failure: compute::Failure, limit: Duration) -> Reason {
        match failure.status() {
            Status::WallLimit if self.cut_short => Reason::Deadline { limit },
            Status::Cancelled => Reason::Cancelled,
            _ => Reason::Guest(failure),
        }
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
