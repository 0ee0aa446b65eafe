//! `compute stack`: the versions of stacks, and which are active.

use compute_flow::{Catalogue, Draft, StackName, Version, VersionInfo};
use serde::Serialize;
use similar::TextDiff;

use super::{print_json, print_line};
use crate::args::{Cli, StackActivateArgs, StackArgs, StackCommand, StackDiffArgs, StackShowArgs};
use crate::failure::Failure;
use crate::plan::{self, short};
use crate::state::Place;

pub(crate) fn stack(cli: &Cli, args: &StackArgs) -> Result<(), Failure> {
    let place = Place::new(cli, args.state.state.as_deref())?;
    let catalogue = place.catalogue()?;
    match &args.command {
        StackCommand::Ls(args) => ls(&catalogue, args.json),
        StackCommand::Show(args) => show(&catalogue, args),
        StackCommand::Diff(args) => diff(&catalogue, args),
        StackCommand::Activate(args) => activate(&catalogue, &place, args),
    }
}

fn ls(catalogue: &Catalogue, json: bool) -> Result<(), Failure> {
    let stacks = catalogue.stacks()?;
    if stacks.is_empty() && !json {
        anstream::eprintln!("there are no stacks yet; `compute apply` in a workspace makes some");
    }
    for stack in stacks {
        if json {
            print_json(&stack)?;
            continue;
        }
        let version = match stack.active {
            Some(active) => format!("version {active} of {}", stack.versions),
            None => format!("none of {} active", stack.versions),
        };
        let since = stack.activated.map(|time| format!("since {}", seconds(time)));
        print_line(format!("{:<32} {version:<18} {}", stack.stack, since.unwrap_or_default()))?;
    }
    Ok(())
}

fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    info: &'a VersionInfo,
    rules: Vec<ShownRule>,
}

#[derive(Serialize)]
struct ShownRule {
    path: String,
    #[serde(rename = "ref")]
    reference: Option<compute::Ref>,
}

fn show(catalogue: &Catalogue, args: &StackShowArgs) -> Result<(), Failure> {
    let versions = known(catalogue, &args.stack)?;
    let number =
        args.version.or_else(|| versions.iter().find(|one| one.active).map(|one| one.number));
    let number = number.unwrap_or(versions[0].number);
    let version = catalogue.version(&args.stack, number)?;
    let rules: Vec<_> = version.files.iter().map(shown).collect();
    if args.json {
        return print_json(&Shown { info: &version.info, rules });
    }
    for one in &versions {
        let mark = if one.active { "active" } else { "" };
        let rules = super::count(one.rules as usize, "rule");
        let hash = &one.hash[..12];
        print_line(format!(
            "version {:<4} {mark:<7} {}  {rules}, {hash}",
            one.number,
            seconds(one.created)
        ))?;
    }
    print_line(format!("\nversion {number}:"))?;
    for rule in rules {
        let runs = rule.reference.as_ref().map(|one| format!("runs {}", short(one)));
        print_line(format!("  {:<40} {}", rule.path, runs.unwrap_or_default()).trim_end())?;
    }
    Ok(())
}

fn shown(file: &compute_flow::File) -> ShownRule {
    ShownRule { path: file.path.clone(), reference: plan::reference(&file.text) }
}

fn diff(catalogue: &Catalogue, args: &StackDiffArgs) -> Result<(), Failure> {
    known(catalogue, &args.stack)?;
    let [old, new] = [args.old, args.new].map(|number| catalogue.version(&args.stack, number));
    let (old, new) = (old?, new?);
    let text = |version: &Version, path: &str| -> String {
        let found = version.files.iter().find(|file| file.path == path);
        found.map(|file| file.text.clone()).unwrap_or_default()
    };
    let mut paths: Vec<_> =
        old.files.iter().chain(&new.files).map(|file| file.path.clone()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        let (before, after) = (text(&old, &path), text(&new, &path));
        if before != after {
            let diff = TextDiff::from_lines(&before, &after);
            let names = (
                format!("{path} (version {})", args.old),
                format!("{path} (version {})", args.new),
            );
            super::print_bytes(
                diff.unified_diff().header(&names.0, &names.1).to_string().as_bytes(),
            )?;
        }
    }
    Ok(())
}

fn activate(catalogue: &Catalogue, place: &Place, args: &StackActivateArgs) -> Result<(), Failure> {
    known(catalogue, &args.stack)?;
    let version = catalogue.version(&args.stack, args.version)?;
    if version.info.active {
        anstream::eprintln!("version {} of {} is active already", args.version, args.stack);
        return Ok(());
    }
    let store = compute_store::open(&place.store)?;
    let validated =
        pollster::block_on(compute_flow::validate(&args.stack, &version.files, &*store))?;
    if let Err(problems) = validated {
        return Err(super::apply::refused(&problems));
    }
    catalogue.activate(&[Draft::new(args.stack.clone(), args.version)])?;
    anstream::eprintln!("version {} of {} is active", args.version, args.stack);
    Ok(())
}

/// The versions of a stack; if there is no such stack, the error names one like it.
fn known(catalogue: &Catalogue, stack: &StackName) -> Result<Vec<VersionInfo>, Failure> {
    catalogue.versions(stack).map_err(|error| {
        let names = catalogue.stacks().unwrap_or_default();
        let names = names.iter().map(|one| one.stack.as_str());
        super::no_stack(stack.as_str(), names).unwrap_or_else(|| error.into())
    })
}
