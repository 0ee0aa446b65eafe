//! Schedules as rows, beside the jobs that they submit.

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::rows::{read, time};
use super::{SqliteJobs, count};
use crate::sqlite::audit;
use crate::{
    CatchUp, Deed, DueSchedule, Fired, Firing, JobId, JobWork, JobsError, NewSchedule, Schedule,
    ScheduleInfo, ScheduleName, ScheduleQueue, SchedulesError, StateError, TenantName,
};

/// What [`read_info`] reads.
const INFO: &str = "name, cron, time_zone, kind, target, priority, attempts, fuel, catch_up, next, last, last_job, last_error, created, changed";

fn read_tenant(row: &Row<'_>) -> rusqlite::Result<TenantName> {
    read(row, "tenant", |name: String| name.parse().ok())
}

fn read_name(row: &Row<'_>) -> rusqlite::Result<ScheduleName> {
    read(row, "name", |name: String| name.parse().ok())
}

fn read_info(row: &Row<'_>) -> rusqlite::Result<ScheduleInfo> {
    let kind: u8 = row.get("kind")?;
    let id: Option<Vec<u8>> = row.get("last_job")?;
    Ok(ScheduleInfo {
        name: read_name(row)?,
        cron: row.get("cron")?,
        time_zone: row.get("time_zone")?,
        work: read(row, "target", |target: String| JobWork::of(kind, &target))?,
        priority: row.get("priority")?,
        attempts: row.get("attempts")?,
        fuel: row.get::<_, Option<i64>>("fuel")?.map(i64::cast_unsigned),
        catch_up: CatchUp::from_number(row.get("catch_up")?),
        next: time(row.get("next")?),
        last: row.get::<_, Option<i64>>("last")?.map(time),
        last_job: id.and_then(|id| id.try_into().ok()).map(JobId::from_bytes),
        last_error: row.get("last_error")?,
        created: time(row.get("created")?),
        changed: time(row.get("changed")?),
    })
}

fn read_schedule(row: &Row<'_>) -> rusqlite::Result<Schedule> {
    Ok(Schedule { info: read_info(row)?, input: row.get("input")? })
}

fn find(
    connection: &Connection,
    tenant: &TenantName,
    name: &ScheduleName,
) -> rusqlite::Result<Option<Schedule>> {
    let query = format!("SELECT {INFO}, input FROM schedules WHERE tenant = ?1 AND name = ?2");
    let mut query = connection.prepare_cached(&query)?;
    query.query_row([tenant.as_str(), name.as_str()], read_schedule).optional()
}

fn put(change: &Connection, tenant: &TenantName, schedule: &Schedule) -> rusqlite::Result<()> {
    let Schedule { info, input } = schedule;
    let insert = format!(
        "INSERT OR REPLACE INTO schedules (tenant, {INFO}, input) VALUES
         (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
    );
    change.prepare_cached(&insert)?.execute(params![
        tenant.as_str(),
        info.name.as_str(),
        info.cron,
        info.time_zone,
        info.work.kind(),
        info.work.to_string(),
        info.priority,
        info.attempts,
        info.fuel.map(u64::cast_signed),
        info.catch_up.number(),
        info.next.as_millisecond(),
        info.last.map(|at| at.as_millisecond()),
        info.last_job.map(|id| id.as_bytes().to_vec()),
        info.last_error,
        info.created.as_millisecond(),
        info.changed.as_millisecond(),
        input,
    ])?;
    Ok(())
}

/// One of a tenant's that runs an artifact.
pub(super) fn naming(
    connection: &Connection,
    tenant: &str,
    artifact: &str,
) -> rusqlite::Result<Option<ScheduleName>> {
    let query = "SELECT name FROM schedules
        WHERE tenant = ?1 AND kind = 0 AND target = ?2 ORDER BY name LIMIT 1";
    connection.query_row(query, [tenant, artifact], read_name).optional()
}

/// Those whose time has come.
pub(super) fn due(change: &Connection, now: i64) -> rusqlite::Result<Vec<DueSchedule>> {
    let mut query = change.prepare_cached(
        "SELECT tenant, name, cron, time_zone, catch_up, next FROM schedules
         WHERE next <= ?1 ORDER BY next LIMIT ?2",
    )?;
    let rows = query.query_map(params![now, count(DueSchedule::TOGETHER)], |row| {
        Ok(DueSchedule {
            tenant: read_tenant(row)?,
            name: read_name(row)?,
            cron: row.get("cron")?,
            time_zone: row.get("time_zone")?,
            catch_up: CatchUp::from_number(row.get("catch_up")?),
            next: time(row.get("next")?),
        })
    })?;
    rows.collect()
}

impl SqliteJobs {
    /// Writes the entry of a change of a schedule.
    fn log(&self, change: &Connection, tenant: &TenantName, deed: &Deed) -> Result<(), StateError> {
        self.sql(audit::log(change, tenant.as_str(), deed, self.quotas.audit_entries))
    }

    fn fire_one(
        &self,
        change: &Connection,
        now: i64,
        firing: &Firing,
    ) -> Result<Fired, StateError> {
        let tenant = &firing.due.tenant;
        let found = self.sql(find(change, tenant, &firing.due.name))?;
        let Some(schedule) = found.filter(|one| one.info.is_as(&firing.due)) else {
            return Ok(Fired::Not);
        };
        let (mut fired, mut refused) = (Fired::Advanced, None);
        if let Some(begun) = &firing.job {
            match self.submit_one(change, tenant, &schedule.job(begun), now) {
                Ok(_) => fired = Fired::Submitted,
                Err(JobsError::State(error)) => return Err(error),
                Err(error) => refused = Some(error.to_string()),
            }
        }
        self.sql(put(change, tenant, &schedule.fired(firing, refused)))?;
        Ok(fired)
    }
}

impl ScheduleQueue for SqliteJobs {
    fn set_schedule(
        &self,
        tenant: &TenantName,
        schedule: &NewSchedule,
    ) -> Result<ScheduleInfo, SchedulesError> {
        self.change(|change, now| {
            let there = self.sql(find(change, tenant, &schedule.name))?;
            if there.is_none() {
                let number = "SELECT count(*) FROM schedules WHERE tenant = ?1";
                let number: i64 =
                    self.sql(change.query_row(number, [tenant.as_str()], |row| row.get(0)))?;
                self.quotas.hold_schedules(number.unsigned_abs() + 1)?;
            }
            let new = schedule.set(there.map(|one| one.info).as_ref(), time(now));
            self.sql(put(change, tenant, &new))?;
            self.log(change, tenant, &Deed::schedule_set(schedule))?;
            Ok(new.info)
        })
    }

    fn schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<Schedule, SchedulesError> {
        let found = self.sql(find(&self.database.reader(), tenant, name))?;
        found.ok_or_else(|| SchedulesError::NotFound(name.clone()))
    }

    fn schedules(&self, tenant: &TenantName) -> Result<Vec<ScheduleInfo>, SchedulesError> {
        let query = format!("SELECT {INFO} FROM schedules WHERE tenant = ?1 ORDER BY name");
        let connection = self.database.reader();
        let listed = connection
            .prepare_cached(&query)
            .and_then(|mut query| query.query_map([tenant.as_str()], read_info)?.collect());
        Ok(self.sql(listed)?)
    }

    fn delete_schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<(), SchedulesError> {
        let delete = "DELETE FROM schedules WHERE tenant = ?1 AND name = ?2";
        self.change(|change, _| {
            match self.sql(change.execute(delete, [tenant.as_str(), name.as_str()]))? {
                0 => Err(SchedulesError::NotFound(name.clone())),
                _ => Ok(self.log(change, tenant, &Deed::schedule_delete(name))?),
            }
        })
    }

    fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, StateError> {
        self.change(|change, now| {
            firings.iter().map(|firing| self.fire_one(change, now, firing)).collect()
        })
    }

    fn kept_schedules(
        &self,
        after: Option<&(TenantName, ScheduleName)>,
    ) -> Result<Vec<(TenantName, Schedule)>, StateError> {
        let (tenant, name) =
            after.map_or(("", ""), |(tenant, name)| (tenant.as_str(), name.as_str()));
        let query = format!(
            "SELECT tenant, {INFO}, input FROM schedules
             WHERE (tenant, name) > (?1, ?2) ORDER BY tenant, name LIMIT ?3"
        );
        let connection = self.database.reader();
        let kept = connection.prepare_cached(&query).and_then(|mut query| {
            let values = params![tenant, name, count(Schedule::PAGE)];
            query.query_map(values, |row| Ok((read_tenant(row)?, read_schedule(row)?)))?.collect()
        });
        self.sql(kept)
    }

    fn restore_schedules(&self, schedules: &[(TenantName, Schedule)]) -> Result<(), StateError> {
        self.change(|change, _| {
            let mut kept = schedules.iter().map(|(tenant, one)| put(change, tenant, one));
            self.sql(kept.try_for_each(|one| one))
        })
    }
}
