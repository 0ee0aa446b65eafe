//! Batches: a job of many lines is split into parts, which are jobs that any worker takes; when all of them have ended, the job waits
//! again, for whoever puts what they gave together.

use super::{JobId, JobResult, JobState};

/// A part of a batch, as it is split off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPart {
    /// The id of the job that it becomes: of the time of the batch's, so that it comes before batches that were submitted later.
    pub id: JobId,
    /// The number of its first line in the batch, from 1.
    pub first: u32,
    /// Its lines.
    pub input: Vec<u8>,
}

/// Which part of which batch a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartOf {
    /// The batch.
    pub batch: JobId,
    /// The number of the part's first line in the batch, from 1.
    pub first: u32,
}

/// What became of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedPart {
    /// The number of its first line in the batch, from 1.
    pub first: u32,
    /// How it ended.
    pub state: JobState,
    /// With what.
    pub result: Option<JobResult>,
}

impl EndedPart {
    /// How many bytes [`parts`](super::JobQueue::parts) gives at once, at most; the first may have more.
    pub const PAGE_BYTES: u64 = 8 << 20;
}

/// How far a batch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobParts {
    /// How many parts it was split into.
    pub all: u32,
    /// How many of them have not ended.
    pub left: u32,
}

impl JobParts {
    /// Those of a batch that was split just now.
    #[must_use]
    pub const fn new(all: u32) -> Self {
        Self { all, left: all }
    }
}
