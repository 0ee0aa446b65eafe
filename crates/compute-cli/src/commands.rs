//! The commands, one a module; the smallest are here.

pub(crate) mod apply;
pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod dev;
pub(crate) mod fire;
pub(crate) mod fmt;
pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod ls;
pub(crate) mod plugin;
pub(crate) mod put;
pub(crate) mod refs;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod stack;
pub(crate) mod test;
pub(crate) mod token;
pub(crate) mod trace;
pub(crate) mod verify;

use std::io::Write as _;
use std::path::{Path, PathBuf};

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

/// Prints text with colours in it, to a terminal; without them, elsewhere.
pub(crate) fn print_styled(text: &str) -> Result<(), Failure> {
    match anstream::stdout().current_choice() {
        anstream::ColorChoice::Never => {
            print_bytes(anstream::adapter::strip_str(text).to_string().as_bytes())
        }
        _ => print_bytes(text.as_bytes()),
    }
}

/// So many of something: `1 rule`, `2 rules`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// That there is no such stack, and which there are; nothing if there is none at all.
pub(crate) fn no_stack<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<Failure> {
    let known: Vec<_> = known.collect();
    let hint = match txcl::nearest(name, &known) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if known.is_empty() => return None,
        None => format!("there are {}", known.join(", ")),
    };
    Some(Failure::usage(format!("there is no stack `{name}`; {hint}")))
}

/// The rules below a folder, in the order of their paths. Links are not followed, so that a loop of
/// them ends.
fn rules_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {error}", folder.display()))
    };
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).and_then(Iterator::collect).map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type().map_err(failed)?;
        let path = entry.path();
        if kind.is_dir() {
            rules_below(&path, files)?;
        } else if kind.is_file() && path.extension().is_some_and(|ending| ending == "txcl") {
            files.push(path);
        }
    }
    Ok(())
}

/// Prints a line of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::host(&error))?;
    print_line(json)
}
