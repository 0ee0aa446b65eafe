//! Batches: a job of many lines is split into parts, which are jobs that any worker takes; when all of them have ended, the job waits
//! again, for whoever puts what they gave together.

use super::{JobId, JobResult, JobState};

/// Into how many parts a batch is split, about; and how many bytes of input one has at the least: four lines.
const PARTS: u64 = 128;
const LEAST: u64 = 8;
/// What a part counts besides its input, in bytes: about what its row takes in a database.
pub(super) const PART: u64 = 1024;

/// What the parts of a batch will count besides its input, until it is split and each counts for itself.
pub(super) const fn parts_to_come(input: u64) -> u64 {
    let parts = input / LEAST + 1;
    PART * if parts < PARTS { parts } else { PARTS }
}

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
