//! What a document may use on its way: work, time, memory.

use compute::{Cancel, OverLimit, json_size};
use serde_json::Value;
use txcl::{Budget, Stop};

use super::{DOCUMENT, Run};
use crate::process::failure::{Failure, Reason};

/// After how many rules the clock is looked at: it takes longer than to merge a small answer.
const STEPS: usize = 8;
/// How deep a document may be nested; what JSON's readers take is 128.
const MAX_DEPTH: usize = 100;

impl Run<'_> {
    pub(super) fn check_work(&self) -> Result<(), Box<Failure>> {
        let limit = self.settings.work;
        if self.work > limit { Err(self.failure(Reason::Fuel { limit })) } else { Ok(()) }
    }

    pub(super) fn check_budgets(&self) -> Result<(), Box<Failure>> {
        self.check_work()?;
        if self.started.elapsed() >= self.limit {
            return Err(self.failure(Reason::Deadline { limit: self.limit }));
        }
        if self.request.cancel.as_ref().is_some_and(Cancel::is_cancelled) {
            return Err(self.failure(Reason::Cancelled));
        }
        Ok(())
    }

    pub(super) fn check(&self, budget: &Budget) -> Result<(), Box<Failure>> {
        budget.check().map_err(|stop| self.failure(self.stopped(stop)))?;
        self.check_work()
    }

    /// The same for a step of a loop over rules: the clock is looked at every few steps.
    pub(super) fn check_step(&self, budget: &Budget, step: usize) -> Result<(), Box<Failure>> {
        if step % STEPS == STEPS - 1 {
            return self.check(budget);
        }
        match budget.stopped() {
            Some(stop) => Err(self.failure(self.stopped(stop.clone()))),
            None => self.check_work(),
        }
    }

    pub(super) fn stopped(&self, stop: Stop) -> Reason {
        match stop {
            Stop::OverLimit(over) => self.over(over),
            Stop::Deadline => Reason::Deadline { limit: self.limit },
            Stop::Cancelled => Reason::Cancelled,
        }
    }

    /// Why a rule failed: not for what it says, if the document may not go on anyway.
    pub(super) fn reason(&self, reason: Reason, budget: &Budget) -> Reason {
        budget.stopped().map_or(reason, |stop| self.stopped(stop.clone()))
    }

    pub(super) fn over(&self, over: OverLimit) -> Reason {
        match over.name {
            DOCUMENT => {
                let limit = self.settings.document;
                Reason::TooLarge { what: "the document is", limit }
            }
            _ => Reason::OutOfMemory(over),
        }
    }

    /// Charges what the document takes now.
    pub(super) fn check_size(&mut self, document: &Value) -> Result<(), Box<Failure>> {
        let Some(size) = json_size(document, MAX_DEPTH) else {
            let (what, limit) = ("the document is", MAX_DEPTH);
            return Err(self.failure(Reason::TooDeep { what, limit }));
        };
        self.size = size;
        self.charge.resize(size).map_err(|over| self.failure(self.over(over)))
    }
}
