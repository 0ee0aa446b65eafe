//! `compute stack`: the versions of stacks, and which are active.

use compute_state::{ActiveStack, Draft, Rollout, Stacks, VersionInfo};
use serde::Serialize;

use super::{rollout, shadow};
use crate::args::{Cli, StackActivateArgs, StackArgs, StackCommand, StackDiffArgs, StackShowArgs};
use crate::failure::Failure;
use crate::home::{self, Home, NotActive};
use crate::show::{print_json, print_line};
use crate::work::plan::{self, short};

pub(crate) fn stack(cli: &Cli, args: &StackArgs) -> Result<(), Failure> {
    let home = home::of(cli, args.state.state.as_deref())?;
    let stacks = home.stacks()?;
    match &args.command {
        StackCommand::Ls(args) => ls(&*stacks, args.json),
        StackCommand::Show(args) => show(&*stacks, args),
        StackCommand::Diff(args) => diff(&*stacks, args),
        StackCommand::Activate(args) => activate(&*home, args),
        StackCommand::Shadow(args) => shadow::shadow(&*home, args),
        StackCommand::Rollout(args) => rollout::rollout(&*home, args),
    }
}

fn ls(stacks: &dyn Stacks, json: bool) -> Result<(), Failure> {
    let mut rollouts = stacks.rollouts()?;
    let stacks = stacks.stacks()?;
    if stacks.is_empty() && !json {
        crate::show::tell!("there are no stacks yet; `compute apply` in a workspace makes some");
    }
    for stack in stacks {
        let at = rollouts.iter().position(|rollout| rollout.stack == stack.stack);
        let rollout = at.map(|at| rollouts.swap_remove(at));
        if json {
            print_json(&Listed { stack, rollout })?;
            continue;
        }
        let version = match stack.active {
            Some(active) => format!("version {active} of {}", stack.versions),
            None => format!("none of {} active", stack.versions),
        };
        let since = stack.activated.map(|time| format!("since {}", seconds(time)));
        let beside = rollout.map(|rollout| format!("; {rollout}")).unwrap_or_default();
        let since = since.unwrap_or_default();
        print_line(format!("{:<32} {version:<18} {since}{beside}", stack.stack))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    stack: ActiveStack,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<Rollout>,
}

fn seconds(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    info: &'a VersionInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    rollout: Option<&'a Rollout>,
    rules: Vec<ShownRule>,
}

#[derive(Serialize)]
struct ShownRule {
    path: String,
    #[serde(rename = "ref")]
    reference: Option<compute::Ref>,
}

fn show(stacks: &dyn Stacks, args: &StackShowArgs) -> Result<(), Failure> {
    let versions = home::versions(stacks, &args.stack)?;
    let number =
        args.version.or_else(|| versions.iter().find(|one| one.active).map(|one| one.number));
    let number = number.unwrap_or(versions[0].number);
    let version = stacks.version(&args.stack, number)?;
    let rules: Vec<_> = version.files.iter().map(shown).collect();
    let mut rollouts = stacks.rollouts()?.into_iter();
    let rollout = rollouts.find(|rollout| rollout.stack == args.stack);
    let of = |number| rollout.as_ref().filter(|rollout| rollout.number == number);
    if args.json {
        return print_json(&Shown { info: &version.info, rollout: of(number), rules });
    }
    for one in &versions {
        let mark = match of(one.number) {
            _ if one.active => "active".to_owned(),
            Some(rollout) => rollout.share.to_string(),
            None => String::new(),
        };
        let rules = crate::show::count(one.rules as usize, "rule");
        let hash = &one.hash[..12];
        print_line(format!(
            "version {:<4} {mark:<7} {}  {rules}, {hash}",
            one.number,
            seconds(one.created)
        ))?;
    }
    if let Some(rollout) = &rollout {
        print_line(rollout)?;
    }
    print_line(format!("\nversion {number}:"))?;
    for rule in rules {
        let runs = rule.reference.as_ref().map(|one| format!("runs {}", short(one)));
        print_line(format!("  {:<40} {}", rule.path, runs.unwrap_or_default()).trim_end())?;
    }
    Ok(())
}

fn shown(file: &compute_state::File) -> ShownRule {
    ShownRule { path: file.path.clone(), reference: plan::reference(&file.text) }
}

fn diff(stacks: &dyn Stacks, args: &StackDiffArgs) -> Result<(), Failure> {
    home::versions(stacks, &args.stack)?;
    let [old, new] = [args.old, args.new].map(|number| stacks.version(&args.stack, number));
    let (old, new) = (old?.files, new?.files);
    for file in compute_server::differences(old, new, (args.old, args.new), None) {
        crate::show::print_bytes(file.diff.as_bytes())?;
    }
    Ok(())
}

fn activate(home: &dyn Home, args: &StackActivateArgs) -> Result<(), Failure> {
    let stacks = home.stacks()?;
    home::versions(&*stacks, &args.stack)?;
    let version = stacks.version(&args.stack, args.version)?;
    // It may be active for a part alone.
    let mut rollouts = stacks.rollouts()?.into_iter();
    let rollout = rollouts.find(|rollout| rollout.stack == args.stack);
    if version.info.active && rollout.is_none() {
        // What it names may have gone since.
        home::has_all(home, &Draft::new(args.stack.clone(), args.version))
            .map_err(|not| lacking(args, not))?;
        crate::show::tell!("version {} of {} is active already", args.version, args.stack);
        return Ok(());
    }
    let draft = Draft::new(args.stack.clone(), args.version);
    home.activate(&[draft]).map_err(super::apply::refused)?;
    crate::show::tell!("version {} of {} is active", args.version, args.stack);
    if let Some(rollout) = rollout.filter(|rollout| rollout.number != args.version) {
        crate::show::tell!("the rollout has ended of which {rollout}");
    }
    Ok(())
}

/// Why an active version cannot do what it is there for.
fn lacking(args: &StackActivateArgs, not: NotActive) -> Failure {
    match not {
        NotActive::Failure(failure) => failure,
        NotActive::Problems(problems) => {
            let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Failure::Host(format!(
                "{}\nversion {} of {} is active, and fails for want of that: `compute apply` in its workspace, or `compute put`, stores what is missing",
                lines.join("\n"),
                args.version,
                args.stack
            ))
        }
    }
}
