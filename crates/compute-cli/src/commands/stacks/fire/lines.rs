//! A batch of documents: each line of the input goes through the active versions, here or on a server.

use std::ops::ControlFlow;

use compute_client::api::LineAnswer;
use compute_client::blocking::Client;
use compute_client::{BatchInput, CallOptions};
use compute_flow::Answer;
use compute_server::Problem;
use compute_state::TenantName;

use super::{Here, keep};
use crate::args::FireArgs;
use crate::failure::Failure;
use crate::home::Place;
use crate::work::lines::{self, Made, Printed};

/// Takes each line through the versions that are active now, on all processors.
pub(super) fn local(here: &Here<'_>, place: &Place) -> Result<(), Failure> {
    let traces = place.traces(&TenantName::default())?;
    let work = |number: u64, input: Vec<u8>| {
        let mut request = here.request(input);
        if let Some(seed) = here.args.seed {
            request.seed = seed.of_line(number);
        }
        let (answer, _) = here.process(request)?;
        Ok((made(here, number, &answer)?, answer))
    };
    lines::each(lines::open(here.args.input.as_deref())?, work, |answer| {
        here.tell(&answer);
        keep(here.args, &*traces, &answer)
    })
}

fn made(here: &Here<'_>, number: u64, answer: &Answer) -> Result<Made, Failure> {
    let rid = Some(answer.rid.clone());
    match &answer.result {
        Ok(document) => {
            let steps = answer.trace.iter().flat_map(|trace| &trace.steps);
            let fuel = steps.filter_map(|step| step.metrics?.fuel).sum();
            let fuel = here.args.fuel.map(|_| fuel);
            Made::of(&LineAnswer { rid, fuel, ..LineAnswer::ok(document) })
        }
        Err(failure) => Made::failed(number, Problem::from(&**failure).masked(&here.mask), rid),
    }
}

/// Takes each line through a stack of a server.
pub(super) fn remote(
    client: &Client,
    args: &FireArgs,
    options: &CallOptions,
) -> Result<(), Failure> {
    let input = BatchInput::reader(lines::open(args.input.as_deref())?);
    let mut printed = Printed::default();
    let ended =
        client.process_lines(&args.stage, input, options).try_for_each(|answer| match answer {
            Ok(answer) => printed.print(Made::answered(answer)),
            Err(error) => ControlFlow::Break(Some(Failure::from(error))),
        });
    printed.end(ended)
}
