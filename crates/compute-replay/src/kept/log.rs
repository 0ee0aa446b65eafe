//! Keeps records in segments, on a thread of its own.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use compute::{Record, RecordSink};

use super::segments::{LogSettings, Segments};
use super::sweep::LogSweep;
use super::{Lines, line_of};
use crate::signature::RecordSigner;

/// How long the thread waits for more, once there is something: what comes together is written together.
const GATHER: Duration = Duration::from_millis(20);
/// How often it is looked whether records have become too old.
const SWEEP: Duration = Duration::from_secs(60);

/// What became of the records that a log was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogStats {
    /// How many were written.
    pub written: u64,
    /// How many were lost: too many were waiting, or they could not be written.
    pub lost: u64,
}

/// A thread that writes the records of many logs, one log after the other.
///
/// ```
/// use compute_replay::{LogSettings, RecordWriter};
///
/// # fn main() -> std::io::Result<()> {
/// # let folder = tempfile::tempdir()?;
/// let writer = RecordWriter::start(64 << 20)?;
/// let one = writer.log(&folder.path().join("one"), LogSettings::default(), None);
/// let other = writer.log(&folder.path().join("other"), LogSettings::default(), None);
/// # drop((one, other));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RecordWriter(Arc<Writer>);

/// Ends the thread when nobody has a log any more.
#[derive(Debug)]
struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
    /// How many bytes of memory wait, of all logs, and how many may.
    waiting: AtomicUsize,
    most: usize,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// The logs in which something waits.
    turns: VecDeque<Arc<Log>>,
    /// Whether somebody waits until it is written.
    urgent: bool,
    ended: bool,
}

/// Keeps records in a folder.
///
/// Whoever hands it one goes on at once. What was answered by [`RecordLog::flush`] is on disk.
#[derive(Clone, Debug)]
pub struct RecordLog {
    log: Arc<Log>,
    writer: Arc<Writer>,
}

#[derive(Debug)]
struct Log {
    settings: LogSettings,
    signer: Option<RecordSigner>,
    waiting: Mutex<Waiting>,
    segments: Mutex<Segments>,
    written: AtomicU64,
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    work: VecDeque<Work>,
    bytes: usize,
    /// Whether it has a turn.
    queued: bool,
}

#[derive(Debug)]
enum Work {
    Write(Box<Record>, usize),
    /// Records that are written down already.
    Lines(Lines),
    /// Says when all that was handed over before is written, and on disk if that is wanted.
    Flush(Sender<io::Result<()>>, bool),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RecordWriter {
    /// A writer for logs of which records may wait that take so many bytes of memory together; those of one log may take a
    /// half.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start(most: usize) -> io::Result<Self> {
        Self::start_with(most, None)
    }

    /// The same, which also forgets what becomes too old in these folders, from now on and once in a while: also in those that
    /// have no log here.
    ///
    /// # Errors
    /// Those of starting a thread.
    pub fn start_with(most: usize, sweep: Option<LogSweep>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            waiting: AtomicUsize::new(0),
            most,
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        });
        let working = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("compute-records".to_owned())
            .spawn(move || working.work(sweep))?;
        Ok(Self(Arc::new(Writer { shared, thread: Some(thread) })))
    }

    /// A log in this folder, which is made when something is written. It goes on after the segments that are there. With a
    /// signer, each record has its signature.
    #[must_use]
    pub fn log(
        &self,
        folder: &Path,
        settings: LogSettings,
        signer: Option<RecordSigner>,
    ) -> RecordLog {
        let segments = Mutex::new(Segments::new(folder.to_owned(), settings));
        let (waiting, written, lost) = (Mutex::default(), AtomicU64::new(0), AtomicU64::new(0));
        let log = Arc::new(Log { settings, signer, waiting, segments, written, lost });
        RecordLog { log, writer: Arc::clone(&self.0) }
    }

    /// What became of the records of all logs so far.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let shared = &self.0.shared;
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LogStats { written: read(&shared.written), lost: read(&shared.lost) }
    }
}

impl RecordLog {
    /// A log in this folder, with a thread of its own.
    ///
    /// # Errors
    /// Those of the file system, and of starting a thread.
    pub fn open(folder: &Path, settings: LogSettings) -> io::Result<Self> {
        super::segments::make_folder(folder)?;
        Ok(RecordWriter::start(settings.waiting.saturating_mul(2))?.log(folder, settings, None))
    }

    /// What became of the records so far.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        LogStats { written: read(&self.log.written), lost: read(&self.log.lost) }
    }

    /// Why records could not be written lately; nothing if they are.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        lock(&self.log.segments).failed().map(str::to_owned)
    }

    /// Waits until all that was handed over is on disk, or lost.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn flush(&self) -> io::Result<()> {
        self.wait(true, Duration::MAX)
    }

    /// Waits until all that was handed over is written where it is read from, which need not be on disk, or lost; at most so long.
    ///
    /// # Errors
    /// [`io::ErrorKind::TimedOut`].
    pub fn settle(&self, most: Duration) -> io::Result<()> {
        self.wait(false, most)
    }

    fn wait(&self, on_disk: bool, most: Duration) -> io::Result<()> {
        let (done, flushed) = mpsc::channel();
        self.give(lock(&self.log.waiting), Work::Flush(done, on_disk), 0);
        match flushed.recv_timeout(most) {
            Ok(done) => done,
            Err(mpsc::RecvTimeoutError::Timeout) => Err(io::ErrorKind::TimedOut.into()),
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("the thread that writes records ended"))
            }
        }
    }

    /// Takes a record, and writes it down at once, on the calling thread: less work in all than for [`RecordSink::take`], which
    /// leaves it to the log's thread. The record's id.
    pub fn take_now(&self, mut record: Record) -> String {
        // A signature takes longer than all else.
        if self.log.signer.is_some() {
            let record = record.sealed();
            let id = record.id.clone();
            self.take(record);
            return id;
        }
        let line = line_of(|line| record.seal_into(line));
        self.put(&line);
        record.id
    }

    /// Puts a line behind those that wait, if there is room.
    fn put(&self, line: &[u8]) {
        let size = line.len();
        if !self.has_room(size) {
            return self.lose();
        }
        let mut waiting = lock(&self.log.waiting);
        if let Some(Work::Lines(lines)) = waiting.work.back_mut()
            && lines.has_room(line)
        {
            lines.push(line);
            waiting.bytes += size;
            return;
        }
        let mut lines = Lines::default();
        lines.push(line);
        self.give(waiting, Work::Lines(lines), size);
    }

    fn lose(&self) {
        self.log.lost.fetch_add(1, Ordering::Relaxed);
        self.writer.shared.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts it behind what waits.
    fn give(&self, mut waiting: MutexGuard<'_, Waiting>, work: Work, size: usize) {
        let urgent = matches!(work, Work::Flush(..));
        waiting.work.push_back(work);
        waiting.bytes += size;
        let queued = std::mem::replace(&mut waiting.queued, true);
        drop(waiting);
        if queued && !urgent {
            return;
        }
        let shared = &self.writer.shared;
        let mut state = lock(&shared.state);
        if !queued {
            state.turns.push_back(Arc::clone(&self.log));
        }
        state.urgent |= urgent;
        drop(state);
        shared.more.notify_one();
    }

    /// Whether there is room for so many bytes that wait.
    fn has_room(&self, size: usize) -> bool {
        let shared = &self.writer.shared;
        let own = lock(&self.log.waiting).bytes.saturating_add(size);
        if own > self.log.settings.waiting || own > shared.most / 2 {
            return false;
        }
        let all = shared.waiting.fetch_add(size, Ordering::AcqRel).saturating_add(size);
        if all > shared.most {
            shared.waiting.fetch_sub(size, Ordering::AcqRel);
        }
        all <= shared.most
    }
}

impl RecordSink for RecordLog {
    fn take(&self, record: Record) {
        let size = size_of_record(&record);
        if self.has_room(size) {
            let work = Work::Write(Box::new(record), size);
            self.give(lock(&self.log.waiting), work, size);
        } else {
            self.lose();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        lock(&self.shared.state).ended = true;
        self.shared.more.notify_one();
        // It writes what waits, and ends.
        if let Some(thread) = self.thread.take() {
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

impl Shared {
    fn work(&self, mut sweep: Option<LogSweep>) {
        let mut known: Vec<Weak<Log>> = Vec::new();
        let mut swept = Instant::now();
        sweep.iter_mut().for_each(|sweep| sweep.some(|_| false));
        loop {
            let log = {
                let mut state = lock(&self.state);
                loop {
                    if let Some(log) = state.turns.pop_front() {
                        break Some(log);
                    }
                    if state.ended {
                        return;
                    }
                    state.urgent = false;
                    let waited = self.more.wait_timeout(state, SWEEP);
                    let (woken, ran_out) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = woken;
                    if ran_out.timed_out() {
                        break None;
                    }
                    if !state.urgent && !state.ended {
                        // More comes meanwhile, or somebody who waits for it.
                        let gathered = self.more.wait_timeout(state, GATHER);
                        state = gathered.unwrap_or_else(PoisonError::into_inner).0;
                    }
                }
            };
            if let Some(log) = log {
                if !known.iter().any(|one| one.as_ptr() == Arc::as_ptr(&log)) {
                    known.push(Arc::downgrade(&log));
                }
                if self.turn(&log) {
                    lock(&self.state).turns.push_back(log);
                }
            }
            if swept.elapsed() >= SWEEP {
                swept = Instant::now();
                known.retain(|one| one.strong_count() > 0);
                let open: Vec<_> = known.iter().filter_map(Weak::upgrade).collect();
                for log in &open {
                    let _ = lock(&log.segments).forget_old();
                }
                let is_open =
                    |folder: &Path| open.iter().any(|log| lock(&log.segments).folder() == folder);
                sweep.iter_mut().for_each(|sweep| sweep.some(is_open));
            }
        }
    }

    /// Writes some of what waits in a log. Says whether there is more.
    fn turn(&self, log: &Log) -> bool {
        let (mut lines, mut flushes) = (Lines::default(), Vec::new());
        let mut taken = 0;
        let more = loop {
            let mut waiting = lock(&log.waiting);
            match waiting.work.pop_front() {
                None => {
                    waiting.queued = false;
                    break false;
                }
                Some(Work::Flush(done, on_disk)) => flushes.push((done, on_disk)),
                Some(Work::Lines(more)) if lines.ends.is_empty() => {
                    waiting.bytes -= more.bytes.len();
                    taken += more.bytes.len();
                    lines = more;
                }
                Some(work @ Work::Lines(_)) => {
                    waiting.work.push_front(work);
                    break true;
                }
                Some(Work::Write(mut record, size)) => {
                    drop(waiting);
                    taken += size;
                    lines.push(&line_of(|line| match &log.signer {
                        Some(signer) => signer.sign(record.sealed()).write_json(line),
                        None => record.seal_into(line),
                    }));
                    lock(&log.waiting).bytes -= size;
                    if lines.bytes.len() >= Lines::MOST {
                        break true;
                    }
                }
            }
        };
        let mut segments = lock(&log.segments);
        let written = segments.write(&lines);
        let count = |counts: [&AtomicU64; 2], number: u64| {
            for count in counts {
                count.fetch_add(number, Ordering::Relaxed);
            }
        };
        count([&log.written, &self.written], written);
        count([&log.lost, &self.lost], lines.ends.len() as u64 - written);
        self.waiting.fetch_sub(taken, Ordering::AcqRel);
        for (done, on_disk) in flushes {
            let _ = done.send(if on_disk { segments.sync() } else { Ok(()) });
        }
        more
    }
}
