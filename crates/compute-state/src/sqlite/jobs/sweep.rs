//! Which of the jobs that have ended go.

use std::sync::PoisonError;

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteJobs, count, schema};
use crate::{JobsError, Swept, TenantName};

/// How many ended jobs of a tenant go at once.
const SWEPT: usize = 1000;

impl SqliteJobs {
    /// Deletes some of those that ended before, or are more than there may be.
    pub(super) fn sweep_some(
        &self,
        change: &Connection,
        before: i64,
        most_bytes: u64,
    ) -> rusqlite::Result<Swept> {
        let limit = |quota| i64::try_from(quota).unwrap_or(i64::MAX);
        let (ended, bytes) = (limit(self.quotas.ended_jobs), limit(self.quotas.kept_job_bytes()));
        let mut last = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = last.as_ref().map_or("", TenantName::as_str);
        let mut going = change.prepare_cached(schema::GOING)?;
        let values = params![before, ended, bytes, count(SWEPT), limit(most_bytes), cursor];
        let mut rows = going.query(values)?;
        let (mut gone, mut is_full, mut tenant, mut of_tenant) = (Vec::new(), false, None, 0);
        while let Some(row) = rows.next()? {
            if !row.get::<_, bool>(2)? {
                is_full = true;
                break;
            }
            let of: String = row.get(1)?;
            of_tenant = if tenant.as_ref() == Some(&of) { of_tenant + 1 } else { 1 };
            is_full |= of_tenant >= SWEPT;
            tenant = Some(of);
            gone.push(row.get::<_, i64>(0)?);
        }
        let mut delete = change.prepare_cached("DELETE FROM jobs WHERE rowid = ?1")?;
        for place in &gone {
            delete.execute([place])?;
        }
        let none = "DELETE FROM counts WHERE scheduled + waiting + running + ended = 0";
        change.execute(none, [])?;
        *last = tenant.and_then(|name| name.parse().ok()).or(last.take());
        Ok(Swept { jobs: gone.len(), is_full })
    }

    /// That a tenant has not so many that have ended that nothing is submitted.
    pub(super) fn has_few_ended(
        &self,
        change: &Connection,
        tenant: &TenantName,
    ) -> Result<(), JobsError> {
        let ended = change.prepare_cached("SELECT ended FROM counts WHERE tenant = ?1");
        let ended = ended.and_then(|mut one| {
            one.query_row([tenant.as_str()], |row| row.get::<_, i64>(0)).optional()
        });
        let ended = self.sql(ended)?.unwrap_or_default();
        self.quotas.hold_ended_jobs(ended.unsigned_abs())
    }
}
