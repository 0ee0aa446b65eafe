//! The arguments of commands that run a server, or say who may use it.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Args, Subcommand, ValueEnum};
use compute_server::WebhookOrigin;
use compute_state::{TenantName, TokenScope};

use super::flow::StateArgs;
use super::values;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute serve --dev                          # on this machine, without tokens
  compute token create --scope admin           # then, with tokens:
  compute serve --listen 0.0.0.0:7700 --store s3://bucket/prefix --state /var/lib/compute
  compute serve --store s3://bucket/prefix --state postgres://compute@db/compute   # one of many

Each option is also an environment variable; `compute config show` says where each value came
from. The key that seals secrets is in COMPUTE_SECRET_KEY (64 hex digits) or a file. OpenTelemetry's
standard variables say where traces and metrics go; /metrics has them for Prometheus. SIGTERM and
ctrl-c end it once what it accepted is answered.")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) options: ServeOptions,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

/// What a server can be told.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "COMPUTE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:7700")]
    pub(crate) listen: SocketAddr,

    /// Take requests without a token, from this machine only
    #[arg(long, env = "COMPUTE_DEV", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) dev: bool,

    /// How many sandboxes run at once [default: 4 for each processor]
    #[arg(long, env = "COMPUTE_MAX_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) max_concurrency: Option<u16>,

    /// How many of them one tenant may hold [default: half of --max-concurrency]
    #[arg(long, env = "COMPUTE_MAX_TENANT_CONCURRENCY", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) max_tenant_concurrency: Option<u16>,

    /// How many requests may wait for each kind of work, half of them of one tenant; those beyond get 429 at once
    #[arg(long, env = "COMPUTE_MAX_QUEUE", value_name = "N", default_value = "1000")]
    pub(crate) max_queue: u32,

    /// How many jobs run here at once, each in one of these sandboxes; with 0, other servers run them
    /// [default: half of --max-concurrency]
    #[arg(long, env = "COMPUTE_MAX_JOBS", value_name = "N", value_parser = clap::value_parser!(u16).range(0..=4096))]
    pub(crate) max_jobs: Option<u16>,

    /// How many jobs of one tenant run at once, on all servers that share the state
    #[arg(long, env = "COMPUTE_MAX_TENANT_JOBS", value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_tenant_jobs: u32,

    /// How long jobs are kept that have ended
    #[arg(long, env = "COMPUTE_JOB_AGE", value_name = "TIME", default_value = "7d", value_parser = values::some_time)]
    pub(crate) job_age: Duration,

    /// An origin (a scheme, a host and a port) that jobs may tell of their ends, with webhooks; may be repeated, or a list with commas
    /// [default: none]
    #[arg(long, env = "COMPUTE_WEBHOOK_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub(crate) webhook_origin: Vec<WebhookOrigin>,

    /// Memory that each guest may have
    #[arg(long, env = "COMPUTE_MEMORY", value_name = "SIZE", default_value = "32MiB", value_parser = values::size)]
    pub(crate) memory: ByteSize,

    /// The most memory that an op in Python may say its calls need
    #[arg(long, env = "COMPUTE_DECLARED_MEMORY", value_name = "SIZE", default_value = "512MiB", value_parser = values::size)]
    pub(crate) declared_memory: ByteSize,

    /// Time that each run may take
    #[arg(long, env = "COMPUTE_WALL", value_name = "TIME", default_value = "250ms", value_parser = values::some_time)]
    pub(crate) wall: Duration,

    /// Time that each document may take
    #[arg(long, env = "COMPUTE_DOCUMENT_WALL", value_name = "TIME", default_value = "30s", value_parser = values::some_time)]
    pub(crate) document_wall: Duration,

    /// Loaded artifacts that are kept in memory
    #[arg(long, env = "COMPUTE_CACHE", value_name = "SIZE", default_value = "512MiB", value_parser = values::some_bytes)]
    pub(crate) cache: ByteSize,

    /// Memory that all requests may take together, for bodies, documents and answers: one tenant's take half of it
    /// at most, and one request a quarter
    #[arg(long, env = "COMPUTE_REQUEST_MEMORY", value_name = "SIZE", default_value = "512MiB", value_parser = values::some_bytes)]
    pub(crate) request_memory: ByteSize,

    /// How many artifacts one tenant may keep
    #[arg(long, env = "COMPUTE_MAX_ARTIFACTS", value_name = "N", default_value = "10000")]
    pub(crate) max_artifacts: u64,

    /// How many bytes of artifacts one tenant may keep
    #[arg(long, env = "COMPUTE_MAX_ARTIFACT_BYTES", value_name = "SIZE", default_value = "8GiB", value_parser = values::bytes)]
    pub(crate) max_artifact_bytes: ByteSize,

    /// How many requests one tenant may send a second, to all servers that share the state together; those beyond get 429
    /// [default: as many as it likes]
    #[arg(long, env = "COMPUTE_TENANT_REQUESTS", value_name = "N", value_parser = values::some)]
    pub(crate) tenant_requests: Option<NonZeroU32>,

    /// How many documents one tenant may send a second, in the same way; a line of a batch counts as one, and waits for its turn
    /// [default: as many as it likes]
    #[arg(long, env = "COMPUTE_TENANT_DOCUMENTS", value_name = "N", value_parser = values::some)]
    pub(crate) tenant_documents: Option<NonZeroU32>,

    /// How long one tenant's computes may run on a day (UTC), on all servers that share the state together
    /// [default: as long as it likes]
    #[arg(long, env = "COMPUTE_TENANT_TIME", value_name = "TIME", value_parser = values::some_time)]
    pub(crate) tenant_time: Option<Duration>,

    /// Memory for results that rules with `WITH cache = true`, and callers, have kept
    #[arg(long, env = "COMPUTE_RESULT_CACHE", value_name = "SIZE", default_value = "64MiB", value_parser = values::bytes)]
    pub(crate) result_cache: ByteSize,

    /// Of N results that are found run one all the same, and compare: /metrics says how many differed
    #[arg(long, env = "COMPUTE_VERIFY_CACHE", value_name = "1/N", value_parser = values::one_of)]
    pub(crate) verify_cache: Option<NonZeroU32>,

    /// How many bytes of records are kept of one tenant, beside the state; the oldest go first
    #[arg(long, env = "COMPUTE_RECORD_BYTES", value_name = "SIZE", default_value = "256MiB", value_parser = values::some_bytes)]
    pub(crate) record_bytes: ByteSize,

    /// How long records are kept
    #[arg(long, env = "COMPUTE_RECORD_AGE", value_name = "TIME", default_value = "7d", value_parser = values::some_time)]
    pub(crate) record_age: Duration,

    /// The folder in which this server keeps records, each tenant's in its own [default: --state, or with a database one of the
    /// user's data folder]
    #[arg(long, env = "COMPUTE_RECORDS", value_name = "DIR")]
    pub(crate) records: Option<PathBuf>,

    /// Sign records: with a key of each tenant, made of the key that seals secrets
    #[arg(long, env = "COMPUTE_SIGN_RECORDS", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) sign_records: bool,

    /// How long a server goes on with what it knows of stacks, secrets and tokens while the database of --state does not answer
    #[arg(long, env = "COMPUTE_STALE", value_name = "TIME", default_value = "5m", value_parser = values::duration)]
    pub(crate) stale: Duration,

    /// How many connections to the database of --state there are at most, besides one that listens
    #[arg(long, env = "COMPUTE_STATE_CONNECTIONS", value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) state_connections: u16,

    /// How many connections may be open
    #[arg(long, env = "COMPUTE_MAX_CONNECTIONS", value_name = "N", default_value = "10000", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: u32,

    /// How long a connection may do nothing
    #[arg(long, env = "COMPUTE_IDLE_TIMEOUT", value_name = "TIME", default_value = "30s", value_parser = values::some_time)]
    pub(crate) idle_timeout: Duration,

    /// How long the end waits for what was accepted
    #[arg(long, env = "COMPUTE_DRAIN_TIMEOUT", value_name = "TIME", default_value = "35s", value_parser = values::duration)]
    pub(crate) drain_timeout: Duration,

    /// Let callers have rules answer with their fixtures: patterns of `stack/scope/name` in `_txc.mocks` of a document, or in
    /// the header X-Txco-Mocks of a request to /web
    #[arg(long, env = "COMPUTE_ALLOW_MOCKS", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) allow_mocks: bool,

    /// The file of the key that seals secrets [default: secret.key in --state, made if there is none]
    #[arg(long, env = "COMPUTE_SECRET_KEY_FILE", value_name = "FILE")]
    pub(crate) secret_key_file: Option<PathBuf>,

    /// What is logged, as `tracing` filters: debug has each request, guest=off leaves out what computes log
    #[arg(long, env = "COMPUTE_LOG", value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,

    /// How it is logged, on stderr
    #[arg(long, env = "COMPUTE_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: LogFormat,
}

/// How a server logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// A line for a person
    Text,
    /// A line of JSON
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    #[command(subcommand)]
    pub(crate) command: TokenCommand,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token, and print it: the only time that it is shown
    Create(TokenCreateArgs),
    /// List the tokens, and what they allow
    Ls {
        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token
    Revoke {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute token create --scope admin
  compute token create --tenant acme --scope run,read --name ci --expires 2027-01-01T00:00:00Z
  export COMPUTE_TOKEN=$(compute token create --scope run)

Scopes: read looks at artifacts, stacks and traces; run runs; update uploads and writes drafts;
activate makes versions active; admin is all of these, and tokens and secrets. With --server the
token is for the tenant of the token in COMPUTE_TOKEN.")]
pub(crate) struct TokenCreateArgs {
    /// Whose it is: each tenant has artifacts, stacks, secrets and traces of its own [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<TenantName>,

    /// What it allows: read, run, update, activate, admin
    #[arg(long, value_name = "SCOPE", required = true, value_delimiter = ',')]
    pub(crate) scope: Vec<TokenScope>,

    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub(crate) name: String,

    /// When it ends, in RFC 3339 [default: never]
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<jiff::Timestamp>,

    /// Print the token and what is known of it as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,

    /// Whose log, on this machine [default: default]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) tenant: Option<TenantName>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what was changed, the oldest first: when, who, what
    Ls {
        /// How many of the newest entries
        #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        last: u32,

        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Compute all hashes anew, and tell the first entry that does not fit; print the heads
    #[command(after_help = "\
Examples:
  compute audit verify
  compute audit verify --head 5f3a… --head 77c0…   # heads that were printed before, and kept elsewhere

The hashes show an entry that was altered, put in or taken out. Whoever can write all that is kept can
make them all anew, or cut off the end: that shows only with a head that they could not reach.")]
    Verify {
        /// A hash that was a head before: some entry must have it still
        #[arg(long, value_name = "HASH")]
        head: Vec<String>,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute usage --from 2026-11-01 --to 2026-11-30
  compute usage --csv --all-tenants > usage.csv

Days are in UTC. Each server tells what it counted every 10 seconds and when it ends. It is kept for 400
days.")]
pub(crate) struct UsageArgs {
    /// The first day, such as 2026-11-01
    #[arg(long, value_name = "DAY", value_parser = values::day)]
    pub(crate) from: Option<jiff::civil::Date>,

    /// The last day
    #[arg(long, value_name = "DAY", value_parser = values::day)]
    pub(crate) to: Option<jiff::civil::Date>,

    /// Print a table as CSV
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,

    /// Print each day as a line of JSON
    #[arg(long)]
    pub(crate) json: bool,

    /// Whose, on this machine [default: default]
    #[arg(long, value_name = "NAME")]
    pub(crate) tenant: Option<TenantName>,

    /// That of each tenant, on this machine
    #[arg(long, conflicts_with = "tenant")]
    pub(crate) all_tenants: bool,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StateCopyArgs {
    #[command(subcommand)]
    pub(crate) command: StateCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Copy all tenants' stacks, secrets, tokens and jobs, and see that they are the same afterwards
    #[command(after_help = "\
Examples:
  compute state copy /var/lib/compute postgres://compute@db/compute
  compute state copy postgres://compute@db/compute ./back

Stop the servers first: a job that one runs meanwhile waits in the copy, and is run again there.
Traces and records stay where they are, and so does the key that seals secrets: whoever uses the
copy needs it in COMPUTE_SECRET_KEY or --secret-key-file. A copy that was broken off goes on where
it stopped; one to a place that has other stacks or jobs is refused.")]
    Copy {
        /// Where they are: a folder, or postgres://USER@HOST/DATABASE
        #[arg(value_name = "FROM")]
        from: PathBuf,

        /// Where they go
        #[arg(value_name = "TO")]
        to: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SecretArgs {
    #[command(subcommand)]
    pub(crate) command: SecretCommand,

    /// Whose secrets, on this machine [default: default]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) tenant: Option<TenantName>,

    /// The file of the key that seals them [default: secret.key in --state, made if there is none]
    #[arg(long, env = "COMPUTE_SECRET_KEY_FILE", value_name = "FILE", global = true)]
    pub(crate) secret_key_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SecretCommand {
    /// Set a secret; its value is read from stdin
    #[command(after_help = "\
Examples:
  compute secret set API_KEY < key.txt
  printf %s \"$KEY\" | compute secret set API_KEY

A line's end at the end of the value is not part of it.")]
    Set {
        /// Its name: letters, digits, `_`, `-` and `.`
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// List the names of the secrets
    Ls {
        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Forget a secret
    Rm {
        /// Its name
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show what `compute serve` would run with, given the same options, and where each value came from
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        options: Box<ServeOptions>,

        #[command(flatten)]
        state: StateArgs,
    },
}
