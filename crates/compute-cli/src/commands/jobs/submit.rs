//! `compute job submit`: what a job runs, and when.

use compute::Ref;
use compute_client::api::{JobRequest, WebhookRequest};
use compute_flow::Stage;
use compute_store::StoreError;
use jiff::Timestamp;
use serde_json::value::RawValue;

use super::wait;
use crate::args::values::When;
use crate::args::{Cli, JobSubmitArgs};
use crate::commands::artifacts::put;
use crate::failure::Failure;
use crate::home::Home;
use crate::host::Host;
use crate::input;
use crate::show::{print_json, print_line};
use crate::work::{lines, target};

pub(super) fn submit(cli: &Cli, home: &dyn Home, args: &JobSubmitArgs) -> Result<(), Failure> {
    check_times(args)?;
    let (input, inputs) = match args.lines {
        true => (String::new(), Some(lines::list(args.input.as_deref())?)),
        false => (one_input(args)?, None),
    };
    let now = args.now.map(Timestamp::try_from).transpose();
    let ((run_after, run_after_ms), (deadline, deadline_ms)) =
        (parted(args.after), parted(args.deadline));
    let mut request = JobRequest {
        run_after,
        run_after_ms,
        deadline,
        deadline_ms,
        priority: args.priority,
        attempts: args.attempts,
        now: now.map_err(|error| Failure::usage_of(&error))?,
        seed: args.seed.map(|seed| seed.to_string()),
        fuel: args.fuel,
        webhook: args.webhook.clone().zip(args.webhook_secret.clone()).map(webhook),
        inputs,
        ..JobRequest::default()
    };
    let (mut stage, mut reference) = (None, None);
    let target = args.target.as_str();
    if target.contains("://") {
        reference = Some(Ref::parse(target).map_err(Failure::usage)?);
        request.reference = reference.clone();
    } else if target.contains('.') {
        // No stack has a dot in its name.
        request.reference = Some(stored(cli, home, target)?);
    } else {
        stage = Some(Stage::start(target).map_err(Failure::usage)?);
        request.stack = Some(target.to_owned());
        if !input.trim_start().starts_with(['{']) && !input.trim().is_empty() {
            return Err(Failure::usage(
                "a document is a JSON object, such as {\"a\": 1}, and the input is something else",
            ));
        }
    }
    // It was checked to be JSON, or is nothing.
    request.input = RawValue::from_string(input).ok();
    let jobs = home.jobs()?;
    let (job, was_there) = jobs.submit(request, args.key.as_deref())?;
    if was_there {
        crate::show::tell!("the job was submitted before with this key: it is {}", job.state);
    } else if let Some(stage) = &stage {
        warn_of_absent(home, stage);
    } else if let Some(reference) = &reference {
        warn_of_unstored(home, reference);
    }
    if let Some(secret) = args.webhook_secret.as_deref().filter(|_| !was_there) {
        warn_of_unset(home, secret);
    }
    if let Some(place) = home.place().filter(|_| !job.state.has_ended()) {
        crate::show::tell!(
            "the job is kept in {}, and waits until a `compute serve` on it runs it",
            place.shown()
        );
    }
    if args.wait {
        crate::show::tell!("job {}", job.id);
        let id = job.id;
        let job = jobs.wait(id, args.timeout).map_err(|failure| {
            let message = format!("the job {id} was accepted, and cannot be waited for: {failure}");
            failure.with_message(message)
        })?;
        return wait::print(home, job, args.json, args.timeout);
    }
    if args.json { print_json(&job) } else { print_line(job.id) }
}

/// The input of a job that has one.
fn one_input(args: &JobSubmitArgs) -> Result<String, Failure> {
    let input = String::from_utf8(input::read(args.input.as_deref())?).unwrap_or_default();
    if input.len() > JobRequest::MAX_INPUT {
        return Err(Failure::usage(format!(
            "the input has {} bytes, and that of a job at most {}",
            input.len(),
            JobRequest::MAX_INPUT
        )));
    }
    Ok(input)
}

fn webhook((url, secret): (String, String)) -> WebhookRequest {
    WebhookRequest { url, secret }
}

/// A file's compute, where whoever runs the job has it from.
fn stored(cli: &Cli, home: &dyn Home, file: &str) -> Result<Ref, Failure> {
    let host = Host::new(cli, 0, 1)?;
    let target = target::from_file(&host, file.as_ref(), compute_wasm::NAME)?;
    Ok(put::store_target(&*home.store()?, &host, &target, file)?.reference)
}

/// A moment, or how far it is from when the job is accepted: the clock of whoever accepts it decides then.
fn parted(when: Option<When>) -> (Option<Timestamp>, Option<u64>) {
    match when {
        None => (None, None),
        Some(When::At(at)) => (Some(at), None),
        Some(When::In(time)) => (None, Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))),
    }
}

/// That there is time for the job.
fn check_times(args: &JobSubmitArgs) -> Result<(), Failure> {
    let now = Timestamp::now();
    let at = |when: Option<When>| match when {
        None => Ok(None),
        Some(When::At(at)) => Ok(Some(at)),
        Some(When::In(time)) => {
            now.checked_add(time).map(Some).map_err(|error| Failure::usage_of(&error))
        }
    };
    let (after, deadline) = (at(args.after)?, at(args.deadline)?);
    match (after, deadline) {
        (_, Some(deadline)) if deadline <= now => {
            Err(Failure::usage(format!("--deadline {deadline} is over already")))
        }
        (Some(after), Some(deadline)) if deadline <= after => Err(Failure::usage(
            "--deadline is not after --after: the job would fail before it may begin",
        )),
        _ => Ok(()),
    }
}

/// Tells of a webhook's secret that is not set: it may be when the job ends. Whoever may submit need not be one who may look.
fn warn_of_unset(home: &dyn Home, secret: &str) {
    let Ok(Ok(secrets)) = home.secrets(None).map(|secrets| secrets.list()) else { return };
    if secrets.iter().all(|one| one.name != secret) {
        crate::show::tell!(
            "warning: there is no secret `{secret}`, and nobody is told of the end while there is none; `compute secret set {secret}` sets it"
        );
    }
}

/// Tells of a compute that is not stored, if that can be told: it may be when the job begins.
pub(in crate::commands) fn warn_of_unstored(home: &dyn Home, reference: &Ref) {
    let Ok(store) = home.store() else { return };
    if let Err(StoreError::NotFound { .. }) = pollster::block_on(store.head(reference)) {
        crate::show::tell!(
            "warning: {reference} is not stored, and the job fails if it is not when it begins; `compute put FILE` stores one"
        );
    }
}

/// Tells of a stack that is not active: it may be when the job begins. Whoever may submit need not be one who may look.
pub(in crate::commands) fn warn_of_absent(home: &dyn Home, stage: &Stage) {
    // A state that was never made has none, and is not made for this.
    let stacks = match home.place() {
        Some(place) if !place.is_there() => Vec::new(),
        _ => match home.stacks().map(|stacks| stacks.stacks()) {
            Ok(Ok(stacks)) => stacks,
            _ => return,
        },
    };
    if stacks.iter().any(|one| one.stack == stage.stack && one.active.is_some()) {
        return;
    }
    let active = stacks.iter().filter(|one| one.active.is_some()).map(|one| one.stack.as_str());
    let known: Vec<_> = active.collect();
    let hint = txcl::nearest(stage.stack.as_str(), &known);
    let hint = hint.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    crate::show::tell!(
        "warning: there is no active stack `{}`, and the job fails if there is none when it begins{hint}",
        stage.stack
    );
}
