//! `compute check`: everything that is wrong in a workspace.

use super::print_json;
use crate::args::{CheckArgs, Cli};
use crate::context::Host;
use crate::failure::Failure;
use crate::project::{self, Project};

pub(crate) fn check(cli: &Cli, args: &CheckArgs) -> Result<(), Failure> {
    let workspace = project::find(args.folder.as_deref())?;
    let project = Project::open(workspace, &Host::new(cli, 0, 1)?)?;
    if args.json {
        for finding in &project.findings {
            print_json(finding)?;
        }
        return project.verdict();
    }
    project.report()?;
    let rules = project.workspace.rules.len();
    let (stacks, ops) = (project.workspace.stacks().len(), project.ops.len());
    let warnings = project.findings.len();
    anstream::eprintln!(
        "{} in {}, {} built: {}",
        super::count(rules, "rule"),
        super::count(stacks, "stack"),
        super::count(ops, "op"),
        if warnings == 0 { "no mistakes".to_owned() } else { super::count(warnings, "warning") },
    );
    Ok(())
}
