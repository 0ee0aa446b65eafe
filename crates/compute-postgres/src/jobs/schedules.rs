//! Schedules as rows, beside the jobs that they submit.

use std::collections::BTreeMap;

use compute::Ref;
use compute_state::{
    CatchUp, Deed, DueSchedule, Fired, Firing, JobId, JobWork, NewSchedule, Schedule, ScheduleInfo,
    ScheduleName, ScheduleQueue, SchedulesError, StateError, TenantName,
};
use tokio_postgres::Row;

use super::rows::{read, time};
use super::{PostgresJobs, count};
use crate::database::released::{SCHEDULED, is_released};
use crate::database::{Change, Rows, Seen, Stop};

/// What [`read_info`] reads of a table `s`.
const INFO: &str = "s.tenant, s.name, s.cron, s.time_zone, s.kind, s.target, s.priority, s.attempts, s.fuel, s.catch_up, \
    s.next, s.last, s.last_job, s.last_error, s.created, s.changed";

/// Those that are as they were when they were due and that nobody else fires at this moment.
const AS_DUE: &str = "
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::bigint[]) WITH ORDINALITY
    e (tenant, name, cron, time_zone, catch_up, next, place)
JOIN compute.schedules s ON s.tenant = e.tenant AND s.name = e.name AND s.cron = e.cron AND s.time_zone = e.time_zone
    AND s.catch_up = e.catch_up AND s.next = e.next
FOR UPDATE OF s SKIP LOCKED";

const ADVANCE: &str = "
UPDATE compute.schedules s SET next = e.next, last = e.last, last_job = e.last_job, last_error = e.last_error
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[])
    e (tenant, name, next, last, last_job, last_error)
WHERE s.tenant = e.tenant AND s.name = e.name";

const PUT: &str = "
INSERT INTO compute.schedules (tenant, name, cron, time_zone, kind, target, priority, attempts, fuel, catch_up,
    next, last, last_job, last_error, created, changed, input)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (tenant, name) DO UPDATE SET cron = excluded.cron, time_zone = excluded.time_zone, kind = excluded.kind,
    target = excluded.target, priority = excluded.priority, attempts = excluded.attempts, fuel = excluded.fuel,
    catch_up = excluded.catch_up, next = excluded.next, last = excluded.last, last_job = excluded.last_job,
    last_error = excluded.last_error, created = excluded.created, changed = excluded.changed, input = excluded.input";

/// The same for whoever says more than what is kept may say.
fn told(stop: Stop<StateError>) -> Stop<SchedulesError> {
    match stop {
        Stop::Sql(error) => Stop::Sql(error),
        Stop::Told(error) => Stop::Told(error.into()),
    }
}

fn read_key(row: &Row) -> Result<(TenantName, ScheduleName), Stop<StateError>> {
    let tenant = read(row, "tenant", |name: String| name.parse().ok())?;
    Ok((tenant, read(row, "name", |name: String| name.parse().ok())?))
}

fn read_info(row: &Row) -> Result<ScheduleInfo, Stop<StateError>> {
    let small = |column: &str| read(row, column, |number: i16| u8::try_from(number).ok());
    let kind = small("kind")?;
    let id: Option<Vec<u8>> = row.try_get("last_job")?;
    Ok(ScheduleInfo {
        name: read_key(row)?.1,
        cron: row.try_get("cron")?,
        time_zone: row.try_get("time_zone")?,
        work: read(row, "target", |target: String| JobWork::of(kind, &target))?,
        priority: small("priority")?,
        attempts: read(row, "attempts", |number: i32| u32::try_from(number).ok())?,
        fuel: row.try_get::<_, Option<i64>>("fuel")?.map(i64::cast_unsigned),
        catch_up: CatchUp::from_number(small("catch_up")?),
        next: time(row.try_get("next")?),
        last: row.try_get::<_, Option<i64>>("last")?.map(time),
        last_job: id.and_then(|id| id.try_into().ok()).map(JobId::from_bytes),
        last_error: row.try_get("last_error")?,
        created: time(row.try_get("created")?),
        changed: time(row.try_get("changed")?),
    })
}

fn read_schedule(row: &Row) -> Result<Schedule, Stop<StateError>> {
    Ok(Schedule { info: read_info(row)?, input: row.try_get("input")? })
}

async fn find(
    change: &Change<'_>,
    name: &ScheduleName,
) -> Result<Option<Schedule>, Stop<StateError>> {
    let query = format!(
        "SELECT {INFO}, s.input FROM compute.schedules s WHERE s.tenant = $1 AND s.name = $2"
    );
    let row = change.row_if_any(&query, &[&change.tenant, &name.as_str()]).await?;
    row.as_ref().map(read_schedule).transpose()
}

async fn put(
    change: &Change<'_>,
    tenant: &TenantName,
    Schedule { info, input }: &Schedule,
) -> Result<(), Stop<StateError>> {
    change
        .does(
            PUT,
            &[
                &tenant.as_str(),
                &info.name.as_str(),
                &info.cron,
                &info.time_zone,
                &i16::from(info.work.kind()),
                &info.work.to_string(),
                &i16::from(info.priority),
                &i32::try_from(info.attempts).unwrap_or(i32::MAX),
                &info.fuel.map(u64::cast_signed),
                &i16::from(info.catch_up.number()),
                &info.next.as_millisecond(),
                &info.last.map(|at| at.as_millisecond()),
                &info.last_job.map(|id| id.as_bytes().to_vec()),
                &info.last_error,
                &info.created.as_millisecond(),
                &info.changed.as_millisecond(),
                input,
            ],
        )
        .await?;
    Ok(())
}

/// One of a tenant's that runs an artifact.
pub(super) async fn naming(
    change: &Change<'_>,
    artifact: &Ref,
) -> Result<Option<ScheduleName>, Stop<StateError>> {
    let row = change.row_if_any(SCHEDULED, &[&change.tenant, &artifact.as_str()]).await?;
    row.map(|row| read(&row, "name", |name: String| name.parse().ok())).transpose()
}

/// Those whose time has come, and that nobody else looks at or fires at this moment: who stands still keeps only these from others.
pub(super) async fn due(
    change: &Change<'_>,
    now: i64,
) -> Result<Vec<DueSchedule>, Stop<StateError>> {
    let query = "SELECT tenant, name, cron, time_zone, catch_up, next FROM compute.schedules
        WHERE next <= $1 ORDER BY next LIMIT $2 FOR UPDATE SKIP LOCKED";
    let rows = change.rows(query, &[&now, &count(DueSchedule::TOGETHER)]).await?;
    let due = rows.iter().map(|row| {
        let (tenant, name) = read_key(row)?;
        let catch_up = read(row, "catch_up", |number: i16| u8::try_from(number).ok())?;
        Ok(DueSchedule {
            tenant,
            name,
            cron: row.try_get("cron")?,
            time_zone: row.try_get("time_zone")?,
            catch_up: CatchUp::from_number(catch_up),
            next: time(row.try_get("next")?),
        })
    });
    due.collect()
}

impl PostgresJobs {
    async fn fire_all(
        &self,
        change: &Change<'_>,
        firings: &[Firing],
    ) -> Result<Vec<Fired>, Stop<StateError>> {
        let of = |of: fn(&DueSchedule) -> &str| -> Vec<&str> {
            firings.iter().map(|firing| of(&firing.due)).collect()
        };
        let catch_up = firings.iter().map(|one| i16::from(one.due.catch_up.number()));
        let next = firings.iter().map(|one| one.due.next.as_millisecond());
        let rows = change
            .rows(
                &format!("SELECT e.place, {INFO}, s.input {AS_DUE}"),
                &[
                    &of(|due| due.tenant.as_str()),
                    &of(|due| due.name.as_str()),
                    &of(|due| &due.cron),
                    &of(|due| &due.time_zone),
                    &catch_up.collect::<Vec<_>>(),
                    &next.collect::<Vec<_>>(),
                ],
            )
            .await?;
        // Of several that are of one schedule, the first is it.
        let mut found: BTreeMap<(TenantName, ScheduleName), (usize, Schedule)> = BTreeMap::new();
        for row in &rows {
            let place = usize::try_from(row.try_get::<_, i64>("place")? - 1).unwrap_or(usize::MAX);
            let (key, schedule) = (read_key(row)?, read_schedule(row)?);
            if found.get(&key).is_none_or(|(first, _)| place < *first) {
                found.insert(key, (place, schedule));
            }
        }
        let (mut jobs, mut places) = (Vec::new(), Vec::new());
        for ((tenant, _), (place, schedule)) in &found {
            if let Some(begun) = firings.get(*place).and_then(|firing| firing.job.as_ref()) {
                jobs.push((tenant.clone(), schedule.job(begun)));
                places.push(*place);
            }
        }
        let mut answers = BTreeMap::new();
        if !jobs.is_empty() {
            self.submit_rest(change, &jobs, &mut answers).await?;
        }
        let mut answers: BTreeMap<usize, _> = answers
            .into_iter()
            .filter_map(|(job, answer)| Some((*places.get(job)?, answer)))
            .collect();
        let mut all = vec![Fired::Not; firings.len()];
        let mut fired = Vec::new();
        for ((tenant, _), (place, schedule)) in found {
            let (Some(firing), Some(one)) = (firings.get(place), all.get_mut(place)) else {
                continue;
            };
            let refused = match (&firing.job, answers.remove(&place)) {
                (Some(_), Some(Ok(_))) => {
                    *one = Fired::Submitted;
                    None
                }
                (Some(_), answer) => {
                    *one = Fired::Advanced;
                    let why = answer.and_then(Result::err).map(|error| error.to_string());
                    Some(why.unwrap_or_else(|| "its job was there already".to_owned()))
                }
                (None, _) => {
                    *one = Fired::Advanced;
                    None
                }
            };
            fired.push((tenant, schedule.fired(firing, refused).info));
        }
        let infos = || fired.iter().map(|(_, info)| info);
        change
            .does(
                ADVANCE,
                &[
                    &fired.iter().map(|(tenant, _)| tenant.as_str()).collect::<Vec<_>>(),
                    &infos().map(|info| info.name.as_str()).collect::<Vec<_>>(),
                    &infos().map(|info| info.next.as_millisecond()).collect::<Vec<_>>(),
                    &infos()
                        .map(|info| info.last.map(|at| at.as_millisecond()))
                        .collect::<Vec<_>>(),
                    &infos()
                        .map(|info| info.last_job.map(|id| id.as_bytes().to_vec()))
                        .collect::<Vec<_>>(),
                    &infos().map(|info| info.last_error.as_deref()).collect::<Vec<_>>(),
                ],
            )
            .await?;
        Ok(all)
    }
}

impl ScheduleQueue for PostgresJobs {
    fn set_schedule(
        &self,
        tenant: &TenantName,
        schedule: &NewSchedule,
    ) -> Result<ScheduleInfo, SchedulesError> {
        let numbers = "SELECT count(*) AS number, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now
            FROM compute.schedules WHERE tenant = $1";
        // A tenant's come one after the other, so that there are no more than there may be.
        self.database.change(
            tenant,
            Seen::ByReaders,
            |_| Some(Deed::schedule_set(schedule)),
            async |change| {
                // Whoever fires it comes before or after.
                let lock =
                    "SELECT 1 FROM compute.schedules WHERE tenant = $1 AND name = $2 FOR UPDATE";
                change.rows(lock, &[&change.tenant, &schedule.name.as_str()]).await?;
                let there = find(change, &schedule.name).await.map_err(told)?;
                let row = change.row(numbers, &[&change.tenant]).await?;
                if there.is_none() {
                    let number = row.try_get::<_, i64>("number")?.unsigned_abs();
                    self.quotas.hold_schedules(number + 1).map_err(Stop::Told)?;
                }
                // Whoever lets an artifact go looks for what names it in its turn, and says so for those that come after.
                if let JobWork::Run(artifact) = &schedule.work
                    && is_released(change, artifact).await?
                {
                    return Err(Stop::Told(SchedulesError::Released(artifact.clone())));
                }
                let there = there.map(|one| one.info);
                let new = schedule.set(there.as_ref(), time(row.try_get("now")?));
                put(change, tenant, &new).await.map_err(told)?;
                Ok(new.info)
            },
        )
    }

    fn schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<Schedule, SchedulesError> {
        self.database.read_rows(tenant, Rows::OwnJobs, async |read| {
            let found = find(read, name).await.map_err(told)?;
            found.ok_or_else(|| Stop::Told(SchedulesError::NotFound(name.clone())))
        })
    }

    fn schedules(&self, tenant: &TenantName) -> Result<Vec<ScheduleInfo>, SchedulesError> {
        let query =
            format!("SELECT {INFO} FROM compute.schedules s WHERE s.tenant = $1 ORDER BY s.name");
        self.database.read_rows(tenant, Rows::OwnJobs, async |read| {
            let rows = read.rows(&query, &[&read.tenant]).await?;
            rows.iter().map(read_info).collect::<Result<_, _>>().map_err(told)
        })
    }

    fn delete_schedule(
        &self,
        tenant: &TenantName,
        name: &ScheduleName,
    ) -> Result<(), SchedulesError> {
        let delete = "DELETE FROM compute.schedules WHERE tenant = $1 AND name = $2";
        self.database.change(
            tenant,
            Seen::ByReaders,
            |()| Some(Deed::schedule_delete(name)),
            async |change| match change.does(delete, &[&change.tenant, &name.as_str()]).await? {
                0 => Err(Stop::Told(SchedulesError::NotFound(name.clone()))),
                _ => Ok(()),
            },
        )
    }

    fn fire(&self, firings: &[Firing]) -> Result<Vec<Fired>, StateError> {
        self.database.change_all_jobs(async |change| self.fire_all(change, firings).await)
    }

    fn kept_schedules(
        &self,
        after: Option<&(TenantName, ScheduleName)>,
    ) -> Result<Vec<(TenantName, Schedule)>, StateError> {
        let (tenant, name) =
            after.map_or(("", ""), |(tenant, name)| (tenant.as_str(), name.as_str()));
        let query = format!(
            "SELECT {INFO}, s.input FROM compute.schedules s
             WHERE (s.tenant, s.name) > ($1, $2) ORDER BY s.tenant, s.name LIMIT $3"
        );
        self.database.change_all_jobs(async |change| {
            let rows = change.rows(&query, &[&tenant, &name, &count(Schedule::PAGE)]).await?;
            rows.iter().map(|row| Ok((read_key(row)?.0, read_schedule(row)?))).collect()
        })
    }

    fn restore_schedules(&self, schedules: &[(TenantName, Schedule)]) -> Result<(), StateError> {
        self.database.change_all_jobs(async |change| {
            for (tenant, schedule) in schedules {
                put(change, tenant, schedule).await?;
            }
            Ok(())
        })
    }
}
