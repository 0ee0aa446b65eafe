//! `compute job`: work that is kept until it has a result.

pub(super) mod submit;
mod wait;

use std::collections::BTreeSet;
use std::io::{IsTerminal as _, Write as _};

use compute::Printable;
use compute_client::api::{JobAnswer, JobHead, JobId, JobState};
use serde_json::value::RawValue;

use crate::args::{Cli, JobArgs, JobCommand, JobLsArgs, JobRetryArgs, JobShowArgs};
use crate::failure::Failure;
use crate::home::{self, HomeJobs};
use crate::show::{count, print_json, print_line};

/// How many digits of a ref a list shows.
const SHORT: usize = 12;
/// How much of an output is shown, in characters.
const SHOWN: usize = 2000;

pub(crate) fn job(cli: &Cli, args: &JobArgs) -> Result<(), Failure> {
    let home = home::of_tenant(cli, args.state.state.as_deref(), args.tenant.as_ref())?;
    if let JobCommand::Submit(args) = &args.command {
        return submit::submit(cli, &*home, args);
    }
    let jobs = home.jobs()?;
    match &args.command {
        JobCommand::Submit(_) => Ok(()),
        JobCommand::Wait(args) => wait::wait(&*home, &jobs, args),
        JobCommand::Ls(args) => ls(&jobs, args),
        JobCommand::Show(args) => show(&jobs, args),
        JobCommand::Cancel(args) => each(&args.ids, |id| {
            jobs.cancel(id)?;
            crate::show::tell!("cancelled {id}");
            Ok(())
        }),
        JobCommand::Retry(args) => retry(&jobs, args),
    }
}

/// Does this with each job. What fails for one is told, and keeps nobody from the others; the worst decides the exit code.
fn each(ids: &[JobId], mut work: impl FnMut(JobId) -> Result<(), Failure>) -> Result<(), Failure> {
    let mut worst: Option<Failure> = None;
    for id in ids {
        let Err(failure) = work(*id) else { continue };
        match worst.take() {
            Some(other) if other.exit_code() > failure.exit_code() => {
                failure.print();
                worst = Some(other);
            }
            other => {
                other.iter().for_each(Failure::print);
                worst = Some(failure);
            }
        }
    }
    worst.map_or(Ok(()), Err)
}

fn ls(jobs: &HomeJobs, args: &JobLsArgs) -> Result<(), Failure> {
    let listed = jobs.list(args.only, args.before, args.last)?;
    if listed.is_empty() && !args.json {
        match args.only {
            Some(state) => crate::show::tell!("there are no jobs that are {state}"),
            None => crate::show::tell!("there are no jobs; `compute job submit` makes one"),
        }
    }
    for job in &listed {
        if args.json { print_json(job)? } else { print_line(line(job))? }
    }
    Ok(())
}

/// A job in a line.
fn line(job: &JobHead) -> String {
    let JobHead { id, state, tried, attempts, created, .. } = job;
    let created = created.strftime("%Y-%m-%dT%H:%M:%SZ");
    let mut what = what(job);
    if let (Some(digest), JobHead { reference: Some(reference), .. }) = (what.rfind('/'), job) {
        what.truncate(digest + 1);
        what.extend(reference.digest().chars().take(SHORT));
        what.push('…');
    }
    let when = match job.run_after {
        Some(at) if *state == JobState::Scheduled => {
            format!("  from {}", at.strftime("%Y-%m-%dT%H:%M:%SZ"))
        }
        _ => String::new(),
    };
    let parts = match (job.batch, job.parts) {
        (true, Some(parts)) => format!(", {} of {} parts", parts.ended, parts.all),
        (true, None) => ", a batch".to_owned(),
        _ => String::new(),
    };
    let text =
        format!("{id}  {state:<9}  {tried:>2}/{attempts:<2}  {created}  {what}{parts}{when}");
    Printable::line(&text).to_string()
}

fn what(job: &JobHead) -> String {
    let reference = job.reference.as_ref().map(ToString::to_string);
    let told = || job.tells.as_ref().map(|url| format!("webhook {url}"));
    reference.or_else(|| job.stack.clone()).or_else(told).unwrap_or_default()
}

/// What a job does, as a name.
fn kind(job: &JobHead) -> &'static str {
    match job {
        JobHead { reference: Some(_), .. } => "ref",
        JobHead { tells: Some(_), .. } => "tells",
        _ => "stack",
    }
}

fn show(jobs: &HomeJobs, args: &JobShowArgs) -> Result<(), Failure> {
    let job = jobs.show(args.id)?;
    if args.json {
        return print_json(&job);
    }
    described(&job).iter().try_for_each(|line| print_line(Printable::line(line)))
}

fn described(job: &JobAnswer) -> Vec<String> {
    let head = &job.head;
    let tried = match (head.tried, head.state) {
        (0, _) => String::new(),
        (_, JobState::Done) => format!(", with attempt {}", head.tried),
        _ => format!(", with attempt {} of {}", head.tried, head.attempts),
    };
    let mut lines = Vec::new();
    let mut put = |name: &str, text: String| lines.push(format!("{name:<8} {text}"));
    put("job", head.id.to_string());
    put(kind(head), what(head));
    put("state", format!("{}{tried}", head.state));
    head.parts
        .iter()
        .for_each(|parts| put("parts", format!("{} of {} ended", parts.ended, parts.all)));
    put("priority", head.priority.to_string());
    put("created", head.created.to_string());
    for (name, time) in [
        ("after", head.run_after),
        ("deadline", head.deadline),
        ("started", head.started),
        ("ended", head.ended),
    ] {
        time.iter().for_each(|time| put(name, time.to_string()));
    }
    head.submitted_by.iter().for_each(|who| put("by", who.to_string()));
    head.worker.iter().for_each(|worker| put("server", worker.clone()));
    put("clock", job.now.to_string());
    put("seed", job.seed.clone());
    if let Some(details) = &job.details {
        for (stack, number) in &details.versions {
            put("version", format!("{stack}@{number}"));
        }
        details.record.iter().for_each(|record| put("record", record.clone()));
        details.fuel.iter().for_each(|fuel| put("fuel", fuel.to_string()));
    }
    job.error.iter().for_each(|error| put("error", wait::told(error).0));
    job.output_ref.iter().for_each(|output| put("output", output.to_string()));
    job.output.iter().for_each(|output| put("output", shown(output)));
    lines
}

/// The beginning of an output.
fn shown(output: &RawValue) -> String {
    let text = output.get();
    match text.char_indices().nth(SHOWN) {
        None => text.to_owned(),
        Some((end, _)) => {
            format!("{}… ({} bytes: `compute job wait` prints all)", &text[..end], text.len())
        }
    }
}

fn retry(jobs: &HomeJobs, args: &JobRetryArgs) -> Result<(), Failure> {
    let again = |id: JobId| {
        jobs.retry(id)?;
        print_line(id)
    };
    if !args.failed {
        return each(&args.ids, again);
    }
    let failed = jobs.list(Some(JobState::Failed), None, usize::MAX)?;
    // What was to be told of a job's end goes when the job is tried again.
    let (tells, others): (Vec<_>, Vec<_>) = failed.iter().partition(|job| job.tells.is_some());
    let others: Vec<_> = others.iter().map(|job| job.id).collect();
    if failed.is_empty() {
        crate::show::tell!("there are no jobs that are failed");
        return Ok(());
    }
    let number = count(failed.len(), "job");
    if !args.yes && !is_wanted(&number)? {
        return Err(Failure::usage("nothing was tried again"));
    }
    each(&others, again)?;
    let left = jobs.list(Some(JobState::Failed), None, usize::MAX)?;
    let left: BTreeSet<_> = left.iter().map(|job| job.id).collect();
    let tells: Vec<_> = tells.iter().map(|job| job.id).filter(|id| left.contains(id)).collect();
    each(&tells, again)?;
    crate::show::tell!("{number} tried again");
    Ok(())
}

/// Asks the person at the keyboard; where there is none, they must have said it before.
fn is_wanted(number: &str) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(format!(
            "{number} failed, and nobody can be asked: --yes has all of them tried again"
        )));
    }
    let mut answer = String::new();
    let asked = write!(anstream::stderr(), "{number} failed: try all of them again? [y/N] ")
        .and_then(|()| stdin.read_line(&mut answer));
    asked.map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
