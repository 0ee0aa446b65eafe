//! The jobs and schedules of all tenants. Who runs them asks again and again: nothing is told to those who listen.

mod rows;
mod schedules;
mod statements;
mod sweep;
mod tend;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use compute::Ref;
use compute_state::{
    Claim, Claimed, ClaimedJob, DELETING, EndedPart, Job, JobEnd, JobFilter, JobId, JobInfo,
    JobLoad, JobQueue, JobState, JobsError, KeptJob, Lease, NamedBy, NewJob, StateError,
    StateQuotas, Submitted, Swept, TenantName,
};

use crate::database::{Change, Database, Rows, Stop};
use rows::{
    INFO, JOB, KEPT, pieces, put, read_claimed, read_id, read_info, read_job, read_kept,
    read_lease, read_part, time, told,
};

/// How often jobs are submitted again where others submit some of the same at the same moment.
const TRIES: u32 = 5;

type Key = (TenantName, JobId);

/// How many jobs a tenant has that have not ended, and that have, and how many bytes all of them.
#[derive(Clone, Copy, Default)]
struct Counts {
    jobs: u64,
    ended: u64,
    bytes: u64,
}

/// The jobs of all tenants.
#[derive(Debug)]
pub(crate) struct PostgresJobs {
    database: Arc<Database>,
    quotas: StateQuotas,
    /// The tenants whose jobs were claimed, swept and tended last here.
    last: Mutex<Option<TenantName>>,
    swept: Mutex<Option<TenantName>>,
    tended: Mutex<Option<TenantName>>,
}

impl PostgresJobs {
    pub(crate) fn new(database: Arc<Database>, quotas: StateQuotas) -> Self {
        let [last, swept, tended] = [(); 3].map(|()| Mutex::default());
        Self { database, quotas, last, swept, tended }
    }

    /// Whether something is to do now, when something will be, and the time.
    fn look(&self, most_of_tenant: usize) -> Result<(bool, Option<i64>, i64), StateError> {
        let look = "SELECT waiting, next, now FROM compute.look_at_jobs($1)";
        self.database.ask(look, &[&count(most_of_tenant)], |row| {
            Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))
        })
    }

    /// Those of some jobs that are there, by their places: of one that is there by its id and its key, that of its id.
    async fn find(
        change: &Change<'_>,
        jobs: &[&(TenantName, NewJob)],
    ) -> Result<HashMap<usize, (JobInfo, Vec<u8>)>, Stop<StateError>> {
        let mut found = HashMap::new();
        let mut look = async |from, of: Vec<(usize, &[u8])>| {
            if of.is_empty() {
                return Ok(());
            }
            let tenants = of.iter().filter_map(|(place, _)| Some(jobs.get(*place)?.0.as_str()));
            let tenants: Vec<_> = tenants.collect();
            let names: Vec<_> = of.iter().map(|(_, name)| *name).collect();
            let query = format!("SELECT e.place, {INFO}, j.request {from}");
            for row in change.rows(&query, &[&tenants, &names]).await? {
                let place = usize::try_from(row.try_get::<_, i64>(0)? - 1).unwrap_or(usize::MAX);
                if let Some((place, _)) = of.get(place) {
                    found.insert(*place, (read_info(&row)?, row.try_get("request")?));
                }
            }
            Ok::<_, Stop<StateError>>(())
        };
        let all = || jobs.iter().map(|(_, job)| job).enumerate();
        let keys = all().filter_map(|(place, job)| Some((place, job.key.as_ref()?.as_bytes())));
        look(statements::SAME_KEY, keys.collect()).await?;
        let ids = all().map(|(place, job)| (place, job.id.as_bytes().as_slice()));
        look(statements::SAME, ids.collect()).await?;
        Ok(found)
    }

    /// Submits those that have no answer yet, unless another does at this moment.
    async fn submit_rest(
        &self,
        change: &Change<'_>,
        jobs: &[(TenantName, NewJob)],
        answers: &mut BTreeMap<usize, Result<Submitted, JobsError>>,
    ) -> Result<(), Stop<StateError>> {
        let places: Vec<_> = (0..jobs.len()).filter(|place| !answers.contains_key(place)).collect();
        let rest: Vec<_> = places.iter().map(|place| &jobs[*place]).collect();
        let there = Self::find(change, &rest).await?;
        let (now, mut counts) = self.counts(change, rest.iter().map(|(tenant, _)| tenant)).await?;
        // What is new by its id or its key; more of the same come back to it.
        let mut new: Vec<(usize, KeptJob)> = Vec::new();
        let (mut named, mut keys) = (HashSet::new(), HashSet::new());
        for (number, (place, (tenant, job))) in places.into_iter().zip(rest).enumerate() {
            let key = job.key.as_ref().map(|key| (tenant, key));
            if named.contains(&(tenant, job.id)) {
                continue;
            }
            if let Some((info, request)) = there.get(&number) {
                answers.insert(place, answer(info, request, job));
                continue;
            }
            if key.is_some_and(|key| keys.contains(&key)) {
                continue;
            }
            let Counts { jobs, ended, bytes } = counts.entry(tenant.clone()).or_default();
            let has_room = self.quotas.hold_jobs(*jobs, *bytes + job.size());
            if let Err(error) = has_room.and_then(|()| self.quotas.hold_ended_jobs(*ended)) {
                answers.insert(place, Err(error));
                continue;
            }
            (*jobs, *bytes) = (*jobs + 1, *bytes + job.size());
            named.insert((tenant, job.id));
            keys.extend(key);
            new.push((place, job.accepted(tenant, time(now))));
        }
        // Two that submit the same keys come one after the other.
        new.sort_by(|(_, one), (_, other)| {
            (&one.tenant, &one.key).cmp(&(&other.tenant, &other.key))
        });
        for piece in pieces(&new, |(_, job)| job.input.len()) {
            let kept: Vec<_> = piece.iter().map(|(_, job)| job).collect();
            let put: HashSet<_> = put(change, &kept).await?.into_iter().collect();
            for (place, job) in piece {
                let info = job.job.info.clone();
                if put.contains(&(job.tenant.clone(), info.id)) {
                    answers.insert(*place, Ok(Submitted { info, was_there: false }));
                }
            }
        }
        Ok(())
    }

    /// The time, and what some tenants have.
    async fn counts(
        &self,
        change: &Change<'_>,
        tenants: impl Iterator<Item = &TenantName>,
    ) -> Result<(i64, HashMap<TenantName, Counts>), Stop<StateError>> {
        let tenants: HashSet<_> = tenants.map(TenantName::as_str).collect();
        let tenants: Vec<_> = tenants.into_iter().collect();
        let (mut now, mut counts) = (0, HashMap::new());
        for row in change.rows(statements::COUNTS, &[&tenants]).await? {
            now = row.try_get("now")?;
            let tenant: Option<&str> = row.try_get("tenant")?;
            if let Some(tenant) = tenant.and_then(|tenant| tenant.parse().ok()) {
                let number = |column| row.try_get(column).map(i64::unsigned_abs);
                let [jobs, ended, bytes] = [number("jobs")?, number("ended")?, number("bytes")?];
                counts.insert(tenant, Counts { jobs, ended, bytes });
            }
        }
        Ok((now, counts))
    }

    /// Changes a job as this says, where $1 and $2 are which, and $3 is the time. Who tells of the end of one that has ended goes, and
    /// whoever tells of the next has this id.
    fn change_one(
        &self,
        tenant: &TenantName,
        id: &JobId,
        teller: Option<JobId>,
        may: impl Fn(JobState, (u64, u64)) -> Result<(), JobsError>,
        set: &str,
    ) -> Result<JobInfo, JobsError> {
        // Whoever has its tenant's numbers waits for nothing else: a job that somebody has at this moment is tried again.
        let first = "SELECT 1 FROM compute.job_counts c WHERE c.tenant = $1 FOR UPDATE";
        let find =
            "SELECT j.state, (CASE WHEN j.is_batch THEN octet_length(j.input) ELSE 0 END)::bigint
            FROM compute.jobs j WHERE j.tenant = $1 AND j.id = $2 AND j.batch IS NULL FOR UPDATE NOWAIT";
        let update = format!(
            "UPDATE compute.jobs j SET {set} WHERE j.tenant = $1 AND j.id = $2 RETURNING {INFO}"
        );
        self.database.change_jobs(tenant, async |change| {
            let which = id.as_bytes().as_slice();
            change.rows(first, &[&change.tenant]).await?;
            let found = change.row_if_any(find, &[&change.tenant, &which]).await?;
            let found = found.ok_or(Stop::Told(JobsError::NotFound(*id)))?;
            let state = u8::try_from(found.try_get::<_, i16>(0)?).ok();
            let state = state.and_then(JobState::from_number).unwrap_or(JobState::Failed);
            let (now, counts) = self.counts(change, [tenant].into_iter()).await.map_err(told)?;
            // A batch is kept once more, in parts.
            let Counts { jobs, bytes, .. } = counts.get(tenant).copied().unwrap_or_default();
            let twice = found.try_get::<_, i64>(1)?.unsigned_abs();
            may(state, (jobs, bytes + twice)).map_err(Stop::Told)?;
            if state.has_ended() {
                // What was to be told of its end is not so any more; and of its parts some may be left that somebody had.
                change.rows(statements::FOLLOWERS, &[&change.tenant, &which]).await?;
                change.does(statements::UNTOLD, &[&change.tenant, &which]).await?;
                let teller = teller.as_ref().map(|id| id.as_bytes().as_slice());
                change.does(statements::TELLER, &[&change.tenant, &which, &teller]).await?;
            }
            let row = change.row(&update, &[&change.tenant, &which, &now]).await?;
            read_info(&row).map_err(told)
        })
    }

    async fn take(
        &self,
        change: &Change<'_>,
        claim: &Claim<'_>,
    ) -> Result<Vec<ClaimedJob>, Stop<StateError>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cursor = last.as_ref().map_or("", TenantName::as_str);
        let [only_tells, without_tells] = [claim.only_tells, claim.without_tells]
            .map(|names| names.iter().map(TenantName::as_str).collect::<Vec<_>>());
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] = [
            &cursor,
            &count(claim.most_of_tenant),
            &count(Claim::TENANTS),
            &only_tells,
            &without_tells,
            &claim.without_others,
        ];
        let found = change.rows(statements::TENANTS, &values).await?;
        let Some(first) = found.first() else { return Ok(Vec::new()) };
        let now: i64 = first.try_get("now")?;
        let (mut tenants, mut may) = (Vec::new(), Vec::new());
        for row in found.iter().take(Claim::TENANTS) {
            let number = |column| row.try_get(column).map(|n: i64| usize::try_from(n).unwrap_or(0));
            let tenant: String = row.try_get("tenant")?;
            let share = claim.share(number("waiting")?, number("running")?);
            may.push((share, claim.takes(&tenant)));
            tenants.push(tenant);
        }
        let shares: Vec<_> = claim.shares(&may).into_iter().map(count).collect();
        let mut waiting: Vec<Vec<(Key, u64)>> = vec![Vec::new(); tenants.len()];
        let (tells, others): (Vec<_>, Vec<_>) =
            may.iter().map(|(_, takes)| (takes.tells, takes.others)).unzip();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&tenants, &shares, &now, &tells, &others];
        for row in change.rows(statements::WAITING, &values).await? {
            let place = usize::try_from(row.try_get::<_, i64>("place")? - 1).unwrap_or(usize::MAX);
            if let (Some(own), true) = (waiting.get_mut(place), row.try_get("may")?) {
                own.push((read_id(&row)?, row.try_get::<_, i64>("size")?.unsigned_abs()));
            }
        }
        let chosen = claim.in_turn(waiting);
        // Where there was nothing to take, the next ones are looked at.
        let at = chosen.last().map(|(tenant, _)| tenant.clone());
        let at = at.or_else(|| tenants.last().and_then(|tenant| tenant.parse().ok()));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = at;
        if chosen.is_empty() {
            return Ok(Vec::new());
        }
        let (tenants, ids) = arrays(chosen.iter());
        let until = now.saturating_add(millis(claim.lease));
        let worker = claim.worker.as_bytes();
        let update = format!("{} RETURNING {INFO}, {JOB}, {KEPT}", statements::CLAIM);
        let rows = change.rows(&update, &[&tenants, &ids, &now, &until, &worker]).await?;
        let claimed = rows.iter().map(|row| read_claimed(row, now));
        let mut claimed: Vec<_> = claimed.collect::<Result<_, _>>()?;
        let order: HashMap<_, _> = chosen.iter().zip(0..).collect();
        claimed.sort_by_key(|job| {
            order.get(&(job.lease.tenant.clone(), job.lease.id)).copied().unwrap_or(usize::MAX)
        });
        Ok(claimed)
    }
}

/// What is said of a job that is there to whoever submits it.
fn answer(info: &JobInfo, request: &[u8], job: &NewJob) -> Result<Submitted, JobsError> {
    if request == job.request {
        Ok(Submitted { info: info.clone(), was_there: true })
    } else {
        Err(JobsError::KeyReused(info.id))
    }
}

impl JobQueue for PostgresJobs {
    fn submit(
        &self,
        jobs: &[(TenantName, NewJob)],
    ) -> Result<Vec<Result<Submitted, JobsError>>, StateError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        // One at a time for each node: no tenant's turn is waited for.
        self.database.change_all_jobs(async |change| {
            let mut answers = BTreeMap::new();
            // What another submitted at the same moment, or what is in here twice, is there the next time.
            for _ in 0..TRIES {
                self.submit_rest(change, jobs, &mut answers).await?;
                if answers.len() == jobs.len() {
                    return Ok(answers.into_values().collect());
                }
            }
            let why = "others submit the same jobs at the same moment, and delete them";
            Err(Stop::Told(StateError::unavailable(self.database.shown(), why)))
        })
    }

    fn show(&self, tenant: &TenantName, id: &JobId) -> Result<Job, JobsError> {
        let query = format!(
            "SELECT {INFO}, {JOB} FROM compute.jobs j WHERE j.tenant = $1 AND j.id = $2 AND j.batch IS NULL"
        );
        self.database.read_rows(tenant, Rows::OwnJobs, async |read| {
            let id_bytes = id.as_bytes().as_slice();
            let row = read.row_if_any(&query, &[&read.tenant, &id_bytes]).await?;
            let row = row.ok_or(Stop::Told(JobsError::NotFound(*id)))?;
            read_job(&row).map_err(told)
        })
    }

    fn list(&self, tenant: &TenantName, filter: &JobFilter) -> Result<Vec<JobInfo>, JobsError> {
        // Ids up to the one of all ones are before.
        let before = filter.before.map_or(vec![u8::MAX; 17], |id| id.as_bytes().to_vec());
        let state = filter.state.map(|state| i16::from(state.number()));
        let of_state = if state.is_some() { "j.state = $4" } else { "$4::smallint IS NULL" };
        let query = format!(
            "SELECT {INFO} FROM compute.jobs j WHERE j.tenant = $1 AND j.id < $2 AND {of_state} AND j.batch IS NULL
             ORDER BY j.id DESC LIMIT $3"
        );
        self.database.read_rows(tenant, Rows::OwnJobs, async |read| {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&read.tenant, &before, &count(filter.most), &state];
            let rows = read.rows(&query, &values).await?;
            rows.iter().map(read_info).collect::<Result<_, _>>().map_err(told)
        })
    }

    fn cancel(&self, tenant: &TenantName, id: &JobId) -> Result<JobInfo, JobsError> {
        let may = |state: JobState, _| match state.has_ended() {
            true => Err(JobsError::Ended { id: *id, state }),
            false => Ok(()),
        };
        let set = "state = 5, ended = $3, run_after = NULL, lease = NULL, result = NULL, details = NULL, output = NULL";
        self.change_one(tenant, id, None, may, set)
    }

    fn retry(&self, tenant: &TenantName, id: &JobId, teller: JobId) -> Result<JobInfo, JobsError> {
        let may = |state, (jobs, bytes)| match state {
            JobState::Failed | JobState::Cancelled => self.quotas.hold_jobs(jobs, bytes),
            _ => Err(JobsError::NotFailed { id: *id, state }),
        };
        let set = "state = 1, ended = NULL, tried = 0, result = NULL, details = NULL, output = NULL, parts = NULL,
            parts_left = NULL,
            deadline = CASE WHEN j.deadline > $3 THEN j.deadline END";
        self.change_one(tenant, id, Some(teller), may, set)
    }

    fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, StateError> {
        let (mut waiting, mut next, now) = self.look(claim.most_of_tenant)?;
        let (mut due, mut untended) = (Vec::new(), None);
        if next.is_some_and(|at| at <= now) {
            match self.tend(now) {
                Ok(schedules) => due = schedules,
                Err(error) => untended = Some(error),
            }
            waiting = true;
        } else if !waiting {
            let next = next.map(|at| duration(at.saturating_sub(now)));
            return Ok(Claimed { next, now: time(now), ..Claimed::default() });
        }
        let mut jobs = Vec::new();
        // Whoever takes nothing has nobody's turn.
        if waiting && claim.most > 0 {
            jobs = self.database.change_all_jobs(async |change| self.take(change, claim).await)?;
        }
        // What time does is done by the next who can: it keeps nobody from those that wait.
        if let Some(error) = untended {
            if jobs.is_empty() {
                return Err(error);
            }
            let why = compute::with_causes(&error);
            tracing::warn!(target: "request", "jobs whose time has come are left for later: {why}");
        }
        // Whoever has jobs looks again soon; an error here would leave them to nobody.
        let now = match self.look(claim.most_of_tenant) {
            Ok((_, at, now)) => {
                next = at;
                now
            }
            Err(_) => now,
        };
        let next = next.map(|at| duration(at.saturating_sub(now)));
        Ok(Claimed { jobs, next, due, now: time(now) })
    }

    fn renew(&self, leases: &[Lease], lasts: Duration) -> Result<Vec<bool>, StateError> {
        let lasts = millis(lasts);
        let held = self.database.change_all_jobs(async |change| {
            // One that a crash forgets has lapsed.
            change.does("SELECT set_config('synchronous_commit', 'off', true)", &[]).await?;
            let mut held = HashSet::new();
            for piece in pieces(&sorted(leases.iter()), |_| 0) {
                let (tenants, ids) = lease_arrays(piece.iter().copied());
                let fences: Vec<_> = piece.iter().map(|lease| lease.fence).collect();
                let rows =
                    change.rows(statements::RENEW, &[&tenants, &ids, &fences, &lasts]).await?;
                for row in rows {
                    held.insert(read_lease(&row)?);
                }
            }
            Ok::<_, Stop<StateError>>(held)
        })?;
        Ok(leases.iter().map(|lease| held.contains(lease)).collect())
    }

    fn finish(&self, ended: &[(Lease, JobEnd)]) -> Result<Vec<bool>, StateError> {
        // Of several that are said of one, the first is it.
        let mut first = HashSet::new();
        let is_first: Vec<_> = ended.iter().map(|(lease, _)| first.insert(lease)).collect();
        let mut all: Vec<_> =
            ended.iter().zip(&is_first).filter(|one| *one.1).map(|one| one.0).collect();
        all.sort_by_key(|(lease, _)| lease);
        let size = |(_, end): &&(Lease, JobEnd)| end.size();
        let held = self.database.change_all_jobs(async |change| {
            let mut held = HashSet::new();
            for piece in pieces(&all, size) {
                let (tenants, ids) = lease_arrays(piece.iter().map(|(lease, _)| lease));
                let fences: Vec<_> = piece.iter().map(|(lease, _)| lease.fence).collect();
                let ends = || piece.iter().map(|(_, end)| end);
                let states: Vec<_> = ends().map(|end| i16::from(end.state().number())).collect();
                let after: Vec<_> = ends().map(|end| end.after().map(millis)).collect();
                let back: Vec<_> = ends().map(|end| i32::from(end.gives_back())).collect();
                let bodies: Vec<_> = ends().map(|end| end.result().map(|one| &*one.body)).collect();
                let details: Vec<_> =
                    ends().map(|end| end.result().map(|one| &*one.details)).collect();
                let parts = |end: &JobEnd| i32::try_from(end.parts().len()).ok();
                let parts: Vec<_> =
                    ends().map(|end| parts(end).filter(|parts| *parts > 0)).collect();
                let output = |end: &JobEnd| Some(end.result()?.output.as_ref()?.to_string());
                let outputs: Vec<_> = ends().map(output).collect();
                let values: [&(dyn tokio_postgres::types::ToSql + Sync); 10] = [
                    &tenants, &ids, &fences, &states, &after, &back, &bodies, &details, &parts,
                    &outputs,
                ];
                for row in change.rows(statements::FINISH, &values).await? {
                    held.insert(read_lease(&row)?);
                }
                let held = piece.iter().copied().filter(|(lease, _)| held.contains(lease));
                split_off(change, held).await?;
            }
            Ok::<_, Stop<StateError>>(held)
        })?;
        let finished = ended
            .iter()
            .zip(is_first)
            .map(|((lease, _), is_first)| is_first && held.contains(lease));
        Ok(finished.collect())
    }

    fn parts(
        &self,
        tenant: &TenantName,
        batch: &JobId,
        from: u32,
    ) -> Result<Vec<EndedPart>, StateError> {
        let (batch, from) = (batch.as_bytes().as_slice(), i64::from(from));
        self.database.read_rows(tenant, Rows::OwnJobs, async |read| {
            let from = i32::try_from(from).unwrap_or(i32::MAX);
            let sizes = read.rows(statements::PART_SIZES, &[&read.tenant, &batch, &from]).await?;
            let (mut last, mut bytes) = (None, 0);
            for row in sizes {
                bytes += row.try_get::<_, i64>("bytes")?.unsigned_abs();
                if last.is_some() && bytes > EndedPart::PAGE_BYTES {
                    break;
                }
                last = Some(row.try_get::<_, i32>("first")?);
            }
            let Some(last) = last else { return Ok(Vec::new()) };
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&read.tenant, &batch, &from, &last];
            read.rows(statements::PARTS, &values).await?.iter().map(read_part).collect()
        })
    }

    fn stores_output(&self, tenant: &TenantName, output: &Ref) -> Result<bool, StateError> {
        self.database.change_all_jobs(async |change| {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
                [&tenant.as_str(), &output.as_str()];
            let stored = change.row(statements::STORES_OUTPUT, &values).await?;
            Ok::<_, Stop<StateError>>(stored.try_get(0)?)
        })
    }

    fn output_is_gone(&self, tenant: &TenantName, output: &Ref) -> Result<(), StateError> {
        self.database.change_all_jobs(async |change| {
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
                [&tenant.as_str(), &output.as_str()];
            change.does(statements::OUTPUT_IS_GONE, &values).await?;
            Ok::<_, Stop<StateError>>(())
        })
    }

    fn gone_outputs(
        &self,
        age: Duration,
        most: usize,
    ) -> Result<Vec<(TenantName, Ref)>, StateError> {
        let age = millis(age);
        self.database.change_all_jobs(async |change| {
            change.does(statements::KEPT_OUTPUTS, &[&age]).await?;
            let lasts = millis(2 * DELETING);
            let gone = change.rows(statements::GONE_OUTPUTS, &[&age, &count(most), &lasts]).await?;
            let read = |row: &tokio_postgres::Row| {
                let tenant = rows::read(row, "tenant", |name: String| name.parse().ok())?;
                Ok((tenant, rows::read(row, "output", |text: String| text.parse().ok())?))
            };
            gone.iter().map(read).collect()
        })
    }

    fn ended(&self, jobs: &[(TenantName, JobId)]) -> Result<Vec<bool>, StateError> {
        let (tenants, ids) = arrays(jobs.iter());
        let rows = self.database.change_all_jobs(async |change| {
            Ok::<_, Stop<StateError>>(change.rows(statements::NOT_ENDED, &[&tenants, &ids]).await?)
        })?;
        let kept = rows.iter().map(read_id).collect::<Result<HashSet<_>, _>>();
        let kept = kept.map_err(|stop| self.database.stopped(stop))?;
        Ok(jobs.iter().map(|job| !kept.contains(job)).collect())
    }

    fn sweep(&self, age: Duration, most_bytes: u64) -> Result<Swept, StateError> {
        self.sweep_some(age, most_bytes)
    }

    fn naming(&self, tenant: &TenantName, artifact: &Ref) -> Result<Option<NamedBy>, StateError> {
        let runs = "SELECT tenant, id FROM compute.jobs WHERE tenant = $1 AND state IN (0, 1, 2) AND kind = 0
            AND target = $2 AND batch IS NULL LIMIT 1";
        let output = "SELECT tenant, COALESCE(batch, id) AS id FROM compute.jobs
            WHERE tenant = $1 AND output = $2 AND output IS NOT NULL LIMIT 1";
        self.database.read_rows(tenant, Rows::OwnJobs, async |read| {
            if let Some(name) = schedules::naming(read, artifact).await? {
                return Ok(Some(NamedBy::Schedule(name)));
            }
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
                [&read.tenant, &artifact.as_str()];
            if let Some(row) = read.row_if_any(runs, &values).await? {
                return Ok(Some(NamedBy::Job(read_id(&row)?.1)));
            }
            let row = read.row_if_any(output, &values).await?;
            row.map(|row| Ok(NamedBy::Output(read_id(&row)?.1))).transpose()
        })
    }

    fn load(&self) -> Result<JobLoad, StateError> {
        let sums = "SELECT COALESCE(sum(scheduled), 0)::bigint, COALESCE(sum(waiting), 0)::bigint,
            COALESCE(sum(running), 0)::bigint FROM compute.job_counts";
        self.database.change_all_jobs(async |change| {
            let row = change.row(sums, &[]).await?;
            let number = |column: usize| row.try_get(column).map(i64::unsigned_abs);
            Ok(JobLoad { scheduled: number(0)?, waiting: number(1)?, running: number(2)? })
        })
    }

    fn kept(&self, after: Option<&(TenantName, JobId)>) -> Result<Vec<KeptJob>, StateError> {
        let (tenant, id) =
            after.map_or(("", &[][..]), |(tenant, id)| (tenant.as_str(), id.as_bytes()));
        let query = format!(
            "SELECT {INFO}, {JOB}, {KEPT} FROM compute.jobs j
             WHERE (j.tenant, j.id) > ($1, $2) ORDER BY j.tenant, j.id LIMIT $3"
        );
        self.database.change_all_jobs(async |change| {
            let page = count(KeptJob::PAGE);
            let sizes = change.rows(statements::PAGE, &[&tenant, &id, &page]).await?;
            let (mut number, mut bytes) = (0_i64, 0);
            for row in sizes {
                bytes += row.try_get::<_, i64>("bytes")?.unsigned_abs();
                if number > 0 && bytes > KeptJob::PAGE_BYTES {
                    break;
                }
                number += 1;
            }
            let rows = change.rows(&query, &[&tenant, &id, &number]).await?;
            rows.iter().map(read_kept).collect()
        })
    }

    fn restore(&self, jobs: &[KeptJob]) -> Result<(), StateError> {
        let delete =
            "DELETE FROM compute.jobs j USING unnest($1::text[], $2::bytea[]) e (tenant, id)
            WHERE j.tenant = e.tenant AND j.id = e.id";
        let jobs: Vec<_> = jobs.iter().map(KeptJob::restored).collect();
        let keys: Vec<_> = jobs.iter().map(|job| (job.tenant.clone(), job.job.info.id)).collect();
        let (tenants, ids) = arrays(keys.iter());
        self.database.change_all_jobs(async |change| {
            change.does(delete, &[&tenants, &ids]).await?;
            for piece in pieces(&jobs, |job| usize::try_from(job.size()).unwrap_or(usize::MAX)) {
                let kept: Vec<_> = piece.iter().collect();
                if put(change, &kept).await?.len() < kept.len() {
                    let why = "it has jobs with the idempotency keys of some that are restored";
                    return Err(Stop::Told(StateError::failed(self.database.shown(), why)));
                }
            }
            Ok(())
        })
    }
}

/// Has the parts of what was split wait as jobs of their own.
async fn split_off<'a>(
    change: &Change<'_>,
    ended: impl Iterator<Item = &'a (Lease, JobEnd)>,
) -> Result<(), Stop<StateError>> {
    let mut parts = Vec::new();
    for (lease, end) in ended {
        parts.extend(end.parts().iter().map(|part| (lease, part)));
    }
    for piece in pieces(&parts, |(_, part)| part.input.len()) {
        let (tenants, batches) = lease_arrays(piece.iter().map(|(lease, _)| *lease));
        let parts = || piece.iter().map(|(_, part)| *part);
        let ids: Vec<_> = parts().map(|part| part.id.as_bytes().as_slice()).collect();
        let firsts: Vec<_> =
            parts().map(|part| i32::try_from(part.first).unwrap_or(i32::MAX)).collect();
        let inputs: Vec<_> = parts().map(|part| &*part.input).collect();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&tenants, &batches, &ids, &firsts, &inputs];
        change.does(statements::SPLIT_OFF, &values).await?;
    }
    Ok(())
}

fn sorted<'a>(leases: impl Iterator<Item = &'a Lease>) -> Vec<&'a Lease> {
    let mut leases: Vec<_> = leases.collect();
    leases.sort();
    leases
}

/// Tenants and ids, as a statement takes them.
fn arrays<'a>(keys: impl Iterator<Item = &'a Key>) -> (Vec<&'a str>, Vec<&'a [u8]>) {
    keys.map(|(tenant, id)| (tenant.as_str(), id.as_bytes().as_slice())).unzip()
}

fn lease_arrays<'a>(leases: impl Iterator<Item = &'a Lease>) -> (Vec<&'a str>, Vec<&'a [u8]>) {
    leases.map(|lease| (lease.tenant.as_str(), lease.id.as_bytes().as_slice())).unzip()
}

/// In milliseconds, and no longer than any time is away from another.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4).min(i64::MAX / 4)
}

/// What is left of so many milliseconds.
fn duration(millis: i64) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
