//! The arguments of commands on records.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use compute::{RecordKeep, RecordQuery};
use compute_state::{Recorded, StackName};

use super::flow::StateArgs;
use super::values;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute run hello.ts --input '{\"name\":\"Ada\"}' --record runs/
  compute replay runs/                       # identical; of several, how many are the same
  compute replay runs/ --against hello.ts    # what another version answers on the same inputs
  compute replay runs/ --against pricing@7   # documents through another version of a stack
  compute replay 4a1f --server https://…     # what a server recorded, here
  compute replay --last 500 --status failed --server https://…

Exit code 1 says that something is otherwise. Fuel and memory are compared where a run is repeated as it was;
with --against, how it ended and what it answered.")]
pub(crate) struct ReplayArgs {
    /// Records: files, folders of them, or ids of those that the server has or that are kept beside the stacks [default: the
    /// newest of these]
    #[arg(value_name = "RECORD|DIR|ID")]
    pub(crate) records: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) wanted: WantedArgs,

    /// Run this on the same inputs, in place of what was recorded
    #[arg(long, value_name = "REF|FILE|STACK@VERSION")]
    pub(crate) against: Option<String>,

    /// A secret that records name
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    pub(crate) secret: Vec<(String, String)>,

    /// Take only records that are signed with this key, as `compute record show` shows it
    #[arg(long, value_name = "KEY", value_parser = public_key)]
    pub(crate) signed_by: Option<String>,

    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// Which of the records that are kept.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct WantedArgs {
    /// Those that ended so: ok, trapped, wall-limit, …; `failed` is all that is not ok
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,

    /// Those of documents that began in this stack or went through it
    #[arg(long, value_name = "STACK")]
    pub(crate) stack: Option<String>,

    /// Those of this rule (stack/scope/name) or of this compute (compute://…)
    #[arg(long, value_name = "RULE|REF")]
    pub(crate) op: Option<String>,

    /// That of this request
    #[arg(long, value_name = "RID")]
    pub(crate) rid: Option<String>,

    /// Those that were accepted then or later, in RFC 3339
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<jiff::Timestamp>,

    /// Those that were accepted before
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<jiff::Timestamp>,

    /// How many of the newest [default: all of files; of a server, 20 to list and 1,000 to replay]
    #[arg(long, value_name = "N", value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..))]
    pub(crate) last: Option<usize>,
}

impl WantedArgs {
    pub(crate) fn query(&self) -> RecordQuery {
        RecordQuery {
            id: None,
            rid: self.rid.clone(),
            stack: self.stack.clone(),
            op: self.op.clone(),
            status: self.status.clone(),
            since: self.since,
            until: self.until,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    #[command(subcommand)]
    pub(crate) command: RecordCommand,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecordCommand {
    /// List records, the oldest first
    Ls(RecordLsArgs),
    /// Show a record
    Show(RecordShowArgs),
    /// Say what a server records, or show it
    Policy(RecordPolicyArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute record policy                             # what is recorded
  compute record policy failures                    # of all documents and runs, those that fail
  compute record policy all --stack pricing         # of this stack's documents, all
  compute record policy 1/100 --keep digests        # of a hundred one, without its bytes
  compute record policy --unset --stack pricing     # as all else

A server that runs on the same state sees it with its next document. Records are kept beside the state, up to
--record-bytes and --record-age of `compute serve`.")]
pub(crate) struct RecordPolicyArgs {
    /// off, failures, all, or 1/N: of N requests one, by chance
    #[arg(value_name = "WHICH", conflicts_with = "unset")]
    pub(crate) which: Option<Recorded>,

    /// Of the documents of this stack [default: of runs, and of stacks of which nothing is said]
    #[arg(long, value_name = "STACK")]
    pub(crate) stack: Option<StackName>,

    /// How much of each is kept: `bytes`, which can be replayed anywhere, or `digests`, which say what ran, how it ended, and
    /// whether two gave the same [default: bytes]
    #[arg(long, value_name = "bytes|digests", requires = "which", value_parser = keep)]
    pub(crate) keep: Option<RecordKeep>,

    /// Say nothing any more
    #[arg(long)]
    pub(crate) unset: bool,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn public_key(text: &str) -> Result<String, String> {
    let is_key = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_key.then(|| text.to_ascii_lowercase()).ok_or_else(|| "a key is 64 hex digits".to_owned())
}

fn keep(text: &str) -> Result<RecordKeep, String> {
    match text {
        "bytes" => Ok(RecordKeep::Bytes),
        "digests" => Ok(RecordKeep::Digests),
        _ => Err("it is `bytes` or `digests`".to_owned()),
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute record ls runs/
  compute record ls runs/ --status trapped --op pricing/100/total
  compute record ls --server https://… --status failed --last 100

What is listed of a server is kept there; without --server, beside the stacks of --state.")]
pub(crate) struct RecordLsArgs {
    /// Records: files, or folders of them [default: those of the server, or beside the stacks]
    #[arg(value_name = "RECORD|DIR")]
    pub(crate) records: Vec<PathBuf>,

    #[command(flatten)]
    pub(crate) wanted: WantedArgs,

    /// Print each as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  compute record show runs/ 4a1f\n  compute record show run.json --json\n  compute record show 4a1f --server https://…"
)]
pub(crate) struct RecordShowArgs {
    /// A record, or a folder of them; or the id of one that the server has, or that is kept beside the stacks
    #[arg(value_name = "RECORD|DIR|ID")]
    pub(crate) record: PathBuf,

    /// Which of a folder: its id, or how that begins
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,

    /// Print it as it is kept
    #[arg(long)]
    pub(crate) json: bool,
}
