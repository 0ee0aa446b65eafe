//! The arguments of commands on ops.

use std::path::PathBuf;

use clap::Args;

use super::LimitArgs;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  compute forecast total.ts --grow .items                 # the first fixture, its list repeated
  compute forecast total.ts --fixture 'two items' --grow .items --memory 32MiB --wall 250ms
  compute forecast total.ts --grow .text --fuel 100000000 --json

Each input is twice as large as the one before: a list's elements and a text are repeated, a number is multiplied.
It ends when a limit is reached and found more exactly, after 64 runs, at 64 MiB of input, or after a minute.")]
pub(crate) struct ForecastArgs {
    /// The op: its source, its module, its fixtures or its name, as `compute test` takes it
    #[arg(value_name = "FILE")]
    pub(crate) op: PathBuf,

    /// The fixture to begin with [default: the first]
    #[arg(long, value_name = "NAME")]
    pub(crate) fixture: Option<String>,

    /// What grows in the fixture's input: the path of a list, a text or a number, such as .items; `.` is all of it
    #[arg(long, value_name = "PATH")]
    pub(crate) grow: String,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,

    /// Print a line of JSON
    #[arg(long)]
    pub(crate) json: bool,
}
