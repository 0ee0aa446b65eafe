//! `compute fire`: a document through the active versions, or each line of a batch.

mod lines;

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use compute::{Limits, Mask, Phase, Record, RecordKeep, RecordKey, Ref, Resolver as _, Runner};
use compute_client::blocking::Client;
use compute_client::{CallOptions, TraceDetail as ServerDetail};
use compute_flow::{
    Answer, Detail, Failure as FlowFailure, Processor, ProcessorSettings, Reason, Request,
    Snapshot, Stage, Trace,
};
use compute_replay::DocumentRecorder;
use compute_state::{TenantName, TraceStore, VersionInfo};
use jiff::Timestamp;
use txcl::{Code, Diagnostic};

use super::trace::read;
use crate::args::{Cli, FireArgs, TraceDetail};
use crate::failure::Failure;
use crate::home::{self, Home, Place};
use crate::host::Host;
use crate::input;
use crate::parallel;
use crate::show::print_line;
use crate::show::printable;
use crate::show::{report, waterfall};
use crate::work::{compiled, records, target};

pub(crate) fn fire(cli: &Cli, args: &FireArgs) -> Result<(), Failure> {
    let home = home::of(cli, args.state.state.as_deref())?;
    if let Some(client) = home.server() {
        return remote(client, &*home, args);
    }
    let Some(place) = home.place() else {
        return Err(Failure::usage("there is no state here"));
    };
    let snapshot = snapshot(place)?;
    let stage = stage(&args.stage, &snapshot)?;
    let host = Host::at(&home, 0, parallel::threads())?;
    let mut settings = ProcessorSettings::default();
    settings.deadline = args.wall.unwrap_or(settings.deadline);
    // It is the author who sends it.
    settings.mocks = true;
    settings.limits = Limits { fuel: args.fuel, memory: None, ..Limits::COMMAND_LINE };
    let runner: Arc<dyn Runner> = Arc::new(host.manager.clone());
    let processor = Processor::with_settings(runner, settings);
    let key = args.record.as_ref().map(|_| records::key()).transpose()?;
    let mut secrets = home::set_secrets(&*home)?;
    secrets.extend(args.secret.iter().cloned());
    let mask = Arc::new(Mask::new(secrets.values().cloned()));
    let prepared = Mutex::default();
    let secrets = Arc::new(secrets);
    let here =
        Here { args, host, settings, processor, snapshot, stage, key, secrets, mask, prepared };
    if args.lines {
        return lines::local(&here, place);
    }
    let (answer, record) = here.process(here.request(input::read(args.input.as_deref())?))?;
    if let (Some(record), Some(to)) = (&record, &args.record) {
        let file = records::write(&records::signed(record.clone(), args.sign)?, to)?;
        crate::show::tell!("record {}", file.display());
    }
    here.tell(&answer);
    keep(args, &*place.traces(&TenantName::default())?, &answer)?;
    if let Some(trace) = &answer.trace {
        match args.trace {
            Some(TraceDetail::Off) => {}
            None => crate::show::tell!("trace {}", trace.id),
            Some(_) => crate::show::tell_lines!("{}", waterfall::show(trace, false)),
        }
    }
    match &answer.result {
        Ok(document) => print_line(document),
        Err(failure) => Err(told(failure, &here.host, &here.mask)),
    }
}

/// What documents go through on this machine.
struct Here<'a> {
    args: &'a FireArgs,
    host: Host,
    settings: ProcessorSettings,
    processor: Processor,
    snapshot: Snapshot,
    stage: Stage,
    /// With which records are made, where they are asked for.
    key: Option<RecordKey>,
    secrets: Arc<BTreeMap<String, String>>,
    mask: Arc<Mask>,
    /// What was made ready because its compiling took the time of a document.
    prepared: Mutex<HashSet<Ref>>,
}

impl Here<'_> {
    fn request(&self, input: Vec<u8>) -> Request {
        let mut request = Request::new(self.stage.clone(), input);
        request.now = self.args.now.unwrap_or(request.now);
        request.seed = self.args.seed.unwrap_or(request.seed);
        request.mask = Arc::clone(&self.mask);
        request.secrets = Arc::clone(&self.secrets);
        // What computes log is shown, so all is written down; how much of it is kept is for --trace to say.
        request.detail = Detail::Full;
        request
    }

    /// What a document answers, with a record of it, where one is asked for.
    fn process(&self, mut request: Request) -> Result<(Answer, Option<Record>), Failure> {
        let Self { processor, snapshot, .. } = self;
        let mut once = || match self.key.clone() {
            None => (processor.process(snapshot, &request), None),
            Some(key) => {
                let recorder = DocumentRecorder::new(
                    processor,
                    snapshot,
                    &mut request,
                    key,
                    RecordKeep::Bytes,
                );
                let answer = processor.process(snapshot, &request);
                let record = recorder.record(&request, &answer).sealed();
                (answer, Some(record))
            }
        };
        let (mut answer, mut record) = once();
        // Compiling is not the document's time: what took too long is made ready, and the same document comes again, with the
        // same clock and seed.
        let mut tried = HashSet::new();
        while let Some(reference) = uncompiled(&answer)
            && tried.insert(reference.clone())
        {
            // Held until it is ready: who waits for the same finds it so.
            let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            if !prepared.contains(&reference) {
                let artifact = pollster::block_on(self.host.at_hand.resolve(&reference));
                self.host.prepare(&artifact.map_err(Failure::from)?, self.settings.limits)?;
                prepared.insert(reference);
            }
            drop(prepared);
            (answer, record) = once();
        }
        Ok((answer, record))
    }

    /// Tells what rules warn of and computes logged.
    fn tell(&self, answer: &Answer) {
        for warning in &answer.warnings {
            crate::show::tell!("warning: {}", printable(&self.mask.text(warning)));
        }
        answer.trace.iter().for_each(|trace| tell(trace, Some(&self.host)));
    }
}

/// Takes the document through a stack of a server.
fn remote(client: &Client, home: &dyn Home, args: &FireArgs) -> Result<(), Failure> {
    if args.record.is_some() {
        return Err(Failure::usage("a server keeps records of its own: leave out --record"));
    }
    if !args.secret.is_empty() {
        return Err(Failure::usage(
            "a server's rules see its own secrets: set them with `compute secret set`, and leave out --secret",
        ));
    }
    let stage = Stage::start(&args.stage).map_err(Failure::usage)?;
    let detail = match args.trace {
        Some(TraceDetail::Off) => ServerDetail::Off,
        None | Some(TraceDetail::Summary) => ServerDetail::Summary,
        Some(TraceDetail::Full) => ServerDetail::Full,
    };
    let now = args.now.map(Timestamp::try_from).transpose();
    let options = CallOptions {
        deadline: args.wall,
        fuel: args.fuel,
        seed: args.seed,
        now: now.map_err(|error| Failure::usage_of(&error))?,
        trace: Some(detail),
        ..CallOptions::default()
    };
    if args.lines {
        return lines::remote(client, args, &options);
    }
    let input = input::read(args.input.as_deref())?;
    let fired = client.process(&args.stage, input, &options);
    let rid = match &fired {
        Ok(answer) => answer.rid.as_deref(),
        Err(error) => error.problem().and_then(|problem| problem.rid.as_deref()),
    };
    // Whoever may run need not be one who may look.
    let trace = match (detail, rid) {
        (ServerDetail::Off, _) | (_, None) => None,
        (_, Some(rid)) => home.traces().and_then(|traces| read(&*traces, rid)).unwrap_or_default(),
    };
    if let Some(trace) = &trace {
        tell(trace, None);
        match args.trace {
            None => crate::show::tell!("trace {}", trace.id),
            Some(_) => crate::show::tell_lines!("{}", waterfall::show(trace, false)),
        }
    }
    match fired {
        Ok(answer) => print_line(answer.text()),
        Err(error) if error.code() == "unknown_stage" => {
            // Which there are, if the token may look.
            let stacks = client.stacks().unwrap_or_default();
            let names = stacks.iter().map(|one| one.stack.as_str());
            Err(home::no_stack(stage.stack.as_str(), names).unwrap_or_else(|| error.into()))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a document failed at because it was still compiled when its time was over.
fn uncompiled(answer: &Answer) -> Option<Ref> {
    let failure = answer.result.as_ref().err()?;
    let Reason::Guest(guest) = &failure.reason else { return None };
    let compiling =
        matches!(guest.reason, compute::Reason::WallLimit { phase: Phase::Compile, .. });
    compiling.then(|| failure.reference.clone())?
}

/// The versions that answer documents, as they are now.
fn snapshot(place: &Place) -> Result<Snapshot, Failure> {
    let catalogue = place.catalogue(&TenantName::default())?;
    let mut snapshot = Snapshot::default();
    let running = catalogue.running()?;
    let ready = |VersionInfo { stack, number, .. }: VersionInfo| {
        let files = catalogue.version(&stack, number)?.files;
        Ok::<_, Failure>(compiled(stack, &files)?.numbered(number))
    };
    for active in running.active {
        snapshot.insert(ready(active)?);
    }
    for (rollout, info) in running.rollouts {
        snapshot.roll_out(rollout, ready(info)?);
    }
    Ok(snapshot)
}

/// The stage that `STACK` or `STACK/SCOPE` means.
fn stage(text: &str, snapshot: &Snapshot) -> Result<Stage, Failure> {
    let stage = Stage::start(text).map_err(Failure::usage)?;
    if snapshot.knows(&stage.stack) {
        return Ok(stage);
    }
    let names = snapshot.stacks().map(|stack| stack.name().as_str());
    Err(home::no_stack(stage.stack.as_str(), names).unwrap_or_else(|| {
        Failure::usage("there are no active stacks; `compute apply` in a workspace makes some")
    }))
}

/// Shows what computes logged; stacks in it are the author's where the artifacts are here.
fn tell(trace: &Trace, host: Option<&Host>) {
    for step in &trace.steps {
        let map = report::map_for(step.log.iter().map(|line| &*line.text), || {
            target::stored_source_map(host?, step.reference.as_ref()?)
        });
        for line in &step.log {
            let text = map.as_ref().map_or_else(|| line.text.clone(), |map| map.text(&line.text));
            crate::show::tell!("{} {}: {}", step.op, line.level, printable(&text));
        }
        for line in step.stderr.lines() {
            crate::show::tell!("{}: {}", step.op, printable(line));
        }
    }
}

/// Keeps as much of the trace as was asked for.
fn keep(args: &FireArgs, traces: &dyn TraceStore, answer: &Answer) -> Result<(), Failure> {
    let Some(trace) = &answer.trace else { return Ok(()) };
    match args.trace {
        Some(TraceDetail::Off) => {}
        None | Some(TraceDetail::Summary) => trace.summary().write(traces)?,
        Some(TraceDetail::Full) => trace.write(traces)?,
    }
    Ok(())
}

/// A document's failure in the words of the rule's and the compute's author.
fn told(failure: &FlowFailure, host: &Host, mask: &Mask) -> Failure {
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
    mask.apply(&mut text);
    match &failure.reason {
        Reason::Host(_) => Failure::Host(text),
        Reason::Input(_) | Reason::UnknownStage(_) => Failure::Usage(text),
        _ => Failure::Guest(text),
    }
}
