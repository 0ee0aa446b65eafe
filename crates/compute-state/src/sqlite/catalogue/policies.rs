//! What is recorded, and which versions get documents besides the active ones, in SQLite.

use rusqlite::params;

use super::{SqliteCatalogue, text};
use crate::{
    Deed, Draft, RecordPolicies, RecordPolicy, Shadow, Share, StackName, StacksError, StateError,
};

impl SqliteCatalogue {
    pub(super) fn policies(&self) -> Result<RecordPolicies, StacksError> {
        let mut connection = self.reader();
        // One transaction sees one state.
        let read = self.sql(connection.transaction())?;
        let tenant: Option<String> =
            self.sql(read.query_row("SELECT record FROM tenant", [], |row| row.get(0)))?;
        let query = "SELECT name, record FROM stacks WHERE record IS NOT NULL";
        let mut query = self.sql(read.prepare(query))?;
        let rows = query.query_map([], |row| Ok((text(row, 0)?, row.get::<_, String>(1)?)));
        let rows: Vec<(StackName, String)> = self.sql(rows.and_then(Iterator::collect))?;
        let policy = |json: String| -> Result<RecordPolicy, StacksError> {
            Ok(serde_json::from_str(&json)
                .map_err(|source| StateError::failed("what is recorded cannot be read", source))?)
        };
        let stacks = rows.into_iter().map(|(name, json)| Ok((name, policy(json)?)));
        Ok(RecordPolicies {
            tenant: tenant.map(policy).transpose()?,
            stacks: stacks.collect::<Result<_, StacksError>>()?,
        })
    }

    pub(super) fn set_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        let deed = Deed::record_policy(stack, policy.as_ref());
        let json = policy.map(|policy| serde_json::to_string(&policy).unwrap_or_default());
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        match stack {
            None => drop(self.sql(change.execute("UPDATE tenant SET record = ?1", [json]))?),
            Some(stack) => {
                let update = "UPDATE stacks SET record = ?2 WHERE name = ?1";
                if self.sql(change.execute(update, params![stack.as_str(), json]))? == 0 {
                    return Err(StacksError::NoStack(stack.clone()));
                }
            }
        }
        Ok(self.changed(change, deed)?)
    }

    pub(super) fn all_shadows(&self) -> Result<Vec<Shadow>, StacksError> {
        let connection = self.reader();
        let query = "SELECT stack, number, share FROM shadows ORDER BY stack";
        let mut query = self.sql(connection.prepare(query))?;
        let rows = query.query_map([], |row| {
            Ok((text::<StackName>(row, 0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?))
        });
        let rows: Vec<_> = self.sql(rows.and_then(Iterator::collect))?;
        let shadow = |(stack, number, share)| {
            Some(Shadow { stack, number, share: Share::from_millionths(share)? })
        };
        Ok(rows.into_iter().filter_map(shadow).collect())
    }

    pub(super) fn put_shadow(
        &self,
        shadow: &Shadow,
        hash: Option<&str>,
    ) -> Result<(), StacksError> {
        let Shadow { stack, number, share } = shadow;
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        self.freeze(&change, &Draft::new(stack.clone(), *number).with_hash(hash))?;
        let put = "INSERT OR REPLACE INTO shadows (stack, number, share) VALUES (?1, ?2, ?3)";
        self.sql(change.execute(put, params![stack.as_str(), number, share.millionths()]))?;
        let count = "SELECT COUNT(*) FROM shadows";
        let shadows: i64 = self.sql(change.query_row(count, [], |row| row.get(0)))?;
        let limit = self.quotas.shadows;
        if shadows.unsigned_abs() > limit {
            return Err(StacksError::Quota { what: "stacks with a shadow", limit });
        }
        Ok(self.changed(change, Deed::shadow_set(shadow))?)
    }

    pub(super) fn delete_shadow(&self, stack: &StackName) -> Result<(), StacksError> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let delete = "DELETE FROM shadows WHERE stack = ?1";
        let gone = self.sql(change.execute(delete, [stack.as_str()]))?;
        Ok(self.changed(change, (gone > 0).then(|| Deed::shadow_remove(stack)))?)
    }
}
