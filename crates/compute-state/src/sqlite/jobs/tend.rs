//! What time alone does with jobs.

use std::sync::PoisonError;

use rusqlite::{Connection, params};

use super::{SqliteJobs, count, names, schema};
use crate::{Claim, JobResult, StateError, TenantName};

impl SqliteJobs {
    /// Ends those that are late, and has those wait whose lease has lapsed or whose time has come. Where there are very many, some of each
    /// tenant come: nobody's wait for another's.
    pub(super) fn tend(&self, change: &Connection, now: i64) -> Result<(), StateError> {
        let (late, lost) = (JobResult::late(), JobResult::lost());
        let does = |statement, values: &[&dyn rusqlite::ToSql]| {
            self.sql(change.prepare_cached(statement).and_then(|mut one| one.execute(values)))
        };
        let ended = does(schema::LATE, &[&now, &late.body, &late.details])?;
        does(schema::LAPSED, &[&now, &late.body, &late.details, &lost.body, &lost.details])?;
        let come = does(schema::DUE, &[&now])?;
        if ended >= schema::MOST_LATE || come >= schema::MOST_DUE {
            let tenants = names(&self.sql(self.tended(change, now))?);
            does(schema::LATE_OF_EACH, &[&now, &late.body, &late.details, &tenants])?;
            does(schema::DUE_OF_EACH, &[&now, &tenants])?;
        }
        Ok(())
    }

    /// The next tenants of whom jobs are late or due.
    fn tended(&self, change: &Connection, now: i64) -> rusqlite::Result<Vec<TenantName>> {
        let mut last = self.tended.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = last.as_ref().map_or("", TenantName::as_str);
        let mut query = change.prepare_cached(schema::TENDED)?;
        let mut tenants: Vec<TenantName> = Vec::new();
        for after in [cursor, ""] {
            let mut rows = query.query(params![after, now, count(Claim::TENANTS)])?;
            while let Some(row) = rows.next()? {
                let Ok(tenant) = row.get::<_, String>(0)?.parse() else { continue };
                if tenants.first() == Some(&tenant) || tenants.len() >= Claim::TENANTS {
                    break;
                }
                tenants.push(tenant);
            }
        }
        *last = tenants.last().cloned().or(last.take());
        Ok(tenants)
    }
}
