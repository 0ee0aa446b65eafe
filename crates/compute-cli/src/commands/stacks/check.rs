//! `compute check`: everything that is wrong in a workspace.

use crate::args::{CheckArgs, Cli};
use crate::failure::Failure;
use crate::host::Host;
use crate::show::print_json;
use crate::work::project::{self, Project};

pub(crate) fn check(cli: &Cli, args: &CheckArgs) -> Result<(), Failure> {
    let workspace = project::find_for(args.folder.as_deref(), None)?;
    let project = Project::open(workspace, &Host::new(cli, 0, 1)?)?;
    let services = project.services();
    if args.json {
        for finding in &project.findings {
            print_json(finding)?;
        }
        if !services.is_empty() {
            print_json(&serde_json::json!({ "refused_services": services }))?;
        }
        return project.verdict();
    }
    if !services.is_empty() {
        let counts: Vec<_> =
            services.iter().map(|(name, count)| format!("{name} {count}")).collect();
        crate::show::tell!(
            "services that rules name and that are refused here: {} (docs/migrating.md says what to do)\n",
            counts.join(", ")
        );
    }
    project.report()?;
    let rules = project.workspace.rules.len();
    let (stacks, ops) = (project.workspace.stacks().len(), project.ops.len());
    let warnings = project.findings.len();
    crate::show::tell!(
        "{} in {}, {} built: {}",
        crate::show::count(rules, "rule"),
        crate::show::count(stacks, "stack"),
        crate::show::count(ops, "op"),
        if warnings == 0 {
            "no mistakes".to_owned()
        } else {
            crate::show::count(warnings, "warning")
        },
    );
    Ok(())
}
