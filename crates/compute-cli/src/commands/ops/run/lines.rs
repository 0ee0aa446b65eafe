//! A batch of runs: a line of the input for each, here or on a server.

use std::ops::ControlFlow;

use compute::{OpCall, Outcome, Ref, RunOptions, Runner as _, check_json};
use compute_client::api::{LineAnswer, line_rid};
use compute_client::blocking::Client;
use compute_client::{BatchInput, CallOptions};
use compute_server::Problem;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::RID;
use crate::args::RunArgs;
use crate::failure::Failure;
use crate::host::Host;
use crate::show::report;
use crate::work::lines::{self, Made, Printed};
use crate::work::target::Target;

/// Runs it on each line, on all processors.
pub(super) fn local(
    host: &Host,
    target: &Target,
    options: &RunOptions,
    args: &RunArgs,
) -> Result<(), Failure> {
    let reference = target.artifact.reference();
    let work = |number: u64, input: Vec<u8>| {
        let mut options = options.clone();
        options.limits.seed = args.limits.seed.map(|seed| seed.of_line(number));
        if let Some(OpCall { meta, .. }) = &mut options.op {
            meta.rid = line_rid(RID, number);
        }
        let ran = check_json(&input)
            .and_then(|()| host.manager.run_blocking(reference, &input, &options));
        match ran {
            Ok(outcome) => Ok((made(number, &outcome, args)?, Some(outcome))),
            Err(error) => Ok((Made::failed(number, error.into(), None)?, None)),
        }
    };
    lines::each(lines::open(args.input.as_deref())?, work, |outcome| {
        let Some(outcome) = outcome else { return Ok(()) };
        report::log(&outcome.log, || target.source_map(host))
            .map_err(|error| Failure::host(&error))?;
        outcome.events.iter().for_each(|event| super::tell(&event.name, &event.data));
        Ok(())
    })
}

fn made(number: u64, outcome: &Outcome, args: &RunArgs) -> Result<Made, Failure> {
    match &outcome.result {
        Ok(output) => {
            let output: &RawValue =
                serde_json::from_slice(output).map_err(|error| Failure::host(&error))?;
            let fuel = outcome.metrics.fuel.filter(|_| args.limits.fuel.is_some());
            Made::of(&LineAnswer { fuel, ..LineAnswer::ok(output) })
        }
        Err(failure) => Made::failed(number, Problem::from(failure), None),
    }
}

/// Has a server run it on each line.
pub(super) fn remote(client: &Client, args: &RunArgs) -> Result<(), Failure> {
    let limits = &args.limits;
    if !args.target.contains("://") {
        return Err(Failure::usage(format!(
            "a server runs lines on what is stored there: `compute put {}` stores it and prints its ref",
            args.target
        )));
    }
    if !args.env.is_empty() || !args.secret.is_empty() || limits.memory.is_some() {
        return Err(Failure::usage(
            "a server takes no --env, --secret or --memory with --lines: leave them out",
        ));
    }
    let reference = Ref::parse(&args.target).map_err(Failure::usage)?;
    let now = limits.now.map(Timestamp::try_from).transpose();
    let options = CallOptions {
        rid: Some(RID.to_owned()),
        deadline: limits.wall,
        fuel: limits.fuel,
        seed: limits.seed,
        now: now.map_err(|error| Failure::usage_of(&error))?,
        ..CallOptions::default()
    };
    let input = BatchInput::reader(lines::open(args.input.as_deref())?);
    let mut printed = Printed::default();
    let ended =
        client.invoke_lines(&reference, input, &options).try_for_each(|answer| match answer {
            Ok(answer) => printed.print(Made::answered(answer)),
            Err(error) => ControlFlow::Break(Some(Failure::from(error))),
        });
    printed.end(ended)
}
