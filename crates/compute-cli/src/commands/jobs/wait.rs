//! `compute job wait`: the ends of jobs, and what they are to whoever waited.

use std::time::{Duration, Instant};

use compute::Ref;
use compute_client::api::{JobAnswer, JobState};
use serde_json::value::RawValue;

use super::each;
use crate::args::JobWaitArgs;
use crate::failure::Failure;
use crate::home::{Home, HomeJobs};
use crate::show::{print_json, print_line};
use crate::work::lines::{self, ShortProblem};

pub(super) fn wait(home: &dyn Home, jobs: &HomeJobs, args: &JobWaitArgs) -> Result<(), Failure> {
    let begun = Instant::now();
    each(&args.ids, |id| {
        let left = args.timeout.map(|limit| limit.saturating_sub(begun.elapsed()));
        let job = jobs.wait(id, left)?;
        print(home, job, args.json, args.timeout)
    })
}

/// Prints what became of a job that was waited for.
pub(super) fn print(
    home: &dyn Home,
    mut job: JobAnswer,
    json: bool,
    waited: Option<Duration>,
) -> Result<(), Failure> {
    if json {
        print_json(&job)?;
    } else if let Some(reference) = &job.output_ref {
        job.output = Some(stored(home, reference)?);
    }
    let (id, state) = (job.head.id, job.head.state);
    match state {
        JobState::Done if json => Ok(()),
        JobState::Done => match &job.output {
            Some(output) if job.head.batch => lines::print_list(output),
            Some(output) => print_line(output.get()),
            None => Err(Failure::Host(format!("the output of the job {id} cannot be read"))),
        },
        JobState::Failed => {
            let (told, status, code) = job.error.as_deref().map(told).unwrap_or_default();
            let often = match job.head.tried {
                0 | 1 => String::new(),
                tried => format!(" after {tried} attempts"),
            };
            let message = format!("the job {id} failed{often}: {told}");
            Err(Failure::of_problem(status, &code, message))
        }
        JobState::Cancelled => Err(Failure::Guest(format!("the job {id} was cancelled"))),
        _ => Err(Failure::Host(format!(
            "the job {id} is still {state} after {:?}: `compute job wait {id}` waits for it again",
            waited.unwrap_or_default()
        ))),
    }
}

/// An output that is an artifact.
fn stored(home: &dyn Home, reference: &Ref) -> Result<Box<RawValue>, Failure> {
    let store = home.store()?;
    let stored = pollster::block_on(store.get(reference))?;
    let text = String::from_utf8(stored.artifact.wasm().to_vec()).ok();
    let output = text.and_then(|text| RawValue::from_string(text).ok());
    output.ok_or_else(|| Failure::Host(format!("the output {reference} is no JSON")))
}

/// What a problem says, its status and its code.
pub(super) fn told(error: &RawValue) -> (String, u16, String) {
    match serde_json::from_str::<ShortProblem>(error.get()) {
        Ok(ShortProblem { code, detail, status }) => (format!("{detail} [{code}]"), status, code),
        Err(_) => (error.get().to_owned(), 0, String::new()),
    }
}
