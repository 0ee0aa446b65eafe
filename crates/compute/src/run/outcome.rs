//! What a run gives back: its output or its failure, and what it took.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Bounds, Mask, Origin};

/// What a run gives back. A guest's failure is in [`Outcome::result`]; it is no [`crate::Error`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// The limits, clock and seed it ran with. With the ref and the input they repeat the run.
    pub bounds: Bounds,
    /// The output, or why there is none.
    pub result: Result<Vec<u8>, Failure>,
    /// What it took.
    pub metrics: Metrics,
    /// What the guest wrote to its log.
    pub log: Log,
    /// What the guest emitted, in order.
    pub events: Vec<Event>,
    /// What ran it, as far as the engine says.
    pub origin: Option<Arc<Origin>>,
    /// Whether the engine knows that it looked neither at the clock nor at random numbers, nor at what its request is called:
    /// another run on the same input, within the same limits, gives the same.
    pub pure: bool,
}

impl Outcome {
    /// An outcome without log and events; the status in the metrics is set from the result.
    #[must_use]
    pub fn new(bounds: Bounds, result: Result<Vec<u8>, Failure>, metrics: Metrics) -> Self {
        let status = result.as_ref().map_or_else(Failure::status, |_| Status::Ok);
        Self {
            bounds,
            result,
            metrics: Metrics { status, ..metrics },
            log: Log::default(),
            events: Vec::new(),
            origin: None,
            pure: false,
        }
    }

    /// How it ended, in a word.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.metrics.status
    }

    /// About how many bytes of memory it takes.
    #[must_use]
    pub fn size(&self) -> usize {
        let output = self.result.as_ref().map_or(0, Vec::capacity);
        let lines = self.log.lines.iter().map(|line| size_of::<LogLine>() + line.text.capacity());
        let events = self.events.iter();
        let events =
            events.map(|event| size_of::<Event>() + event.name.capacity() + event.data.get().len());
        let log = self.log.bytes.capacity() + lines.sum::<usize>();
        size_of::<Self>() + output + log + events.sum::<usize>()
    }

    /// Whether the guest said anything besides its output.
    pub(crate) fn says_something(&self) -> bool {
        self.result.is_err() || !self.log.is_empty() || !self.events.is_empty()
    }

    /// Masks secrets in all that the guest said besides its output: its log, its events and its failure.
    pub fn mask(&mut self, mask: &Mask) {
        if mask.is_empty() {
            return;
        }
        let log = &mut self.log;
        let cut = log.dropped > 0;
        let hidden =
            |text: &str| if cut { mask.cut_text(text) } else { mask.text(text) }.into_owned();
        if !log.bytes.is_empty() {
            log.bytes = hidden(&String::from_utf8_lossy(&log.bytes)).into_bytes();
        }
        for line in &mut log.lines {
            line.text = hidden(&line.text);
        }
        for event in &mut self.events {
            mask.apply(&mut event.name);
            if let Cow::Owned(masked) = mask.json(event.data.get())
                && let Ok(masked) = RawValue::from_string(masked)
            {
                event.data = masked;
            }
        }
        if let Err(failure) = &mut self.result {
            // What was masked may have been cut within a secret.
            let first = &log.bytes[..log.bytes.len().min(Failure::STDERR)];
            if !failure.stderr.is_empty() {
                failure.stderr = mask.cut_text(&String::from_utf8_lossy(first)).into_owned();
            }
            failure.reason.mask(mask);
            for frame in &mut failure.stack {
                for text in [&mut frame.function, &mut frame.file] {
                    *text = mask.cut_text(text).into_owned();
                }
            }
        }
    }
}

/// How a run ended, in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// It gave its output.
    #[default]
    Ok,
    /// It failed by itself: a trap, an exception, an exit code other than 0, output that is not JSON.
    Trapped,
    /// It reached the wall limit.
    WallLimit,
    /// It failed after it was refused memory or table elements.
    MemoryLimit,
    /// It used up its fuel.
    FuelLimit,
    /// It wrote more output than it may.
    OutputLimit,
    /// Its caller cancelled it.
    Cancelled,
}

impl Status {
    /// The status as metrics and answers name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Trapped => "trapped",
            Self::WallLimit => "wall-limit",
            Self::MemoryLimit => "memory-limit",
            Self::FuelLimit => "fuel-limit",
            Self::OutputLimit => "output-limit",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a run gave no output. Printed, it is one line that names the limit and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What happened.
    pub reason: Reason,
    /// The first 512 bytes that the guest wrote to standard error.
    pub stderr: String,
    /// Where the guest's own language says that it was, innermost first; empty where it doesn't say. The
    /// places are those of the built code: a source map leads from them to the author's.
    pub stack: Vec<StackFrame>,
}

/// One function in a guest language's stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StackFrame {
    /// The function's name; empty if it has none.
    pub function: String,
    /// The file as the language names it; empty if that is not known.
    pub file: String,
    /// The line, from 1; 0 if it is not known.
    pub line: u32,
    /// The column, from 1; 0 if it is not known.
    pub column: u32,
}

impl Failure {
    /// How many bytes of standard error a failure carries.
    pub const STDERR: usize = 512;

    /// A failure without anything on standard error.
    #[must_use]
    pub const fn new(reason: Reason) -> Self {
        Self { reason, stderr: String::new(), stack: Vec::new() }
    }

    /// How the run ended, in a word.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.reason.status()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)
    }
}

impl std::error::Error for Failure {}

/// What made a run fail.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The guest ended itself with an exit code other than 0.
    #[error("the guest exited with code {code}")]
    Exit {
        /// The exit code.
        code: i32,
    },
    /// The guest did what WebAssembly forbids.
    #[error("the guest trapped: {message}{}", Frames(.frames))]
    Trap {
        /// What it did.
        message: String,
        /// The guest's functions that were running, innermost first, at most eight.
        frames: Vec<String>,
    },
    /// The guest's calls went deeper than its stack.
    #[error("the guest's calls went deeper than its stack limit of {limit} bytes{}", Frames(.frames))]
    StackLimit {
        /// The limit, in bytes.
        limit: u64,
        /// The guest's functions that were running, innermost first, at most eight.
        frames: Vec<String>,
    },
    /// The guest threw an exception that nothing caught.
    #[error("{}", Thrown(.name, .message))]
    Thrown {
        /// What kind of exception: `TypeError`; empty for what is none.
        name: String,
        /// What it says.
        message: String,
    },
    /// The output is not one JSON value.
    #[error("the output is not JSON: {message} (ask for raw output to get the bytes as they are)")]
    NotJson {
        /// Where it stops being JSON.
        message: String,
    },
    /// The guest called a host function as it must not.
    #[error("the guest called `{function}` wrongly: {problem}")]
    BadCall {
        /// The function, as `namespace.name`.
        function: String,
        /// What was wrong with it.
        problem: String,
    },
    /// The wall limit was reached.
    #[error("the wall limit of {limit:?} was reached {phase}")]
    WallLimit {
        /// The limit.
        limit: Duration,
        /// What the run was doing.
        phase: Phase,
    },
    /// The guest was refused memory, and failed.
    #[error("the guest was refused memory beyond its limit of {limit} bytes{}", After(.then))]
    MemoryLimit {
        /// The limit, in bytes.
        limit: u64,
        /// How the guest failed then.
        then: String,
    },
    /// The guest was refused table elements, and failed.
    #[error("the guest was refused table elements beyond its limit of {limit}{}", After(.then))]
    TableLimit {
        /// The limit, in elements.
        limit: u64,
        /// How the guest failed then.
        then: String,
    },
    /// The fuel is used up.
    #[error("the guest used up its fuel limit of {limit}")]
    FuelLimit {
        /// The limit.
        limit: u64,
    },
    /// The guest wrote more output than it may.
    #[error("the guest wrote more than its output limit of {limit} bytes")]
    OutputLimit {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The caller cancelled the run.
    #[error("the caller cancelled the run {phase}")]
    Cancelled {
        /// What the run was doing.
        phase: Phase,
    },
}

impl Reason {
    /// Masks secrets in what the guest had a part in.
    fn mask(&mut self, mask: &Mask) {
        // Each of these is cut where it is long, perhaps within a secret.
        let hide = |text: &mut String| {
            if let Cow::Owned(hidden) = mask.cut_text(text) {
                *text = hidden;
            }
        };
        match self {
            Self::Trap { message, frames } => {
                hide(message);
                frames.iter_mut().for_each(hide);
            }
            Self::StackLimit { frames, .. } => frames.iter_mut().for_each(hide),
            Self::Thrown { name, message } => {
                hide(name);
                hide(message);
            }
            Self::NotJson { message } => hide(message),
            Self::BadCall { problem, .. } => hide(problem),
            Self::MemoryLimit { then, .. } | Self::TableLimit { then, .. } => hide(then),
            Self::Exit { .. }
            | Self::WallLimit { .. }
            | Self::FuelLimit { .. }
            | Self::OutputLimit { .. }
            | Self::Cancelled { .. } => {}
        }
    }

    /// The status that this reason gives a run.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Exit { .. }
            | Self::Trap { .. }
            | Self::Thrown { .. }
            | Self::StackLimit { .. }
            | Self::BadCall { .. }
            | Self::NotJson { .. } => Status::Trapped,
            Self::WallLimit { .. } => Status::WallLimit,
            Self::MemoryLimit { .. } | Self::TableLimit { .. } => Status::MemoryLimit,
            Self::FuelLimit { .. } => Status::FuelLimit,
            Self::OutputLimit { .. } => Status::OutputLimit,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }
}

/// What a run spends its time on, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for a free place.
    Queue,
    /// Getting the artifact.
    Fetch,
    /// Checking and compiling it.
    Compile,
    /// Making the sandbox.
    Instantiate,
    /// Running the guest.
    Guest,
    /// Checking the output.
    Output,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Queue => "in the queue",
            Self::Fetch => "while the artifact was fetched",
            Self::Compile => "while the artifact was compiled",
            Self::Instantiate => "while the sandbox was made",
            Self::Guest => "while the guest ran",
            Self::Output => "while the output was checked",
        })
    }
}

/// What a run took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Metrics {
    /// How it ended.
    pub status: Status,
    /// Time from acceptance to answer.
    pub wall: Duration,
    /// The most linear memory that the guest had, in bytes.
    pub peak_memory: u64,
    /// Fuel used, if the run was metered.
    pub fuel: Option<u64>,
    /// Where the time went.
    pub phases: PhaseTimes,
    /// Whether nothing ran: an earlier run on the same had given the result.
    pub cached: bool,
}

/// Where a run's time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct PhaseTimes {
    /// Waiting for a free place.
    pub queue: Duration,
    /// Fetching and compiling; zero when the artifact was loaded already.
    pub load: Duration,
    /// Making the sandbox.
    pub instantiate: Duration,
    /// Running the guest.
    pub guest: Duration,
    /// Checking the output.
    pub output: Duration,
}

/// What a guest wrote to its log.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// What it wrote to standard error, as far as it was kept.
    pub bytes: Vec<u8>,
    /// What it logged with a level, as far as it was kept.
    pub lines: Vec<LogLine>,
    /// How many further bytes were dropped at the log limit.
    pub dropped: u64,
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("bytes", &String::from_utf8_lossy(&self.bytes))
            .field("lines", &self.lines)
            .field("dropped", &self.dropped)
            .finish()
    }
}

impl Log {
    /// Whether nothing was logged.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.lines.is_empty() && self.dropped == 0
    }
}

/// What a guest logged with a level. The text may have several lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// How much something in a log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Of use to whoever looks for a mistake.
    Debug,
    /// Of use to whoever runs it.
    Info,
    /// Something is not as it should be.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// The level of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Debug, Self::Info, Self::Warn, Self::Error]
            .into_iter()
            .find(|one| one.name() == name)
    }

    /// The level's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Something a guest told its caller besides its output.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// What it is.
    pub name: String,
    /// What it carries: JSON as the guest wrote it, checked and not read, since values take many times the
    /// memory of their text.
    pub data: Box<RawValue>,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.data.get() == other.data.get()
    }
}

struct Thrown<'a>(&'a str, &'a str);

impl fmt::Display for Thrown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            ("", message) => write!(f, "the guest threw {message}"),
            (name, "") => f.write_str(name),
            (name, message) => write!(f, "{name}: {message}"),
        }
    }
}

struct Frames<'a>(&'a [String]);

impl fmt::Display for Frames<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, " (in {})", self.0.join(" < ")) }
    }
}

struct After<'a>(&'a str);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", and then {}", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Failure, Metrics, Outcome, Reason};
    use crate::Mask;

    #[test]
    fn a_secret_that_was_cut_is_masked_in_what_was_thrown() {
        let reason =
            Reason::Thrown { name: "x hunter2-and".into(), message: "m hunter2-an".into() };
        let bounds = crate::Limits::default().bounds();
        let mut outcome = Outcome::new(bounds, Err(Failure::new(reason)), Metrics::default());
        outcome.mask(&Mask::new(["hunter2-and-more"]));
        let failure = outcome.result.unwrap_err();
        let expected =
            Reason::Thrown { name: "x [redacted]".into(), message: "m [redacted]".into() };
        assert_eq!(failure.reason, expected);
    }
}
