//! A document that is to be processed, and what documents may use.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use compute::{Account, Cancel, Limits, Mask, RunSink, Seed};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::batch::Helpers;
use crate::rules::Stage;

/// How many bytes of memory a document may take whose caller keeps no accounts: 128 MiB.
const MEMORY: u64 = 128 << 20;

/// What documents may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The limits of each compute, but for its wall limit, clock and seed.
    pub limits: Limits,
    /// How long a compute may take whose rule does not say: 5 seconds.
    pub timeout: Duration,
    /// The longest that a rule may say: 10 minutes.
    pub max_timeout: Duration,
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
    /// Whether a document may ask, in `_txc.mocks`, for the fixtures of rules in place of what they run: not, unless set. Whoever
    /// sends one may leave out any compute that has a fixture.
    pub mocks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            // A language's runtime says itself how much its computes need.
            limits: Limits { memory: None, ..Limits::DEFAULT },
            timeout: Duration::from_secs(5),
            max_timeout: Duration::from_secs(600),
            deadline: Duration::from_secs(30),
            entries: 500,
            work: 100_000,
            document: 64 << 20,
            parallel: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            mocks: false,
        }
    }
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
    /// What the document has below `_txc` besides, as whoever takes it in says: where it came from, what the request was. Its
    /// `rid` is added.
    pub stamp: Map<String, Value>,
    /// What its trace and its warnings must not show besides the secrets that its rules name.
    pub mask: Arc<Mask>,
    /// Takes each run of a compute, once it has ended.
    pub recording: Option<Arc<dyn RunSink>>,
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
            stamp: Map::new(),
            mask: Arc::default(),
            recording: None,
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

/// The seed of one use in a document.
pub(super) fn seed_of(seed: Seed, entry: u32, op: &str, of: &str) -> Seed {
    let mut hash = Sha256::new();
    hash.update(seed.as_bytes());
    hash.update(entry.to_le_bytes());
    hash.update(op.as_bytes());
    hash.update([0]);
    hash.update(of.as_bytes());
    Seed::new(hash.finalize().into())
}
