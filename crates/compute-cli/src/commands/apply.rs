//! `compute apply`: a workspace's rules and ops become what runs.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use compute::{Engine as _, Load};
use compute_flow::Draft;
use compute_js_plugin::SOURCE_MAP;
use compute_store::{NewArtifact, Store};
use compute_wasm::WasmEngine;

use super::{print_json, print_line};
use crate::args::{ApplyArgs, Cli};
use crate::context::{self, Host};
use crate::failure::Failure;
use crate::plan::{self, Plan};
use crate::project::{self, BuiltOp, Project};
use crate::state::Place;

pub(crate) fn apply(cli: &Cli, args: &ApplyArgs) -> Result<(), Failure> {
    let workspace = project::find(args.folder.as_deref())?;
    let state = args.state.state.as_deref();
    let place = Place::of_target(cli, state, &workspace, args.target.as_deref())?;
    let host = Host::at(&place.store, 0, 1)?;
    let plan = run(&place, &host, args.folder.as_deref(), args.dry_run)?;
    if args.json {
        return print_json(&plan);
    }
    let catalogue = place.catalogue()?;
    for stack in &plan.stacks {
        let active = catalogue.active(&stack.stack)?.map(|version| version.info.number);
        let what = match (stack.is_unchanged(), args.dry_run) {
            (true, _) => "unchanged",
            (false, true) => "would change",
            (false, false) => "activated",
        };
        let version = active.map_or_else(|| "-".to_owned(), |number| number.to_string());
        print_line(format!("{} {version} {what}", stack.stack))?;
    }
    Ok(())
}

/// Applies the workspace that a folder is in; gives back what it did.
pub(crate) fn run(
    place: &Place,
    host: &Host,
    folder: Option<&Path>,
    dry_run: bool,
) -> Result<Plan, Failure> {
    let started = Instant::now();
    let project = Project::open(folder, host)?;
    project.report()?;
    let store = compute_store::open(&place.store)?;
    let catalogue = place.catalogue()?;
    let plan = plan::plan(&project, &catalogue, &*store)?;
    anstream::eprint!("{plan}");
    let changed: Vec<_> = plan.stacks.iter().filter(|stack| !stack.is_unchanged()).collect();
    if dry_run {
        anstream::eprintln!("nothing was written: this is a dry run");
        return Ok(plan);
    }
    upload(&project, &plan, &*store, host)?;
    if changed.is_empty() {
        anstream::eprintln!(
            "nothing to activate: every stack is as it was ({:.2?})",
            started.elapsed()
        );
        return Ok(plan);
    }
    let mut drafts = Vec::new();
    let mut problems = Vec::new();
    for stack in &changed {
        let validated =
            pollster::block_on(compute_flow::validate(&stack.stack, &stack.files, &*store))?;
        match validated {
            Ok(_) => drafts.push(catalogue.draft(&stack.stack, &stack.files)?),
            Err(found) => problems.extend(found),
        }
    }
    if !problems.is_empty() {
        catalogue.forget(&drafts)?;
        return Err(refused(&problems));
    }
    catalogue.activate(&drafts)?;
    told(&drafts, &plan, started);
    Ok(plan)
}

fn told(drafts: &[Draft], plan: &Plan, started: Instant) {
    let shown: Vec<_> =
        drafts.iter().map(|draft| format!("{} version {}", draft.stack, draft.number)).collect();
    anstream::eprintln!(
        "activated {}; {} uploaded ({:.2?})",
        shown.join(", "),
        super::count(plan.uploads.len(), "artifact"),
        started.elapsed()
    );
}

/// Why versions do not become active; nothing was changed.
pub(crate) fn refused(problems: &[compute_flow::Problem]) -> Failure {
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure::Host(format!("{}\nnothing was activated", lines.join("\n")))
}

/// Stores what the store lacks. What could never run is told now.
fn upload(project: &Project, plan: &Plan, store: &dyn Store, host: &Host) -> Result<(), Failure> {
    if plan.uploads.is_empty() {
        return Ok(());
    }
    let engine = WasmEngine::open(&context::engine_config(1)?)?;
    let mut plugins = BTreeSet::new();
    for (at, upload) in plan.uploads.iter().enumerate() {
        let find = |op: &&BuiltOp| *op.artifact.reference() == upload.reference;
        let Some(op) = project.ops.values().find(find) else { continue };
        let total = plan.uploads.len();
        anstream::eprintln!("uploading {} of {total}: {}", at + 1, upload.file);
        let mut new = NewArtifact::new(op.artifact.clone());
        if let Some(plugin) = compute_wasm::linked_plugin(op.artifact.wasm()) {
            if plugins.insert(plugin.clone()) {
                super::put::put_plugin(store, &plugin, &upload.file)?;
            }
            new.links.push(plugin);
        }
        engine
            .load(&op.artifact, &Load::new(compute::Profile::default(), &*host.at_hand))
            .map_err(|error| Failure::from(error).about(&upload.file, &upload.reference))?;
        if let Some(map) = &op.source_map {
            new.attachments.insert(SOURCE_MAP.to_owned(), map.clone());
        }
        pollster::block_on(store.put(&new))?;
    }
    Ok(())
}
