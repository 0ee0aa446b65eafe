//! `compute schedule`: jobs that are submitted when their time comes, here or on a server.

use compute_client::api::{ScheduleAnswer, ScheduleHead};
use compute_flow::Stage;
use compute_state::{CronTimes, JobWork, NewSchedule, ScheduleInfo};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::args::{Cli, ScheduleArgs, ScheduleCommand, ScheduleSetArgs};
use crate::commands::jobs::submit::{warn_of_absent, warn_of_unstored};
use crate::failure::Failure;
use crate::home::{Home, HomeJobs};
use crate::show::{print_json, print_line};
use crate::{home, input};

/// How many times a dry run shows.
const SHOWN: usize = 3;

pub(crate) fn schedule(cli: &Cli, args: &ScheduleArgs) -> Result<(), Failure> {
    let home = home::of_tenant(cli, args.state.state.as_deref(), args.tenant.as_ref())?;
    if let ScheduleCommand::Set(set) = &args.command
        && set.dry_run
    {
        let new = new_schedule(set)?;
        warn(&*home, &new.work);
        return dry_run(&new);
    }
    let schedules = || home.schedules();
    match &args.command {
        ScheduleCommand::Set(args) => {
            let new = new_schedule(args)?;
            let info = schedules()?.set(&new)?;
            warn(&*home, &new.work);
            if args.json {
                return print_json(&ScheduleHead::from(info));
            }
            print_line(format!("{}: next {}", info.name, at(info.next)))
        }
        ScheduleCommand::Ls { json } => {
            let listed = schedules()?.list()?;
            // What became of their last jobs, as far as that is kept and may be seen.
            let jobs = home.jobs().ok();
            list(listed, jobs.as_ref(), *json)
        }
        ScheduleCommand::Show { name } => {
            let schedule = schedules()?.show(name)?;
            let input = String::from_utf8(schedule.input).ok();
            let input = input.and_then(|text| RawValue::from_string(text).ok());
            print_json(&ScheduleAnswer { head: schedule.info.into(), input })
        }
        ScheduleCommand::Delete { name } => Ok(schedules()?.delete(name)?),
    }
}

/// Tells of what its jobs would run and is not there.
fn warn(home: &dyn Home, work: &JobWork) {
    match work {
        JobWork::Run(reference) => warn_of_unstored(home, reference),
        JobWork::Document(stage) => {
            if let Ok(stage) = Stage::start(stage) {
                warn_of_absent(home, &stage);
            }
        }
        JobWork::Tell(_) => {}
    }
}

fn new_schedule(args: &ScheduleSetArgs) -> Result<NewSchedule, Failure> {
    let times = CronTimes::new(&args.cron, &args.tz).map_err(Failure::usage)?;
    let work = if args.work.starts_with("compute://") {
        JobWork::Run(args.work.parse().map_err(Failure::usage)?)
    } else {
        // No stack has a dot in its name.
        if args.work.contains('.') {
            return Err(Failure::usage(format!(
                "a schedule takes a stack or a ref, and `{0}` is a file: `compute put {0}` stores it and prints its ref",
                args.work
            )));
        }
        Stage::start(&args.work).map_err(Failure::usage)?;
        JobWork::Document(args.work.clone())
    };
    let input = input::read(args.input.as_deref())?.trim_ascii().to_vec();
    let is_object = input.is_empty() || input.starts_with(b"{");
    if matches!(work, JobWork::Document(_)) && !is_object {
        return Err(Failure::usage(
            "a document is a JSON object, such as {\"a\": 1}, and the input is something else",
        ));
    }
    if input.len() > NewSchedule::MAX_INPUT {
        return Err(Failure::usage(format!(
            "the input has {} bytes; that of a schedule's jobs has at most {}",
            input.len(),
            NewSchedule::MAX_INPUT
        )));
    }
    let mut new = NewSchedule::new(args.name.clone(), times, work, input);
    (new.priority, new.attempts) = (args.priority, args.attempts);
    (new.fuel, new.catch_up) = (args.fuel, args.catch_up.into());
    Ok(new)
}

fn dry_run(new: &NewSchedule) -> Result<(), Failure> {
    let mut next = new.times.next(Timestamp::now());
    for _ in 0..SHOWN {
        let Some(time) = next else { break };
        print_line(at(time))?;
        next = new.times.next(time);
    }
    Ok(())
}

fn list(infos: Vec<ScheduleInfo>, jobs: Option<&HomeJobs>, json: bool) -> Result<(), Failure> {
    if infos.is_empty() && !json {
        crate::show::tell!("there are no schedules yet; `compute schedule set NAME` sets one");
    }
    for info in infos {
        if json {
            print_json(&ScheduleHead::from(info))?;
            continue;
        }
        let became = info.last_job.zip(jobs).and_then(|(id, jobs)| jobs.show(id).ok());
        let became = became.map_or_else(String::new, |job| format!(" ({})", job.head.state));
        print_line(format!(
            "{:<24} {:<20} {:<16} next {}  last {}{became}  {}",
            info.name,
            info.cron,
            info.time_zone,
            at(info.next),
            info.last.map_or_else(|| "never".to_owned(), at),
            info.work,
        ))?;
        if let Some(error) = info.last_error {
            print_line(format!("{:<24} {error}", ""))?;
        }
    }
    Ok(())
}

fn at(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
