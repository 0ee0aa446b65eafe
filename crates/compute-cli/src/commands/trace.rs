//! `compute trace`: what happened to documents.

use std::collections::HashSet;

use compute_flow::{Traces, TracesError};
use notify::RecursiveMode;

use super::{print_json, print_line, print_styled};
use crate::args::{Cli, TraceArgs, TraceCommand, TraceLsArgs, TraceShowArgs};
use crate::failure::Failure;
use crate::state::Place;
use crate::watch::Watch;
use crate::waterfall;

pub(crate) fn trace(cli: &Cli, args: &TraceArgs) -> Result<(), Failure> {
    let traces = Place::new(cli, args.state.state.as_deref())?.traces();
    match &args.command {
        TraceCommand::Ls(args) => ls(&traces, args),
        TraceCommand::Show(args) => show(&traces, args),
    }
}

fn ls(traces: &Traces, args: &TraceLsArgs) -> Result<(), Failure> {
    let ids = traces.ids()?;
    if ids.is_empty() && !args.json && !args.follow {
        anstream::eprintln!("there are no traces yet; `compute fire STACK` makes some");
    }
    let skipped = ids.len().saturating_sub(args.last);
    let mut seen: HashSet<_> = ids.iter().take(skipped).cloned().collect();
    print_new(traces, ids, &mut seen, args.json)?;
    if args.follow { follow(traces, seen, args.json) } else { Ok(()) }
}

fn print_new(
    traces: &Traces,
    ids: Vec<String>,
    seen: &mut HashSet<String>,
    json: bool,
) -> Result<(), Failure> {
    for id in ids {
        if seen.contains(&id) {
            continue;
        }
        match traces.read(&id) {
            Ok(trace) if json => print_json(&trace)?,
            Ok(trace) => print_line(waterfall::line(&trace))?,
            // It was one of the oldest, and has gone since.
            Err(TracesError::NotFound(_)) => {}
            Err(error) => anstream::eprintln!("warning: {}", Failure::host(&error)),
        }
        seen.insert(id);
    }
    Ok(())
}

/// Prints traces as they come, until the process is ended.
fn follow(traces: &Traces, mut seen: HashSet<String>, json: bool) -> Result<(), Failure> {
    let folder = traces.folder();
    std::fs::create_dir_all(folder).map_err(|error| Failure::host(&error))?;
    let mut watch = Watch::new()?;
    watch.add(folder, RecursiveMode::NonRecursive)?;
    loop {
        // What came before the watch began is seen here, too.
        print_new(traces, traces.ids()?, &mut seen, json)?;
        if watch.next().is_none() {
            return Ok(());
        }
    }
}

fn show(traces: &Traces, args: &TraceShowArgs) -> Result<(), Failure> {
    let trace = traces.read(&args.id).map_err(|error| match error {
        TracesError::NotFound(id) => Failure::usage(format!(
            "there is no trace `{id}`, or more than one that begins so; `compute trace ls` lists them"
        )),
        error => Failure::host(&error),
    })?;
    if args.json {
        return print_json(&trace);
    }
    print_styled(&waterfall::show(&trace, args.verbose))
}
