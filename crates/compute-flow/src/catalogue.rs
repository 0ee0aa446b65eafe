//! The versions of stacks, and which of them are active: a SQLite file.

mod edit;
mod quota;
mod schema;
mod secrets;

use std::path::{Path, PathBuf};
use std::sync::MutexGuard;

use compute::Ref;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Deserialize, Serialize};

use crate::database::{Database, DatabaseError};
use crate::{File, StackName, manifest_hash};
use edit::keep_refs;

pub use secrets::{SecretError, SecretInfo};

/// Keeps the versions of stacks, and which of them are active.
///
/// Several processes may use one file. Each change is one transaction and durable when it is answered: whoever
/// dies leaves the old state or the new one.
#[derive(Debug)]
pub struct Catalogue {
    database: Database,
}

/// A stack and its versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct ActiveStack {
    /// Its name.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// The version that is active, if one is.
    pub active: Option<u32>,
    /// How many versions there are.
    pub versions: u32,
    /// When the active version became so.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub activated: Option<Timestamp>,
}

/// What is known of a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct VersionInfo {
    /// The stack.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// Its number, from 1.
    pub number: u32,
    /// The hash of its files.
    pub hash: String,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// When it last became active.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub activated: Option<Timestamp>,
    /// Whether it is active.
    pub active: bool,
    /// How many rules it has.
    pub rules: u32,
}

/// A version, with its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Version {
    /// What is known of it.
    pub info: VersionInfo,
    /// Its files, by path.
    #[serde(skip)]
    pub files: Vec<File>,
}

impl Version {
    /// A version that came from elsewhere.
    #[must_use]
    pub const fn new(info: VersionInfo, files: Vec<File>) -> Self {
        Self { info, files }
    }
}

/// A version that is not active yet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Draft {
    /// The stack.
    pub stack: StackName,
    /// Its number.
    pub number: u32,
}

impl Draft {
    /// A version that is in the catalogue, to be activated.
    #[must_use]
    pub const fn new(stack: StackName, number: u32) -> Self {
        Self { stack, number }
    }
}

/// The catalogue cannot be read or written, or has no such thing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// There is no such stack.
    #[error("there is no stack `{0}`")]
    NoStack(StackName),
    /// The stack has no such version.
    #[error("the stack `{stack}` has no version {number}")]
    NoVersion {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// The version has no such file.
    #[error("the version {number} of the stack `{stack}` has no file `{path}`")]
    NoFile {
        /// The stack.
        stack: StackName,
        /// The version.
        number: u32,
        /// The file's path.
        path: String,
    },
    /// The version was active, and never changes.
    #[error(
        "the version {number} of the stack `{stack}` was active, so it never changes: make another"
    )]
    Immutable {
        /// The stack.
        stack: StackName,
        /// The number.
        number: u32,
    },
    /// There is as much as there may be.
    #[error("there may be at most {limit} {what}")]
    Quota {
        /// Of what.
        what: &'static str,
        /// How many, or how many bytes.
        limit: u64,
    },
    /// The file was written by a later version of this program.
    #[error("the catalogue {} has the format {found}; this program knows formats up to {known}: use a newer one", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// The file cannot be opened, read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

type Result<T> = std::result::Result<T, CatalogueError>;

impl Catalogue {
    /// Opens the catalogue in this file, and makes it if there is none.
    ///
    /// # Errors
    /// [`CatalogueError::Newer`] if a later version of this program wrote it.
    pub fn open(path: &Path) -> Result<Self> {
        let catalogue = Self { database: Database::open(path)? };
        catalogue.migrate()?;
        Ok(catalogue)
    }

    fn migrate(&self) -> Result<()> {
        let mut connection = self.connection();
        let found: u32 =
            self.sql(connection.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        let known = schema::MIGRATIONS.len() as u32;
        if found > known {
            let path = self.database.path().to_owned();
            return Err(CatalogueError::Newer { path, found, known });
        }
        if found == known {
            return Ok(());
        }
        // Another process may have been faster, so it is asked again once this one writes.
        let change = self.change(&mut connection)?;
        let found: u32 = self.sql(change.query_row("PRAGMA user_version", [], |row| row.get(0)))?;
        for migration in schema::MIGRATIONS.iter().skip(found as usize) {
            self.sql(change.execute_batch(migration))?;
        }
        self.sql(change.pragma_update(None, "user_version", known))?;
        self.sql(change.commit())
    }

    /// All stacks, by name.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stacks(&self) -> Result<Vec<ActiveStack>> {
        let connection = self.reader();
        let mut query = self.sql(connection.prepare(schema::STACKS))?;
        let rows = query.query_map([], |row| {
            Ok(ActiveStack {
                stack: text(row, 0)?,
                active: row.get(1)?,
                versions: row.get(2)?,
                activated: row.get::<_, Option<i64>>(3)?.map(time),
            })
        });
        self.sql(rows.and_then(Iterator::collect))
    }

    /// All versions of a stack, the newest first.
    ///
    /// # Errors
    /// [`CatalogueError::NoStack`] if there is none of this name.
    pub fn versions(&self, stack: &StackName) -> Result<Vec<VersionInfo>> {
        let connection = self.reader();
        let versions = self.sql(versions(&connection, stack, None))?;
        if versions.is_empty() {
            return Err(CatalogueError::NoStack(stack.clone()));
        }
        Ok(versions)
    }

    /// A version with its files.
    ///
    /// # Errors
    /// [`CatalogueError::NoVersion`] if the stack has none of this number.
    pub fn version(&self, stack: &StackName, number: u32) -> Result<Version> {
        let connection = self.reader();
        let info = self.sql(versions(&connection, stack, Some(number)))?.pop();
        let info =
            info.ok_or_else(|| CatalogueError::NoVersion { stack: stack.clone(), number })?;
        let files = self.sql(files(&connection, stack, number))?;
        Ok(Version { info, files })
    }

    /// The active version of a stack, if one is.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn active(&self, stack: &StackName) -> Result<Option<Version>> {
        let connection = self.reader();
        let number: Option<Option<u32>> = self.sql(
            connection
                .query_row("SELECT active FROM stacks WHERE name = ?1", [stack.as_str()], |row| {
                    row.get(0)
                })
                .optional(),
        )?;
        drop(connection);
        number.flatten().map(|number| self.version(stack, number)).transpose()
    }

    /// The files of all active versions, as they are at one moment.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn all_active(&self) -> Result<Vec<Version>> {
        let mut connection = self.reader();
        // One transaction sees one state.
        let read = self.sql(connection.transaction())?;
        let mut names = self.sql(
            read.prepare("SELECT name, active FROM stacks WHERE active IS NOT NULL ORDER BY name"),
        )?;
        let rows =
            names.query_map([], |row| Ok((text::<StackName>(row, 0)?, row.get::<_, u32>(1)?)));
        let rows: Vec<_> = self.sql(rows.and_then(Iterator::collect))?;
        let mut all = Vec::with_capacity(rows.len());
        for (stack, number) in rows {
            if let Some(info) = self.sql(versions(&read, &stack, Some(number)))?.pop() {
                all.push(Version { info, files: self.sql(files(&read, &stack, number))? });
            }
        }
        Ok(all)
    }

    /// Keeps a version that is not active yet. A version of the same files is taken as it is.
    ///
    /// # Errors
    /// [`CatalogueError::Quota`] if there are too many already, and when the file cannot be written.
    pub fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft> {
        let hash = manifest_hash(files);
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let name = stack.as_str();
        let same = change
            .query_row(
                "SELECT number FROM versions WHERE stack = ?1 AND hash = ?2 ORDER BY number DESC LIMIT 1",
                [name, &hash],
                |row| row.get(0),
            )
            .optional();
        if let Some(number) = self.sql(same)? {
            return Ok(Draft { stack: stack.clone(), number });
        }
        self.sql(change.execute("INSERT OR IGNORE INTO stacks (name) VALUES (?1)", [name]))?;
        let last: u32 = self.sql(change.query_row(
            "SELECT COALESCE(MAX(number), 0) FROM versions WHERE stack = ?1",
            [name],
            |row| row.get(0),
        ))?;
        let number = last + 1;
        self.sql(change.execute(
            "INSERT INTO versions (stack, number, hash, created, bytes) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![name, number, hash, Timestamp::now().as_millisecond(), quota::bytes_of(files)],
        ))?;
        for file in files {
            self.sql(change.execute(
                "INSERT INTO files (stack, number, path, text) VALUES (?1, ?2, ?3, ?4)",
                params![name, number, file.path, file.text],
            ))?;
        }
        let draft = Draft { stack: stack.clone(), number };
        self.sql(keep_refs(&change, &draft, files))?;
        self.within_quota(&change, stack)?;
        self.sql(change.commit())?;
        Ok(draft)
    }

    /// Forgets versions that were never active.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn forget(&self, drafts: &[Draft]) -> Result<()> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        for Draft { stack, number } in drafts {
            self.sql(change.execute(
                "DELETE FROM versions WHERE stack = ?1 AND number = ?2 AND activated IS NULL",
                params![stack.as_str(), number],
            ))?;
            self.sql(change.execute(
                "DELETE FROM stacks WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM versions WHERE stack = ?1)",
                [stack.as_str()],
            ))?;
        }
        self.sql(change.commit())
    }

    /// Makes versions active, all of them or none. What must hold first is for the caller to see to:
    /// [`crate::activate`].
    ///
    /// # Errors
    /// [`CatalogueError::NoVersion`] if one of them isn't there; nothing is changed then.
    pub fn activate(&self, versions: &[Draft]) -> Result<()> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let now = Timestamp::now().as_millisecond();
        for Draft { stack, number } in versions {
            let known = self.sql(change.execute(
                "UPDATE versions SET activated = ?3 WHERE stack = ?1 AND number = ?2",
                params![stack.as_str(), number, now],
            ))?;
            if known == 0 {
                return Err(CatalogueError::NoVersion { stack: stack.clone(), number: *number });
            }
            self.sql(change.execute(
                "UPDATE stacks SET active = ?2 WHERE name = ?1",
                params![stack.as_str(), number],
            ))?;
        }
        self.sql(change.execute("UPDATE changes SET number = number + 1", []))?;
        self.sql(change.commit())
    }

    /// A number that is another one whenever something in the catalogue has changed, whoever changed it.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn change_number(&self) -> Result<i64> {
        let connection = self.database.watcher();
        // Each document asks for it.
        let mut query = self.sql(connection.prepare_cached("SELECT number FROM changes"))?;
        self.sql(query.query_row([], |row| row.get(0)))
    }

    /// Every ref that a rule of any version names: what a garbage collection must keep.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn refs(&self) -> Result<Vec<Ref>> {
        let connection = self.reader();
        let mut query =
            self.sql(connection.prepare("SELECT DISTINCT ref FROM refs ORDER BY ref"))?;
        let rows = query.query_map([], |row| text(row, 0));
        self.sql(rows.and_then(Iterator::collect))
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.database.connection()
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.database.reader()
    }

    /// A transaction that writes, and takes its turn at once.
    fn change<'a>(&self, connection: &'a mut Connection) -> Result<Transaction<'a>> {
        Ok(self.database.change(connection)?)
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T> {
        Ok(self.database.sql(result)?)
    }
}

fn versions(
    connection: &Connection,
    stack: &StackName,
    number: Option<u32>,
) -> rusqlite::Result<Vec<VersionInfo>> {
    let mut query = connection.prepare(schema::VERSIONS)?;
    let rows = query.query_map(params![stack.as_str(), number], |row| {
        Ok(VersionInfo {
            stack: text(row, 0)?,
            number: row.get(1)?,
            hash: row.get(2)?,
            created: time(row.get(3)?),
            activated: row.get::<_, Option<i64>>(4)?.map(time),
            active: row.get(5)?,
            rules: row.get(6)?,
        })
    })?;
    rows.collect()
}

fn files(connection: &Connection, stack: &StackName, number: u32) -> rusqlite::Result<Vec<File>> {
    let mut query = connection
        .prepare("SELECT path, text FROM files WHERE stack = ?1 AND number = ?2 ORDER BY path")?;
    let rows = query.query_map(params![stack.as_str(), number], |row| {
        Ok(File { path: row.get(0)?, text: row.get(1)? })
    })?;
    rows.collect()
}

/// A column that holds the text of something.
fn text<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    row: &rusqlite::Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
    })
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
