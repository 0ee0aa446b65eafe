//! `compute status`: how a workspace differs from what is active, here and elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use compute_state::StackName;
use serde::Serialize;

use crate::args::{Cli, StatusArgs};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::host::Host;
use crate::show::{print_json, print_line};
use crate::work::plan;
use crate::work::project::{self, Project};

/// One stack in one place, beside the folder.
#[derive(Debug, Serialize)]
struct StackStatus {
    place: String,
    stack: StackName,
    /// `same`, `changed`, `only in the folder`, `only there`
    status: &'static str,
    /// The active version there.
    active: Option<u32>,
    added: Vec<String>,
    changed: Vec<String>,
    removed: Vec<String>,
}

pub(crate) fn status(cli: &Cli, args: &StatusArgs) -> Result<(), Failure> {
    let workspace = project::find(args.folder.as_deref())?;
    let state = args.state.state.as_deref();
    let here = cli.server.clone().unwrap_or_else(|| "this machine".to_owned());
    let mut places = vec![(here, home::of(cli, state))];
    for name in workspace.settings.targets.keys() {
        places.push((name.clone(), home::of_target(cli, state, &workspace, Some(name))));
    }
    let host = match &places[0].1 {
        Ok(home) => Host::at(home, 0, 1)?,
        Err(_) => Host::new(cli, 0, 1)?,
    };
    let project = Project::open(workspace, &host)?;
    project.report()?;
    for (place, home) in places {
        // What one does not tell, the others do.
        match home.and_then(|home| compared(&project, &place, &home)) {
            Ok(stacks) => stacks.iter().try_for_each(|stack| print(stack, args.json))?,
            Err(failure) => crate::show::tell!("{place}: {failure}"),
        }
    }
    Ok(())
}

fn compared(
    project: &Project,
    place: &str,
    home: &Arc<dyn Home>,
) -> Result<Vec<StackStatus>, Failure> {
    let (stacks, store) = (home.stacks()?, home.store()?);
    let plan = plan::plan(project, &*stacks, &*store)?;
    let known: BTreeSet<_> = plan.stacks.iter().map(|one| one.stack.clone()).collect();
    let mut all = Vec::new();
    for one in plan.stacks {
        let status = match one.active {
            None => "only in the folder",
            Some(_) if one.is_unchanged() => "same",
            Some(_) => "changed",
        };
        let (added, changed, removed) = (one.added, one.changed, one.removed);
        let (place, stack, active) = (place.to_owned(), one.stack, one.active);
        all.push(StackStatus { place, stack, status, active, added, changed, removed });
    }
    for stack in stacks.stacks()? {
        if stack.active.is_some() && !known.contains(&stack.stack) {
            let (added, changed, removed) = Default::default();
            all.push(StackStatus {
                place: place.to_owned(),
                stack: stack.stack,
                status: "only there",
                active: stack.active,
                added,
                changed,
                removed,
            });
        }
    }
    Ok(all)
}

fn print(stack: &StackStatus, json: bool) -> Result<(), Failure> {
    if json {
        return print_json(stack);
    }
    let StackStatus { place, stack, status, active, added, changed, removed } = stack;
    let version = active.map_or_else(String::new, |active| format!(", version {active}"));
    print_line(format!("{place}: {stack} {status}{version}"))?;
    // What an apply would add, change and take away there.
    for (sign, paths) in [("+", added), ("~", changed), ("-", removed)] {
        if status != &"only in the folder" {
            paths.iter().try_for_each(|path| print_line(format!("  {sign} {path}")))?;
        }
    }
    Ok(())
}
