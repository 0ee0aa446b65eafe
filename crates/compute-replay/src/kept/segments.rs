//! The files of a log: appended to, one after the other, and deleted from the oldest on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::{Lines, SEGMENT};

/// How long nothing is written after something could not be.
const PAUSE: Duration = Duration::from_secs(1);
/// In how many segments, about, a log is kept, so that the oldest can go.
const SEGMENTS: u32 = 8;

/// How much of a log is kept, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// How many bytes of records are kept; the oldest go first: 256 MiB.
    pub bytes: u64,
    /// How long records are kept, about: 7 days.
    pub age: Duration,
    /// How many bytes of memory records may take that wait to be written; what comes beyond is lost, and counted: 16 MiB.
    pub waiting: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { bytes: 256 << 20, age: Duration::from_secs(7 * 24 * 3600), waiting: 16 << 20 }
    }
}

/// The files of a log. Other processes may write to the same folder, each to segments of its own.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    settings: LogSettings,
    /// The one that is written to.
    open: Option<Open>,
    failed: Option<Failed>,
}

/// When something could not be written, if that may happen to the next as well, and why.
#[derive(Debug)]
struct Failed {
    at: Option<Instant>,
    why: String,
}

#[derive(Debug)]
struct Open {
    path: PathBuf,
    size: u64,
    begun: SystemTime,
}

impl Segments {
    pub(super) const fn new(folder: PathBuf, settings: LogSettings) -> Self {
        Self { folder, settings, open: None, failed: None }
    }

    /// How many bytes a segment has at most, and its longest line.
    const fn most(&self) -> u64 {
        self.settings.bytes / SEGMENTS as u64
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Why the last line could not be written; nothing if it was.
    pub(super) fn failed(&self) -> Option<&str> {
        self.failed.as_ref().map(|failed| &*failed.why)
    }

    /// Appends lines. Says how many were written: where one cannot be, the next ones are tried a while later, in a new segment.
    pub(super) fn write(&mut self, lines: &Lines) -> u64 {
        // A disk that is full is not asked for each record.
        let failed = self.failed.as_ref().and_then(|failed| failed.at);
        if failed.is_some_and(|at| at.elapsed() < PAUSE) {
            return 0;
        }
        let (mut written, mut from, mut ends) = (0, 0, &*lines.ends);
        while let [first, ..] = ends {
            // One that is longer than a segment would push out all others.
            let length = (first - from) as u64;
            if length > self.most() {
                let why = format!("a record of {length} bytes is longer than a segment may be");
                self.failed = Some(Failed { at: None, why });
                (from, ends) = (*first, &ends[1..]);
                continue;
            }
            let room = self.room();
            let opened = if room < length { self.begin() } else { self.reopen() };
            let room = if room < length { self.most() } else { room };
            // As many as the segment has room for, together.
            let fit = ends.partition_point(|end| (end - from) as u64 <= room);
            let to = ends[fit - 1];
            let (appended, failed) = match opened {
                Ok(mut file) => append(&mut file, &lines.bytes[from..to]),
                Err(error) => (0, Some(error)),
            };
            let whole = ends[..fit].partition_point(|end| end - from <= appended);
            written += whole as u64;
            if let Some(open) = &mut self.open {
                open.size += whole.checked_sub(1).map_or(0, |last| (ends[last] - from) as u64);
            }
            if let Some(error) = failed {
                // Half of a line may be there: what follows is no part of it.
                self.failed = Some(Failed { at: Some(Instant::now()), why: error.to_string() });
                self.close();
                return written;
            }
            (from, ends) = (to, &ends[fit..]);
        }
        if written > 0 && written == lines.ends.len() as u64 {
            self.failed = None;
        }
        written
    }

    /// How many bytes the segment that is written to has room for; none if it is to be another.
    fn room(&self) -> u64 {
        let is_old =
            |open: &Open| open.begun.elapsed().is_ok_and(|age| age > self.settings.age / SEGMENTS);
        let open = self.open.as_ref().filter(|open| !is_old(open));
        open.map_or(0, |open| self.most().saturating_sub(open.size))
    }

    /// Goes on in another segment. One without a record is none.
    fn close(&mut self) {
        if let Some(open) = self.open.take()
            && open.size == 0
        {
            let _ = fs::remove_file(open.path);
        }
    }

    /// Has all that was written on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        match &self.open {
            Some(open) => File::open(&open.path)?.sync_data(),
            None => Ok(()),
        }
    }

    fn reopen(&self) -> io::Result<File> {
        let open = self.open.as_ref().ok_or_else(|| io::Error::other("there is no segment"))?;
        OpenOptions::new().append(true).open(&open.path)
    }

    fn begin(&mut self) -> io::Result<File> {
        self.sync()?;
        self.open = None;
        make_folder(&self.folder)?;
        self.forget(self.most())?;
        let last = segments(&self.folder)?.last().map_or(0, |(number, _)| *number);
        let mut number = last + 1;
        loop {
            let path = self.folder.join(format!("{number:016}.{SEGMENT}"));
            match OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path) {
                Ok(file) => {
                    self.open = Some(Open { path, size: 0, begun: SystemTime::now() });
                    return Ok(file);
                }
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// Deletes the segments that are too old.
    pub(super) fn forget_old(&mut self) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| is_older(open.begun, self.settings.age)) {
            self.open = None;
        }
        self.forget(0)
    }

    /// Deletes the oldest segments, until there is room for so many bytes, and those that are too old.
    fn forget(&self, room: u64) -> io::Result<()> {
        let segments = match segments(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            segments => segments?,
        };
        let mut kept: Vec<_> = segments
            .into_iter()
            .filter_map(|(_, path)| {
                let about = fs::metadata(&path).ok()?;
                Some((path, about.len(), about.modified().unwrap_or(SystemTime::now())))
            })
            .collect();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        let room = self.settings.bytes.saturating_sub(room);
        kept.reverse();
        while let Some((path, size, written)) = kept.pop() {
            if total <= room && !is_older(written, self.settings.age) {
                break;
            }
            fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

/// Appends bytes, as far as they can be. Says how many, and why no more.
fn append(file: &mut File, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut appended = 0;
    while appended < bytes.len() {
        match file.write(&bytes[appended..]) {
            Ok(0) => return (appended, Some(io::ErrorKind::WriteZero.into())),
            Ok(more) => appended += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (appended, Some(error)),
        }
    }
    (appended, None)
}

fn is_older(time: SystemTime, age: Duration) -> bool {
    time.elapsed().is_ok_and(|passed| passed > age)
}

/// Makes a folder that its owner alone may read: records have what callers sent.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The segments of a folder, by their numbers.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|end| end == SEGMENT)) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}
