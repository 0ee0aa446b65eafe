//! The commands, one a module; the smallest are here.

pub(crate) mod artifacts;
pub(crate) mod jobs;
pub(crate) mod ops;
pub(crate) mod records;
pub(crate) mod schedules;
pub(crate) mod server;
pub(crate) mod stacks;

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;
use crate::show::{print_bytes, print_line};

/// Lists the engines that are linked in.
pub(crate) fn engines() -> Result<(), Failure> {
    for name in compute::engine_names() {
        print_line(name)?;
    }
    Ok(())
}

/// Prints a shell's completions.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "compute", &mut script);
    print_bytes(&script)
}
