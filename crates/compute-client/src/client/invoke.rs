//! Computes run, and documents go through stacks. What runs can run again: it sees nothing but what it was given.

use std::time::Duration;

use bytes::Bytes;
use compute::{Ref, Seed};
use compute_api::{RunAnswer, RunRequest, Trace, TraceList};
use jiff::Timestamp;

use super::ApiClient;
use crate::error::BoxError;
use crate::mode::Mode;
use crate::request::{Received, Request};

/// What a call may say besides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallOptions {
    /// The request's id, at most 128 bytes; the server makes one, if that is not said.
    pub rid: Option<String>,
    /// Time for all of it, in whole milliseconds, at least one; the server's limit holds if that is less.
    pub deadline: Option<Duration>,
    /// Meter computes, and stop each after so many instructions.
    pub fuel: Option<u64>,
    /// What random numbers come from; fresh, if that is not said.
    pub seed: Option<Seed>,
    /// What the clock shows at the start: for a compute 1970, for a document the time, if that is not said.
    pub now: Option<Timestamp>,
    /// How much the server keeps of what happens to a document: a summary, if that is not said.
    pub trace: Option<TraceDetail>,
    /// Whether a compute's result may be that of an earlier run on the same.
    pub cache: bool,
}

/// How much a server keeps of what happens to a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TraceDetail {
    /// Nothing.
    Off,
    /// What happened, and what it took.
    Summary,
    /// That, and all payloads, rules and logs.
    Full,
}

impl TraceDetail {
    /// Its name in a request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Summary => "summary",
            Self::Full => "full",
        }
    }
}

/// What a compute or a document gave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallAnswer {
    /// The HTTP status: 200, unless the document says another.
    pub status: u16,
    /// Its other headers, by name, as far as they are text. A document may have set some.
    pub headers: Vec<(String, String)>,
    /// The output, or the document, or what the document says instead.
    pub body: Bytes,
    /// The request's id: that of the document's trace.
    pub rid: Option<String>,
    /// The id of its record, if it is recorded.
    pub record: Option<String>,
    /// Whether an earlier run on the same had given it.
    pub cached: bool,
    /// How it ended: `ok`.
    pub ended: String,
    /// From acceptance to answer.
    pub wall: Duration,
    /// The most memory that a compute had, in bytes.
    pub peak_memory: u64,
    /// The fuel that computes used, if they were metered.
    pub fuel: Option<u64>,
}

impl CallAnswer {
    fn new(received: Received) -> Result<Self, BoxError> {
        let number = |name: &str| received.header(name).map(str::parse::<u64>).transpose();
        Ok(Self {
            status: received.status.as_u16(),
            rid: received.header("x-compute-rid").map(str::to_owned),
            record: received.header("x-compute-record").map(str::to_owned),
            cached: received.header("x-compute-cached").is_some(),
            ended: received.header("x-compute-status").unwrap_or_default().to_owned(),
            wall: Duration::from_nanos(number("x-compute-wall")?.unwrap_or_default()),
            peak_memory: number("x-compute-memory")?.unwrap_or_default(),
            fuel: number("x-compute-fuel")?,
            headers: received
                .headers
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
                })
                .collect(),
            body: received.body,
        })
    }

    /// The body as text; what is not UTF-8 in it is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl<M: Mode> ApiClient<M> {
    /// Runs a stored compute with this JSON as its input; none is `{}`. Its output is the answer.
    ///
    /// Fails with [`ErrorKind::Guest`](crate::ErrorKind::Guest) if the compute does.
    pub fn invoke(
        &self,
        reference: &Ref,
        input: impl Into<Bytes>,
        options: &CallOptions,
    ) -> M::Answer<'_, CallAnswer> {
        let request = Request::post(["run", reference.alg(), reference.digest()]);
        self.call(with(request, input, options).read(CallAnswer::new))
    }

    /// Runs a compute once, named by its ref or given in the request, and tells everything of it, also if it failed.
    pub fn run(&self, request: &RunRequest) -> M::Answer<'_, RunAnswer> {
        self.call(Request::post(["v1", "run"]).json_body(request).json())
    }

    /// Takes a document through the active versions, from `STACK` or `STACK/SCOPE` on; no document is an empty one.
    ///
    /// A document may set its answer's status: an answer of 404 that a document wanted is no error.
    ///
    /// Fails with [`ErrorKind::Guest`](crate::ErrorKind::Guest) if a rule or a compute does, and with
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if there is no such stack.
    pub fn process(
        &self,
        stage: &str,
        document: impl Into<Bytes>,
        options: &CallOptions,
    ) -> M::Answer<'_, CallAnswer> {
        let request = Request::post(std::iter::once("stacks").chain(stage.split('/')));
        let request = with(request, document, options).accept(Received::ran);
        self.call(request.read(CallAnswer::new))
    }

    /// The newest traces, the oldest of them first: at most 1,000.
    pub fn traces(&self, last: usize) -> M::Answer<'_, Vec<Trace>> {
        let request = Request::get(["v1", "traces"]).query("last", &last.to_string());
        self.call(request.json_as(|TraceList { traces }| traces))
    }

    /// The trace whose id begins so, if only one does.
    pub fn trace(&self, id: &str) -> M::Answer<'_, Trace> {
        self.call(Request::get(["v1", "traces", id]).json())
    }
}

pub(super) fn with(request: Request, input: impl Into<Bytes>, options: &CallOptions) -> Request {
    let CallOptions { rid, deadline, fuel, seed, now, trace, cache } = options;
    let mut request = request.body("application/json", input);
    if let Some(rid) = rid {
        request = request.header("x-compute-rid", rid);
    }
    if let Some(deadline) = deadline {
        request = request.header("x-compute-deadline", &deadline.as_millis().max(1).to_string());
    }
    if let Some(fuel) = fuel {
        request = request.header("x-compute-fuel", &fuel.to_string());
    }
    if let Some(seed) = seed {
        request = request.header("x-compute-seed", &seed.to_string());
    }
    if let Some(now) = now {
        request = request.header("x-compute-now", &now.to_string());
    }
    if let Some(trace) = trace {
        request = request.header("x-compute-trace", trace.name());
    }
    if *cache {
        request = request.header("x-compute-cache", "true");
    }
    request
}
