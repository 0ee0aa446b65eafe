//! Traces as files in a folder, bounded in number.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sha2::{Digest as _, Sha256};

use crate::Trace;

/// How many traces a folder keeps.
const MAX_TRACES: usize = 1000;
/// How many are written before the oldest are deleted, so that the folder is not read for each.
const SLACK: usize = 100;
const ENDING: &str = "json";

/// A folder of traces. The newest thousand are kept.
#[derive(Clone, Debug)]
pub struct Traces {
    folder: PathBuf,
    /// How many this process has written; clones share it.
    written: Arc<AtomicUsize>,
}

/// A trace that cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TracesError {
    /// There is no trace of this id.
    #[error("there is no trace `{0}`")]
    NotFound(String),
    /// The folder or a file in it cannot be read or written.
    #[error("the traces in {}", .folder.display())]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not a trace.
    #[error("the trace `{id}` cannot be read")]
    Broken {
        /// Its id.
        id: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Traces {
    /// The traces in this folder, which is made when the first is written.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), written: Arc::default() }
    }

    /// Where they are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a trace. The oldest are deleted where there are too many.
    ///
    /// # Errors
    /// [`TracesError::Io`] if it cannot be written.
    pub fn write(&self, trace: &Trace) -> Result<(), TracesError> {
        let failed = |source| self.failed(source);
        fs::create_dir_all(&self.folder).map_err(failed)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).map_err(failed)?;
        serde_json::to_writer(&mut file, trace).map_err(|error| failed(error.into()))?;
        file.flush().map_err(failed)?;
        file.persist(self.file(&trace.id)).map_err(|error| failed(error.error))?;
        match self.written.fetch_add(1, Ordering::Relaxed) % SLACK {
            0 => self.sweep(),
            _ => Ok(()),
        }
    }

    /// The trace of this id, or the one whose id begins so.
    ///
    /// # Errors
    /// [`TracesError::NotFound`] if there is none, or more than one.
    pub fn read(&self, id: &str) -> Result<Trace, TracesError> {
        let file = self.file(id);
        let file = if file.is_file() { file } else { self.complete(id)? };
        let bytes = fs::read(&file).map_err(|error| self.failed(error))?;
        serde_json::from_slice(&bytes)
            .map_err(|source| TracesError::Broken { id: id.to_owned(), source })
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

    /// The ids of the traces there are, the oldest first.
    ///
    /// # Errors
    /// [`TracesError::Io`] if the folder cannot be read.
    pub fn ids(&self) -> Result<Vec<String>, TracesError> {
        Ok(self.files()?.into_iter().map(|(_, id)| id).collect())
    }

    fn files(&self) -> Result<Vec<(std::time::SystemTime, String)>, TracesError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| self.failed(error))?.path();
            let is_trace = path.extension().is_some_and(|ending| ending == ENDING);
            // Another process may have deleted it since.
            if let (true, Ok(about)) = (is_trace, fs::metadata(&path)) {
                let written = about.modified().map_err(|error| self.failed(error))?;
                let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                files.push((written, id));
            }
        }
        files.sort();
        Ok(files)
    }

    fn sweep(&self) -> Result<(), TracesError> {
        let files = self.files()?;
        for (_, id) in &files[..files.len().saturating_sub(MAX_TRACES)] {
            let _ = fs::remove_file(self.folder.join(format!("{id}.{ENDING}")));
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
        TracesError::Io { folder: self.folder.clone(), source }
    }
}
