//! `compute stack shadow`: a version that gets a part of a stack's documents besides the active one, and answers nobody.

use compute_client::api::ShadowReport;
use compute_state::Shadow;

use super::apply::refused;
use crate::args::StackShadowArgs;
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::show::{print_json, print_line};

pub(crate) fn shadow(home: &dyn Home, args: &StackShadowArgs) -> Result<(), Failure> {
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
        home.shadow(&shadow).map_err(refused)?;
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
        crate::show::tell!("what it answers is counted by each server: ask one with --server");
        return print_line(format!("version {} gets {}", shadow.number, shadow.share));
    };
    let report = client.shadow(stack)?;
    if args.json {
        return print_json(&report);
    }
    print(&report)
}

/// What a shadow answered otherwise so far.
pub(super) fn print(report: &ShadowReport) -> Result<(), Failure> {
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
