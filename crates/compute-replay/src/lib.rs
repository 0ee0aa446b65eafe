//! Records kept, run again, and compared.
//!
//! - A [`RecordLog`] keeps records in a folder, in segments that are only appended to, within a number of bytes and an age. It
//!   writes on a thread of its own: a full disk or a slow one loses records, counts them, and slows nobody.
//! - [`read_records`] reads them back, and single files as well; what is damaged is told, and the rest is read.
//! - [`replay_run`] and [`replay_document`] run a record again, and say what is otherwise: a [`Verdict`].
//! - A [`Summary`] groups the differences of many.

mod difference;
mod document;
mod kept;
mod replay;
mod summary;

pub use difference::{Change, Difference, changes};
pub use document::{DocumentRecorder, replay_document};
pub use kept::{Damage, KeptRecord, LogSettings, LogStats, RecordLog, read_records, write_record};
pub use replay::{Against, Unrepeatable, Verdict, compare_runs, replay_run};
pub use summary::{Group, Spread, Summary};
