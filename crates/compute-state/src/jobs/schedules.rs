//! Schedules: jobs that are submitted when their time comes, again and again, once each time, however many servers there are.
//!
//! Whoever looks for jobs is told of schedules that are due, and fires them: in one transaction the schedule goes on to its next time,
//! and its job is submitted. That is done only where the schedule is still as it was when it was decided, so that one of several does it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use compute::{Ref, Seed};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::JobId;
use super::cron::CronTimes;
use super::types::{JobWork, NewJob};
use crate::{Actor, AuditOf, Deed, RELEASING, StateError, TenantName};

/// The schedules of a tenant, on this machine or through a server. All methods block.
pub trait Schedules: fmt::Debug + Send + Sync {
    /// Sets a schedule, in the place of the one of its name.
    ///
    /// # Errors
    /// [`SchedulesError::Quota`], [`SchedulesError::Released`].
    fn set(&self, schedule: &NewSchedule) -> Result<ScheduleInfo, SchedulesError>;

    /// A schedule, with the input of its jobs.
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`].
    fn show(&self, name: &ScheduleName) -> Result<Schedule, SchedulesError>;

    /// All schedules, by name.
    ///
    /// # Errors
    /// [`SchedulesError::State`].
    fn list(&self) -> Result<Vec<ScheduleInfo>, SchedulesError>;

    /// Deletes a schedule. Jobs that it submitted go on.
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`].
    fn delete(&self, name: &ScheduleName) -> Result<(), SchedulesError>;
}

/// The schedules of all tenants, for those who run jobs.
pub trait ScheduleQueue: fmt::Debug + Send + Sync {
    /// As [`Schedules::set`]: its next time is the first one after now, by the clock of whoever keeps it.
    ///
    /// # Errors
    /// [`SchedulesError::Quota`], [`SchedulesError::Released`].
    fn set_schedule(
        &self,
        tenant: &TenantName,
        schedule: &NewSchedule,
    ) -> Result<ScheduleInfo, SchedulesError>;

    /// As [`Schedules::show`].
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`].
    fn schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<Schedule, SchedulesError>;

    /// As [`Schedules::list`].
    ///
    /// # Errors
    /// [`SchedulesError::State`].
    fn schedules(&self, tenant: &TenantName) -> Result<Vec<ScheduleInfo>, SchedulesError>;

    /// As [`Schedules::delete`].
    ///
    /// # Errors
    /// [`SchedulesError::NotFound`].
    fn delete_schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<(), SchedulesError>;

    /// Has schedules go on, and submits their jobs, all at one moment. One that is not as it was when that was decided is left alone.
    /// One whose tenant has no room for the job goes on without it, and says so.
    ///
    /// # Errors
    /// [`StateError`]; nothing was done, or all of it.
    fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, StateError>;

    /// Some schedules as they are kept, of all tenants by name and of each by name, which come after this one.
    ///
    /// # Errors
    /// [`StateError`].
    fn kept_schedules(
        &self,
        after: Option<&(TenantName, ScheduleName)>,
    ) -> Result<Vec<(TenantName, Schedule)>, StateError>;

    /// Keeps schedules as they were elsewhere, in the place of those of their names.
    ///
    /// # Errors
    /// [`StateError`].
    fn restore_schedules(&self, schedules: &[(TenantName, Schedule)]) -> Result<(), StateError>;
}

/// The name of a schedule: 1 to 64 letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ScheduleName(Arc<str>);

impl ScheduleName {
    /// The longest name, in bytes.
    pub const MAX: usize = 64;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not the name of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the name of a schedule: 1 to {max} letters, digits, `_` and `-`", max = ScheduleName::MAX)]
pub struct ScheduleNameError(String);

impl FromStr for ScheduleName {
    type Err = ScheduleNameError;

    fn from_str(text: &str) -> Result<Self, ScheduleNameError> {
        let may = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(may) {
            Ok(Self(text.into()))
        } else {
            Err(ScheduleNameError(text.chars().take(80).collect()))
        }
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = ScheduleNameError;

    fn try_from(text: String) -> Result<Self, ScheduleNameError> {
        text.parse()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What becomes of times that were missed: those for which no server was there until more than a minute later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing is submitted for them.
    #[default]
    Skip,
    /// One job is submitted for the last of them.
    Once,
}

impl CatchUp {
    /// The policy's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
        }
    }

    /// Its number where it is kept.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The policy of a number.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        if number == 1 { Self::Once } else { Self::Skip }
    }
}

impl fmt::Display for CatchUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A schedule that is to be set.
#[derive(Clone, Debug)]
pub struct NewSchedule {
    /// Its name.
    pub name: ScheduleName,
    /// When its time comes.
    pub times: CronTimes,
    /// What its jobs do.
    pub work: JobWork,
    /// Their input: JSON, or nothing; at most [`NewSchedule::MAX_INPUT`] bytes.
    pub input: Vec<u8>,
    /// Their priority.
    pub priority: u8,
    /// How often each is tried at most.
    pub attempts: u32,
    /// Meter their computes, and stop each after so many instructions.
    pub fuel: Option<u64>,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
}

impl NewSchedule {
    /// The longest input, in bytes.
    pub const MAX_INPUT: usize = 64 << 10;

    /// A schedule with what is usual.
    #[must_use]
    pub const fn new(name: ScheduleName, times: CronTimes, work: JobWork, input: Vec<u8>) -> Self {
        let (priority, attempts) = (NewJob::PRIORITY, NewJob::ATTEMPTS);
        let catch_up = CatchUp::Skip;
        Self { name, times, work, input, priority, attempts, fuel: None, catch_up }
    }

    /// The schedule as it is kept, set at this time, of whole milliseconds, where there is this one of its name.
    #[must_use]
    pub fn set(&self, there: Option<&ScheduleInfo>, now: Timestamp) -> Schedule {
        let info = ScheduleInfo {
            name: self.name.clone(),
            cron: self.times.text().to_owned(),
            time_zone: self.times.time_zone().to_owned(),
            work: self.work.clone(),
            priority: self.priority,
            attempts: self.attempts,
            fuel: self.fuel,
            catch_up: self.catch_up,
            next: self.times.next(now).unwrap_or(Timestamp::MAX),
            last: there.and_then(|one| one.last),
            last_job: there.and_then(|one| one.last_job),
            last_error: None,
            created: there.map_or(now, |one| one.created),
            changed: now,
        };
        Schedule { info, input: self.input.clone() }
    }
}

/// What a list says of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleInfo {
    /// Its name.
    pub name: ScheduleName,
    /// The cron expression.
    pub cron: String,
    /// The name of the time zone.
    pub time_zone: String,
    /// What its jobs do.
    pub work: JobWork,
    /// Their priority.
    pub priority: u8,
    /// How often each is tried at most.
    pub attempts: u32,
    /// Their fuel.
    pub fuel: Option<u64>,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
    /// When its time comes next.
    pub next: Timestamp,
    /// The last time for which there was to be a job.
    pub last: Option<Timestamp>,
    /// The job that was submitted then.
    pub last_job: Option<JobId>,
    /// Why there was none the last time that it was due.
    pub last_error: Option<String>,
    /// When a schedule of this name was first set.
    pub created: Timestamp,
    /// When it was last set.
    pub changed: Timestamp,
}

impl ScheduleInfo {
    /// Whether it is as it was when it was due.
    #[must_use]
    pub fn is_as(&self, due: &DueSchedule) -> bool {
        (self.next, &self.cron, &self.time_zone, self.catch_up)
            == (due.next, &due.cron, &due.time_zone, due.catch_up)
    }
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// What a list says of it.
    pub info: ScheduleInfo,
    /// The input of its jobs.
    pub input: Vec<u8>,
}

impl Schedule {
    /// How many schedules [`kept_schedules`](ScheduleQueue::kept_schedules) gives at once, at most.
    pub const PAGE: usize = 100;

    /// Its job for a time.
    #[must_use]
    pub fn job(&self, begun: &Begun) -> NewJob {
        let info = &self.info;
        NewJob {
            id: begun.id,
            seed: begun.seed,
            now: Some(begun.at.as_millisecond().saturating_mul(1_000_000)),
            priority: info.priority,
            attempts: info.attempts,
            fuel: info.fuel,
            submitted_by: Some(Actor::Schedule { name: info.name.to_string() }),
            ..NewJob::new(info.work.clone(), self.input.clone())
        }
    }

    /// What it is once it was fired, and its job was submitted or not.
    #[must_use]
    pub fn fired(mut self, firing: &Firing, refused: Option<String>) -> Self {
        let info = &mut self.info;
        info.next = firing.next;
        if let Some(begun) = &firing.job {
            info.last = Some(begun.at);
            info.last_job = refused.is_none().then_some(begun.id);
        }
        info.last_error = refused.or_else(|| firing.error.clone());
        self
    }
}

/// A schedule whose time has come, with what is gone by to decide what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSchedule {
    /// Whose it is.
    pub tenant: TenantName,
    /// Its name.
    pub name: ScheduleName,
    /// The cron expression.
    pub cron: String,
    /// The name of the time zone.
    pub time_zone: String,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
    /// The time.
    pub next: Timestamp,
}

impl DueSchedule {
    /// How many are fired together.
    pub const TOGETHER: usize = 64;
    /// How late a time may be and not be missed.
    pub const LATE: SignedDuration = SignedDuration::from_mins(1);

    /// What becomes of it at this time.
    #[must_use]
    pub fn firing(&self, now: Timestamp) -> Firing {
        let times = match CronTimes::new(&self.cron, &self.time_zone) {
            Ok(times) => times,
            // Another version of this program may know it.
            Err(error) => return self.without_job(now, None, error.to_string()),
        };
        let last = times.last(self.next, now).unwrap_or(self.next);
        let is_late = now.duration_since(last) > Self::LATE;
        let next = times.next(last.max(self.next)).filter(|next| *next > last);
        if is_late && self.catch_up == CatchUp::Skip {
            let missed = format!("the time {last} was missed: no server was there until {now}");
            return self.without_job(now, next, missed);
        }
        let job = Some(Begun { at: last, id: JobId::new(), seed: Seed::random() });
        let next = next.unwrap_or_else(|| tomorrow(now));
        Firing { due: self.clone(), next, job, error: None }
    }

    fn without_job(&self, now: Timestamp, next: Option<Timestamp>, error: String) -> Firing {
        let next = next.unwrap_or_else(|| tomorrow(now));
        Firing { due: self.clone(), next, job: None, error: Some(error) }
    }
}

/// When what cannot be told now is looked at again.
fn tomorrow(now: Timestamp) -> Timestamp {
    let day = SignedDuration::from_hours(24);
    let millis = now.saturating_add(day).map_or(now, |at| at).as_millisecond();
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// What becomes of a schedule that is due.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The schedule, as it was when this was decided.
    pub due: DueSchedule,
    /// When its time comes next.
    pub next: Timestamp,
    /// The job that is submitted, if one is.
    pub job: Option<Begun>,
    /// Why there is none.
    pub error: Option<String>,
}

/// A job that a schedule submits.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The time that it is for, which its clock shows.
    pub at: Timestamp,
    /// Its id.
    pub id: JobId,
    /// What its random numbers come from.
    pub seed: Seed,
}

/// What became of a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fired {
    /// Nothing: another fired it, or it was set anew or deleted.
    Not,
    /// It went on, and no job was submitted.
    Advanced,
    /// It went on, and its job was submitted.
    Submitted,
}

impl Deed {
    /// A schedule is set. Of the input it has the hash alone.
    #[must_use]
    pub fn schedule_set(schedule: &NewSchedule) -> Self {
        let what = match &schedule.work {
            JobWork::Run(_) => "ref",
            JobWork::Document(_) => "stack",
            JobWork::Tell(_) => "tells",
        };
        let mut subject = json!({
            "name": schedule.name,
            "cron": schedule.times.text(),
            "time_zone": schedule.times.time_zone(),
            "input": hex::encode(Sha256::digest(&schedule.input)),
            "priority": schedule.priority,
            "attempts": schedule.attempts,
            "fuel": schedule.fuel,
            "catch_up": schedule.catch_up,
        });
        subject[what] = json!(schedule.work.to_string());
        Self::new(AuditOf::Schedules, "schedule.set", subject)
    }

    /// A schedule goes.
    #[must_use]
    pub fn schedule_delete(name: &ScheduleName) -> Self {
        Self::new(AuditOf::Schedules, "schedule.delete", json!({ "name": name }))
    }
}

/// Something cannot be done with a schedule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchedulesError {
    /// There is none of this name.
    #[error("there is no schedule `{0}`")]
    NotFound(ScheduleName),
    /// The tenant has as many as it may.
    #[error("a tenant may have {0} schedules; delete some that are not needed")]
    Quota(u64),
    /// The artifact that its jobs would run goes at this moment.
    #[error("{0} was deleted a moment ago: upload it again, and try again in {minutes} minutes", minutes = RELEASING.as_mins())]
    Released(Ref),
    /// What is kept cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}
