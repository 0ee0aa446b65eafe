//! Keeps records in segments, on a thread of its own.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use compute::{Record, RecordSink};

use super::{SEGMENT, line_of};

/// How much is kept, and how long.
#[derive(Clone, Copy, Debug)]
pub struct LogSettings {
    /// How many bytes of records are kept; the oldest go first: 256 MiB.
    pub bytes: u64,
    /// How long records are kept: 7 days.
    pub age: Duration,
    /// How many bytes of records may wait to be written; what comes beyond is lost, and counted: 16 MiB.
    pub waiting: usize,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self { bytes: 256 << 20, age: Duration::from_secs(7 * 24 * 3600), waiting: 16 << 20 }
    }
}

/// What became of the records that a log was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// How many were written.
    pub written: u64,
    /// How many were lost: too many were waiting, or they could not be written.
    pub lost: u64,
}

/// Keeps records in a folder.
///
/// Whoever hands it one goes on at once. What was answered by [`RecordLog::flush`] is on disk.
#[derive(Debug)]
pub struct RecordLog {
    work: Mutex<Option<Sender<Work>>>,
    counts: Arc<Counts>,
    waiting: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicUsize,
}

enum Work {
    Write(Box<Record>, usize),
    Flush(Sender<io::Result<()>>),
}

impl RecordLog {
    /// A log in this folder, which is made if it is not there. It goes on after the segments that are there.
    ///
    /// # Errors
    /// Those of the file system, and of starting a thread.
    pub fn open(folder: &Path, settings: LogSettings) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let counts = Arc::new(Counts::default());
        let (work, works) = mpsc::channel();
        let writer = Writer::new(folder.to_owned(), settings, Arc::clone(&counts))?;
        let thread = std::thread::Builder::new()
            .name("compute-records".to_owned())
            .spawn(move || writer.work(&works))?;
        let (work, thread) = (Mutex::new(Some(work)), Mutex::new(Some(thread)));
        Ok(Self { work, counts, waiting: settings.waiting, thread })
    }

    /// What became of the records so far.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let counts = &self.counts;
        LogStats {
            written: counts.written.load(Ordering::Relaxed),
            lost: counts.lost.load(Ordering::Relaxed),
        }
    }

    /// Waits until all that was handed over is on disk, or lost.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&self) -> io::Result<()> {
        let (done, flushed) = mpsc::channel();
        self.send(Work::Flush(done));
        flushed
            .recv()
            .unwrap_or_else(|_| Err(io::Error::other("the thread that writes records ended")))
    }

    fn send(&self, work: Work) -> bool {
        let sender = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        sender.as_ref().is_some_and(|sender| sender.send(work).is_ok())
    }
}

impl RecordSink for RecordLog {
    fn take(&self, record: Record) {
        let size = size_of_record(&record);
        let counts = &self.counts;
        let waits = counts.waiting.fetch_add(size, Ordering::AcqRel) + size;
        if waits > self.waiting || !self.send(Work::Write(Box::new(record), size)) {
            counts.waiting.fetch_sub(size, Ordering::AcqRel);
            counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for RecordLog {
    fn drop(&mut self) {
        // Without a sender the thread writes what waits, and ends.
        drop(self.work.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

/// About how many bytes of memory a record takes: its kept bytes, and what else each has.
fn size_of_record(record: &Record) -> usize {
    const USUAL: usize = 4096;
    let kept: usize = record.subject.kept_bytes();
    let steps = match &record.subject {
        compute::Subject::Document(document) => document.steps.len(),
        compute::Subject::Run(_) => 0,
    };
    kept + USUAL * (1 + steps)
}

struct Writer {
    folder: PathBuf,
    settings: LogSettings,
    counts: Arc<Counts>,
    /// The number of the segment that is written to.
    number: u64,
    segment: Option<File>,
    size: u64,
}

impl Writer {
    fn new(folder: PathBuf, settings: LogSettings, counts: Arc<Counts>) -> io::Result<Self> {
        let last = segments(&folder)?.last().map_or(0, |(number, _)| *number);
        Ok(Self { folder, settings, counts, number: last + 1, segment: None, size: 0 })
    }

    fn work(mut self, works: &Receiver<Work>) {
        while let Ok(work) = works.recv() {
            match work {
                Work::Write(record, size) => {
                    let line = line_of(&record.sealed().to_json());
                    let written = self.write(&line);
                    self.counts.waiting.fetch_sub(size, Ordering::AcqRel);
                    let counted =
                        if written.is_ok() { &self.counts.written } else { &self.counts.lost };
                    counted.fetch_add(1, Ordering::Relaxed);
                }
                Work::Flush(done) => {
                    let synced = self.segment.as_ref().map_or(Ok(()), File::sync_data);
                    let _ = done.send(synced);
                }
            }
        }
    }

    /// Appends a line. Where that fails in the middle, the next one begins a new segment.
    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        // A few segments, so that the oldest can go.
        let full = self.size > 0 && self.size + line.len() as u64 > self.settings.bytes / 8;
        if self.segment.is_none() || full {
            self.begin()?;
        }
        let Some(segment) = self.segment.as_mut() else { return Ok(()) };
        match segment.write_all(line) {
            Ok(()) => {
                self.size += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.segment = None;
                Err(error)
            }
        }
    }

    fn begin(&mut self) -> io::Result<()> {
        if let Some(segment) = self.segment.take() {
            segment.sync_data()?;
        }
        self.forget()?;
        let path = self.folder.join(format!("{:016}.{SEGMENT}", self.number));
        self.segment = Some(OpenOptions::new().create_new(true).append(true).open(path)?);
        (self.number, self.size) = (self.number + 1, 0);
        Ok(())
    }

    /// Deletes the oldest segments, until there is room for one more, and those that are too old.
    fn forget(&self) -> io::Result<()> {
        let mut kept: Vec<_> = segments(&self.folder)?
            .into_iter()
            .filter_map(|(_, path)| {
                let about = std::fs::metadata(&path).ok()?;
                Some((path, about.len(), about.modified().unwrap_or(SystemTime::now())))
            })
            .collect();
        let mut total: u64 = kept.iter().map(|(_, size, _)| size).sum();
        let room = self.settings.bytes - self.settings.bytes / 8;
        kept.reverse();
        while let Some((path, size, written)) = kept.pop() {
            let old = written.elapsed().is_ok_and(|age| age > self.settings.age);
            if total <= room && !old {
                break;
            }
            std::fs::remove_file(path)?;
            total -= size;
        }
        Ok(())
    }
}

/// The segments of a folder, by their numbers.
fn segments(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|end| end == SEGMENT)) {
            segments.push((number, path));
        }
    }
    segments.sort();
    Ok(segments)
}
