//! `compute run`: one call, its result on stdout; or one for each line.

mod lines;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute::{
    Artifact, Env, Level, Log, LogLine, Meta, OpCall, Outcome, Printable, Record, RecordKeep,
    Recorder, Ref, RunOptions, Runner, StackFrame,
};
use compute_client::api::{RunFrame, RunLog, RunMetrics, RunRequest, RunSecrets};
use compute_client::blocking::Client;
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::args::{Cli, RunArgs};
use crate::commands::artifacts::put;
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::host::{self, Host};
use crate::input;
use crate::parallel;
use crate::show::report;
use crate::show::{print_bytes, print_line};
use crate::work::records;
use crate::work::target::{self, Target};

/// The id of what a command runs.
const RID: &str = "local";

pub(crate) fn run(cli: &Cli, args: &RunArgs) -> Result<(), Failure> {
    let calls = if args.lines { parallel::threads() } else { 1 };
    let host = Host::new(cli, host::memory(&args.limits), calls)?;
    if cli.server.is_some() {
        let home = home::of(cli, None)?;
        if args.record.is_some() {
            return Err(Failure::usage("a server keeps records of its own: leave out --record"));
        }
        if let Some(client) = home.server() {
            if args.lines {
                return lines::remote(client, args);
            }
            return remote(client, &host, &*home, args);
        }
    }
    let target = target::load(cli, &host, &args.target)?;
    let artifact = &target.artifact;
    let reference = artifact.reference().clone();
    let options = RunOptions {
        limits: host::limits(&args.limits),
        op: op_call(args, artifact)?,
        raw: args.raw,
        ..RunOptions::default()
    };
    let prepared = host.prepare(artifact, options.limits);
    prepared.map_err(|failure| failure.about(&args.target, &reference))?;
    if args.lines {
        return lines::local(&host, &target, &options, args);
    }
    let input = input::read_for_run(args.input.as_deref(), args.raw)?;
    let run = |runner: &dyn Runner| runner.run_blocking(&reference, &input, &options);
    let outcome = match &args.record {
        None => run(&host.manager),
        Some(to) => recorded(cli, &host, &target, args, to, run)?,
    };
    let outcome = outcome.map_err(|error| Failure::from(error).about(&args.target, &reference))?;

    report::log(&outcome.log, || target.source_map(&host))
        .map_err(|error| Failure::host(&error))?;
    for event in &outcome.events {
        tell(&event.name, &event.data);
    }
    if args.metrics {
        crate::show::tell!("{}", json!(RunMetrics::new(&reference, &outcome)));
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

/// Runs it with a record of it. What runs is stored: whoever repeats the run needs it.
fn recorded(
    cli: &Cli,
    host: &Host,
    target: &Target,
    args: &RunArgs,
    to: &Path,
    run: impl FnOnce(&dyn Runner) -> Result<Outcome, compute::Error>,
) -> Result<Result<Outcome, compute::Error>, Failure> {
    if !args.target.contains("://") {
        put::store_target(&*home::open_store(cli)?, host, target, &args.target)?;
    }
    let taken = Arc::new(Mutex::new(None));
    let sink = Arc::clone(&taken);
    let take = move |record: Record| {
        *sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(record.sealed());
    };
    let runner = Arc::new(host.manager.clone());
    let recorder = Recorder::new(runner, Arc::new(take), records::key()?).keep(RecordKeep::Bytes);
    let outcome = run(&recorder);
    if let Some(record) = taken.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let file = records::write(&records::signed(record, args.sign)?, to)?;
        crate::show::tell!("record {}", file.display());
    }
    Ok(outcome)
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
    Ok(takes_envelope.then(|| OpCall {
        meta: Meta { rid: RID.into(), ..Meta::default() },
        env: env(args),
        secrets: args.secret.iter().cloned().collect(),
        always: false,
    }))
}

/// Tells of what the guest emitted.
fn tell(name: &str, data: &RawValue) {
    let name = Value::from(name).to_string();
    let event = format!("{{\"event\":{name},\"data\":{data}}}");
    crate::show::tell!("event {}", Printable::line(&event));
}

/// The environment values that the command names.
fn env(args: &RunArgs) -> Env {
    args.env.iter().map(|(key, text)| (key.clone(), env_value(text))).collect()
}

/// An environment value: JSON where it is JSON, else text.
fn env_value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// Runs it on a server. What is not stored there comes with the request.
fn remote(client: &Client, host: &Host, home: &dyn Home, args: &RunArgs) -> Result<(), Failure> {
    if args.raw {
        return Err(Failure::usage("a server takes and gives JSON: leave out --raw"));
    }
    let input = input::read(args.input.as_deref())?;
    let limits = &args.limits;
    let mut request = RunRequest {
        // It was checked to be JSON.
        input: String::from_utf8(input).ok().and_then(|text| RawValue::from_string(text).ok()),
        env: RawValue::from_string(env(args).get().to_owned()).ok(),
        secrets: RunSecrets(args.secret.iter().cloned().collect()),
        rid: Some(RID.to_owned()),
        memory: limits.memory.map(|bytes| bytes.as_u64()),
        wall_ms: limits.wall.map(|wall| u64::try_from(wall.as_millis()).unwrap_or(u64::MAX).max(1)),
        fuel: limits.fuel,
        now: limits.now.and_then(|now| Timestamp::try_from(now).ok()),
        seed: limits.seed.map(|seed| seed.to_string()),
        ..RunRequest::default()
    };
    let mut built = None;
    if args.target.contains("://") {
        request.reference = Some(Ref::parse(&args.target).map_err(Failure::usage)?);
    } else {
        let target = target::from_file(host, args.target.as_ref(), compute_wasm::NAME)?;
        let store = home.store()?;
        for link in host.manager.links(&target.artifact)? {
            put::put_plugin(&*store, &link, &args.target)?;
        }
        request.module = Some(STANDARD.encode(target.artifact.wasm()));
        built = Some(target);
    }
    let answer = client.run(&request)?;

    let line = |one: RunLog| LogLine {
        level: Level::from_name(&one.level).unwrap_or(Level::Info),
        text: one.text,
    };
    let log = Log {
        bytes: answer.stderr.into_bytes(),
        lines: answer.log.into_iter().map(line).collect(),
        dropped: answer.log_dropped,
    };
    let map = || match &built {
        Some(built) => built.source_map(host),
        None => target::stored_source_map(host, &answer.metrics.reference),
    };
    report::log(&log, map).map_err(|error| Failure::host(&error))?;
    for event in &answer.events {
        tell(&event.name, &event.data);
    }
    if args.metrics {
        crate::show::tell!("{}", json!(answer.metrics));
    }
    match (answer.output, answer.error) {
        (Some(output), _) => print_line(output.get()),
        (None, Some(error)) => {
            let frame = |frame: RunFrame| StackFrame {
                function: frame.function,
                file: frame.file,
                line: frame.line,
                column: frame.column,
            };
            let stack: Vec<_> = error.stack.into_iter().map(frame).collect();
            let status = &answer.metrics.status;
            Err(Failure::Guest(report::failed(&error.message, status, &stack, map().as_ref())))
        }
        (None, None) => Err(Failure::Host("the server's answer has no output".to_owned())),
    }
}
