//! A SQLite file that several processes may use, and that keeps what was answered.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::StateError;
use crate::secrets::make_folder;

/// How long a writer waits for another.
const BUSY: Duration = Duration::from_secs(10);

/// A SQLite file that several processes may use. Each change is one transaction, and durable when it is answered.
#[derive(Debug)]
pub(super) struct Database {
    connection: Mutex<Connection>,
    /// Reads what was last committed, and waits for no writer.
    reader: Mutex<Connection>,
    /// As the reader, for questions that are short and asked often: it does not wait for long reads.
    watcher: Mutex<Connection>,
    path: PathBuf,
}

impl Database {
    /// Opens the database in this file, and makes it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, StateError> {
        if let Some(folder) = path.parent() {
            let made = make_folder(folder);
            made.map_err(|source| {
                StateError::failed(format!("cannot make the folder {}", folder.display()), source)
            })?;
        }
        let failed = |source| failed(path, source);
        // What SQLite makes beside it has the mode of this file.
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        // Whatever is wrong with it, SQLite tells.
        drop(options.open(path));
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

    /// Takes the steps from the format that is found to the newest; `user_version` counts those that were taken.
    pub(super) fn migrate(&self, what: &str, migrations: &[&str]) -> Result<(), StateError> {
        let mut connection = self.connection();
        let version = |connection: &Connection| -> Result<u32, StateError> {
            self.sql(connection.query_row("PRAGMA user_version", [], |row| row.get(0)))
        };
        let (found, known) = (version(&connection)?, migrations.len() as u32);
        if found > known {
            let what = format!("{what} {}", self.path.display());
            return Err(StateError::Newer { what, found, known });
        }
        if found == known {
            return Ok(());
        }
        // Another process may have been faster, so it is asked again once this one writes.
        let change = self.change(&mut connection)?;
        for migration in migrations.iter().skip(version(&change)? as usize) {
            self.sql(change.execute_batch(migration))?;
        }
        self.sql(change.pragma_update(None, "user_version", known))?;
        self.sql(change.commit())
    }

    /// What writes.
    pub(super) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads.
    pub(super) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What reads a little, often.
    pub(super) fn watcher(&self) -> MutexGuard<'_, Connection> {
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A transaction that writes, and takes its turn at once.
    pub(super) fn change<'a>(
        &self,
        connection: &'a mut Connection,
    ) -> Result<Transaction<'a>, StateError> {
        self.sql(connection.transaction_with_behavior(TransactionBehavior::Immediate))
    }

    /// What SQLite gave, or which file it was.
    pub(super) fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, StateError> {
        result.map_err(|source| failed(&self.path, source))
    }
}

/// Of a disk that is full, read-only or fails, and a writer that takes too long, it is known that later may be better.
fn failed(path: &Path, source: rusqlite::Error) -> StateError {
    use ErrorCode::{
        CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, PermissionDenied, ReadOnly,
        SystemIoFailure,
    };
    let what = format!("the database {}", path.display());
    match source.sqlite_error_code() {
        Some(
            CannotOpen | DatabaseBusy | DatabaseLocked | DiskFull | PermissionDenied | ReadOnly
            | SystemIoFailure,
        ) => StateError::unavailable(what, source),
        _ => StateError::failed(what, source),
    }
}
