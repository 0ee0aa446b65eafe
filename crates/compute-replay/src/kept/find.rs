//! Finds records in the segments of a folder, without holding more than one of them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use compute::{RecordHead, RecordQuery};

use super::folder::Lines;
use super::segments::segments;

/// A record that was found, and where.
#[derive(Clone, Debug)]
pub struct FoundRecord {
    /// What a list says of it.
    pub head: RecordHead,
    file: PathBuf,
    offset: u64,
    length: u64,
}

impl FoundRecord {
    /// How many bytes its JSON has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.length
    }

    /// Its JSON, as it is kept.
    ///
    /// # Errors
    /// Those of the file system; that it is gone, if it was deleted meanwhile.
    pub fn open(&self) -> io::Result<impl Read + Send + Sync + 'static> {
        let mut file = File::open(&self.file)?;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.length))
    }
}

/// What was found in a folder.
#[derive(Clone, Debug, Default)]
pub struct FoundRecords {
    /// The newest that are wanted, the oldest of them first.
    pub records: Vec<FoundRecord>,
    /// How many lines of the segments that were looked at are no whole records of this version.
    pub damaged: u64,
}

/// The newest records of a folder's segments that are wanted.
///
/// `go_on` is asked before each record.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::TimedOut`] if it may not go on.
pub fn find_records(
    folder: &Path,
    query: &RecordQuery,
    last: usize,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<FoundRecords> {
    let segments = match segments(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(FoundRecords::default()),
        segments => segments?,
    };
    let mut found = VecDeque::new();
    let mut damaged = 0;
    for (_, path) in segments.into_iter().rev() {
        let room = last - found.len();
        if room == 0 {
            break;
        }
        let mut here = VecDeque::new();
        for line in Lines::open(path.clone()) {
            if !go_on() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let read = line.map(|line| (RecordHead::read(&line.json, query), line));
            let (head, line) = match read {
                Ok((Ok(Some(head)), line)) => (head, line),
                Ok((Ok(None), _)) => continue,
                Ok((Err(_), _)) | Err(_) => {
                    damaged += 1;
                    continue;
                }
            };
            let (file, length) = (path.clone(), line.json.len() as u64);
            here.push_back(FoundRecord { head, file, offset: line.offset, length });
            if here.len() > room {
                here.pop_front();
            }
        }
        here.into_iter().rev().for_each(|one| found.push_front(one));
    }
    Ok(FoundRecords { records: found.into(), damaged })
}

/// The records that are meant by this: those of this id or of one that begins so, or else those of the request of this id. Two, where
/// several are meant.
///
/// # Errors
/// As [`find_records`].
pub fn find_record(
    folder: &Path,
    name: &str,
    go_on: &mut dyn FnMut() -> bool,
) -> io::Result<FoundRecords> {
    const SEVERAL: usize = 2;
    let mut found = FoundRecords::default();
    if name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let by_id = RecordQuery { id: Some(name.to_owned()), ..RecordQuery::default() };
        found = find_records(folder, &by_id, SEVERAL, go_on)?;
    }
    if found.records.is_empty() {
        let by_rid = RecordQuery { rid: Some(name.to_owned()), ..RecordQuery::default() };
        found = find_records(folder, &by_rid, SEVERAL, go_on)?;
    }
    // Of the same record there may be two, for what it says may have happened twice.
    found.records.dedup_by(|one, other| one.head.id == other.head.id);
    Ok(found)
}
