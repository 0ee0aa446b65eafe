//! `compute fire`: a document through the active versions.

use std::sync::Arc;

use compute::Limits;
use compute_flow::{
    Answer, Detail, Failure as FlowFailure, Processor, ProcessorSettings, Reason, Request,
    Snapshot, Stage,
};
use txcl::{Code, Diagnostic};

use super::print_line;
use crate::args::{Cli, FireArgs, TraceDetail};
use crate::context::Host;
use crate::failure::Failure;
use crate::state::Place;
use crate::terminal::printable;
use crate::{input, parallel, report, target, waterfall};

pub(crate) fn fire(cli: &Cli, args: &FireArgs) -> Result<(), Failure> {
    let place = Place::new(cli, args.state.state.as_deref())?;
    let snapshot = snapshot(&place)?;
    let stage = stage(&args.stage, &snapshot)?;
    let host = Host::at(&place.store, 0, parallel::threads())?;
    let mut settings = ProcessorSettings { deadline: args.wall, ..ProcessorSettings::default() };
    settings.limits = Limits { fuel: args.fuel, ..Limits::COMMAND_LINE };
    let processor = Processor::with_settings(Arc::new(host.manager.clone()), settings);

    let mut request = Request::new(stage, input::read(args.input.as_deref(), false)?);
    if let Some(now) = args.now {
        request.now = now;
    }
    if let Some(seed) = args.seed {
        request.seed = seed;
    }
    request.secrets = Arc::new(args.secret.iter().cloned().collect());
    // What computes log is shown, so all is written down; how much of it is kept is for --trace to say.
    request.detail = Detail::Full;
    let answer = processor.process(&snapshot, &request);
    tell(&answer);
    keep(args, &place, &answer)?;
    match &answer.result {
        Ok(document) => print_line(document),
        Err(failure) => Err(told(failure, &host)),
    }
}

/// The active versions, as they are now.
fn snapshot(place: &Place) -> Result<Snapshot, Failure> {
    let versions = place.catalogue()?.all_active()?;
    Snapshot::default().with_versions(versions).map_err(|wrong| {
        let lines: Vec<_> = wrong.iter().map(ToString::to_string).collect();
        Failure::Host(lines.join("\n"))
    })
}

/// The stage that `STACK` or `STACK/SCOPE` means.
fn stage(text: &str, snapshot: &Snapshot) -> Result<Stage, Failure> {
    let stage = Stage::start(text).map_err(Failure::usage)?;
    if snapshot.knows(&stage.stack) {
        return Ok(stage);
    }
    let names = snapshot.stacks().map(|stack| stack.name().as_str());
    Err(super::no_stack(stage.stack.as_str(), names).unwrap_or_else(|| {
        Failure::usage("there are no active stacks; `compute apply` in a workspace makes some")
    }))
}

/// Shows what rules' authors should know, and what computes logged.
fn tell(answer: &Answer) {
    for warning in &answer.warnings {
        anstream::eprintln!("warning: {warning}");
    }
    for step in answer.trace.iter().flat_map(|trace| &trace.steps) {
        for line in &step.log {
            anstream::eprintln!("{} {}: {}", step.op, line.level, printable(&line.text));
        }
        for line in step.stderr.lines() {
            anstream::eprintln!("{}: {}", step.op, printable(line));
        }
    }
}

/// Keeps the trace, and shows it if it was asked for.
fn keep(args: &FireArgs, place: &Place, answer: &Answer) -> Result<(), Failure> {
    let Some(trace) = &answer.trace else { return Ok(()) };
    let traces = place.traces();
    match args.trace {
        Some(TraceDetail::Off) => return Ok(()),
        None | Some(TraceDetail::Summary) => traces.write(&trace.summary())?,
        Some(TraceDetail::Full) => traces.write(trace)?,
    }
    match args.trace {
        None => anstream::eprintln!("trace {}", trace.id),
        Some(_) => anstream::eprint!("{}", waterfall::show(trace, false)),
    }
    Ok(())
}

/// A document's failure in the words of the rule's and the compute's author.
fn told(failure: &FlowFailure, host: &Host) -> Failure {
    let mut text = format!("{failure} [{}]", failure.reason.code());
    match &failure.reason {
        Reason::Guest(guest) => {
            let map =
                failure.reference.as_ref().and_then(|one| target::stored_source_map(host, one));
            let op = failure.op.as_deref().unwrap_or_default();
            text = format!("{op}: {}", report::failure(guest, map.as_ref()));
        }
        Reason::Rule { span: Some(span), message, clause } => {
            if let (Some(rule), Some(op)) = (&failure.rule, &failure.op) {
                let code = Code::ExpressionFailed;
                let diagnostic = Diagnostic::error(code, *span, format!("{clause}: {message}"));
                let shown = diagnostic.render(&format!("{op}.txcl"), rule, false);
                // That it is an error is said where it is printed.
                text = shown.replacen(&format!("error[{}]: ", code.name()), "", 1);
            }
        }
        _ => {}
    }
    match &failure.reason {
        Reason::Host(_) => Failure::Host(text),
        Reason::Input(_) | Reason::UnknownStage(_) => Failure::Usage(text),
        _ => Failure::Guest(text),
    }
}
