//! Jobs: work that is kept until it has a result, whoever does it and however often.
//!
//! A job is submitted once and ends once. Between, it is *scheduled* (its time has not come), *waiting*, or *running*: some worker
//! holds a lease on it, which it renews. Whoever lets a lease lapse has lost the job: another takes it, and what the first gives
//! later is refused, since each time a job is claimed it has another [`Lease`]. So it may be run more than once, and has one
//! result; its clock and its seed are fixed when it is submitted, so that it is the same each time.
//!
//! A *batch* has an input of many lines: it is split into parts, jobs of their own that are gone when it has ended. Who asks for that is
//! told when a job has ended, by a job of its own ([`Webhook`]), which is submitted with the end, whatever ends it.
//!
//! All times are those of whoever keeps the jobs: clocks of workers decide nothing.

mod batches;
mod cron;
mod ends;
mod schedules;
mod tenant;
mod turns;
mod types;
mod webhooks;

use std::fmt;
use std::time::Duration;

use compute::Ref;
use jiff::Timestamp;

use crate::{StateError, TenantName};

pub use batches::{EndedPart, JobParts, NewPart, PartOf};
pub use cron::{CronTimes, CronTimesError};
pub use ends::{JobId, JobIdError, JobResult, JobState, JobStateError};
pub use schedules::{
    Begun, CatchUp, DueSchedule, Fired, Firing, NewSchedule, Schedule, ScheduleInfo, ScheduleName,
    ScheduleNameError, ScheduleQueue, Schedules, SchedulesError,
};
pub use tenant::TenantJobs;
pub use turns::Takes;
pub use types::{
    ClaimedJob, Job, JobEnd, JobFilter, JobInfo, JobLoad, JobTime, JobWork, JobsError, KeptJob,
    Lease, NewJob, Submitted,
};
pub use webhooks::{EndNotice, Webhook, WebhookError};

/// The jobs of a tenant, as those who submit them see them, on this machine or through a server.
///
/// Each change is atomic, and durable when it is answered. All methods block.
pub trait Jobs: fmt::Debug + Send + Sync {
    /// Submits a job, or finds the one that was submitted with its idempotency key, or its id.
    ///
    /// # Errors
    /// [`JobsError::KeyReused`], [`JobsError::Quota`].
    fn submit(&self, job: &NewJob) -> Result<Submitted, JobsError>;

    /// A job, with its result if it has ended.
    ///
    /// # Errors
    /// [`JobsError::NotFound`].
    fn show(&self, id: &JobId) -> Result<Job, JobsError>;

    /// Some jobs, those that were submitted last first; parts of batches are not among them.
    ///
    /// # Errors
    /// [`JobsError::State`].
    fn list(&self, filter: &JobFilter) -> Result<Vec<JobInfo>, JobsError>;

    /// Ends a job that has not ended: it has no result, whoever runs it.
    ///
    /// # Errors
    /// [`JobsError::NotFound`], [`JobsError::Ended`].
    fn cancel(&self, id: &JobId) -> Result<JobInfo, JobsError>;

    /// Has a job that failed or was cancelled wait again, with all its attempts, and without its deadline if that has passed.
    ///
    /// # Errors
    /// [`JobsError::NotFound`], [`JobsError::NotFailed`], [`JobsError::Quota`].
    fn retry(&self, id: &JobId) -> Result<JobInfo, JobsError>;
}

/// The jobs of all tenants, for those who run them.
pub trait JobQueue: ScheduleQueue {
    /// As [`Jobs::submit`], many at once: each is submitted or refused by itself, and all that are submitted are so together.
    /// Where several submit a tenant's jobs at the same moment, each may go by what it found: there may be as many more as the others
    /// submit at once.
    ///
    /// # Errors
    /// [`StateError`] if none is.
    fn submit(
        &self,
        jobs: &[(TenantName, NewJob)],
    ) -> Result<Vec<Result<Submitted, JobsError>>, StateError>;

    /// As [`Jobs::show`].
    ///
    /// # Errors
    /// [`JobsError::NotFound`].
    fn show(&self, tenant: &TenantName, id: &JobId) -> Result<Job, JobsError>;

    /// As [`Jobs::list`].
    ///
    /// # Errors
    /// [`JobsError::State`].
    fn list(&self, tenant: &TenantName, filter: &JobFilter) -> Result<Vec<JobInfo>, JobsError>;

    /// As [`Jobs::cancel`].
    ///
    /// # Errors
    /// [`JobsError::NotFound`], [`JobsError::Ended`].
    fn cancel(&self, tenant: &TenantName, id: &JobId) -> Result<JobInfo, JobsError>;

    /// As [`Jobs::retry`]. Where somebody is told of its end, the job that tells of the next one has this id: whoever still has the one
    /// before has nothing of this.
    ///
    /// # Errors
    /// [`JobsError::NotFound`], [`JobsError::NotFailed`], [`JobsError::Quota`].
    fn retry(&self, tenant: &TenantName, id: &JobId, teller: JobId) -> Result<JobInfo, JobsError>;

    /// Takes jobs that wait: of all tenants in turn, of each those of the highest priority first, and among these the oldest.
    /// Each has one attempt fewer from now on.
    ///
    /// Before that, those whose time has come wait; those whose lease has lapsed wait again, or fail
    /// ([`JobResult::lost`]) if they have no attempt left; those whose deadline has passed fail ([`JobResult::late`]), unless they
    /// run. Of very many, some are left for the next time; none is taken whose deadline has passed.
    ///
    /// # Errors
    /// [`StateError`]; none is taken then, or their leases lapse.
    fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, StateError>;

    /// Has leases last so long from now. Of each, whether it is still held: if not, the job is another's, or has ended.
    ///
    /// # Errors
    /// [`StateError`].
    fn renew(&self, leases: &[Lease], lasts: Duration) -> Result<Vec<bool>, StateError>;

    /// Gives up leases, each with what became of the job. Of each, whether it was still held: if not, nothing was done.
    ///
    /// # Errors
    /// [`StateError`]; nothing was done, or all of it.
    fn finish(&self, ended: &[(Lease, JobEnd)]) -> Result<Vec<bool>, StateError>;

    /// What became of some parts of a batch whose parts all have ended, in their order, from the one on that has this first line.
    ///
    /// # Errors
    /// [`StateError`].
    fn parts(
        &self,
        tenant: &TenantName,
        batch: &JobId,
        from: u32,
    ) -> Result<Vec<EndedPart>, StateError>;

    /// That an artifact is stored, or about to be, as the output of a job which is not said to have it yet: until it is, or for so long
    /// as [`JobQueue::gone_outputs`] is asked for, it may not be deleted. Whether that is so: not while somebody deletes it at this
    /// moment, who does not begin again for so long if that fails.
    ///
    /// # Errors
    /// [`StateError`].
    fn stores_output(&self, tenant: &TenantName, output: &Ref) -> Result<bool, StateError>;

    /// Some artifacts that no job has, and that were outputs of jobs that are not kept any more, or were stored as such, longer ago than
    /// this. Whoever asks deletes them within [`DELETING`], and says so ([`JobQueue::output_is_gone`]); what nobody
    /// says that of is told again, twice that time after.
    ///
    /// # Errors
    /// [`StateError`].
    fn gone_outputs(
        &self,
        age: Duration,
        most: usize,
    ) -> Result<Vec<(TenantName, Ref)>, StateError>;

    /// That an artifact is deleted that was told to be ([`JobQueue::gone_outputs`]).
    ///
    /// # Errors
    /// [`StateError`].
    fn output_is_gone(&self, tenant: &TenantName, output: &Ref) -> Result<(), StateError>;

    /// Of each, whether it has ended, or is none.
    ///
    /// # Errors
    /// [`StateError`].
    fn ended(&self, jobs: &[(TenantName, JobId)]) -> Result<Vec<bool>, StateError>;

    /// Deletes some of the jobs that ended so long ago, and of those that are more than a tenant may keep the ones that ended first.
    /// Their inputs and results have so many bytes at most; those of the first may have more. The next time begins with the tenant after the
    /// last of whom some went.
    ///
    /// # Errors
    /// [`StateError`].
    fn sweep(&self, age: Duration, most_bytes: u64) -> Result<Swept, StateError>;

    /// A schedule of a tenant's that runs an artifact, a job that will, since it has not ended, or one whose output it is.
    ///
    /// # Errors
    /// [`StateError`].
    fn naming(&self, tenant: &TenantName, artifact: &Ref) -> Result<Option<NamedBy>, StateError>;

    /// How many jobs there are that have not ended, of all tenants.
    ///
    /// # Errors
    /// [`StateError`].
    fn load(&self) -> Result<JobLoad, StateError>;

    /// Some jobs as they are kept, of all tenants by name and of each the oldest first, which come after this one.
    ///
    /// # Errors
    /// [`StateError`].
    fn kept(&self, after: Option<&(TenantName, JobId)>) -> Result<Vec<KeptJob>, StateError>;

    /// Keeps jobs as they were elsewhere, in the place of those of their ids; one that was running there waits here
    /// ([`KeptJob::restored`]). Quotas are for what is new.
    ///
    /// # Errors
    /// [`StateError`].
    fn restore(&self, jobs: &[KeptJob]) -> Result<(), StateError>;
}

/// How long it may take at most to delete the artifacts that are told to be ([`JobQueue::gone_outputs`]).
pub const DELETING: Duration = Duration::from_secs(300);

/// What names an artifact that it is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// A schedule.
    Schedule(ScheduleName),
    /// A job that has not ended.
    Job(JobId),
    /// A job that has, or whose parts have: it is its output.
    Output(JobId),
}

impl fmt::Display for NamedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schedule(name) => write!(f, "the schedule `{name}`"),
            Self::Job(id) => write!(f, "the job {id}, which has not ended,"),
            Self::Output(id) => write!(f, "the job {id}, whose output it is,"),
        }
    }
}

/// What is claimed.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Who claims it, for people who look at jobs.
    pub worker: &'a str,
    /// How many jobs at most.
    pub most: usize,
    /// How many of one tenant at most.
    pub most_each: usize,
    /// Of these none that tell of the ends of others ([`JobWork::Tell`]).
    pub without_tells: &'a [TenantName],
    /// Of these only such.
    pub only_tells: &'a [TenantName],
    /// Of all only such.
    pub without_others: bool,
    /// How many bytes their inputs have at most; the first may have more.
    pub most_bytes: u64,
    /// How many jobs of one tenant may run everywhere. Where several claim at the same moment, each may go by what it found: there
    /// may be as many more as the others take.
    pub most_of_tenant: usize,
    /// How long the leases last unless they are renewed.
    pub lease: Duration,
}

/// What was deleted of the jobs that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many jobs.
    pub jobs: usize,
    /// Whether there may be more than go at once. If not, there were no more that nobody else had.
    pub is_full: bool,
}

/// What was claimed.
#[derive(Clone, Debug, Default)]
pub struct Claimed {
    /// The jobs.
    pub jobs: Vec<ClaimedJob>,
    /// In how long something will be to do that is known of now, if nothing is at this moment: a time that comes, a lease that lapses.
    pub next: Option<Duration>,
    /// Schedules whose time has come, the first first, up to [`DueSchedule::TOGETHER`]: until they are fired, they are due.
    pub due: Vec<DueSchedule>,
    /// The time, by the clock of whoever keeps them.
    pub now: Timestamp,
}
