//! The arguments of commands on schedules.

use clap::{Args, Subcommand, ValueEnum};
use compute_state::{CatchUp, ScheduleName, TenantName};

use super::flow::StateArgs;

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    pub(crate) command: ScheduleCommand,

    /// Whose schedules, on this machine [default: default]
    #[arg(long, value_name = "NAME", global = true)]
    pub(crate) tenant: Option<TenantName>,

    #[command(flatten)]
    pub(crate) state: StateArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Submit a job each time that a time comes
    Set(ScheduleSetArgs),
    /// List the schedules, with the last time and the next
    Ls {
        /// Print each as a line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show a schedule, with the input of its jobs, as JSON
    Show {
        /// Its name
        #[arg(value_name = "NAME")]
        name: ScheduleName,
    },
    /// Delete a schedule; jobs that it submitted go on
    Delete {
        /// Its name
        #[arg(value_name = "NAME")]
        name: ScheduleName,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute schedule set nightly --cron '30 6 * * MON-FRI' --tz Europe/Berlin report '{\"of\": \"yesterday\"}'
  compute schedule set totals --cron @hourly --catch-up once compute://sha256/4a1f… @input.json
  compute schedule set nightly --cron '0 0 L * *' report --dry-run   # the next times, and nothing is set

A server on the same state runs the jobs, one each time however many servers there are. The clock of a job shows
the time that it is for. A time that a clock leaves out is the first moment after it, one that comes twice is the
first of the two; with `*` for the hour, it goes on every hour.")]
pub(crate) struct ScheduleSetArgs {
    /// Its name: letters, digits, `_` and `-`
    #[arg(value_name = "NAME")]
    pub(crate) name: ScheduleName,

    /// A stack, a scope of one (stack/100), or a compute's ref
    #[arg(value_name = "STACK|REF")]
    pub(crate) work: String,

    /// The input of its jobs: JSON, @file, or - for stdin; at most 64 KiB
    #[arg(value_name = "JSON|@FILE|-")]
    pub(crate) input: Option<String>,

    /// When: minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly, @yearly
    #[arg(long, value_name = "EXPRESSION")]
    pub(crate) cron: String,

    /// Whose clock that is by
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) tz: String,

    /// What becomes of times for which no server was there until more than a minute later
    #[arg(long, value_name = "POLICY", default_value = "skip")]
    pub(crate) catch_up: CatchUpArg,

    /// The priority of its jobs, from 0 to 9
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(0..=9))]
    pub(crate) priority: u8,

    /// How often each is tried at most where a server or time failed it
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub(crate) attempts: u32,

    /// Stop each of its computes after so many instructions
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) fuel: Option<u64>,

    /// Show the next three times, and set nothing
    #[arg(long)]
    pub(crate) dry_run: bool,

    /// Print it as a line of JSON
    #[arg(long, conflicts_with = "dry_run")]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum CatchUpArg {
    /// Nothing is submitted for them
    Skip,
    /// One job is submitted for the last of them
    Once,
}

impl From<CatchUpArg> for CatchUp {
    fn from(policy: CatchUpArg) -> Self {
        match policy {
            CatchUpArg::Skip => Self::Skip,
            CatchUpArg::Once => Self::Once,
        }
    }
}
