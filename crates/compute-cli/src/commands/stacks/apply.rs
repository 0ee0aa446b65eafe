//! `compute apply`: a workspace's rules and ops become what runs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use compute_flow::Workspace;
use compute_state::Draft;
use compute_store::Store;

use crate::args::{ApplyArgs, Cli, Expected};
use crate::commands::records::replay;
use crate::failure::Failure;
use crate::home::{self, Home, NotActive};
use crate::host::Host;
use crate::show::{print_json, print_line};
use crate::work::plan::{self, Plan};
use crate::work::project::{self, Project};
use crate::work::{compiled, target};

pub(crate) fn apply(cli: &Cli, args: &ApplyArgs) -> Result<(), Failure> {
    let workspace = project::find_for(args.folder.as_deref(), args.target.as_deref())?;
    let state = args.state.state.as_deref();
    let target = args.target.as_deref().or(workspace.settings.target.as_deref());
    if let (None, Some(target)) = (&args.target, target) {
        crate::show::tell!("the workspace's target is {target}");
    }
    let home = home::of_target(cli, state, &workspace, target)?;
    let host = Host::at(&home, 0, 1)?;
    let check = |plan: &Plan| check(cli, &home, &host, plan, args);
    let dry_run = args.dry_run || args.expect_write.is_some();
    let what = match (dry_run, args.draft) {
        (true, _) => Apply::Nothing,
        (false, true) => Apply::Drafts,
        (false, false) => Apply::All,
    };
    let plan = run(&home, &host, workspace, what, &check)?;
    if args.json {
        return print_json(&plan);
    }
    for stack in &plan.stacks {
        let what = match (stack.is_unchanged(), what) {
            (true, _) => "unchanged",
            (false, Apply::Nothing) => "would change",
            (false, Apply::Drafts) => "kept, and not active",
            (false, Apply::All) => "activated",
        };
        let version =
            stack.kept.or(stack.active).map_or_else(|| "-".to_owned(), |number| number.to_string());
        print_line(format!("{} {version} {what}", stack.stack))?;
    }
    Ok(())
}

/// How far a workspace is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Apply {
    /// Its plan is shown.
    Nothing,
    /// Its versions are kept.
    Drafts,
    /// They become active.
    All,
}

/// Applies a workspace; gives back what it did.
pub(crate) fn run(
    home: &Arc<dyn Home>,
    host: &Host,
    workspace: Workspace,
    what: Apply,
    check: &dyn Fn(&Plan) -> Result<(), Failure>,
) -> Result<Plan, Failure> {
    let started = Instant::now();
    let project = Project::open(workspace, host)?;
    project.report()?;
    let store = home.store()?;
    let stacks = home.stacks()?;
    let mut plan = plan::plan(&project, &*stacks, &*store)?;
    crate::show::tell_lines!("{plan}");
    let changed: Vec<_> = plan.stacks.iter().filter(|stack| !stack.is_unchanged()).collect();
    if what != Apply::Drafts && !changed.is_empty() {
        for rollout in stacks.rollouts()? {
            if changed.iter().any(|one| one.stack == rollout.stack) {
                let stack = &rollout.stack;
                crate::show::tell!("this ends the rollout of {stack}, of which {rollout}");
            }
        }
    }
    check(&plan)?;
    if what == Apply::Nothing {
        crate::show::tell!("nothing was written: this is a dry run");
        return Ok(plan);
    }
    upload(&project, &plan, &*store, host)?;
    if changed.is_empty() {
        crate::show::tell!(
            "nothing to activate: every stack is as it was ({:.2?})",
            started.elapsed()
        );
        return Ok(plan);
    }
    let drafts: Vec<_> = changed
        .iter()
        .map(|stack| stacks.draft(&stack.stack, &stack.files))
        .collect::<Result<_, _>>()?;
    for stack in &mut plan.stacks {
        let kept = drafts.iter().find(|draft| draft.stack == stack.stack);
        stack.kept = kept.map(|draft| draft.number);
    }
    if what == Apply::Drafts {
        for draft in &drafts {
            crate::show::tell!(
                "kept {0} version {1}, which is not active: `compute stack activate {0} {1}` makes it so",
                draft.stack,
                draft.number
            );
        }
        return Ok(plan);
    }
    if let Err(not) = home.activate(&drafts) {
        stacks.forget(&drafts)?;
        return Err(refused(not));
    }
    told(&drafts, &plan, started);
    Ok(plan)
}

/// Takes recorded documents through the versions that are to become active.
fn check(
    cli: &Cli,
    home: &Arc<dyn Home>,
    host: &Host,
    plan: &Plan,
    args: &ApplyArgs,
) -> Result<(), Failure> {
    let changed: Vec<_> = plan.stacks.iter().filter(|stack| !stack.is_unchanged()).collect();
    // A file that is not there is told before all documents were run.
    if let Some(Expected::File(file)) = &args.expect {
        expected(file, &BTreeMap::new())?;
    }
    if args.replay.is_empty() || changed.is_empty() {
        return Ok(());
    }
    let mut stacks = Vec::new();
    for stack in changed {
        stacks.push(Arc::new(compiled(stack.stack.clone(), &stack.files)?));
    }
    // The new versions may name any.
    let mut secrets = home::secrets_here(cli, &**home, args.state.state.as_deref(), None)?;
    secrets.extend(args.secret.iter().cloned().map(|(name, value)| (name, Ok(value))));
    let summary = replay::against_versions(home, host, &args.replay, stacks, secrets)?;
    // What is promised is promised of something.
    if args.expect.is_some() {
        if summary.same + summary.different == 0 {
            let what = match summary.records {
                0 => "no recorded document goes through what changes".to_owned(),
                many => format!(
                    "none of {} that go through what changes can be",
                    crate::show::count(many, "document")
                ),
            };
            return Err(Failure::Guest(format!(
                "nothing was compared ({what}): nothing was written"
            )));
        }
        if summary.unread > 0 {
            return Err(Failure::Guest(format!(
                "{} cannot be read, and may be what would differ: nothing was written",
                crate::show::count(summary.unread, "record")
            )));
        }
    }
    let places: BTreeMap<String, usize> =
        summary.groups.into_iter().map(|group| (group.place, group.records)).collect();
    if let Some(file) = &args.expect_write {
        let mut json =
            serde_json::to_string_pretty(&places).map_err(|error| Failure::host(&error))?;
        json.push('\n');
        target::write(file, json)?;
        crate::show::tell!("wrote {}", file.display());
    }
    match &args.expect {
        Some(Expected::AtMost(most)) if summary.different > *most => Err(Failure::Guest(format!(
            "{} came out otherwise, and --expect allows {most}: nothing was written",
            crate::show::count(summary.different, "recorded document")
        ))),
        Some(Expected::File(file)) => expected(file, &places),
        _ => Ok(()),
    }
}

/// That nothing is otherwise but what a file says, in so many documents at most.
fn expected(file: &Path, places: &BTreeMap<String, usize>) -> Result<(), Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::usage(format!(
            "--expect {}: {error}; it is `same`, a number, or a file that --expect-write wrote",
            file.display()
        ))
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let allowed: BTreeMap<String, usize> =
        serde_json::from_str(&text).map_err(|error| wrong(&error))?;
    for (place, records) in places {
        let most = allowed.get(place).copied().unwrap_or_default();
        if *records > most {
            return Err(Failure::Guest(format!(
                "{place} is otherwise in {}, and {} allows {most}: nothing was written",
                crate::show::count(*records, "recorded document"),
                file.display()
            )));
        }
    }
    Ok(())
}

fn told(drafts: &[Draft], plan: &Plan, started: Instant) {
    let shown: Vec<_> =
        drafts.iter().map(|draft| format!("{} version {}", draft.stack, draft.number)).collect();
    crate::show::tell!(
        "activated {}; {} uploaded ({:.2?})",
        shown.join(", "),
        crate::show::count(plan.uploads.len(), "artifact"),
        started.elapsed()
    );
}

/// Why versions do not become active; nothing was changed.
pub(crate) fn refused(not: NotActive) -> Failure {
    let problems = match not {
        NotActive::Problems(problems) => problems,
        NotActive::Failure(failure) => return failure,
    };
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure::Host(format!("{}\nnothing was activated", lines.join("\n")))
}

/// Stores what the store lacks.
fn upload(project: &Project, plan: &Plan, store: &dyn Store, host: &Host) -> Result<(), Failure> {
    let total = plan.uploads.len();
    for (at, upload) in plan.uploads.iter().enumerate() {
        crate::show::tell!("uploading {} of {total}: {}", at + 1, upload.file);
        if let Some(op) = project.op(&upload.reference) {
            crate::commands::artifacts::put::store_target(store, host, op, &upload.file)?;
        }
    }
    Ok(())
}
