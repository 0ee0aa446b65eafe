//! `compute trace`: what happened to documents.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use compute_client::blocking::Client;
use compute_flow::Trace;
use compute_state::{TraceStore, TracesError};
use notify::RecursiveMode;

use super::{print_json, print_line, print_styled};
use crate::args::{Cli, TraceArgs, TraceCommand, TraceLsArgs, TraceShowArgs};
use crate::connect::found;
use crate::failure::Failure;
use crate::state::Home;
use crate::watch::Watch;
use crate::waterfall;

/// How often a server is asked for traces that came.
const ASKED: Duration = Duration::from_secs(1);
/// How many it is asked for.
const NEWEST: usize = 1000;

/// The traces, here or on a server.
pub(crate) enum Kept {
    Here(Arc<dyn TraceStore>),
    There(Client),
}

impl Kept {
    pub(crate) fn new(home: &Home) -> Result<Self, Failure> {
        Ok(match home {
            Home::Here(place) => Self::Here(place.traces()?),
            Home::There(client) => Self::There(client.clone()),
        })
    }

    /// A trace; nothing if there is none of this id, or more than one that begins so.
    pub(crate) fn read(&self, id: &str) -> Result<Option<Trace>, Failure> {
        match self {
            Self::Here(traces) => match Trace::read(&**traces, id) {
                Err(TracesError::NotFound(_)) => Ok(None),
                trace => Ok(Some(trace?)),
            },
            Self::There(client) => Ok(found(client.trace(id))?),
        }
    }

    /// The newest traces that were not seen yet, the oldest of them first.
    fn newest(&self, last: usize, seen: &mut HashSet<String>) -> Result<Vec<Trace>, Failure> {
        match self {
            Self::Here(traces) => {
                let ids = traces.ids()?;
                let skipped = ids.len().saturating_sub(last);
                let new = ids.iter().skip(skipped).filter(|id| !seen.contains(*id));
                let read = new.filter_map(|id| match Trace::read(&**traces, id) {
                    Ok(trace) => Some(trace),
                    // It was one of the oldest, and has gone since.
                    Err(TracesError::NotFound(_)) => None,
                    Err(error) => {
                        anstream::eprintln!("warning: {}", Failure::host(&error));
                        None
                    }
                });
                let read = read.collect();
                seen.extend(ids);
                Ok(read)
            }
            Self::There(client) => {
                let mut traces = client.traces(last.min(NEWEST))?;
                traces.retain(|trace| seen.insert(trace.id.clone()));
                Ok(traces)
            }
        }
    }
}

pub(crate) fn trace(cli: &Cli, args: &TraceArgs) -> Result<(), Failure> {
    let traces = Kept::new(&Home::new(cli, args.state.state.as_deref())?)?;
    match &args.command {
        TraceCommand::Ls(args) => ls(&traces, args),
        TraceCommand::Show(args) => show(&traces, args),
    }
}

fn ls(traces: &Kept, args: &TraceLsArgs) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    let listed = traces.newest(args.last, &mut seen)?;
    if listed.is_empty() && !args.json && !args.follow {
        anstream::eprintln!("there are no traces yet; `compute fire STACK` makes some");
    }
    print(&listed, args.json)?;
    if args.follow { follow(traces, seen, args.json) } else { Ok(()) }
}

fn print(traces: &[Trace], json: bool) -> Result<(), Failure> {
    for trace in traces {
        if json { print_json(trace)? } else { print_line(waterfall::line(trace))? }
    }
    Ok(())
}

/// Prints traces as they come, until the process is ended.
fn follow(traces: &Kept, mut seen: HashSet<String>, json: bool) -> Result<(), Failure> {
    let folder = match traces {
        Kept::Here(traces) => traces.folder(),
        Kept::There(_) => None,
    };
    let mut watch = match folder {
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
        print(&traces.newest(NEWEST, &mut seen)?, json)?;
        match &mut watch {
            Some(watch) if watch.next().is_none() => return Ok(()),
            Some(_) => {}
            None => std::thread::sleep(ASKED),
        }
    }
}

fn show(traces: &Kept, args: &TraceShowArgs) -> Result<(), Failure> {
    let trace = traces.read(&args.id)?.ok_or_else(|| {
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
