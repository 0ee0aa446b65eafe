//! Steps that time stopped and that were metered, run again to the same instruction.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use compute::{
    BoxFuture, DocumentRecord, Error, Outcome, Ref, RunOptions, RunRecord, Runner, StepRecord,
};

use crate::replay::{as_recorded, is_by_time, stop_there};

/// How a document ends whose time is over, and one that its caller gives up.
pub(super) const DEADLINE: &str = "deadline_exceeded";
pub(super) const CANCELLED: &str = "cancelled";

/// What tells the steps of a document apart: the rule and the seed.
type Key = (String, String);

/// A runner that stops these steps where time stopped them.
#[derive(Debug)]
pub(super) struct Stopped {
    runner: Arc<dyn Runner>,
    steps: BTreeMap<Key, RunRecord>,
}

impl Stopped {
    /// A runner for this document; nothing if time stopped it where nobody knows.
    pub(super) fn of(document: &DocumentRecord, runner: &Arc<dyn Runner>) -> Option<Self> {
        let steps: Vec<_> = document.steps.iter().filter(|step| is_by_time(&step.run)).collect();
        let is_known = |step: &&StepRecord| {
            step.run.status == "wall-limit" && step.run.fuel.is_some_and(|fuel| fuel > 0)
        };
        let between = document.status == DEADLINE && steps.is_empty();
        if document.status == CANCELLED || between || !steps.iter().all(is_known) {
            return None;
        }
        let key = |step: &StepRecord| (step.rule.clone(), step.run.seed.clone());
        let steps = steps.into_iter().map(|step| (key(step), step.run.clone())).collect();
        Some(Self { runner: Arc::clone(runner), steps })
    }

    fn step(&self, options: &RunOptions) -> Option<&RunRecord> {
        let rule = options.op.as_ref()?.meta.op.clone();
        self.steps.get(&(rule, options.limits.seed?.to_string()))
    }
}

impl Runner for Stopped {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        mut options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        Box::pin(async move {
            let Some(step) = self.step(&options) else {
                return self.runner.run(reference, input, options).await;
            };
            stop_there(step, &mut options.limits);
            Ok(as_recorded(step, self.runner.run(reference, input, options).await?))
        })
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let Some(step) = self.step(options) else {
            return self.runner.run_blocking(reference, input, options);
        };
        let mut options = options.clone();
        stop_there(step, &mut options.limits);
        Ok(as_recorded(step, self.runner.run_blocking(reference, input, &options)?))
    }
}
