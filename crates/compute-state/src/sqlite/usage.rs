//! What tenants used, by day: a SQLite file.

use std::path::Path;
use std::time::Duration;

use jiff::civil::Date;
use rusqlite::{Row, params};

use super::database::Database;
use crate::{DayUsage, StateError, TenantName, USAGE_DAYS, Usage, UsageLog, UsedToday};

const MIGRATIONS: [&str; 1] = ["
CREATE TABLE usage (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,          -- YYYY-MM-DD, in UTC
    requests INTEGER NOT NULL,
    documents INTEGER NOT NULL,
    runs INTEGER NOT NULL,
    jobs INTEGER NOT NULL,
    wall_us INTEGER NOT NULL,
    fuel INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_by_day ON usage (day);
"];

const ADD: &str = "
INSERT INTO usage (tenant, day, requests, documents, runs, jobs, wall_us, fuel)
VALUES (?1, date('now'), ?2, ?3, ?4, ?5, ?6, ?7)
ON CONFLICT (tenant, day) DO UPDATE SET requests = requests + excluded.requests,
    documents = documents + excluded.documents, runs = runs + excluded.runs, jobs = jobs + excluded.jobs,
    wall_us = wall_us + excluded.wall_us, fuel = fuel + excluded.fuel
RETURNING requests, documents, runs, jobs, wall_us, fuel,
    unixepoch(day, '+1 day') - unixepoch('now')";

/// What tenants used, in a SQLite file that several processes may use.
#[derive(Debug)]
pub(crate) struct SqliteUsage {
    database: Database,
}

impl SqliteUsage {
    /// Opens what is kept in this file, and makes it if there is none.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let database = Database::open(path)?;
        database.migrate("what tenants used", &MIGRATIONS)?;
        Ok(Self { database })
    }
}

impl UsageLog for SqliteUsage {
    fn add(&self, used: &[(TenantName, Usage)]) -> Result<Vec<UsedToday>, StateError> {
        let mut connection = self.database.connection();
        let change = self.database.change(&mut connection)?;
        let mut today = Vec::with_capacity(used.len());
        for (tenant, used) in used {
            // A sum that SQLite has no number for would be none.
            let [requests, documents, runs, jobs, wall, fuel] =
                used.numbers().map(|number| number.min(1 << 53).cast_signed());
            let values = params![tenant.as_str(), requests, documents, runs, jobs, wall, fuel];
            today.push(self.database.sql(change.query_row(ADD, values, |row| {
                let left =
                    Duration::from_secs(row.get::<_, i64>(Usage::FIELDS)?.max(0).cast_unsigned());
                Ok(UsedToday { used: read(row, 0)?, left })
            }))?);
        }
        let delete = "DELETE FROM usage WHERE day < date('now', ?1)";
        self.database.sql(change.execute(delete, [format!("-{USAGE_DAYS} days")]))?;
        self.database.sql(change.commit())?;
        Ok(today)
    }

    fn days(
        &self,
        tenant: &TenantName,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<DayUsage>, StateError> {
        let connection = self.database.reader();
        let query = "SELECT day, requests, documents, runs, jobs, wall_us, fuel FROM usage
            WHERE tenant = ?1 AND day >= ?2 AND day <= ?3 ORDER BY day";
        let mut query = self.database.sql(connection.prepare(query))?;
        let [from, to] =
            [from.unwrap_or(Date::ZERO), to.unwrap_or(Date::MAX)].map(|day| day.to_string());
        let rows = query.query_map(params![tenant.as_str(), from, to], |row| {
            Ok((row.get::<_, String>(0)?, read(row, 1)?))
        });
        let rows: Vec<_> = self.database.sql(rows.and_then(Iterator::collect))?;
        Ok(rows
            .into_iter()
            .filter(|(_, used)| !used.is_none())
            .filter_map(|(day, used)| Some(DayUsage { day: day.parse().ok()?, used }))
            .collect())
    }
}

/// The numbers that stand in a row from there on.
fn read(row: &Row<'_>, from: usize) -> rusqlite::Result<Usage> {
    let mut numbers = [0; Usage::FIELDS];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = row.get::<_, i64>(from + at)?.unsigned_abs();
    }
    Ok(Usage::of(numbers))
}

#[cfg(test)]
mod tests {
    use super::{SqliteUsage, USAGE_DAYS};
    use crate::{TenantName, Usage, UsageLog as _};

    #[test]
    fn what_was_used_long_ago_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = SqliteUsage::open(&folder.path().join("usage.sqlite")).unwrap();
        let one = [(TenantName::default(), Usage::of([1; Usage::FIELDS]))];
        for days in [USAGE_DAYS - 1, USAGE_DAYS + 1] {
            log.add(&one).unwrap();
            let back = format!(
                "UPDATE usage SET day = date('now', '-{days} days') WHERE day = date('now')"
            );
            log.database.connection().execute(&back, []).unwrap();
        }
        assert_eq!(log.days(&one[0].0, None, None).unwrap().len(), 2);
        log.add(&one).unwrap();
        let kept = log.days(&one[0].0, None, None).unwrap();
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert_eq!(kept[1].used, one[0].1);
    }
}
