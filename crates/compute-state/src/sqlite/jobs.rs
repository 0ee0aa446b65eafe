//! The jobs and schedules of all tenants: a SQLite file.

mod rows;
mod schedules;
mod schema;
mod sweep;
mod tend;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compute::Ref;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::audit::{self, SqliteAudit};
use super::database::Database;
use crate::{
    Claim, Claimed, ClaimedJob, DELETING, EndedPart, Job, JobEnd, JobFilter, JobId, JobInfo,
    JobLoad, JobQueue, JobState, JobsError, KeptJob, Lease, NamedBy, NewJob, StateError,
    StateQuotas, Submitted, Swept, Takes, TenantName,
};
use rows::{
    INFO, JOB, KEPT, find, put, read_claimed, read_info, read_job, read_kept, read_part, time,
};

/// How many statements are kept ready.
const READY: usize = 64;
/// The jobs of all tenants, in a SQLite file that several processes may use.
#[derive(Debug)]
pub struct SqliteJobs {
    database: Arc<Database>,
    quotas: StateQuotas,
    /// The tenants whose jobs were claimed, swept and tended last.
    last: Mutex<Option<TenantName>>,
    swept: Mutex<Option<TenantName>>,
    tended: Mutex<Option<TenantName>>,
}

impl SqliteJobs {
    /// Opens the jobs in this file, and makes it if there is none.
    ///
    /// # Errors
    /// [`StateError::Newer`] if a later version of this program wrote it.
    pub fn open(path: &Path, quotas: StateQuotas) -> Result<Self, StateError> {
        let database = Arc::new(Database::open(path)?);
        database.migrate("the jobs", &schema::MIGRATIONS)?;
        database.connection().set_prepared_statement_cache_capacity(READY);
        let [last, swept, tended] = [(); 3].map(|()| Mutex::default());
        Ok(Self { database, quotas, last, swept, tended })
    }

    /// The log of who changed a tenant's schedules.
    pub(crate) fn audit(&self, tenant: &TenantName) -> SqliteAudit {
        let (database, most) = (Arc::clone(&self.database), self.quotas.audit_entries);
        SqliteAudit { database, tenant: tenant.as_str().to_owned(), most }
    }

    /// The tenants whose schedules were ever changed.
    pub(crate) fn audited(&self) -> Result<Vec<TenantName>, StateError> {
        audit::tenants(&self.database)
    }

    fn sql<T>(&self, result: rusqlite::Result<T>) -> Result<T, StateError> {
        self.database.sql(result)
    }

    /// Makes a change at one moment: all of it, or nothing where it fails.
    fn change<T, E: From<StateError>>(
        &self,
        change: impl FnOnce(&Transaction<'_>, i64) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.database.connection();
        let transaction = self.database.change(&mut connection)?;
        // Others may have taken their time before.
        let done = change(&transaction, now())?;
        self.sql(transaction.commit())?;
        Ok(done)
    }

    /// Changes a job as this statement says, of which ?1 and ?2 say which job, and ?3 is now.
    fn change_one(
        &self,
        tenant: &TenantName,
        id: &JobId,
        may: impl FnOnce(&Transaction<'_>, JobState) -> Result<(), JobsError>,
        set: &str,
    ) -> Result<JobInfo, JobsError> {
        self.change(|change, now| {
            let found = self.sql(find(change, INFO, tenant, id, read_info))?;
            may(change, found.ok_or(JobsError::NotFound(*id))?.state)?;
            let update =
                format!("UPDATE jobs SET {set} WHERE tenant = ?1 AND id = ?2 RETURNING {INFO}");
            let values = params![tenant.as_str(), id.as_bytes(), now];
            Ok(self.sql(change.query_row(&update, values, read_info))?)
        })
    }

    /// That a tenant may have one more job that has not ended, with so many bytes more.
    fn has_room(
        &self,
        change: &Connection,
        tenant: &TenantName,
        more: u64,
    ) -> Result<(), JobsError> {
        let counts = "SELECT scheduled + waiting + running, bytes FROM counts WHERE tenant = ?1";
        let counts = change.prepare_cached(counts).and_then(|mut counts| {
            let counts = counts.query_row([tenant.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
            counts.optional()
        });
        let (jobs, bytes): (i64, i64) = self.sql(counts)?.unwrap_or_default();
        self.quotas.hold_jobs(jobs.unsigned_abs(), bytes.unsigned_abs().saturating_add(more))
    }

    fn submit_one(
        &self,
        change: &Connection,
        tenant: &TenantName,
        job: &NewJob,
        now: i64,
    ) -> Result<Submitted, JobsError> {
        let same = format!(
            "SELECT {INFO}, request FROM jobs WHERE tenant = ?1 AND id = ?2
             UNION ALL SELECT {INFO}, request FROM jobs WHERE tenant = ?1 AND key = ?3"
        );
        let same = change.prepare_cached(&same).and_then(|mut same| {
            let values = params![tenant.as_str(), job.id.as_bytes(), job.key];
            let read = |row: &rusqlite::Row<'_>| Ok((read_info(row)?, row.get("request")?));
            same.query_row(values, read).optional()
        });
        let same: Option<(JobInfo, Vec<u8>)> = self.sql(same)?;
        if let Some((info, request)) = same {
            return if request == job.request {
                Ok(Submitted { info, was_there: true })
            } else {
                Err(JobsError::KeyReused(info.id))
            };
        }
        self.has_room(change, tenant, job.size())?;
        self.has_few_ended(change, tenant)?;
        let kept = job.accepted(tenant, time(now));
        self.sql(put(change, &kept))?;
        Ok(Submitted { info: kept.job.info, was_there: false })
    }

    /// Whether something is to do now, and when something will be.
    fn look(
        &self,
        connection: &Connection,
        most_of_tenant: usize,
        now: i64,
    ) -> Result<(bool, Option<Duration>), StateError> {
        let look = connection.prepare_cached(schema::LOOK).and_then(|mut look| {
            look.query_row([count(most_of_tenant)], |row| {
                let times: [Option<i64>; 4] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
                Ok((row.get(0)?, times.into_iter().flatten().min()))
            })
        });
        let (waiting, first): (bool, Option<i64>) = self.sql(look)?;
        let is_due = waiting || first.is_some_and(|at| at <= now);
        Ok((is_due, first.map(|at| duration(at.saturating_sub(now)))))
    }

    fn take(
        &self,
        change: &Connection,
        claim: &Claim<'_>,
        now: i64,
    ) -> rusqlite::Result<Vec<ClaimedJob>> {
        // Whoever takes nothing has nobody's turn.
        if claim.most == 0 {
            return Ok(Vec::new());
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let cursor = last.as_ref().map_or("", TenantName::as_str);
        let mut query = change.prepare_cached(schema::TENANTS)?;
        let mut tenants: Vec<(String, usize)> = Vec::new();
        // Those after the last one, then from the first on.
        let [only_tells, without_tells] = [claim.only_tells, claim.without_tells].map(names);
        for after in [cursor, ""] {
            let (most, tenants_at_once) = (count(claim.most_of_tenant), count(Claim::TENANTS));
            let without_others = claim.without_others;
            let values =
                params![after, most, tenants_at_once, only_tells, without_tells, without_others];
            let mut rows = query.query(values)?;
            while let Some(row) = rows.next()? {
                let tenant: String = row.get(0)?;
                let [waiting, running] = [row.get(1)?, row.get(2)?]
                    .map(|number: i64| usize::try_from(number).unwrap_or(0));
                let is_there = tenants.first().is_some_and(|(first, _)| *first == tenant);
                if is_there || tenants.len() >= Claim::TENANTS {
                    break;
                }
                tenants.push((tenant, claim.share(waiting, running)));
            }
        }
        let may: Vec<_> = tenants.iter().map(|(tenant, may)| (*may, claim.takes(tenant))).collect();
        let mut waiting = Vec::new();
        let mut query = change.prepare_cached(schema::WAITING)?;
        for ((tenant, _), share) in tenants.iter().zip(claim.shares(&may)) {
            let Takes { tells, others } = claim.takes(tenant);
            let mut rows = query.query(params![tenant, now, count(share), tells, others])?;
            let mut own = Vec::new();
            while let Some(row) = rows.next()? {
                if row.get(2)? {
                    own.push((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
                }
            }
            waiting.push(own);
        }
        let mut update = change.prepare_cached(&format!(
            "UPDATE jobs SET state = 2, tried = tried + 1, fence = fence + 1, started = ?2, lease = ?3,
             worker = ?4 WHERE rowid = ?1 RETURNING {INFO}, {JOB}, {KEPT}"
        ))?;
        let until = now.saturating_add(millis(claim.lease));
        let taken = claim.in_turn(waiting).into_iter().map(|row| {
            let values = params![row, now, until, claim.worker];
            update.query_row(values, |row| read_claimed(row, now))
        });
        let jobs = taken.collect::<rusqlite::Result<Vec<_>>>()?;
        // Where there was nothing to take, the next ones are looked at.
        let at = match jobs.last() {
            Some(job) => Some(job.lease.tenant.clone()),
            None => tenants.last().and_then(|(tenant, _)| tenant.parse().ok()),
        };
        *last = at.or(last.take());
        Ok(jobs)
    }
}

impl JobQueue for SqliteJobs {
    fn submit(
        &self,
        jobs: &[(TenantName, NewJob)],
    ) -> Result<Vec<Result<Submitted, JobsError>>, StateError> {
        self.change(|change, now| {
            let submitted =
                jobs.iter().map(|(tenant, job)| match self.submit_one(change, tenant, job, now) {
                    Err(JobsError::State(error)) => Err(error),
                    answer => Ok(answer),
                });
            submitted.collect()
        })
    }

    fn show(&self, tenant: &TenantName, id: &JobId) -> Result<Job, JobsError> {
        let columns = format!("{INFO}, {JOB}");
        let found = find(&self.database.reader(), &columns, tenant, id, read_job);
        self.sql(found)?.ok_or(JobsError::NotFound(*id))
    }

    fn list(&self, tenant: &TenantName, filter: &JobFilter) -> Result<Vec<JobInfo>, JobsError> {
        // Ids up to the one of all ones are before.
        let before = filter.before.map_or(vec![u8::MAX; 17], |id| id.as_bytes().to_vec());
        let state = filter.state.map(JobState::number);
        let of_state = if state.is_some() { "state = ?3" } else { "?3 IS NULL" };
        let query = format!(
            "SELECT {INFO} FROM jobs WHERE tenant = ?1 AND id < ?2 AND {of_state} AND batch IS NULL
             ORDER BY id DESC LIMIT ?4"
        );
        let connection = self.database.reader();
        let listed = connection.prepare_cached(&query).and_then(|mut query| {
            let values = params![tenant.as_str(), before, state, count(filter.most)];
            query.query_map(values, read_info)?.collect()
        });
        Ok(self.sql(listed)?)
    }

    fn cancel(&self, tenant: &TenantName, id: &JobId) -> Result<JobInfo, JobsError> {
        let may = |_: &Transaction<'_>, state: JobState| match state.has_ended() {
            true => Err(JobsError::Ended { id: *id, state }),
            false => Ok(()),
        };
        let set = "state = 5, ended = ?3, run_after = NULL, lease = NULL, result = NULL, details = NULL, output = NULL";
        self.change_one(tenant, id, may, set)
    }

    fn retry(&self, tenant: &TenantName, id: &JobId, teller: JobId) -> Result<JobInfo, JobsError> {
        let may = |change: &Transaction<'_>, state| match state {
            JobState::Failed | JobState::Cancelled => {
                let twice =
                    "SELECT length(input) FROM jobs WHERE tenant = ?1 AND id = ?2 AND is_batch";
                let own = params![tenant.as_str(), id.as_bytes()];
                let twice = change.query_row(twice, own, |row| row.get(0)).optional();
                let twice = self.sql(twice)?.map_or(0, i64::unsigned_abs);
                self.has_room(change, tenant, twice)?;
                // What was to be told of its end is not so any more.
                let untold = "DELETE FROM jobs WHERE tenant = ?1
                    AND id = (SELECT webhook_id FROM jobs WHERE tenant = ?1 AND id = ?2)";
                self.sql(change.execute(untold, params![tenant.as_str(), id.as_bytes()]))?;
                let another = "UPDATE jobs SET webhook_id = ?3
                    WHERE tenant = ?1 AND id = ?2 AND webhook_id IS NOT NULL";
                let values = params![tenant.as_str(), id.as_bytes(), teller.as_bytes()];
                self.sql(change.execute(another, values))?;
                Ok(())
            }
            _ => Err(JobsError::NotFailed { id: *id, state }),
        };
        let set = "state = 1, ended = NULL, tried = 0, result = NULL, details = NULL,
            output = NULL, parts = NULL, parts_left = NULL,
            deadline = iif(deadline > ?3, deadline, NULL)";
        self.change_one(tenant, id, may, set)
    }

    fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, StateError> {
        // Whoever has nothing to do waits for no writer, and writes nothing.
        let at = now();
        let (is_due, next) = self.look(&self.database.watcher(), claim.most_of_tenant, at)?;
        if !is_due {
            return Ok(Claimed { next, now: time(at), ..Claimed::default() });
        }
        self.change(|change, now| {
            self.tend(change, now)?;
            let jobs = self.sql(self.take(change, claim, now))?;
            let due = self.sql(schedules::due(change, now))?;
            let (_, next) = self.look(change, claim.most_of_tenant, now)?;
            Ok(Claimed { jobs, next, due, now: time(now) })
        })
    }

    fn renew(&self, leases: &[Lease], lasts: Duration) -> Result<Vec<bool>, StateError> {
        let renew = "UPDATE jobs SET lease = ?5
            WHERE tenant = ?1 AND id = ?2 AND state = 2 AND fence = ?3 AND lease > ?4";
        self.change(|change, now| {
            let until = now.saturating_add(millis(lasts));
            let mut renew = self.sql(change.prepare_cached(renew))?;
            let renewed = leases.iter().map(|Lease { tenant, id, fence }| {
                let values = params![tenant.as_str(), id.as_bytes(), fence, now, until];
                Ok(self.sql(renew.execute(values))? > 0)
            });
            renewed.collect()
        })
    }

    fn finish(&self, ended: &[(Lease, JobEnd)]) -> Result<Vec<bool>, StateError> {
        // What is not said of the result leaves it as it is.
        let finish = "UPDATE jobs SET state = ?5, run_after = ?6, lease = NULL,
                ended = iif(?5 >= 3, ?4, ended), tried = tried - ?7,
                result = ifnull(?8, result), details = ifnull(?9, details),
                parts = ifnull(?10, parts), parts_left = ifnull(?10, parts_left),
                output = ifnull(?11, output)
            WHERE tenant = ?1 AND id = ?2 AND state = 2 AND fence = ?3 AND lease > ?4";
        self.change(|change, now| {
            let mut finish = self.sql(change.prepare_cached(finish))?;
            let mut split_off = self.sql(change.prepare_cached(schema::SPLIT_OFF))?;
            let finished = ended.iter().map(|(Lease { tenant, id, fence }, end)| {
                let run_after = end.after().map(|after| now.saturating_add(millis(after)));
                let result = end.result();
                let values = params![
                    tenant.as_str(),
                    id.as_bytes(),
                    fence,
                    now,
                    end.state().number(),
                    run_after,
                    end.gives_back(),
                    result.map(|result| &result.body),
                    result.map(|result| &result.details),
                    (!end.parts().is_empty()).then(|| count(end.parts().len())),
                    result.and_then(|result| result.output.as_ref()).map(Ref::as_str),
                ];
                if self.sql(finish.execute(values))? == 0 {
                    return Ok(false);
                }
                for part in end.parts() {
                    let (of, id) = (id.as_bytes(), part.id.as_bytes());
                    let values = params![tenant.as_str(), of, id, part.first, part.input, now];
                    self.sql(split_off.execute(values))?;
                }
                Ok(true)
            });
            finished.collect()
        })
    }

    fn parts(
        &self,
        tenant: &TenantName,
        batch: &JobId,
        from: u32,
    ) -> Result<Vec<EndedPart>, StateError> {
        let connection = self.database.reader();
        let mut query = self.sql(connection.prepare_cached(schema::PARTS))?;
        let values = params![tenant.as_str(), batch.as_bytes(), from];
        let rows = self.sql(query.query_map(values, read_part))?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for part in rows {
            let part = self.sql(part)?;
            bytes += part.result.as_ref().map_or(0, |result| result.size() as u64);
            if !page.is_empty() && bytes > EndedPart::PAGE_BYTES {
                break;
            }
            page.push(part);
        }
        Ok(page)
    }

    fn stores_output(&self, tenant: &TenantName, output: &Ref) -> Result<bool, StateError> {
        let touch = "INSERT INTO gone_outputs (tenant, output, since) VALUES (?1, ?2, ?3)
            ON CONFLICT (tenant, output) DO UPDATE SET since = excluded.since,
                deleting = CASE WHEN deleting > ?3 THEN deleting END
            RETURNING deleting IS NULL";
        self.change(|change, now| {
            let values = params![tenant.as_str(), output.as_str(), now];
            self.sql(change.query_row(touch, values, |row| row.get(0)))
        })
    }

    fn gone_outputs(
        &self,
        age: Duration,
        most: usize,
    ) -> Result<Vec<(TenantName, Ref)>, StateError> {
        // What a job has is kept, and those that are told are.
        let kept = "DELETE FROM gone_outputs AS g WHERE since <= ?1 AND EXISTS (
            SELECT 1 FROM jobs j WHERE j.tenant = g.tenant AND j.output = g.output)";
        let gone = "UPDATE gone_outputs SET deleting = ?4 WHERE (tenant, output) IN (
            SELECT tenant, output FROM gone_outputs WHERE since <= ?1 AND (deleting IS NULL OR deleting <= ?3)
            ORDER BY since LIMIT ?2)
            RETURNING tenant, output";
        self.change(|change, now| {
            let before = now.saturating_sub(millis(age));
            self.sql(change.execute(kept, [before]))?;
            let mut gone = self.sql(change.prepare_cached(gone))?;
            let read = |row: &rusqlite::Row<'_>| {
                let tenant = rows::read(row, "tenant", |name: String| name.parse().ok())?;
                let output = rows::read(row, "output", |text: String| text.parse().ok())?;
                Ok((tenant, output))
            };
            let until = now.saturating_add(millis(2 * DELETING));
            let values = params![before, count(most), now, until];
            self.sql(gone.query_map(values, read).and_then(Iterator::collect))
        })
    }

    fn output_is_gone(&self, tenant: &TenantName, output: &Ref) -> Result<(), StateError> {
        let gone = "DELETE FROM gone_outputs
            WHERE tenant = ?1 AND output = ?2 AND deleting IS NOT NULL";
        self.change(|change, _| {
            self.sql(change.execute(gone, params![tenant.as_str(), output.as_str()]))?;
            Ok(())
        })
    }

    fn ended(&self, jobs: &[(TenantName, JobId)]) -> Result<Vec<bool>, StateError> {
        let connection = self.database.watcher();
        let ended = jobs.iter().map(|(tenant, id)| {
            let state = find(&connection, "state", tenant, id, |row| row.get(0));
            let state = self.sql(state)?.and_then(JobState::from_number);
            Ok(state.is_none_or(JobState::has_ended))
        });
        ended.collect()
    }

    fn sweep(&self, age: Duration, most_bytes: u64) -> Result<Swept, StateError> {
        self.change(|change, now| {
            self.sql(self.sweep_some(change, now.saturating_sub(millis(age)), most_bytes))
        })
    }

    fn naming(&self, tenant: &TenantName, artifact: &Ref) -> Result<Option<NamedBy>, StateError> {
        let connection = self.database.reader();
        let (tenant, artifact) = (tenant.as_str(), artifact.as_str());
        if let Some(name) = self.sql(schedules::naming(&connection, tenant, artifact))? {
            return Ok(Some(NamedBy::Schedule(name)));
        }
        let one = |query: &str| {
            let found = connection.query_row(query, [tenant, artifact], |row| row.get(0));
            Ok::<_, StateError>(self.sql(found.optional())?.map(JobId::from_bytes))
        };
        let runs = "SELECT id FROM jobs WHERE tenant = ?1 AND state IN (0, 1, 2) AND kind = 0
            AND target = ?2 AND batch IS NULL LIMIT 1";
        if let Some(id) = one(runs)? {
            return Ok(Some(NamedBy::Job(id)));
        }
        let output = "SELECT ifnull(batch, id) FROM jobs WHERE tenant = ?1 AND output = ?2 LIMIT 1";
        Ok(one(output)?.map(NamedBy::Output))
    }

    fn load(&self) -> Result<JobLoad, StateError> {
        let sums = "SELECT ifnull(sum(scheduled), 0), ifnull(sum(waiting), 0), ifnull(sum(running), 0) FROM counts";
        let load = self.database.watcher().query_row(sums, [], |row| {
            let number = |column| row.get(column).map(i64::unsigned_abs);
            Ok(JobLoad { scheduled: number(0)?, waiting: number(1)?, running: number(2)? })
        });
        self.sql(load)
    }

    fn kept(&self, after: Option<&(TenantName, JobId)>) -> Result<Vec<KeptJob>, StateError> {
        let (tenant, id) =
            after.map_or(("", &[][..]), |(tenant, id)| (tenant.as_str(), id.as_bytes()));
        let query = format!(
            "SELECT {INFO}, {JOB}, {KEPT} FROM jobs WHERE (tenant, id) > (?1, ?2) ORDER BY tenant, id LIMIT ?3"
        );
        let connection = self.database.reader();
        let mut query = self.sql(connection.prepare_cached(&query))?;
        let rows =
            self.sql(query.query_map(params![tenant, id, count(KeptJob::PAGE)], read_kept))?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        for kept in rows {
            let kept = self.sql(kept)?;
            bytes += kept.size();
            if !page.is_empty() && bytes > KeptJob::PAGE_BYTES {
                break;
            }
            page.push(kept);
        }
        Ok(page)
    }

    fn restore(&self, jobs: &[KeptJob]) -> Result<(), StateError> {
        let delete = "DELETE FROM jobs WHERE tenant = ?1 AND id = ?2";
        self.change(|change, _| {
            for job in jobs {
                let values = params![job.tenant.as_str(), job.job.info.id.as_bytes()];
                self.sql(change.prepare_cached(delete).and_then(|mut one| one.execute(values)))?;
                self.sql(put(change, &job.restored()))?;
            }
            Ok(())
        })
    }
}

/// Names, as JSON.
fn names(names: &[TenantName]) -> String {
    serde_json::to_string(names).unwrap_or_else(|_| "[]".to_owned())
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// In milliseconds, and no more than any time is away.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What is left of so many milliseconds.
fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
