//! Records kept, run again, and compared.
//!
//! - A [`RecordLog`] keeps records in a folder, in segments that are only appended to, within a number of bytes and an age. It
//!   writes on a thread of its own: a full disk or a slow one loses records, counts them, and slows nobody. A
//!   [`RecordWriter`] is one such thread for many logs.
//! - [`read_records`] reads them back, and single files as well; what is damaged is told, and the rest is read.
//! - A [`RecordSigner`] vouches for records; [`read_record`] checks it.
//! - [`replay_run`] and [`replay_document`] run a record again, and say what is otherwise: a [`Verdict`].
//! - A [`Summary`] groups the differences of many.

mod difference;
mod document;
mod kept;
mod replay;
mod signature;
mod summary;

pub use difference::{Change, Difference, changes};
pub use document::{DocumentRecorder, compare_answers, replay_document};
pub use kept::{
    Damage, FoundRecord, FoundRecords, KeptRecord, LogSettings, LogStats, LogSweep, RecordLog,
    RecordWriter, find_record, find_records, read_records, write_record,
};
pub use replay::{Again, Against, Unrepeatable, Verdict, compare_runs, replay_run};
pub use signature::{ReadError, RecordSigner, SignatureError, read_record};
pub use summary::{Group, Spread, Summary};
