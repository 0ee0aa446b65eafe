//! What time alone does with jobs.

use std::sync::PoisonError;

use compute_state::{Claim, DueSchedule, JobResult, StateError, TenantName};

use super::{PostgresJobs, count, schedules, statements};
use crate::database::Stop;

impl PostgresJobs {
    /// Ends those that are late, and has those wait whose lease has lapsed or whose time has come. Where there are very many, some of each
    /// tenant come: nobody's wait for another's. The schedules that are due.
    pub(super) fn tend(&self, now: i64) -> Result<Vec<DueSchedule>, StateError> {
        let (late, lost) = (JobResult::late(), JobResult::lost());
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&now, &late.body, &late.details, &lost.body, &lost.details];
        let (is_full, due) = self.database.change_all_jobs(async |change| {
            change.rows(statements::TENDED, &[&now]).await?;
            let is_full: bool = change.row(statements::TEND, &values).await?.try_get("is_full")?;
            Ok::<_, Stop<StateError>>((is_full, schedules::due(change, now).await?))
        })?;
        if is_full {
            self.tend_each(now, &values)?;
        }
        Ok(due)
    }

    /// Apart from what was done before: the numbers of its tenants were taken in another order.
    fn tend_each(
        &self,
        now: i64,
        values: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<(), StateError> {
        let last = self.tended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cursor = last.as_ref().map_or("", TenantName::as_str);
        let tenants = self.database.change_all_jobs(async |change| {
            let next: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
                [&cursor, &now, &count(Claim::TENANTS)];
            let rows = change.rows(statements::TENDED_NEXT, &next).await?;
            let tenants: Vec<String> =
                rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
            change.rows(statements::TENDED_EACH, &[&tenants]).await?;
            change.row(statements::TEND_EACH, &[values, &[&tenants]].concat()).await?;
            Ok::<_, Stop<StateError>>(tenants)
        })?;
        if let Some(last) = tenants.last().and_then(|name| name.parse().ok()) {
            *self.tended.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        }
        Ok(())
    }
}
