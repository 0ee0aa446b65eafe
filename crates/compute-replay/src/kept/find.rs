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

/// The newest records of a folder's segments that are wanted, the oldest of them first. What is damaged is left out.
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
) -> io::Result<Vec<FoundRecord>> {
    let segments = match segments(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        segments => segments?,
    };
    let mut found = VecDeque::new();
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
            let Ok(line) = line else { continue };
            let Ok(Some(head)) = RecordHead::read(&line.json, query) else { continue };
            let (file, length) = (path.clone(), line.json.len() as u64);
            here.push_back(FoundRecord { head, file, offset: line.offset, length });
            if here.len() > room {
                here.pop_front();
            }
        }
        here.into_iter().rev().for_each(|one| found.push_front(one));
    }
    Ok(found.into())
}
