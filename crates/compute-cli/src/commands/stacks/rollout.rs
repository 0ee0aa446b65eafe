//! `compute stack rollout`: a version that answers a part of a stack's documents in place of the active one.

use compute_client::api::RolloutReport;
use compute_state::{Draft, Rollout, StackName, Stacks};

use super::apply::refused;
use super::shadow;
use crate::args::StackRolloutArgs;
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::show::{print_json, print_line};

/// What a server says of a request, in its document.
const TOLD: [&str; 4] = ["web", "src", "rid", "tenant"];

pub(crate) fn rollout(home: &dyn Home, args: &StackRolloutArgs) -> Result<(), Failure> {
    let (stacks, stack) = (home.stacks()?, &args.stack);
    let found = find(&*stacks, stack)?;
    if args.version.is_some() {
        return set(home, args, found);
    }
    let rollout = found.ok_or_else(|| {
        let told = home::versions(&*stacks, stack).err();
        told.unwrap_or_else(|| Failure::usage(format!("the stack `{stack}` has no rollout")))
    })?;
    let Rollout { number, .. } = rollout;
    if args.back {
        stacks.remove_rollout(&Draft::new(stack.clone(), number))?;
        crate::show::tell!("version {number} of {stack} answers none any more");
        return Ok(());
    }
    if args.complete {
        home.complete(&Draft::new(stack.clone(), number)).map_err(refused)?;
        crate::show::tell!("version {number} of {stack} is active");
        return Ok(());
    }
    let report = match home.server() {
        Some(client) => client.rollout(stack)?,
        // What its shadow answers, only the server knows.
        None => {
            let active = stacks.active(stack)?.map_or(0, |version| version.info.number);
            let Rollout { share, by, .. } = rollout.clone();
            RolloutReport { number, share, by, active, shadow: None }
        }
    };
    if args.json {
        return print_json(&report);
    }
    print_line(format!("{rollout}, version {} the others", report.active))?;
    if home.server().is_none() && is_shadow(&*stacks, &rollout)? {
        crate::show::tell!(
            "what it answers as a shadow is counted by each server: ask one with --server"
        );
    }
    match &report.shadow {
        Some(report) => {
            print_line(
                "as the shadow of the active version, on documents that it does not answer:",
            )?;
            shadow::print(report)
        }
        None => Ok(()),
    }
}

fn set(home: &dyn Home, args: &StackRolloutArgs, found: Option<Rollout>) -> Result<(), Failure> {
    let (Some(number), Some(share)) = (args.version, args.share) else { return Ok(()) };
    let (stacks, stack) = (home.stacks()?, &args.stack);
    home::versions(&*stacks, stack)?;
    let by = args.by.clone().or(found.map(|rollout| rollout.by)).ok_or_else(|| {
        Failure::usage("say which value decides, with --by PATH, such as --by .customer.id")
    })?;
    let rollout = Rollout { stack: stack.clone(), number, share, by };
    home.roll_out(&rollout).map_err(refused)?;
    let by = rollout.by.to_string();
    let told = by.strip_prefix('@').map(|path| path.split('.').next().unwrap_or_default());
    if let Some(name) = told.filter(|name| !TOLD.contains(name)) {
        crate::show::tell!(
            "warning: a server says {} of a request, and no @{name}: the active version answers what has no value there",
            TOLD.map(|name| format!("@{name}")).join(", ")
        );
    }
    crate::show::tell!("{stack}: {rollout}");
    Ok(())
}

/// Whether the version of a rollout is its stack's shadow, too.
fn is_shadow(stacks: &dyn Stacks, rollout: &Rollout) -> Result<bool, Failure> {
    let mut shadows = stacks.shadows()?.into_iter();
    Ok(shadows.any(|shadow| shadow.stack == rollout.stack && shadow.number == rollout.number))
}

/// A stack's rollout, if it has one.
fn find(stacks: &dyn Stacks, stack: &StackName) -> Result<Option<Rollout>, Failure> {
    Ok(stacks.rollouts()?.into_iter().find(|rollout| rollout.stack == *stack))
}
