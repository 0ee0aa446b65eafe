//! Where records are kept: one a line, behind a checksum, in segments.

mod find;
mod folder;
mod log;
mod segments;
mod sweep;

pub use find::{FoundRecord, FoundRecords, find_record, find_records};
pub use folder::{Damage, KeptRecord, read_records, write_record};
pub use log::{LogStats, RecordLog, RecordWriter};
pub use segments::LogSettings;
pub use sweep::LogSweep;

/// What the names of segments end with.
const SEGMENT: &str = "records";

/// How long what comes before the JSON of a line is, in bytes.
const SUM: usize = 9;

/// A record as a line of a segment, whose JSON this writes: the CRC-32 of the JSON in hex, a space, and the JSON, which has no line
/// break.
fn line_of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut line = vec![b' '; SUM];
    write(&mut line);
    let sum = crc32fast::hash(&line[SUM..]).to_be_bytes();
    // It has room for just that.
    let _ = hex::encode_to_slice(sum, &mut line[..SUM - 1]);
    line.push(b'\n');
    line
}

/// Lines that are written together.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Lines {
    /// How many bytes are together at most, but for the last line.
    const MOST: usize = 1 << 20;

    /// Whether a line more is written with these.
    fn has_room(&self, line: &[u8]) -> bool {
        self.bytes.len() + line.len() <= Self::MOST
    }

    /// Puts a line behind the others.
    fn push(&mut self, line: &[u8]) {
        let size = self.bytes.len() + line.len();
        if size > self.bytes.capacity() {
            let room = (2 * self.bytes.capacity()).clamp(size, size.max(Self::MOST));
            self.bytes.reserve_exact(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(line);
        self.ends.push(self.bytes.len());
    }
}

/// The JSON of a line, if it is what was written.
fn json_of(line: &[u8]) -> Option<&[u8]> {
    let (sum, json) = line.split_at_checked(SUM)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    let sum = u32::from_str_radix(sum, 16).ok()?;
    (crc32fast::hash(json) == sum).then_some(json)
}
