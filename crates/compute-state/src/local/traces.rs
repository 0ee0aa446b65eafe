//! Traces as files in a folder, bounded in number and in bytes.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use sha2::{Digest as _, Sha256};

use crate::secrets::make_folder;
use crate::{
    StateError, StateQuotas, TraceRoom, TraceStore, TraceText, Traces, TracesError, WriteText,
};

/// How many are written before the oldest are deleted, so that the folder is not read for each.
const SLACK: u64 = 100;
/// The part of these bytes that is written before the oldest are deleted.
const PART: u64 = 16;
const ENDING: &str = "json";
/// How the names of files begin that are being written, and when one is abandoned.
const UNFINISHED: &str = ".tmp";
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder of traces. The newest are kept, up to a number and a number of bytes.
#[derive(Debug)]
pub struct FolderTraces {
    folder: PathBuf,
    /// How many are kept.
    most: usize,
    /// How many bytes of them.
    quota: u64,
    /// What this process has written.
    written: Written,
    /// Room for those that nobody asked for.
    room: TraceRoom,
}

#[derive(Debug)]
struct Written {
    /// How many since the folder was last swept.
    traces: AtomicU64,
    /// How many bytes.
    bytes: AtomicU64,
    /// Held by the one that sweeps.
    sweep: Mutex<()>,
}

/// A file of a trace.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    written: SystemTime,
    id: String,
    bytes: u64,
}

impl FolderTraces {
    /// The traces in this folder, which is made when the first is written.
    pub fn new(folder: impl Into<PathBuf>, quotas: StateQuotas) -> Self {
        let written = Written {
            // The first finds what others left.
            traces: AtomicU64::new(SLACK),
            bytes: AtomicU64::new(0),
            sweep: Mutex::new(()),
        };
        let (most, quota) = (quotas.traces, quotas.trace_bytes);
        Self { folder: folder.into(), most, quota, written, room: TraceRoom::default() }
    }

    /// The only file whose name begins so.
    fn complete(&self, id: &str) -> Result<PathBuf, TracesError> {
        let mut ids = self.ids()?;
        ids.retain(|one| one.starts_with(id) && !id.is_empty());
        match &ids[..] {
            [one] => Ok(self.folder.join(format!("{one}.{ENDING}"))),
            _ => Err(TracesError::NotFound(id.to_owned())),
        }
    }

    fn files(&self) -> Result<Vec<Kept>, TracesError> {
        self.files_and(|_, _| {})
    }

    /// The traces, the oldest first; `other` is called with each file that is none.
    fn files_and(
        &self,
        mut other: impl FnMut(&Path, SystemTime),
    ) -> Result<Vec<Kept>, TracesError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.failed(error))?;
            // Another process may have deleted it since.
            let Ok(about) = entry.metadata() else { continue };
            let written = about.modified().map_err(|error| self.failed(error))?;
            let path = entry.path();
            if path.extension().is_some_and(|ending| ending == ENDING) {
                let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                files.push(Kept { written, id, bytes: about.len() });
            } else {
                other(&path, written);
            }
        }
        files.sort();
        Ok(files)
    }

    fn sweep(&self) -> Result<(), TracesError> {
        // Whoever comes meanwhile leaves it to the one that sweeps.
        let Ok(_sweeping) = self.written.sweep.try_lock() else { return Ok(()) };
        self.written.traces.store(0, Ordering::Relaxed);
        self.written.bytes.store(0, Ordering::Relaxed);
        let mut bytes = 0_u64;
        for (at, one) in self.files_and(remove_abandoned)?.iter().rev().enumerate() {
            bytes = bytes.saturating_add(one.bytes);
            if at >= self.most || bytes > self.quota {
                let _ = fs::remove_file(self.folder.join(format!("{}.{ENDING}", one.id)));
            }
        }
        Ok(())
    }

    /// The file of an id. Whoever sends a request chooses its id, and must not choose the file.
    fn file(&self, id: &str) -> PathBuf {
        let safe = |char: char| {
            if char.is_ascii_alphanumeric() || "-_".contains(char) { char } else { '_' }
        };
        let mut name: String = id.chars().take(100).map(safe).collect();
        if name != id {
            // Another id may look the same now.
            let hash = hex::encode(Sha256::digest(id.as_bytes()));
            name = format!("{name}-{}", &hash[..16]);
        }
        self.folder.join(format!("{name}.{ENDING}"))
    }

    fn failed(&self, source: io::Error) -> TracesError {
        StateError::failed(format!("the traces in {}", self.folder.display()), source).into()
    }
}

/// Takes away what a process left behind that ended while it wrote.
fn remove_abandoned(file: &Path, written: SystemTime) {
    let is_old = written.elapsed().is_ok_and(|age| age > ABANDONED);
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    if is_old && name.starts_with(UNFINISHED) {
        let _ = fs::remove_file(file);
    }
}

impl Traces for FolderTraces {
    fn ids(&self) -> Result<Vec<String>, TracesError> {
        Ok(self.files()?.into_iter().map(|one| one.id).collect())
    }

    fn read_text(&self, id: &str) -> Result<TraceText, TracesError> {
        let open = |file: &Path| match File::open(file) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        };
        let found = match open(&self.file(id))? {
            Some(file) => Some(file),
            None => open(&self.complete(id)?)?,
        };
        Ok(Box::new(found.ok_or_else(|| TracesError::NotFound(id.to_owned()))?))
    }

    fn folder(&self) -> Option<&Path> {
        Some(&self.folder)
    }
}

impl TraceStore for FolderTraces {
    fn write_some(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError> {
        if self.room.take() { self.write(id, text) } else { Ok(()) }
    }

    fn write(&self, id: &str, text: &mut WriteText<'_>) -> Result<(), TracesError> {
        let failed = |source| self.failed(source);
        make_folder(&self.folder).map_err(failed)?;
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(&self.folder)
            .map_err(failed)?;
        let mut writer = BufWriter::new(&mut file);
        text(&mut writer).map_err(failed)?;
        writer.flush().map_err(failed)?;
        drop(writer);
        let bytes = file.as_file().metadata().map_err(failed)?.len();
        if bytes > self.quota {
            return Err(TracesError::TooLarge { limit: self.quota });
        }
        file.persist(self.file(id)).map_err(|error| failed(error.error))?;
        let written = &self.written;
        let traces = written.traces.fetch_add(1, Ordering::Relaxed);
        let bytes = written.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if traces >= SLACK || bytes > self.quota / PART { self.sweep() } else { Ok(()) }
    }
}
