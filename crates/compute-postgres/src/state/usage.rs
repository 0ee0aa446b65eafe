//! What tenants used, by day.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use compute_state::{DayUsage, StateError, TenantName, USAGE_DAYS, Usage, UsageLog, UsedToday};
use jiff::civil::Date;
use tokio_postgres::Row;

use crate::database::{Database, Stop};

const ADD: &str = "
INSERT INTO compute.usage AS u (tenant, day, requests, documents, runs, jobs, wall_us, fuel)
SELECT tenant, (clock_timestamp() AT TIME ZONE 'UTC')::date::text, requests, documents, runs, jobs, wall_us, fuel
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
    AS of(tenant, requests, documents, runs, jobs, wall_us, fuel)
ON CONFLICT (tenant, day) DO UPDATE SET requests = u.requests + excluded.requests,
    documents = u.documents + excluded.documents, runs = u.runs + excluded.runs, jobs = u.jobs + excluded.jobs,
    wall_us = u.wall_us + excluded.wall_us, fuel = u.fuel + excluded.fuel
RETURNING tenant, requests, documents, runs, jobs, wall_us, fuel,
    extract(epoch FROM (day::date + 1)::timestamp - (clock_timestamp() AT TIME ZONE 'UTC'))::float8";

/// Forgets which nodes had a part of what they share, and are gone. Who has one locked sees to it.
const GONE: &str = "
DELETE FROM compute.shares s USING (
    SELECT tenant, what, node FROM compute.shares
    WHERE until < extract(epoch FROM clock_timestamp()) * 1000 - 60000 LIMIT 1000 FOR UPDATE SKIP LOCKED) gone
WHERE s.tenant = gone.tenant AND s.what = gone.what AND s.node = gone.node";

#[derive(Debug)]
pub(crate) struct PostgresUsage {
    pub(crate) database: Arc<Database>,
}

impl UsageLog for PostgresUsage {
    fn add(&self, added: &[(TenantName, Usage)]) -> Result<Vec<UsedToday>, StateError> {
        // By name, so that no two nodes wait for each other.
        let mut used: Vec<_> = added.iter().collect();
        used.sort_by(|a, b| a.0.cmp(&b.0));
        let tenants: Vec<_> = used.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let column = |at: usize| -> Vec<i64> {
            used.iter().map(|(_, used)| used.numbers()[at].min(1 << 53).cast_signed()).collect()
        };
        let [requests, documents, runs, jobs, wall, fuel] = std::array::from_fn(column);
        let today = self.database.change_all_jobs(async |change| {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                [&tenants, &requests, &documents, &runs, &jobs, &wall, &fuel];
            let rows = change.rows(ADD, &values).await?;
            let delete = "DELETE FROM compute.usage
                WHERE day < ((clock_timestamp() AT TIME ZONE 'UTC')::date - $1::int)::text";
            change.does(delete, &[&USAGE_DAYS.cast_signed()]).await?;
            change.does(GONE, &[]).await?;
            let today = rows.iter().map(|row| {
                let left = Duration::try_from_secs_f64(row.get(Usage::FIELDS + 1));
                let today = UsedToday { used: numbers(row), left: left.unwrap_or_default() };
                (row.get::<_, String>(0), today)
            });
            Ok::<HashMap<_, _>, Stop<StateError>>(today.collect())
        })?;
        let of = |(tenant, _): &(TenantName, Usage)| today.get(tenant.as_str()).copied();
        let all: Option<Vec<_>> = added.iter().map(of).collect();
        all.ok_or_else(|| {
            StateError::failed(self.database.shown(), "it did not tell what was used")
        })
    }

    fn days(
        &self,
        tenant: &TenantName,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<DayUsage>, StateError> {
        let [from, to] =
            [from.unwrap_or(Date::ZERO), to.unwrap_or(Date::MAX)].map(|day| day.to_string());
        self.database.read(tenant, async |read| {
            let query =
                "SELECT day, requests, documents, runs, jobs, wall_us, fuel FROM compute.usage
                WHERE tenant = $1 AND day >= $2 AND day <= $3 ORDER BY day";
            let rows = read.rows(query, &[&read.tenant, &from, &to]).await?;
            let day = |row: &Row| {
                let day = row.get::<_, &str>(0).parse().ok()?;
                Some(DayUsage { day, used: numbers(row) })
            };
            let days = rows.iter().filter_map(day).filter(|day| !day.used.is_none());
            Ok::<_, Stop<StateError>>(days.collect())
        })
    }
}

/// The numbers of a row, which follow its first column.
fn numbers(row: &Row) -> Usage {
    Usage::of(std::array::from_fn(|at| row.get::<_, i64>(at + 1).unsigned_abs()))
}
