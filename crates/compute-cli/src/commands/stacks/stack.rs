//! `compute stack`: the versions of stacks, and which are active.

use compute_state::{Draft, Shadow, Stacks, VersionInfo};
use serde::Serialize;

use crate::args::{
    Cli, StackActivateArgs, StackArgs, StackCommand, StackDiffArgs, StackShadowArgs, StackShowArgs,
};
use crate::failure::Failure;
use crate::home::{self, Home};
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
        StackCommand::Shadow(args) => shadow(&*home, args),
    }
}

fn ls(stacks: &dyn Stacks, json: bool) -> Result<(), Failure> {
    let stacks = stacks.stacks()?;
    if stacks.is_empty() && !json {
        crate::show::tell!("there are no stacks yet; `compute apply` in a workspace makes some");
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

fn show(stacks: &dyn Stacks, args: &StackShowArgs) -> Result<(), Failure> {
    let versions = home::versions(stacks, &args.stack)?;
    let number =
        args.version.or_else(|| versions.iter().find(|one| one.active).map(|one| one.number));
    let number = number.unwrap_or(versions[0].number);
    let version = stacks.version(&args.stack, number)?;
    let rules: Vec<_> = version.files.iter().map(shown).collect();
    if args.json {
        return print_json(&Shown { info: &version.info, rules });
    }
    for one in &versions {
        let mark = if one.active { "active" } else { "" };
        let rules = crate::show::count(one.rules as usize, "rule");
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
    if version.info.active {
        crate::show::tell!("version {} of {} is active already", args.version, args.stack);
        return Ok(());
    }
    let draft = Draft::new(args.stack.clone(), args.version);
    home.activate(&[draft]).map_err(super::apply::refused)?;
    crate::show::tell!("version {} of {} is active", args.version, args.stack);
    Ok(())
}

fn shadow(home: &dyn Home, args: &StackShadowArgs) -> Result<(), Failure> {
    let (stacks, stack) = (home.stacks()?, &args.stack);
    if args.off {
        return Ok(stacks.remove_shadow(stack)?);
    }
    if let (Some(number), Some(share)) = (args.version, args.share) {
        let shadow = Shadow { stack: stack.clone(), number, share };
        let versions = home::versions(&*stacks, stack)?;
        if versions.iter().any(|one| one.number == number && one.active) {
            return Err(Failure::usage(format!(
                "version {number} of `{stack}` is the active one, and has nothing to be compared with"
            )));
        }
        stacks.set_shadow(&shadow)?;
        if home.server().is_none() {
            crate::show::tell!("a server on this state gives it {share} of the documents");
        }
        return Ok(());
    }
    let none = || Failure::usage(format!("the stack `{stack}` has no shadow"));
    let shadows = stacks.shadows()?;
    let shadow = shadows.iter().find(|shadow| shadow.stack == *stack).ok_or_else(none)?;
    let Some(client) = home.server() else {
        // What came of it, only the server knows.
        crate::show::tell!("what it answers is counted by the server: ask with --server");
        return print_line(format!("version {} gets {}", shadow.number, shadow.share));
    };
    let report = client.shadow(stack)?;
    if args.json {
        return print_json(&report);
    }
    let compared = report.same + report.different;
    let mut head = format!(
        "version {} gets {}: {} of {compared} the same",
        report.number, report.share, report.same
    );
    if report.different > 0 {
        head.push_str(&format!(", {} differ", report.different));
    }
    print_line(head)?;
    for group in &report.groups {
        let documents = crate::show::count(group.documents as usize, "document");
        let line = format!("  {}: {documents}, as {}", group.place, group.example);
        print_line(crate::show::printable(&line))?;
        for way in &group.ways {
            let line = format!("      {} → {} ({})", way.before, way.after, way.documents);
            print_line(crate::show::printable(&line))?;
        }
    }
    for (documents, why) in [
        (report.incomparable, "cannot be compared, since time stopped one of both"),
        (report.skipped, "it was not given, since no place was free"),
    ] {
        if documents > 0 {
            print_line(format!("  {} {why}", crate::show::count(documents as usize, "document")))?;
        }
    }
    Ok(())
}
