//! Which artifacts versions of stacks, schedules and jobs name, and which of these do so.

use std::collections::BTreeMap;
use std::fmt;

use compute::Ref;
use compute_client::api::JobState;
use compute_state::JobWork;

use crate::failure::Failure;
use crate::home::Home;
use crate::work::plan;

/// How many of those that name an artifact are told.
const TOLD: usize = 5;

/// Who names an artifact.
#[derive(Debug, Default)]
pub(super) struct Namers(Vec<String>);

impl fmt::Display for Namers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (told, rest) = self.0.split_at(TOLD.min(self.0.len()));
        f.write_str(&told.join(", "))?;
        if rest.is_empty() { Ok(()) } else { write!(f, " and {} more", rest.len()) }
    }
}

/// Every artifact that a version, a schedule or a job that has not ended runs, and who does.
pub(super) fn all(home: &dyn Home) -> Result<BTreeMap<Ref, Namers>, Failure> {
    let mut named: BTreeMap<Ref, Namers> = BTreeMap::new();
    let mut add = |reference: Ref, by: String| {
        let by_whom = &mut named.entry(reference).or_default().0;
        if !by_whom.contains(&by) {
            by_whom.push(by);
        }
    };
    let stacks = home.stacks()?;
    for stack in stacks.stacks()? {
        for version in stacks.versions(&stack.stack)? {
            let active = if version.active { " (active)" } else { "" };
            let by = format!("version {} of {}{active}", version.number, stack.stack);
            let files = stacks.version(&stack.stack, version.number)?.files;
            for reference in plan::references(&files) {
                add(reference, by.clone());
            }
        }
    }
    for schedule in home.schedules()?.list()? {
        if let JobWork::Run(reference) = schedule.work {
            add(reference, format!("the schedule {}", schedule.name));
        }
    }
    let jobs = home.jobs()?;
    for state in [JobState::Scheduled, JobState::Waiting, JobState::Running] {
        for job in jobs.list(Some(state), None, usize::MAX)? {
            if let Some(reference) = job.reference {
                add(reference, format!("the job {}", job.id));
            }
        }
    }
    Ok(named)
}
