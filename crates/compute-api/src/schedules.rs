//! Schedules: what is set, and what is said of them.

use compute::Ref;
use compute_state::{CatchUp, JobId, JobWork, ScheduleInfo, ScheduleName};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::run::there;

/// A schedule that is to be set.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ScheduleRequest {
    /// When its time comes: minute, hour, day of the month, month and day of the week, as cron has them, or `@hourly`, `@daily`,
    /// `@weekly`, `@monthly`, `@yearly`.
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub cron: String,
    /// Whose clock that is by: a time zone's name, such as `Europe/Berlin`; UTC, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(max_length = 100))]
    pub time_zone: Option<String>,
    /// The compute that its jobs run: this, or a stack.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, pattern = "^compute://[a-z0-9]{1,16}/[A-Za-z0-9_-]{1,128}$"))]
    pub reference: Option<Ref>,
    /// The stack that the input of its jobs goes through as a document, or `stack/N` to begin at a scope.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(
        feature = "openapi",
        schema(pattern = "^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,32})?$")
    )]
    pub stack: Option<String>,
    /// The input of its jobs: any JSON, of a stack an object, of at most 64 KiB; none, if it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub input: Option<Box<RawValue>>,
    /// The priority of its jobs, from 0 to 9; 5, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(maximum = 9))]
    pub priority: Option<u8>,
    /// From 1 to 20: how often a job of it is tried at most where a server or time failed it; 5, if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 20))]
    pub attempts: Option<u32>,
    /// Instructions; the computes of its jobs are metered if they are limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub fuel: Option<u64>,
    /// What becomes of times for which no server was there until more than a minute later.
    #[serde(default)]
    pub catch_up: CatchUp,
}

/// What is said of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleHead {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,64}$"))]
    pub name: ScheduleName,
    /// When its time comes, as cron has it.
    pub cron: String,
    /// Whose clock that is by.
    pub time_zone: String,
    /// The compute that its jobs run.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub reference: Option<Ref>,
    /// The stack that the input of its jobs goes through, or a scope of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The priority of its jobs.
    pub priority: u8,
    /// How often each is tried at most.
    pub attempts: u32,
    /// How many instructions its computes may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fuel: Option<u64>,
    /// What becomes of times for which no server was there until more than a minute later.
    pub catch_up: CatchUp,
    /// When its time comes next.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub next: Timestamp,
    /// The last time for which there was to be a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last: Option<Timestamp>,
    /// The job that was submitted for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub last_job: Option<JobId>,
    /// Why no job was submitted when its time came last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// When a schedule of this name was first set.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// When it was last set.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub changed: Timestamp,
}

impl From<ScheduleInfo> for ScheduleHead {
    fn from(info: ScheduleInfo) -> Self {
        let (reference, stack) = match info.work {
            JobWork::Run(reference) => (Some(reference), None),
            JobWork::Document(stage) => (None, Some(stage)),
            JobWork::Tell(_) => (None, None),
        };
        Self {
            name: info.name,
            cron: info.cron,
            time_zone: info.time_zone,
            reference,
            stack,
            priority: info.priority,
            attempts: info.attempts,
            fuel: info.fuel,
            catch_up: info.catch_up,
            next: info.next,
            last: info.last,
            last_job: info.last_job,
            last_error: info.last_error,
            created: info.created,
            changed: info.changed,
        }
    }
}

impl ScheduleHead {
    /// What is kept; nothing, if it says neither or both of what its jobs do.
    #[must_use]
    pub fn info(self) -> Option<ScheduleInfo> {
        let work = match (self.reference, self.stack) {
            (Some(reference), None) => JobWork::Run(reference),
            (None, Some(stage)) => JobWork::Document(stage),
            _ => return None,
        };
        Some(ScheduleInfo {
            name: self.name,
            cron: self.cron,
            time_zone: self.time_zone,
            work,
            priority: self.priority,
            attempts: self.attempts,
            fuel: self.fuel,
            catch_up: self.catch_up,
            next: self.next,
            last: self.last,
            last_job: self.last_job,
            last_error: self.last_error,
            created: self.created,
            changed: self.changed,
        })
    }
}

/// A schedule, with the input of its jobs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleAnswer {
    /// What is said of it.
    #[serde(flatten)]
    pub head: ScheduleHead,
    /// The input, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "there")]
    #[cfg_attr(feature = "openapi", schema(value_type = Value))]
    pub input: Option<Box<RawValue>>,
}

/// All schedules.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleList {
    /// By name.
    pub schedules: Vec<ScheduleHead>,
}
