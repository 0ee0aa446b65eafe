//! The versions of stacks, and which of them are active: a SQLite file.

mod edit;
mod policies;
mod quota;
mod restore;
mod rollouts;
mod schema;
mod secrets;

use std::path::Path;
use std::sync::{Arc, MutexGuard};

use compute::Ref;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::audit::{self, SqliteAudit};
use super::database::Database;
use crate::{
    ActiveStack, Catalogue, Deed, Draft, File, RecordPolicies, RecordPolicy, Rollout, Running,
    Shadow, StackName, Stacks, StacksError, StateError, StateQuotas, Version, VersionInfo,
    manifest_hash,
};
use edit::keep_files;

/// What is kept of a tenant's stacks and secrets, in a SQLite file that several processes may use.
#[derive(Debug)]
pub struct SqliteCatalogue {
    database: Arc<Database>,
    quotas: StateQuotas,
}

impl SqliteCatalogue {
    /// Opens the catalogue in this file, and makes it if there is none.
    ///
    /// # Errors
    /// [`StateError::Newer`] if a later version of this program wrote it.
    pub fn open(path: &Path, quotas: StateQuotas) -> Result<Self, StateError> {
        let database = Arc::new(Database::open(path)?);
        database.migrate("the catalogue", &schema::MIGRATIONS)?;
        Ok(Self { database, quotas })
    }

    /// The log of who changed what here.
    pub(crate) fn audit(&self) -> SqliteAudit {
        let (database, most) = (Arc::clone(&self.database), self.quotas.audit_entries);
        SqliteAudit { database, tenant: String::new(), most }
    }

    /// Commits a change that those who take documents must see.
    fn changed(
        &self,
        change: Transaction<'_>,
        deed: impl Into<Option<Deed>>,
    ) -> Result<(), StateError> {
        self.sql(change.execute("UPDATE changes SET number = number + 1", []))?;
        self.commit(change, deed)
    }

    /// Commits a change with its entry in the log; one that is nobody's deed has none.
    fn commit(
        &self,
        change: Transaction<'_>,
        deed: impl Into<Option<Deed>>,
    ) -> Result<(), StateError> {
        if let Some(deed) = deed.into() {
            self.sql(audit::log(&change, "", &deed, self.quotas.audit_entries))?;
        }
        self.sql(change.commit())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.database.connection()
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.database.reader()
    }

    /// A transaction that writes, and takes its turn at once.
    fn change<'a>(&self, connection: &'a mut Connection) -> Result<Transaction<'a>, StateError> {
        self.database.change(connection)
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, StateError> {
        self.database.sql(result)
    }
}

impl SqliteCatalogue {
    /// Makes versions active, each for all documents of its stack.
    fn make_active(&self, change: &Transaction<'_>, versions: &[Draft]) -> Result<(), StacksError> {
        let now = Timestamp::now().as_millisecond();
        for version @ Draft { stack, number, .. } in versions {
            self.unchanged(change, version)?;
            self.sql(change.execute(
                "UPDATE versions SET activated = ?3 WHERE stack = ?1 AND number = ?2",
                params![stack.as_str(), number, now],
            ))?;
            self.sql(change.execute(
                "UPDATE stacks SET active = ?2 WHERE name = ?1",
                params![stack.as_str(), number],
            ))?;
            self.sql(change.execute("DELETE FROM rollouts WHERE stack = ?1", [stack.as_str()]))?;
        }
        Ok(())
    }
}

impl Stacks for SqliteCatalogue {
    fn stacks(&self) -> Result<Vec<ActiveStack>, StacksError> {
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
        Ok(self.sql(rows.and_then(Iterator::collect))?)
    }

    fn versions(&self, stack: &StackName) -> Result<Vec<VersionInfo>, StacksError> {
        let connection = self.reader();
        let versions = self.sql(versions(&connection, stack, None))?;
        if versions.is_empty() {
            return Err(StacksError::NoStack(stack.clone()));
        }
        Ok(versions)
    }

    fn version(&self, stack: &StackName, number: u32) -> Result<Version, StacksError> {
        let mut connection = self.reader();
        // One transaction sees one state.
        let read = self.sql(connection.transaction())?;
        let info = self.sql(versions(&read, stack, Some(number)))?.pop();
        let info = info.ok_or_else(|| StacksError::NoVersion { stack: stack.clone(), number })?;
        let files = self.sql(files(&read, stack, number))?;
        Ok(Version { info, files })
    }

    fn info(&self, stack: &StackName, number: u32) -> Result<VersionInfo, StacksError> {
        let info = self.sql(versions(&self.reader(), stack, Some(number)))?.pop();
        info.ok_or_else(|| StacksError::NoVersion { stack: stack.clone(), number })
    }

    fn active(&self, stack: &StackName) -> Result<Option<Version>, StacksError> {
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

    fn draft(&self, stack: &StackName, files: &[File]) -> Result<Draft, StacksError> {
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
            return Ok(Draft::new(stack.clone(), number));
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
            params![name, number, hash, Timestamp::now().as_millisecond(), quota::kept_bytes(files)],
        ))?;
        let draft = Draft::new(stack.clone(), number);
        self.sql(keep_files(&change, &draft, files))?;
        self.within_quota(&change, &draft)?;
        self.commit(change, Deed::draft_create(&draft, &hash))?;
        Ok(draft)
    }

    fn edit(&self, draft: &Draft, path: &str, text: Option<&str>) -> Result<(), StacksError> {
        self.edit_file(draft, path, text)
    }

    fn delete_draft(&self, draft: &Draft) -> Result<(), StacksError> {
        self.changeable(&self.connection(), draft)?;
        // One that became active since stays.
        self.forget(std::slice::from_ref(draft))
    }

    fn forget(&self, drafts: &[Draft]) -> Result<(), StacksError> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let mut gone = Vec::new();
        for draft @ Draft { stack, number, .. } in drafts {
            let deleted = self.sql(change.execute(
                "DELETE FROM versions WHERE stack = ?1 AND number = ?2 AND activated IS NULL",
                params![stack.as_str(), number],
            ))?;
            if deleted > 0 {
                gone.push(draft.clone());
            }
            self.sql(change.execute(
                "DELETE FROM stacks WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM versions WHERE stack = ?1)",
                [stack.as_str()],
            ))?;
        }
        Ok(self.commit(change, Deed::draft_delete(&gone))?)
    }

    fn activate(&self, versions: &[Draft]) -> Result<(), StacksError> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        self.make_active(&change, versions)?;
        Ok(self.changed(change, Deed::activate(versions))?)
    }

    fn record_policies(&self) -> Result<RecordPolicies, StacksError> {
        self.policies()
    }

    fn set_record_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        self.set_policy(stack, policy)
    }

    fn shadows(&self) -> Result<Vec<Shadow>, StacksError> {
        self.all_shadows()
    }

    fn set_shadow(&self, shadow: &Shadow, hash: Option<&str>) -> Result<(), StacksError> {
        self.put_shadow(shadow, hash)
    }

    fn remove_shadow(&self, stack: &StackName) -> Result<(), StacksError> {
        self.delete_shadow(stack)
    }

    fn rollouts(&self) -> Result<Vec<Rollout>, StacksError> {
        Ok(self.sql(rollouts::all(&self.reader()))?)
    }

    fn set_rollout(&self, rollout: &Rollout, hash: Option<&str>) -> Result<(), StacksError> {
        self.put_rollout(rollout, hash)
    }

    fn complete_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        self.end_rollout(version)
    }

    fn remove_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        self.delete_rollout(version)
    }
}

impl Catalogue for SqliteCatalogue {
    fn running(&self) -> Result<Running, StacksError> {
        let mut connection = self.reader();
        // One transaction sees one state.
        let read = self.sql(connection.transaction())?;
        let mut names = self.sql(
            read.prepare("SELECT name, active FROM stacks WHERE active IS NOT NULL ORDER BY name"),
        )?;
        let rows =
            names.query_map([], |row| Ok((text::<StackName>(row, 0)?, row.get::<_, u32>(1)?)));
        let rows: Vec<_> = self.sql(rows.and_then(Iterator::collect))?;
        let mut running = Running::default();
        for (stack, number) in rows {
            running.active.extend(self.sql(versions(&read, &stack, Some(number)))?);
        }
        for rollout in self.sql(rollouts::all(&read))? {
            let info = self.sql(versions(&read, &rollout.stack, Some(rollout.number)))?.pop();
            running.rollouts.extend(info.map(|info| (rollout, info)));
        }
        Ok(running)
    }

    fn change_number(&self) -> Result<i64, StacksError> {
        let connection = self.database.watcher();
        // Each document asks for it.
        let mut query = self.sql(connection.prepare_cached("SELECT number FROM changes"))?;
        Ok(self.sql(query.query_row([], |row| row.get(0)))?)
    }

    fn restore(&self, version: &Version) -> Result<(), StacksError> {
        self.restore_version(version)
    }

    fn naming(&self, artifact: &Ref) -> Result<Option<Draft>, StacksError> {
        let query =
            "SELECT stack, number FROM refs WHERE ref = ?1 ORDER BY stack, number DESC LIMIT 1";
        let version = |row: &rusqlite::Row<'_>| Ok(Draft::new(text(row, 0)?, row.get(1)?));
        let found = self.reader().query_row(query, [artifact.as_str()], version);
        Ok(self.sql(found.optional())?)
    }

    fn refs(&self) -> Result<Vec<Ref>, StacksError> {
        let connection = self.reader();
        let mut query =
            self.sql(connection.prepare("SELECT DISTINCT ref FROM refs ORDER BY ref"))?;
        let rows = query.query_map([], |row| text(row, 0));
        Ok(self.sql(rows.and_then(Iterator::collect))?)
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
