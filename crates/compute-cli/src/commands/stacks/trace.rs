//! `compute trace`: what happened to documents.

use std::collections::HashSet;
use std::time::Duration;

use compute_flow::Trace;
use compute_state::{Traces, TracesError};
use notify::RecursiveMode;

use crate::args::{Cli, TraceArgs, TraceCommand, TraceLsArgs, TraceShowArgs};
use crate::failure::Failure;
use crate::home;
use crate::show::waterfall;
use crate::show::{print_json, print_line, print_styled};
use crate::watch::Watch;

/// How often a server is asked for traces that came.
const ASKED: Duration = Duration::from_secs(1);
/// How many it is asked for.
const NEWEST: usize = 1000;

/// A trace; nothing if there is none of this id, or more than one that begins so.
pub(super) fn read(traces: &dyn Traces, id: &str) -> Result<Option<Trace>, Failure> {
    match Trace::read(traces, id) {
        Err(TracesError::NotFound(_)) => Ok(None),
        trace => Ok(Some(trace?)),
    }
}

/// The newest traces that are wanted by their ids, the oldest of them first.
fn newest(
    traces: &dyn Traces,
    last: usize,
    wanted: &mut dyn FnMut(&str) -> bool,
) -> Result<Vec<Trace>, Failure> {
    let texts = traces.newest(last, wanted)?;
    let read = texts.into_iter().filter_map(|(id, text)| {
        let trace = Trace::from_text(&id, text);
        trace.map_err(|error| crate::show::tell!("warning: {}", Failure::host(&error))).ok()
    });
    Ok(read.collect())
}

pub(crate) fn trace(cli: &Cli, args: &TraceArgs) -> Result<(), Failure> {
    let traces =
        home::of_tenant(cli, args.state.state.as_deref(), args.tenant.as_ref())?.traces()?;
    match &args.command {
        TraceCommand::Ls(args) => ls(&*traces, args),
        TraceCommand::Show(args) => show(&*traces, args),
    }
}

fn ls(traces: &dyn Traces, args: &TraceLsArgs) -> Result<(), Failure> {
    // Whoever follows sees no trace of before, however few of the last are listed.
    let before = if args.follow { traces.ids()? } else { Vec::new() };
    let listed = newest(traces, args.last, &mut |_| true)?;
    if listed.is_empty() && !args.json && !args.follow {
        crate::show::tell!("there are no traces yet; `compute fire STACK` makes some");
    }
    print(&listed, args.json)?;
    if !args.follow {
        return Ok(());
    }
    let seen = before.into_iter().chain(listed.into_iter().map(|trace| trace.id)).collect();
    follow(traces, seen, args.json)
}

fn print(traces: &[Trace], json: bool) -> Result<(), Failure> {
    for trace in traces {
        if json { print_json(trace)? } else { print_line(waterfall::line(trace))? }
    }
    Ok(())
}

/// Prints traces as they come, until the process is ended.
fn follow(traces: &dyn Traces, mut seen: HashSet<String>, json: bool) -> Result<(), Failure> {
    let mut watch = match traces.folder() {
        Some(folder) => {
            std::fs::create_dir_all(folder).map_err(|error| Failure::host(&error))?;
            let mut watch = Watch::new()?;
            watch.add(folder, RecursiveMode::NonRecursive)?;
            Some(watch)
        }
        None => None,
    };
    loop {
        // What came before the watch began is seen here, too.
        print(&newest(traces, NEWEST, &mut |id| seen.insert(id.to_owned()))?, json)?;
        match &mut watch {
            Some(watch) if watch.next().is_none() => return Ok(()),
            Some(_) => {}
            None => std::thread::sleep(ASKED),
        }
    }
}

fn show(traces: &dyn Traces, args: &TraceShowArgs) -> Result<(), Failure> {
    let trace = read(traces, &args.id)?.ok_or_else(|| {
        Failure::usage(format!(
            "there is no trace `{}`, or more than one that begins so; `compute trace ls` lists them",
            args.id
        ))
    })?;
    if args.json {
        return print_json(&trace);
    }
    print_styled(&waterfall::show(&trace, args.verbose))
}
