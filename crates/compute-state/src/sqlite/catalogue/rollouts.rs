//! Which versions answer a part of a stack's documents in place of the active ones, in SQLite.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteCatalogue, text};
use crate::{Deed, Draft, Rollout, Share, StacksError};

/// All of them, by stack.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Rollout>> {
    let query = "SELECT stack, number, share, path FROM rollouts ORDER BY stack";
    let mut query = connection.prepare(query)?;
    let rows = query.query_map([], |row| {
        let share = Share::from_millionths(row.get(2)?);
        let share = share.ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(2, 0))?;
        Ok(Rollout { stack: text(row, 0)?, number: row.get(1)?, share, by: text(row, 3)? })
    })?;
    rows.collect()
}

impl SqliteCatalogue {
    pub(super) fn put_rollout(
        &self,
        rollout: &Rollout,
        hash: Option<&str>,
    ) -> Result<(), StacksError> {
        let Rollout { stack, number, share, by } = rollout;
        let name = stack.as_str();
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let active = "SELECT active FROM stacks s JOIN versions v ON v.stack = s.name
            WHERE s.name = ?1 AND v.number = ?2";
        let active = change.query_row(active, params![name, number], |row| row.get(0)).optional();
        let active: Option<Option<u32>> = self.sql(active)?;
        let (named, number) = (stack.clone(), *number);
        match active {
            None => return Err(StacksError::NoVersion { stack: named, number }),
            Some(Some(active)) if active != number => {}
            Some(_) => return Err(StacksError::NotBeside { stack: named, number }),
        }
        let put =
            "INSERT OR REPLACE INTO rollouts (stack, number, share, path) VALUES (?1, ?2, ?3, ?4)";
        let values = params![name, number, share.millionths(), by.to_string()];
        self.sql(change.execute(put, values))?;
        self.freeze(&change, &Draft::new(named, number).with_hash(hash))?;
        let count = "SELECT COUNT(*) FROM rollouts";
        let rollouts: i64 = self.sql(change.query_row(count, [], |row| row.get(0)))?;
        let limit = self.quotas.rollouts;
        if rollouts.unsigned_abs() > limit {
            return Err(StacksError::Quota { what: "stacks with a rollout", limit });
        }
        Ok(self.changed(change, Deed::rollout_set(rollout))?)
    }

    pub(super) fn end_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = version;
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let query = "SELECT 1 FROM rollouts WHERE stack = ?1 AND number = ?2";
        let values = params![stack.as_str(), number];
        if self.sql(change.query_row(query, values, |_| Ok(())).optional())?.is_none() {
            return Err(StacksError::NoRollout { stack: stack.clone(), number: *number });
        }
        self.make_active(&change, std::slice::from_ref(version))?;
        Ok(self.changed(change, Deed::rollout_complete(version))?)
    }

    pub(super) fn delete_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        let Draft { stack, number, .. } = version;
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let delete = "DELETE FROM rollouts WHERE stack = ?1 AND number = ?2";
        if self.sql(change.execute(delete, params![stack.as_str(), number]))? == 0 {
            return Err(StacksError::NoRollout { stack: stack.clone(), number: *number });
        }
        Ok(self.changed(change, Deed::rollout_remove(version))?)
    }
}
