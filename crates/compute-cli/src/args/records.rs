//! The arguments of commands on records.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::flow::StateArgs;
use super::values;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute run hello.ts --input '{\"name\":\"Ada\"}' --record runs/
  compute replay runs/                       # 1 of 1 the same
  compute replay runs/ --against hello.ts    # what another version answers on the same inputs
  compute replay runs/ --against pricing@7   # documents through another version of a stack

Exit code 1 says that something is otherwise. Fuel and memory are compared where a run is repeated as it was;
with --against, how it ended and what it answered.")]
pub(crate) struct ReplayArgs {
    /// Records: files, or folders of them
    #[arg(value_name = "RECORD|DIR", required = true)]
    pub(crate) records: Vec<PathBuf>,

    /// Run this on the same inputs, in place of what was recorded
    #[arg(long, value_name = "REF|FILE|STACK@VERSION")]
    pub(crate) against: Option<String>,

    /// A secret that records name
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    pub(crate) secret: Vec<(String, String)>,

    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Print the summary as JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RecordArgs {
    #[command(subcommand)]
    pub(crate) command: RecordCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecordCommand {
    /// List records, the oldest first
    Ls(RecordLsArgs),
    /// Show a record
    Show(RecordShowArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute record ls runs/
  compute record ls runs/ --status trapped --op pricing/100/total")]
pub(crate) struct RecordLsArgs {
    /// Records: files, or folders of them
    #[arg(value_name = "RECORD|DIR", required = true)]
    pub(crate) records: Vec<PathBuf>,

    /// Those that ended so: ok, trapped, wall-limit, …
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,

    /// Those of this stack
    #[arg(long, value_name = "STACK")]
    pub(crate) stack: Option<String>,

    /// Those of this rule (stack/scope/name) or of this compute (compute://…)
    #[arg(long, value_name = "RULE|REF")]
    pub(crate) op: Option<String>,

    /// That of this request
    #[arg(long, value_name = "RID")]
    pub(crate) rid: Option<String>,

    /// Print each as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  compute record show runs/ 4a1f\n  compute record show run.json --json"
)]
pub(crate) struct RecordShowArgs {
    /// A record, or a folder of them
    #[arg(value_name = "RECORD|DIR")]
    pub(crate) records: PathBuf,

    /// Which of a folder: its id, or how that begins
    #[arg(value_name = "ID")]
    pub(crate) id: Option<String>,

    /// Print it as it is kept
    #[arg(long)]
    pub(crate) json: bool,
}
