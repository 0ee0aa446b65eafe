//! One document on its way from scope to scope.

mod budget;
mod scope;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compute::{Charge, JsonError, Runner, json_size, parse_json};
use serde_json::{Map, Value};
use txcl::{Budget, TXC};

use super::control::{self, Control, Goto, NoControl};
use super::failure::{Failure, Reason};
use super::mask::DocumentMask;
use super::mocks::Mocks;
use super::recorder::Recorder;
use super::request::{Request, Settings};
use super::step;
use crate::rules::{Chosen, Snapshot, Stack, Stage};
use crate::trace::{EventKind, Trace, Transition};

/// What entering a scope costs, in units of work.
const SCOPE_WORK: u64 = 10;
/// What a transition costs that the document made before.
const REPEATED_WORK: u64 = 50;
/// What the account of the document itself is called.
const DOCUMENT: &str = "the document";

/// One document on its way.
pub(super) struct Run<'a> {
    runner: &'a Arc<dyn Runner>,
    settings: &'a Settings,
    snapshot: &'a Snapshot,
    /// The stacks of which it gets the version that is rolled out.
    chosen: Chosen,
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
    /// Which rules answer with their fixtures.
    mocks: Option<Mocks>,
    /// What the document itself takes.
    charge: Charge,
    /// The secrets that computes were given.
    secrets: BTreeSet<String>,
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
    pub(super) secrets: BTreeSet<String>,
    pub(super) warnings: Vec<String>,
    pub(super) trace: Option<Trace>,
    pub(super) rolled_out: Chosen,
    pub(super) memory: Vec<Charge>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        (runner, settings): (&'a Arc<dyn Runner>, &'a Settings),
        snapshot: &'a Snapshot,
        request: &'a Request,
        rid: &'a str,
        started: Instant,
    ) -> Self {
        let limit =
            request.deadline.map_or(settings.deadline, |asked| asked.min(settings.deadline));
        let deadline = started.checked_add(limit);
        let account = request.memory.child(DOCUMENT, settings.document as u64);
        Self {
            runner,
            settings,
            snapshot,
            chosen: Chosen::new(),
            request,
            rid,
            started,
            limit,
            budget: Budget::new(&request.memory, deadline, request.cancel.clone()),
            recorder: Recorder::new(request.detail, started, &request.memory),
            mask: DocumentMask::new(&request.mask),
            mocks: None,
            charge: account.empty(),
            secrets: BTreeSet::new(),
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
        // A request of the web is something, whatever its body.
        let is_web = self.request.stamp.contains_key("web");
        let mut empty = self.request.input.is_empty() && !is_web;
        *document = Arc::new(self.read().map_err(|reason| self.failure(reason))?);
        self.check_size(document)?;
        // Once, by what came in: one document sees one version of each stack.
        self.chosen = self.snapshot.choose(document);
        if self.settings.mocks {
            let (mocks, warnings) = Mocks::read(document);
            self.mocks = Some(mocks);
            warnings.into_iter().for_each(|warning| self.warn("", warning));
        }
        let mut stage = self.request.stage.clone();
        if !self.snapshot.knows(&stage.stack) {
            return Err(self.failure(Reason::UnknownStage(stage)));
        }
        let snapshot = self.snapshot;
        while let Some((stack, at)) = snapshot.find(&stage, &self.chosen) {
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
            secrets: self.secrets,
            warnings: self.warnings,
            trace,
            rolled_out: self.chosen,
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
                self.stamp(map)?;
                Ok(document)
            }
            other => Err(Reason::Input(format!("it is {}", step::kind(other)))),
        }
    }

    /// Says below `_txc` where the document came from, if whoever took it in does.
    fn stamp(&mut self, map: &mut Map<String, Value>) -> Result<(), Reason> {
        let stamp = &self.request.stamp;
        if stamp.is_empty() {
            return Ok(());
        }
        let bytes: usize = stamp.values().filter_map(|value| json_size(value, usize::MAX)).sum();
        self.charge.grow(bytes).map_err(|over| self.over(over))?;
        let txc = map.entry(TXC).or_insert_with(|| Value::Object(Map::new()));
        if !txc.is_object() {
            *txc = Value::Object(Map::new());
        }
        if let Value::Object(txc) = txc {
            let rid = ("rid".to_owned(), Value::from(self.rid));
            txc.extend(stamp.clone().into_iter().chain([rid]));
        }
        Ok(())
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
        if self.entries > self.settings.entries {
            return Err(self.failure(Reason::ScopeTtl { limit: self.settings.entries }));
        }
        self.check_budgets()
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
        for warning in control.warnings {
            self.warn("", warning);
        }
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
        match control.goto {
            Some(Goto::Stage(to)) => {
                if !self.snapshot.knows(&to.stack) {
                    self.warn("", format!("there is no active stack for the stage {to}"));
                }
                self.recorder.event(|| EventKind::Jump { from: here.clone(), to: to.clone() });
                return Ok(Some(to));
            }
            Some(Goto::Nowhere) => return Ok(None),
            None => {}
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
}
