//! Takes a document through the scopes of a stack, and hands what the rules run to a runner.

mod input;
mod mask;
mod recorder;
mod run;
mod step;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use compute::{Account, Cancel, Charge, Limits, Mask, Runner, Seed};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use txcl::{Context, TXC};

use crate::{Failure, Helpers, Snapshot, Stage, Trace};
use run::Run;

/// How many bytes of memory a document may take whose caller keeps no accounts: 128 MiB.
const MEMORY: u64 = 128 << 20;

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
    /// How large a document may be, in bytes of memory: 64 MiB. A value takes several times the bytes of its text.
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
            document: 64 << 20,
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
    /// What all that is made of it is charged to: an account of its own of 128 MiB, unless set.
    pub memory: Account,
    /// Says whether other threads may help with it; as many as pay may, unless set.
    pub helpers: Option<Arc<dyn Helpers>>,
    /// What its trace and its warnings must not show besides the secrets that its rules name.
    pub mask: Arc<Mask>,
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
            memory: Account::new("the document's memory", MEMORY),
            helpers: None,
            mask: Arc::default(),
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

    /// Takes a document through the stacks of a snapshot, on the calling thread and those of its computes.
    ///
    /// The same document, snapshot, clock and seed give the same answer and the same trace.
    #[must_use]
    pub fn process(&self, snapshot: &Snapshot, request: &Request) -> Answer {
        let started = Instant::now();
        let rid = request.rid.clone().unwrap_or_else(|| rid_of(request));
        let mut run = Run::new(self, snapshot, request, &rid, started);
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

/// What a document says of the HTTP answer that it wants.
fn take_web_response(document: &mut Value) -> Option<Value> {
    document.get_mut(TXC)?.get_mut("web")?.as_object_mut()?.shift_remove("res")
}
