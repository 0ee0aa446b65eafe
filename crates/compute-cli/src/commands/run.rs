//! `compute run`: one call, its result on stdout.

use std::time::SystemTime;

use compute::{Artifact, Meta, OpCall, Outcome, Ref, RunOptions, Runner as _};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{print_bytes, print_line};
use crate::args::{Cli, RunArgs};
use crate::context::{self, Host};
use crate::failure::Failure;
use crate::{input, report, target};

pub(crate) fn run(cli: &Cli, args: &RunArgs) -> Result<(), Failure> {
    let host = Host::new(cli, args.limits.memory.as_u64(), 1)?;
    let target = target::load(cli, &host, &args.target)?;
    let input = input::read(args.input.as_deref(), args.raw)?;
    let artifact = &target.artifact;
    let reference = artifact.reference().clone();
    let options = RunOptions {
        limits: context::limits(&args.limits),
        op: op_call(args, artifact)?,
        raw: args.raw,
        ..RunOptions::default()
    };
    let outcome = host
        .manager
        .run_blocking(&reference, &input, &options)
        .map_err(|error| Failure::from(error).about(&args.target, &reference))?;

    report::log(&outcome.log).map_err(|error| Failure::host(&error))?;
    for event in &outcome.events {
        anstream::eprintln!("event {}", json!({ "event": event.name, "data": event.data }));
    }
    if args.metrics {
        anstream::eprintln!("{}", metrics(&reference, &outcome));
    }
    match outcome.result {
        Ok(output) if args.raw => print_bytes(&output),
        Ok(output) => print_line(String::from_utf8_lossy(&output)),
        Err(failure) => {
            let map = (!failure.stack.is_empty()).then(|| target.source_map(&host)).flatten();
            Err(Failure::Guest(report::failure(&failure, map.as_ref())))
        }
    }
}

/// The context for an op. Environment values and secrets for a module that cannot receive them are a
/// mistake, and not to be dropped in silence.
fn op_call(args: &RunArgs, artifact: &Artifact) -> Result<Option<OpCall>, Failure> {
    let takes_envelope = compute_wasm::takes_envelope(artifact.wasm());
    let given = !args.env.is_empty() || !args.secret.is_empty();
    if given && !takes_envelope {
        return Err(Failure::usage(format!(
            "{} takes no --env and no --secret: it does not declare the op ABI (a custom section \
             `compute:abi` that says `op/2`), and would get its input alone",
            args.target
        )));
    }
    let value =
        |text: &String| serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone()));
    Ok(takes_envelope.then(|| OpCall {
        meta: Meta { rid: "local".into(), ..Meta::default() },
        env: args.env.iter().map(|(key, text)| (key.clone(), value(text))).collect(),
        secrets: args.secret.iter().cloned().collect(),
        always: false,
    }))
}

fn metrics(reference: &Ref, outcome: &Outcome) -> Value {
    let (metrics, bounds) = (&outcome.metrics, &outcome.bounds);
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "ref": reference,
        "status": metrics.status,
        "wall_ns": nanos(metrics.wall),
        "load_ns": nanos(metrics.phases.load),
        "queue_ns": nanos(metrics.phases.queue),
        "instantiate_ns": nanos(metrics.phases.instantiate),
        "guest_ns": nanos(metrics.phases.guest),
        "output_ns": nanos(metrics.phases.output),
        "peak_memory": metrics.peak_memory,
        "fuel": metrics.fuel,
        "now": rfc3339(bounds.now),
        "seed": bounds.seed.to_string(),
        "limits": {
            "memory": bounds.memory,
            "wall_ns": nanos(bounds.wall),
            "fuel": bounds.fuel,
            "stack": bounds.stack,
            "table_elements": bounds.table_elements,
            "output": bounds.output,
            "log": bounds.log,
        },
    })
}

fn rfc3339(time: SystemTime) -> Option<String> {
    Timestamp::try_from(time).ok().map(|time| time.to_string())
}
