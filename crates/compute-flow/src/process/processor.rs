//! Takes a document through the scopes of a stack, and hands what the rules run to a runner.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use compute::{Charge, Runner};
use compute_state::StackName;
use serde_json::Value;
use txcl::{Context, TXC};

use super::failure::Failure;
use super::request::{Request, Settings, seed_of};
use super::run::Run;
use crate::rules::Snapshot;
use crate::trace::Trace;

/// Takes documents through stacks.
#[derive(Clone, Debug)]
pub struct Processor {
    runner: Arc<dyn Runner>,
    settings: Settings,
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
    /// The names of the secrets that computes were given.
    pub secrets: BTreeSet<String>,
    /// The stacks of which it got, or would have got, the version that answers a part of the documents in place of the active one.
    pub rolled_out: BTreeSet<StackName>,
    /// What rules' authors should know.
    pub warnings: Vec<String>,
    /// What was written down.
    pub trace: Option<Trace>,
    /// What the answer and its trace take of the request's memory, until this is dropped.
    pub memory: Arc<[Charge]>,
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

    /// What documents may use.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a document through the stacks of a snapshot, on the calling thread and those of its computes.
    ///
    /// The same document, snapshot, clock and seed give the same answer and the same trace. Of a stack that has two versions in the
    /// snapshot, the document as it came in decides which one it gets, throughout.
    #[must_use]
    pub fn process(&self, snapshot: &Snapshot, request: &Request) -> Answer {
        let started = Instant::now();
        let rid = request.rid.clone().unwrap_or_else(|| rid_of(request));
        let mut run = Run::new((&self.runner, &self.settings), snapshot, request, &rid, started);
        let mut document = Arc::new(Value::Null);
        let result = run.run(&mut document);
        let ended = run.end(&document, result.as_ref().err().map(|one| &**one));
        // Nobody shares it any more.
        let mut document = Arc::unwrap_or_clone(document);
        let web = take_web_response(&mut document);
        let result = result.map(|()| {
            if let Value::Object(map) = &mut document {
                map.retain(|key, _| !key.starts_with('_'));
            }
            document
        });
        Answer {
            rid,
            result,
            web,
            secrets: ended.secrets,
            rolled_out: ended.rolled_out,
            warnings: ended.warnings,
            trace: ended.trace,
            memory: ended.memory.into(),
        }
    }
}

/// The id of a request that has none: a UUID of version 7, of its clock and its seed.
fn rid_of(request: &Request) -> String {
    let mut context = Context::new(request.now, seed_of(request.seed, 0, "", "rid"));
    txcl::uuid(&mut context)
}

/// What a document says of the HTTP answer that it wants.
fn take_web_response(document: &mut Value) -> Option<Value> {
    document.get_mut(TXC)?.get_mut("web")?.as_object_mut()?.shift_remove("res")
}
