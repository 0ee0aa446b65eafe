//! The commands, one a module; the smallest are here.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod plugin;
pub(crate) mod put;
pub(crate) mod refs;
pub(crate) mod run;
pub(crate) mod test;
pub(crate) mod verify;

use std::io::Write as _;

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::failure::Failure;

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

/// Prints a line of data.
pub(crate) fn print_line(line: impl std::fmt::Display) -> Result<(), Failure> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints data. A reader who has seen enough, such as `head`, is no failure.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::Host(format!("cannot write to stdout: {error}"))),
    }
}

/// Prints a line of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::host(&error))?;
    print_line(json)
}
