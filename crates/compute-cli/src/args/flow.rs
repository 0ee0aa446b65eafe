//! The arguments of commands on workspaces, stacks and documents.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use compute::Seed;
use compute_state::{RolloutPath, Share, StackName, TenantName};

use super::values;

/// What recorded documents may answer otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// So many of them, anything.
    AtMost(usize),
    /// What this file says: in how many of them which place is otherwise.
    File(PathBuf),
}

impl FromStr for Expected {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            _ if text == "same" => Self::AtMost(0),
            Ok(number) => Self::AtMost(number),
            Err(_) => Self::File(text.into()),
        })
    }
}

/// Where the stacks are.
#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// Where stacks, secrets, tokens and traces are: a folder, or postgres://USER@HOST/DATABASE, which many servers share
    /// [default: in the user's data folder]
    #[arg(
        long,
        env = "COMPUTE_STATE",
        value_name = "DIR|URL",
        global = true,
        hide_env_values = true
    )]
    pub(crate) state: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute check             # the workspace that this folder is in
  compute check shop --json # a line of JSON for each finding

Exit code 1 says that there are errors; warnings are told and do not count.")]
pub(crate) struct CheckArgs {
    /// A folder in the workspace [default: this folder]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// Print each finding as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute fmt               # all rules of the workspace; prints those that it rewrites
  compute fmt --check       # only says which it would rewrite; exit code 1 if there are any")]
pub(crate) struct FmtArgs {
    /// Rules, or folders with rules in them [default: the workspace]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Write nothing
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute apply --dry-run   # what would change
  compute apply             # checks, builds, uploads, activates
  compute apply --target staging
  compute apply --replay runs/ --expect same   # only if recorded documents get the same answers

A version of a stack never changes, and all stacks that change do so at one moment. What is as it was makes
no new version. Targets are in compute.toml: [targets.NAME] with `server`, a URL, and the token's
variable in `token_env`; or with `state`, a folder, and `store`, as --store takes it.")]
pub(crate) struct ApplyArgs {
    /// A folder in the workspace [default: this folder]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// Show what would change, and write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Where to apply it: a target in compute.toml [default: this machine]
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,

    /// Take the documents of these records through the new versions first, and show what they answer otherwise; `recorded`
    /// is the newest 1,000 that are kept where it is applied
    #[arg(long, value_name = "RECORD|DIR|ID|recorded")]
    pub(crate) replay: Vec<PathBuf>,

    /// How many of them may answer otherwise: `same` for none; or a file that says in how many which place may be; with more,
    /// nothing is written
    #[arg(long, value_name = "same|N|FILE", requires = "replay")]
    pub(crate) expect: Option<Expected>,

    /// Write what is otherwise to a file that --expect takes, and nothing else
    #[arg(long, value_name = "FILE", requires = "replay", conflicts_with = "expect")]
    pub(crate) expect_write: Option<PathBuf>,

    /// A secret that recorded documents name; else those that are set on this machine
    #[arg(long, value_name = "KEY=VALUE", requires = "replay", value_parser = values::pair)]
    pub(crate) secret: Vec<(String, String)>,

    /// Keep the new versions, and make none active: to try one as a shadow, or on a part of the documents
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) draft: bool,

    /// Print what changed as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute status            # this folder, this machine, and each target of the workspace
  compute status --json     # a line of JSON for each stack and place

A stack is as it is in the folder (same), differs from it (changed), or is only on one side.")]
pub(crate) struct StatusArgs {
    /// A folder in the workspace [default: this folder]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// Print each stack as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute pull triage               # the active version, into OPS/triage/
  compute pull triage@3 old         # version 3, into old/OPS/triage/

Rules name ops by their refs then. A file that is there and differs is left, unless --force is given.")]
pub(crate) struct PullArgs {
    /// The stack, and the version [default: the active one]
    #[arg(value_name = "STACK[@VERSION]")]
    pub(crate) version: String,

    /// The workspace's folder [default: this folder]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    /// Write over files that differ
    #[arg(long)]
    pub(crate) force: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StackArgs {
    #[command(subcommand)]
    pub(crate) command: StackCommand,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StackCommand {
    /// List the stacks, and what is active
    Ls(StackLsArgs),
    /// Show a stack's versions, and the rules of one
    Show(StackShowArgs),
    /// Show how two versions differ
    Diff(StackDiffArgs),
    /// Make a version active: an older one, to go back
    Activate(StackActivateArgs),
    /// Give a part of the documents to another version as well, and show what it answers otherwise
    Shadow(StackShadowArgs),
    /// Have a version answer a part of the documents in place of the active one, and then all of them or none
    Rollout(StackRolloutArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute stack rollout pricing 7 --share 10% --by .customer.id   # one customer in ten
  compute stack rollout pricing 7 --share 50%                     # raised: those that had it keep it
  compute stack rollout pricing                                   # how far it is, and what its shadow answers otherwise
  compute stack rollout pricing --complete                        # it is active, for all
  compute stack rollout pricing --back                            # the active version answers all again

The value at the path decides, as the document came in: the same value gets the same version always and on all
servers. A document that has no text, number or bool there gets the active version. The version must be able to
become active, and never changes from then on. Whatever becomes active ends the rollout of its stack.")]
pub(crate) struct StackRolloutArgs {
    /// The stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: StackName,

    /// The version that answers a part of the documents
    #[arg(value_name = "N", requires = "share", conflicts_with_all = ["complete", "back"])]
    pub(crate) version: Option<u32>,

    /// Which part of the values: 10%, or 0.1
    #[arg(long, value_name = "SHARE", requires = "version")]
    pub(crate) share: Option<Share>,

    /// Where in a document the value is that decides, as rules write it: .customer.id, or @web.req.headers.x-customer
    /// [default: as it is]
    #[arg(long, value_name = "PATH", requires = "version")]
    pub(crate) by: Option<RolloutPath>,

    /// Make it active, for all documents
    #[arg(long, conflicts_with = "back")]
    pub(crate) complete: bool,

    /// Have the active version answer all documents again
    #[arg(long)]
    pub(crate) back: bool,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute stack shadow pricing 7 --share 5% --server https://…
  compute stack shadow pricing --server https://…       # what it answered otherwise so far
  compute stack shadow pricing --off --server https://…

The active version answers. The other one runs after it, where a place is free that nobody waits for; what it
answers is compared and counted, since it was set or the server began.")]
pub(crate) struct StackShadowArgs {
    /// The stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: StackName,

    /// The version that gets documents as well
    #[arg(value_name = "N", requires = "share", conflicts_with = "off")]
    pub(crate) version: Option<u32>,

    /// Which part of the documents: 5%, or 0.05
    #[arg(long, value_name = "SHARE", requires = "version")]
    pub(crate) share: Option<Share>,

    /// Give them to the active version alone
    #[arg(long)]
    pub(crate) off: bool,

    /// Print it as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StackLsArgs {
    /// Print each stack as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StackShowArgs {
    /// The stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: StackName,

    /// Whose rules are shown [default: the active version's]
    #[arg(long, value_name = "N")]
    pub(crate) version: Option<u32>,

    /// Print a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  compute stack diff triage 3 4")]
pub(crate) struct StackDiffArgs {
    /// The stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: StackName,

    /// The older version
    #[arg(value_name = "A")]
    pub(crate) old: u32,

    /// The newer version
    #[arg(value_name = "B")]
    pub(crate) new: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  compute stack activate triage 3")]
pub(crate) struct StackActivateArgs {
    /// The stack
    #[arg(value_name = "STACK")]
    pub(crate) stack: StackName,

    /// The version
    #[arg(value_name = "N")]
    pub(crate) version: u32,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute fire triage --input '{\"subject\":\"Refund\"}'
  compute fire triage/200 --input @ticket.json --trace
  compute fire triage --input @ticket.json --now 2026-01-01T00:00:00Z --seed 00…01
  compute fire triage --lines < tickets.ndjson > triaged.ndjson

The same document, version, --now and --seed give the same answer, byte for byte.")]
pub(crate) struct FireArgs {
    /// The stack, and the scope to begin at
    #[arg(value_name = "STACK[/SCOPE]")]
    pub(crate) stage: String,

    /// The document: a JSON object, @file, or - for stdin [default: none]
    #[arg(long, short, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,

    /// Take each line of the input, which is stdin unless it is said, and print a line for each: `{"output":…}` or
    /// `{"error":{…}}`. What is for a document is for each line; line N, counted from 1, has the SHA-256 of SEED/N as its seed
    #[arg(long, conflicts_with = "record")]
    pub(crate) lines: bool,

    /// A secret that rules may name in WITH secrets, besides those of `compute secret set`
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    pub(crate) secret: Vec<(String, String)>,

    /// Show what happened, and keep this much of it [default: a summary is kept and not shown]
    #[arg(
        long,
        value_name = "DETAIL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "full"
    )]
    pub(crate) trace: Option<TraceDetail>,

    /// What the clock shows, in RFC 3339 [default: the time]
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub(crate) now: Option<SystemTime>,

    /// What all random numbers come from, 64 hex digits [default: fresh each time]
    #[arg(long, value_name = "HEX")]
    pub(crate) seed: Option<Seed>,

    /// Time for the whole document [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = values::some_time)]
    pub(crate) wall: Option<Duration>,

    /// Meter each compute, and stop it after this many instructions
    #[arg(long, value_name = "N", value_parser = values::some_fuel)]
    pub(crate) fuel: Option<u64>,

    /// Write a record of the document, which `compute replay` repeats: a file that ends with .json, or a folder
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) record: Option<PathBuf>,

    /// Sign the record with this user's key
    #[arg(long, requires = "record")]
    pub(crate) sign: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// How much of what happened is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum TraceDetail {
    /// Nothing
    Off,
    /// What happened, and what it took
    Summary,
    /// That, and all payloads, rules and logs
    Full,
}

#[derive(Debug, Args)]
pub(crate) struct TraceArgs {
    #[command(subcommand)]
    pub(crate) command: TraceCommand,

    /// Whose traces, on this machine [default: default]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) tenant: Option<TenantName>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TraceCommand {
    /// List traces, the oldest first; the newest thousand are kept
    Ls(TraceLsArgs),
    /// Show one: what ran when, for how long, and how it ended
    Show(TraceShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TraceLsArgs {
    /// How many of the newest
    #[arg(long, value_name = "N", default_value = "20")]
    pub(crate) last: usize,

    /// Go on with those that come
    #[arg(long)]
    pub(crate) follow: bool,

    /// Print each as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  compute trace show 01890a5d --verbose")]
pub(crate) struct TraceShowArgs {
    /// Its id, or the beginning of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,

    /// With all payloads and logs that it has
    #[arg(long)]
    pub(crate) verbose: bool,

    /// Print a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute dev               # leave it running, and edit")]
pub(crate) struct DevArgs {
    /// A folder in the workspace [default: this folder]
    #[arg(value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}
