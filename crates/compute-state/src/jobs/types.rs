//! What jobs are, and what is said of them.

use std::fmt;
use std::time::Duration;

use compute::{Ref, Seed};
use jiff::Timestamp;

use super::batches::{PART, parts_to_come};
use super::{JobId, JobParts, JobResult, JobState, NewPart, PartOf, Webhook};
use crate::{Actor, StateError, TenantName};

/// What a job does with its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobWork {
    /// Runs a compute.
    Run(Ref),
    /// Takes a document through the versions that are active when it begins: the stack, or a scope of it.
    Document(String),
    /// Tells somebody that another job has ended. Its input is an [`EndNotice`](super::EndNotice).
    Tell(Webhook),
}

impl JobWork {
    /// The number of its kind where it is kept, beside its text.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        match self {
            Self::Run(_) => 0,
            Self::Document(_) => 1,
            Self::Tell(_) => 2,
        }
    }

    /// Its text where it is kept.
    #[must_use]
    pub fn kept(&self) -> String {
        match self {
            Self::Tell(webhook) => webhook.to_string(),
            work => work.to_string(),
        }
    }

    /// The work of this kind and text.
    #[must_use]
    pub fn of(kind: u8, text: &str) -> Option<Self> {
        match kind {
            0 => text.parse().ok().map(Self::Run),
            1 => Some(Self::Document(text.to_owned())),
            2 => Webhook::kept(text).map(Self::Tell),
            _ => None,
        }
    }
}

impl fmt::Display for JobWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(reference) => reference.fmt(f),
            Self::Document(stage) => f.pad(stage),
            Self::Tell(webhook) => f.pad(webhook.shown()),
        }
    }
}

/// A time that a job goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobTime {
    /// This one.
    At(Timestamp),
    /// So long after it is accepted, by the clock of whoever keeps it.
    In(Duration),
}

impl JobTime {
    /// When that is, of whole milliseconds, for a job that is accepted then.
    fn of(self, accepted: Timestamp) -> Timestamp {
        let at = match self {
            Self::At(at) => at,
            Self::In(after) => accepted.saturating_add(after).unwrap_or(Timestamp::MAX),
        };
        Timestamp::from_millisecond(at.as_millisecond()).unwrap_or(at)
    }
}

/// A job that is to be submitted.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub work: JobWork,
    /// Its input: JSON, or nothing; of a batch, any number of JSON texts, each with a `\n` after it and none within.
    pub input: Vec<u8>,
    /// Whether it is a batch: each line of the input is one of its own, and the result has one for each.
    pub is_batch: bool,
    /// Who is told when it has ended, and the id of the job that tells it.
    pub webhook: Option<(JobId, Webhook)>,
    /// What names the request to submit it, so that it may be sent again: at most [`NewJob::MAX_KEY`] bytes.
    pub key: Option<String>,
    /// What was asked for, as a SHA-256: a request with the same key asks for the same.
    pub request: [u8; 32],
    /// When it may begin.
    pub run_after: Option<JobTime>,
    /// When it fails if it has not ended.
    pub deadline: Option<JobTime>,
    /// Among the jobs of a tenant, those of a higher one come first: up to [`NewJob::MAX_PRIORITY`].
    pub priority: u8,
    /// How often it is tried at most: up to [`NewJob::MAX_ATTEMPTS`].
    pub attempts: u32,
    /// What its clock shows: when it is accepted, unless this is set. In nanoseconds since 1970, up to 2262.
    pub now: Option<i64>,
    /// What its random numbers come from.
    pub seed: Seed,
    /// Meter its computes, and stop each after so many instructions.
    pub fuel: Option<u64>,
    /// Who submits it: a token or a schedule.
    pub submitted_by: Option<Actor>,
}

impl NewJob {
    /// The longest idempotency key, in bytes.
    pub const MAX_KEY: usize = 200;
    /// The highest priority.
    pub const MAX_PRIORITY: u8 = 9;
    /// The priority of those who say nothing.
    pub const PRIORITY: u8 = 5;
    /// The most attempts.
    pub const MAX_ATTEMPTS: u32 = 20;
    /// How often a job is tried whose submitter says nothing.
    pub const ATTEMPTS: u32 = 5;

    /// A job that may begin at once, with what is usual.
    #[must_use]
    pub fn new(work: JobWork, input: Vec<u8>) -> Self {
        Self {
            id: JobId::new(),
            work,
            input,
            is_batch: false,
            webhook: None,
            key: None,
            request: [0; 32],
            run_after: None,
            deadline: None,
            priority: Self::PRIORITY,
            attempts: Self::ATTEMPTS,
            now: None,
            seed: Seed::random(),
            fuel: None,
            submitted_by: None,
        }
    }

    /// The job as it is kept, accepted at this time, of whole milliseconds.
    #[must_use]
    pub fn accepted(&self, tenant: &TenantName, created: Timestamp) -> KeptJob {
        let run_after = self.run_after.map(|at| at.of(created)).filter(|at| *at > created);
        let info = JobInfo {
            id: self.id,
            work: self.work.clone(),
            is_batch: self.is_batch,
            parts: None,
            state: if run_after.is_some() { JobState::Scheduled } else { JobState::Waiting },
            priority: self.priority,
            tried: 0,
            attempts: self.attempts,
            created,
            run_after,
            deadline: self.deadline.map(|at| at.of(created)),
            started: None,
            ended: None,
            worker: None,
            submitted_by: self.submitted_by.clone(),
        };
        let now = self.now.unwrap_or_else(|| created.as_millisecond().saturating_mul(1_000_000));
        KeptJob {
            tenant: tenant.clone(),
            job: Job { info, now, seed: self.seed, result: None },
            input: self.input.clone(),
            key: self.key.clone(),
            request: self.request,
            fuel: self.fuel,
            fence: 0,
            webhook: self.webhook.clone(),
            part_of: None,
        }
    }

    /// How many bytes it takes where it is kept: a batch is kept once more, in parts.
    #[must_use]
    pub const fn size(&self) -> u64 {
        let input = self.input.len() as u64;
        if self.is_batch { 2 * input + parts_to_come(input) } else { input }
    }
}

/// A job that was submitted, or was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The job.
    pub info: JobInfo,
    /// Whether it was submitted before, with this idempotency key.
    pub was_there: bool,
}

/// What a list says of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub work: JobWork,
    /// Whether it does that with each line of its input.
    pub is_batch: bool,
    /// How far it is, if it was split into parts.
    pub parts: Option<JobParts>,
    /// Where it is.
    pub state: JobState,
    /// Its priority.
    pub priority: u8,
    /// How often it was tried.
    pub tried: u32,
    /// How often it is tried at most.
    pub attempts: u32,
    /// When it was accepted.
    pub created: Timestamp,
    /// When it may begin, if its time has not come.
    pub run_after: Option<Timestamp>,
    /// When it fails if it has not ended.
    pub deadline: Option<Timestamp>,
    /// When it was last begun.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Who has it, or had it last.
    pub worker: Option<String>,
    /// Who submitted it: a token or a schedule.
    pub submitted_by: Option<Actor>,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// What a list says of it.
    pub info: JobInfo,
    /// What its clock shows, in nanoseconds since 1970.
    pub now: i64,
    /// What its random numbers come from.
    pub seed: Seed,
    /// What became of it; of one that is to be tried again, what became of the last attempt.
    pub result: Option<JobResult>,
}

/// Which jobs a list is of.
#[derive(Clone, Debug)]
pub struct JobFilter {
    /// Of those in this state.
    pub state: Option<JobState>,
    /// Of those that were submitted before this one.
    pub before: Option<JobId>,
    /// How many at most.
    pub most: usize,
}

/// The right to run a job, for a while.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lease {
    /// Whose the job is.
    pub tenant: TenantName,
    /// The job.
    pub id: JobId,
    /// Grows each time the job is claimed.
    pub fence: i64,
}

/// A job that was claimed.
#[derive(Clone, Debug)]
pub struct ClaimedJob {
    /// The right to run it.
    pub lease: Lease,
    /// What it does.
    pub work: JobWork,
    /// Whether it does that with each line of its input.
    pub is_batch: bool,
    /// Which part of which batch it is.
    pub part_of: Option<PartOf>,
    /// Of a batch that was split: all its parts have ended.
    pub parts: Option<JobParts>,
    /// Its input.
    pub input: Vec<u8>,
    /// What its clock shows, in nanoseconds since 1970.
    pub now: i64,
    /// What its random numbers come from.
    pub seed: Seed,
    /// Meter its computes, and stop each after so many instructions.
    pub fuel: Option<u64>,
    /// How often it was tried, with this time.
    pub tried: u32,
    /// How often it is tried at most.
    pub attempts: u32,
    /// In how long its deadline comes.
    pub left: Option<Duration>,
}

/// What becomes of a job that somebody gives up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobEnd {
    /// It is done, and this is its result.
    Done(JobResult),
    /// It failed for good.
    Failed(JobResult),
    /// It failed, and is tried again after so long.
    Again(JobResult, Duration),
    /// It was not begun: it waits as before, with the attempt that it was claimed for.
    GivenBack,
    /// It was not begun, and is to be after so long, with the attempt that it was claimed for.
    Later(Duration),
    /// It was split into these: it waits again when all of them have ended, with the attempt that it was claimed for.
    Split(Vec<NewPart>),
}

impl JobEnd {
    /// Where the job is then.
    #[must_use]
    pub const fn state(&self) -> JobState {
        match self {
            Self::Done(_) => JobState::Done,
            Self::Failed(_) => JobState::Failed,
            Self::Again(..) | Self::Later(_) | Self::Split(_) => JobState::Scheduled,
            Self::GivenBack => JobState::Waiting,
        }
    }

    /// What became of the attempt, if there was one.
    #[must_use]
    pub const fn result(&self) -> Option<&JobResult> {
        match self {
            Self::Done(result) | Self::Failed(result) | Self::Again(result, _) => Some(result),
            Self::GivenBack | Self::Later(_) | Self::Split(_) => None,
        }
    }

    /// What it was split into.
    #[must_use]
    pub fn parts(&self) -> &[NewPart] {
        match self {
            Self::Split(parts) => parts,
            _ => &[],
        }
    }

    /// Whether the attempt is not counted.
    #[must_use]
    pub const fn gives_back(&self) -> bool {
        matches!(self, Self::GivenBack | Self::Later(_) | Self::Split(_))
    }

    /// After how long it may begin, if not at once.
    #[must_use]
    pub const fn after(&self) -> Option<Duration> {
        match self {
            Self::Again(_, after) | Self::Later(after) => Some(*after),
            _ => None,
        }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> usize {
        let parts: usize = self.parts().iter().map(|part| part.input.len()).sum();
        parts + self.result().map_or(0, JobResult::size)
    }
}

/// How many jobs there are that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobLoad {
    /// Whose time has not come.
    pub scheduled: u64,
    /// That wait.
    pub waiting: u64,
    /// That run.
    pub running: u64,
}

/// A job with all that is kept of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptJob {
    /// Whose it is.
    pub tenant: TenantName,
    /// The job.
    pub job: Job,
    /// Its input.
    pub input: Vec<u8>,
    /// Its idempotency key.
    pub key: Option<String>,
    /// What was asked for, as a SHA-256.
    pub request: [u8; 32],
    /// Its fuel.
    pub fuel: Option<u64>,
    /// How often it was claimed.
    pub fence: i64,
    /// Who is told when it has ended, and the id of the job that tells it.
    pub webhook: Option<(JobId, Webhook)>,
    /// Which part of which batch it is.
    pub part_of: Option<PartOf>,
}

impl KeptJob {
    /// How many jobs [`kept`](super::JobQueue::kept) gives at once, at most.
    pub const PAGE: usize = 100;
    /// How many bytes they have at most; the first may have more.
    pub const PAGE_BYTES: u64 = 8 << 20;

    /// How many bytes its input and its result have. A part of a batch counts for a kilobyte besides; the input of a batch counts once
    /// more until it is split, and so do the parts that there will be.
    #[must_use]
    pub fn size(&self) -> u64 {
        let info = &self.job.info;
        let is_split = info.parts.is_some() || self.part_of.is_some();
        let is_to_split = info.is_batch && !is_split && !info.state.has_ended();
        let input = self.input.len() as u64;
        let parts = match self.part_of {
            Some(_) => PART,
            None if is_to_split => input + parts_to_come(input),
            None => 0,
        };
        input + parts + self.job.result.as_ref().map_or(0, JobResult::size) as u64
    }

    /// The job as it is where it is restored: nobody there runs it.
    #[must_use]
    pub fn restored(&self) -> Self {
        let mut restored = self.clone();
        if restored.job.info.state == JobState::Running {
            restored.job.info.state = JobState::Waiting;
        }
        restored
    }
}

/// Something cannot be done with a job.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobsError {
    /// There is none of this id, or none any more.
    #[error("there is no job `{0}`: it may have ended so long ago that it is not kept")]
    NotFound(JobId),
    /// It has ended already.
    #[error("the job `{id}` has ended: it is {state}")]
    Ended {
        /// Its id.
        id: JobId,
        /// How.
        state: JobState,
    },
    /// Only what failed or was cancelled is tried again.
    #[error("the job `{id}` is {state}; only one that failed or was cancelled is tried again")]
    NotFailed {
        /// Its id.
        id: JobId,
        /// Where it is.
        state: JobState,
    },
    /// Another job was submitted with this key.
    #[error(
        "the idempotency key was used for the job `{0}`, which is not the same: take another key for another job"
    )]
    KeyReused(JobId),
    /// The tenant has as many as it may.
    #[error("a tenant may have {limit} {what}; wait until some have ended")]
    Quota {
        /// What there may be no more of.
        what: &'static str,
        /// How many there may be.
        limit: u64,
    },
    /// What is kept cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}
