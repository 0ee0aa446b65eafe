//! Which of the jobs that have ended go.

use std::sync::PoisonError;
use std::time::Duration;

use compute_state::{StateError, Swept, TenantName};

use super::{PostgresJobs, millis, statements};
use crate::database::Stop;

/// How many ended jobs of a tenant go at once.
const SWEPT: i64 = 200;

impl PostgresJobs {
    pub(super) fn sweep_some(&self, age: Duration, most_bytes: u64) -> Result<Swept, StateError> {
        let limit = |quota| i64::try_from(quota).unwrap_or(i64::MAX);
        let last = self.swept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cursor = last.as_ref().map_or("", TenantName::as_str);
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
            &millis(age),
            &limit(self.quotas.ended_jobs),
            &limit(self.quotas.kept_job_bytes()),
            &SWEPT,
            &limit(most_bytes),
            &cursor,
        ];
        let (gone, is_full, last) = self.database.change_all_jobs(async |change| {
            // Some are sorted whatever the plan: where that counts as very dear, nothing else counts.
            change.does("SELECT set_config('enable_sort', 'on', true)", &[]).await?;
            let row = change.row(statements::SWEEP, &values).await?;
            let last: Option<String> = row.try_get("last")?;
            let gone = usize::try_from(row.try_get::<_, i64>("gone")?).unwrap_or(usize::MAX);
            Ok::<_, Stop<StateError>>((gone, row.try_get("is_full")?, last))
        })?;
        if let Some(last) = last.and_then(|name| name.parse().ok()) {
            *self.swept.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        }
        if gone > 0 {
            let none =
                "DELETE FROM compute.job_counts WHERE scheduled + waiting + running + ended = 0";
            self.database.change_all_jobs(async |change| {
                Ok::<_, Stop<StateError>>(change.does(none, &[]).await?)
            })?;
        }
        Ok(Swept { jobs: gone, is_full })
    }
}
