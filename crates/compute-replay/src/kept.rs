//! Where records are kept: one a line, behind a checksum, in segments.

mod find;
mod folder;
mod log;
mod segments;

pub use find::{FoundRecord, FoundRecords, find_record, find_records};
pub use folder::{Damage, KeptRecord, read_records, write_record};
pub use log::{LogStats, RecordLog, RecordWriter};
pub use segments::LogSettings;

/// What the names of segments end with.
const SEGMENT: &str = "records";

/// A record as a line of a segment: the CRC-32 of its JSON in hex, a space, and the JSON, which has no line break.
fn line_of(json: &[u8]) -> Vec<u8> {
    let mut line = format!("{:08x} ", crc32fast::hash(json)).into_bytes();
    line.extend_from_slice(json);
    line.push(b'\n');
    line
}

/// The JSON of a line, if it is what was written.
fn json_of(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (crc32fast::hash(json) == sum).then_some(json)
}
