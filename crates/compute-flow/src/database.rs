//! A SQLite file that several processes may use, and that keeps what was answered.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

/// How long a writer waits for another.
const BUSY: Duration = Duration::from_secs(10);

/// A SQLite file that several processes may use. Each change is one transaction, and durable when it is answered.
#[derive(Debug)]
pub(crate) struct Database {
    connection: Mutex<Connection>,
    /// Reads what was last committed, and waits for no writer.
    reader: Mutex<Connection>,
    /// As the reader, for questions that are short and asked often: it does not wait for long reads.
    watcher: Mutex<Connection>,
    path: PathBuf,
}

/// A database cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// The folder for the file cannot be made.
    #[error("cannot make the folder {}", .folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// SQLite failed.
    #[error("the database {}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rusqlite::Error,
    },
}

impl Database {
    /// Opens the database in this file, and makes it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        if let Some(folder) = path.parent() {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|source| DatabaseError::Folder { folder: folder.to_owned(), source })?;
        }
        let failed = |source| DatabaseError::Sqlite { path: path.to_owned(), source };
        let connection = Connection::open(path).map_err(failed)?;
        connection.busy_timeout(BUSY).map_err(failed)?;
        // What was answered survives a power cut.
        connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(failed)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(failed)?;
        let reader = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let reader = Connection::open_with_flags(path, flags).map_err(failed)?;
            reader.busy_timeout(BUSY).map_err(failed)?;
            Ok(Mutex::new(reader))
        };
        let (reader, watcher) = (reader()?, reader()?);
        Ok(Self { connection: Mutex::new(connection), reader, watcher, path: path.to_owned() })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What writes.
    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads.
    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads a little, often.
    pub(crate) fn watcher(&self) -> MutexGuard<'_, Connection> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction that writes, and takes its turn at once.
    pub(crate) fn change<'a>(
        &self,
        connection: &'a mut Connection,
    ) -> Result<Transaction<'a>, DatabaseError> {
        self.sql(connection.transaction_with_behavior(TransactionBehavior::Immediate))
    }

    /// What SQLite gave, or which file it was.
    pub(crate) fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, DatabaseError> {
        result.map_err(|source| DatabaseError::Sqlite { path: self.path.clone(), source })
    }
}
