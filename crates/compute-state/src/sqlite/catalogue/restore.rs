//! Versions as they were elsewhere.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::SqliteCatalogue;
use super::edit::keep_files;
use super::quota::kept_bytes;
use crate::{Draft, StacksError, Version, VersionInfo};

impl SqliteCatalogue {
    pub(super) fn restore_version(&self, version: &Version) -> Result<(), StacksError> {
        let Version { info, files } = version;
        let VersionInfo { stack, number, hash, created, activated, active, .. } = info;
        let (number, name) = (*number, stack.as_str());
        let activated = activated.map(Timestamp::as_millisecond);
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let kept = "SELECT hash FROM versions WHERE stack = ?1 AND number = ?2";
        let kept = change.query_row(kept, params![name, number], |row| row.get(0)).optional();
        let kept: Option<String> = self.sql(kept)?;
        if kept.as_ref().is_some_and(|kept| kept != hash) {
            return Err(StacksError::Taken { stack: stack.clone(), number });
        }
        self.sql(change.execute("INSERT OR IGNORE INTO stacks (name) VALUES (?1)", [name]))?;
        if kept.is_none() {
            let insert = "INSERT INTO versions (stack, number, hash, created, bytes) VALUES (?1, ?2, ?3, ?4, ?5)";
            let (created, bytes) = (created.as_millisecond(), kept_bytes(files));
            self.sql(change.execute(insert, params![name, number, hash, created, bytes]))?;
            self.sql(keep_files(&change, &Draft::new(stack.clone(), number), files))?;
        }
        let update =
            "UPDATE versions SET created = ?3, activated = ?4 WHERE stack = ?1 AND number = ?2";
        let created = created.as_millisecond();
        self.sql(change.execute(update, params![name, number, created, activated]))?;
        if *active {
            let update = "UPDATE stacks SET active = ?2 WHERE name = ?1";
            self.sql(change.execute(update, params![name, number]))?;
            self.sql(change.execute("DELETE FROM rollouts WHERE stack = ?1", [name]))?;
        }
        Ok(self.changed(change, None)?)
    }
}
