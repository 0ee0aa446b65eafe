//! The arguments of commands on jobs.

use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand};
use compute::Seed;
use compute_state::{JobId, JobState, TenantName};

use super::flow::StateArgs;
use super::values::{self, When};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  id=$(compute job submit triage --input @ticket.json) && compute job wait $id
  compute job submit report.ts --input '{\"month\":\"2026-01\"}' --after 10m --key report-2026-01
  compute job ls --only failed          # what failed for good
  compute job retry --failed             # all of it again

A job is kept until it has one result, whatever happens to servers meanwhile. `compute serve` runs those of its --state;
with --server they are the server's.")]
pub(crate) struct JobArgs {
    #[command(subcommand)]
    pub(crate) command: JobCommand,

    /// Whose jobs, on this machine [default: default]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) tenant: Option<TenantName>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JobCommand {
    /// Have a document go through a stack, or a compute run, and print the job's id
    Submit(Box<JobSubmitArgs>),
    /// Wait until jobs have ended, and print their outputs
    Wait(JobWaitArgs),
    /// List jobs, the newest first
    Ls(JobLsArgs),
    /// Show a job, with its output or why there is none
    Show(JobShowArgs),
    /// End jobs: they have no result
    Cancel(JobCancelArgs),
    /// Try jobs again that failed or were cancelled
    Retry(JobRetryArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute job submit triage --input @ticket.json
  compute job submit triage/200 --input @ticket.json --priority 9 --deadline 1h
  compute job submit compute://sha256/4a1f… --input '[1,2]' --wait
  compute job submit report.ts --after 2027-01-01T00:00:00Z --key report-2026
  compute job submit triage --lines --input @tickets.ndjson --wait
  compute job submit triage --input @ticket.json --webhook https://hooks.example.com/done --webhook-secret hook_key

What failed in a server or by time is tried again; what a rule or a compute did fails for good. Clock and seed are fixed
when the job is accepted: each attempt gives the same. A file is built and stored first. With --lines it is a batch: split
over the servers, and put together in order; what fails is a line of its own. With --wait, exit codes are those of
`compute run`.")]
pub(crate) struct JobSubmitArgs {
    /// What to run: a stack, and the scope to begin at; a ref (compute://…); or a file (.wasm, .wat, .ts, .js or .py)
    #[arg(value_name = "STACK[/SCOPE]|REF|FILE")]
    pub(crate) target: String,

    /// The input: JSON, of a stack an object; @file, or - for stdin [default: none]
    #[arg(long, short, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,

    /// Take each line of the input, which is JSON, as an input of its own, and print a line for each
    #[arg(long)]
    pub(crate) lines: bool,

    /// Tell this address when it has ended, with a POST as Standard Webhooks has it: the server's operator allows its origin
    #[arg(long, value_name = "URL", requires = "webhook_secret")]
    pub(crate) webhook: Option<String>,

    /// The name of the secret that signs what is told
    #[arg(long, value_name = "NAME", requires = "webhook")]
    pub(crate) webhook_secret: Option<String>,

    /// Submit it once however often this command runs with the same key, while the job is kept
    #[arg(long, value_name = "TEXT", value_parser = key)]
    pub(crate) key: Option<String>,

    /// When it may begin: in so long, or at a time in RFC 3339 [default: at once]
    #[arg(long, value_name = "10m|TIME", value_parser = values::when)]
    pub(crate) after: Option<When>,

    /// When it fails if it has not ended: in so long, or at a time in RFC 3339 [default: never]
    #[arg(long, value_name = "1h|TIME", value_parser = values::when)]
    pub(crate) deadline: Option<When>,

    /// From 0 to 9: of a tenant's jobs, those of a higher one come first [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) priority: Option<u8>,

    /// How often it is tried at most [default: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) attempts: Option<u32>,

    /// What the clock shows, in RFC 3339 [default: when it is accepted]
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub(crate) now: Option<SystemTime>,

    /// What all random numbers come from, 64 hex digits [default: fresh for each job]
    #[arg(long, value_name = "HEX")]
    pub(crate) seed: Option<Seed>,

    /// Meter each compute, and stop it after this many instructions
    #[arg(long, value_name = "N", value_parser = values::some_fuel)]
    pub(crate) fuel: Option<u64>,

    /// Wait until it has ended, and print its output in place of its id
    #[arg(long)]
    pub(crate) wait: bool,

    /// How long to wait at most
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = values::duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print what is known of the job as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute job wait $id
  compute job wait $first $second --timeout 5m

The outputs come in the order of the ids. Exit code 1 says that one failed or was cancelled, 3 that one has not ended in
time or failed in a server.")]
pub(crate) struct JobWaitArgs {
    /// Their ids
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<JobId>,

    /// How long to wait for all of them at most [default: until they have ended]
    #[arg(long, value_name = "TIME", value_parser = values::duration)]
    pub(crate) timeout: Option<Duration>,

    /// Print what is known of each as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute job ls
  compute job ls --only failed --last 1000 --json

In a line: the id; the state, which is scheduled, waiting, running, done, failed or cancelled; how often it was tried, and
is at most; when it was accepted; what it runs.")]
pub(crate) struct JobLsArgs {
    /// Of those in this state: scheduled, waiting, running, done, failed or cancelled
    #[arg(long, value_name = "STATE")]
    pub(crate) only: Option<JobState>,

    /// How many of the newest
    #[arg(long, value_name = "N", default_value = "20", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) last: usize,

    /// Of those that were submitted before this one
    #[arg(long, value_name = "ID")]
    pub(crate) before: Option<JobId>,

    /// Print each as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JobShowArgs {
    /// Its id
    #[arg(value_name = "ID")]
    pub(crate) id: JobId,

    /// Print a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct JobCancelArgs {
    /// Their ids
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<JobId>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute job retry $id
  compute job retry --failed --yes

They wait again with all their attempts, the same clock and the same seed, and without a deadline that has passed.")]
pub(crate) struct JobRetryArgs {
    /// Their ids
    #[arg(value_name = "ID", required_unless_present = "failed", conflicts_with = "failed")]
    pub(crate) ids: Vec<JobId>,

    /// All that failed
    #[arg(long)]
    pub(crate) failed: bool,

    /// Do not ask
    #[arg(long, requires = "failed")]
    pub(crate) yes: bool,
}

/// An idempotency key, as a header can carry it.
fn key(text: &str) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    match text.len() {
        1..=200 if is_plain && text.trim() == text => Ok(text.to_owned()),
        1..=200 => Err("write it in ASCII, without spaces at its ends".to_owned()),
        _ => Err("it has 1 to 200 bytes".to_owned()),
    }
}
