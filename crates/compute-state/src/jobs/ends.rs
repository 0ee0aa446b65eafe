//! What a job is called, where it is on its way, and what became of it.

use std::fmt;
use std::str::FromStr;

use compute::{Ref, Seed};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// A job's id: a UUID of version 7, so that later ones come after earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(uuid::Uuid);

impl JobId {
    /// A new id.
    #[must_use]
    pub fn new() -> Self {
        let random: [u8; 32] = *Seed::random().as_bytes();
        let mut bytes = [0; 10];
        bytes.copy_from_slice(&random[..10]);
        let millis = u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0);
        Self::of(millis, bytes)
    }

    /// The id of this time and these random bytes.
    #[must_use]
    pub fn of(millis: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// A new id of the same time as this one.
    #[must_use]
    pub fn beside(other: &Self) -> Self {
        let (mut time, mut bytes) = ([0; 8], [0; 10]);
        time[2..].copy_from_slice(&other.0.as_bytes()[..6]);
        bytes.copy_from_slice(&Seed::random().as_bytes()[..10]);
        Self::of(u64::from_be_bytes(time), bytes)
    }

    /// Its 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id of these 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.hyphenated().encode_lower(&mut [0; 36]))
    }
}

/// A text that is not the id of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not the id of a job: that is a UUID, as `compute job submit` prints it")]
pub struct JobIdError(String);

impl FromStr for JobId {
    type Err = JobIdError;

    fn from_str(text: &str) -> Result<Self, JobIdError> {
        let wrong = || JobIdError(text.chars().take(60).collect());
        if text.len() != 36 {
            return Err(wrong());
        }
        uuid::Uuid::try_parse(text).map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for JobId {
    type Error = JobIdError;

    fn try_from(text: String) -> Result<Self, JobIdError> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

/// Where a job is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its time has not come, or it was split and its parts have not ended.
    Scheduled,
    /// It waits for a worker.
    Waiting,
    /// A worker has it.
    Running,
    /// It ended, with a result.
    Done,
    /// It ended without one: it failed for good, or as often as it may.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl JobState {
    /// All of them, in the order of their numbers where they are kept.
    pub const ALL: [Self; 6] =
        [Self::Scheduled, Self::Waiting, Self::Running, Self::Done, Self::Failed, Self::Cancelled];

    /// The state's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Its number where it is kept.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The state of a number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Whether nothing becomes of the job any more, unless it is retried.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that is no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no state of a job: they are scheduled, waiting, running, done, failed and cancelled"
)]
pub struct JobStateError(String);

impl FromStr for JobState {
    type Err = JobStateError;

    fn from_str(text: &str) -> Result<Self, JobStateError> {
        let named = Self::ALL.into_iter().find(|state| state.name() == text);
        named.ok_or_else(|| JobStateError(text.chars().take(40).collect()))
    }
}

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobResult {
    /// The output if it is done; a problem (RFC 9457) if not. JSON.
    pub body: Vec<u8>,
    /// What else is known: a JSON object.
    pub details: Vec<u8>,
    /// The artifact that the output is in the place of `body`, where it is large.
    pub output: Option<Ref>,
}

impl JobResult {
    /// One that is whole.
    #[must_use]
    pub const fn new(body: Vec<u8>, details: Vec<u8>) -> Self {
        Self { body, details, output: None }
    }

    /// That of a job whose workers all were lost.
    #[must_use]
    pub fn lost() -> Self {
        Self::failed(
            "worker_lost",
            "each server that ran the job stopped before it had a result, or was away for longer than its lease",
        )
    }

    /// That of a job whose deadline has passed.
    #[must_use]
    pub fn late() -> Self {
        Self::failed("deadline_exceeded", "the job's deadline passed before it ended")
    }

    fn failed(code: &str, detail: &str) -> Self {
        let body = json!({ "code": code, "detail": detail });
        Self::new(body.to_string().into_bytes(), b"{}".to_vec())
    }

    /// How many bytes it has.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.body.len() + self.details.len()
    }
}
