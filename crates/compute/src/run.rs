//! One run: what it is given and may use, and what comes of it.

mod cancel;
mod limits;
mod op;
mod origin;
mod outcome;
mod profile;
mod runner;

pub use cancel::{Cancel, CancelOnDrop};
pub use limits::{Bounds, Limits, Seed, SeedError};
pub use op::{Env, Meta, OpCall, Secrets, check_json};
pub use origin::Origin;
pub use outcome::{
    Event, Failure, Level, Log, LogLine, Metrics, Outcome, Phase, PhaseTimes, Reason, StackFrame,
    Status,
};
pub use profile::Profile;
pub use runner::{LogWriter, MetricsSink, NoRunner, RunOptions, RunSink, Runner};
