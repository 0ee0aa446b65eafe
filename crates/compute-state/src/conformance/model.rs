//! Jobs and schedules in memory, as simply as can be: what every other queue is compared with.

mod follow;
mod schedules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compute::Ref;
use jiff::Timestamp;

use crate::{
    Claim, Claimed, ClaimedJob, DELETING, Deed, EndedPart, Job, JobEnd, JobFilter, JobId, JobInfo,
    JobLoad, JobParts, JobQueue, JobResult, JobState, JobWork, JobsError, KeptJob, Lease, NamedBy,
    NewJob, Schedule, ScheduleName, StateError, StateQuotas, Submitted, Swept, TenantName,
};

/// The time, in milliseconds since 1970.
pub type Clock = Box<dyn Fn() -> i64 + Send + Sync>;

/// Is told what is done to a tenant's schedules.
type Log = dyn Fn(&TenantName, &Deed) + Send + Sync;

/// Jobs in memory. Clones share them.
#[derive(Clone)]
pub struct ModelQueue {
    quotas: StateQuotas,
    clock: Arc<Clock>,
    log: Arc<Log>,
    kept: Arc<Mutex<Kept>>,
}

#[derive(Default)]
struct Kept {
    jobs: BTreeMap<(TenantName, JobId), Entry>,
    schedules: BTreeMap<(TenantName, ScheduleName), Schedule>,
    /// The tenant whose jobs were claimed last.
    last: Option<TenantName>,
    /// The tenant whose ended jobs went last.
    swept: Option<TenantName>,
    /// Artifacts that were outputs of jobs which are not kept any more.
    gone: BTreeMap<(TenantName, Ref), Gone>,
}

/// Since when no job has an artifact, and until when somebody deletes it.
#[derive(Clone, Copy)]
struct Gone {
    since: i64,
    deleting: Option<i64>,
}

/// A job that had this artifact is not kept any more.
fn went(all: &mut BTreeMap<(TenantName, Ref), Gone>, output: (TenantName, Ref), now: i64) {
    all.entry(output).or_insert(Gone { since: now, deleting: None }).since = now;
}

#[derive(Clone)]
struct Entry {
    kept: KeptJob,
    /// Until when somebody has it.
    lease: i64,
    /// Whether what follows its end has been done.
    is_followed: bool,
}

impl Entry {
    fn new(kept: KeptJob) -> Self {
        let is_followed = kept.job.info.state.has_ended();
        Self { kept, lease: 0, is_followed }
    }
}

impl std::fmt::Debug for ModelQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ModelQueue")
    }
}

impl ModelQueue {
    /// No jobs, by the system's clock.
    #[must_use]
    pub fn new(quotas: StateQuotas) -> Self {
        Self::by(quotas, Box::new(|| Timestamp::now().as_millisecond()))
    }

    /// No jobs, by this clock.
    #[must_use]
    pub fn by(quotas: StateQuotas, clock: Clock) -> Self {
        let (clock, log) = (Arc::new(clock), Arc::new(|_: &TenantName, _: &Deed| {}));
        Self { quotas, clock, log, kept: Arc::default() }
    }

    /// The same, where this is told what is done to schedules.
    #[must_use]
    pub fn logged(self, log: impl Fn(&TenantName, &Deed) + Send + Sync + 'static) -> Self {
        Self { log: Arc::new(log), ..self }
    }

    fn lock(&self) -> (MutexGuard<'_, Kept>, i64) {
        (self.kept.lock().unwrap_or_else(PoisonError::into_inner), (self.clock)())
    }

    /// That a tenant may have one more job that has not ended, with so many bytes more.
    fn has_room(&self, kept: &Kept, tenant: &TenantName, more: u64) -> Result<(), JobsError> {
        let own = || kept.jobs.values().filter(|entry| entry.kept.tenant == *tenant);
        let under_way = own().filter(|one| !one.kept.job.info.state.has_ended()).count();
        let bytes: u64 = own().map(|one| one.kept.size()).sum();
        self.quotas.hold_jobs(under_way as u64, bytes + more)
    }

    fn submit_one(
        &self,
        kept: &mut Kept,
        now: i64,
        tenant: &TenantName,
        job: &NewJob,
    ) -> Result<Submitted, JobsError> {
        let by_key = |one: &&Entry| {
            one.kept.tenant == *tenant && job.key.is_some() && one.kept.key == job.key
        };
        let same = kept.jobs.get(&(tenant.clone(), job.id));
        if let Some(one) = same.or_else(|| kept.jobs.values().find(by_key)) {
            return if one.kept.request == job.request {
                Ok(Submitted { info: one.kept.job.info.clone(), was_there: true })
            } else {
                Err(JobsError::KeyReused(one.kept.job.info.id))
            };
        }
        self.has_room(kept, tenant, job.size())?;
        let ended = kept.jobs.values().filter(|one| one.kept.tenant == *tenant && one.is_over());
        self.quotas.hold_ended_jobs(ended.count() as u64)?;
        let new = job.accepted(tenant, time(now));
        let info = new.job.info.clone();
        kept.jobs.insert((tenant.clone(), job.id), Entry::new(new));
        Ok(Submitted { info, was_there: false })
    }

    fn change(
        &self,
        tenant: &TenantName,
        id: &JobId,
        change: impl FnOnce(&mut Entry, i64) -> Result<(), JobsError>,
    ) -> Result<JobInfo, JobsError> {
        let (mut kept, now) = self.lock();
        let entry = kept.jobs.get_mut(&(tenant.clone(), *id));
        let entry = entry.filter(|entry| entry.kept.part_of.is_none());
        let entry = entry.ok_or(JobsError::NotFound(*id))?;
        change(entry, now)?;
        let info = entry.kept.job.info.clone();
        kept.follow(now);
        Ok(info)
    }
}

fn time(millis: i64) -> Timestamp {
    let never = if millis < 0 { Timestamp::UNIX_EPOCH } else { Timestamp::MAX };
    Timestamp::from_millisecond(millis).unwrap_or(never)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

impl Entry {
    /// The artifact that its output is.
    fn output(&self) -> Option<(TenantName, Ref)> {
        let output = self.kept.job.result.as_ref()?.output.clone()?;
        Some((self.kept.tenant.clone(), output))
    }

    /// Whether it has ended, and is no part of a batch.
    fn is_over(&self) -> bool {
        self.kept.job.info.state.has_ended() && self.kept.part_of.is_none()
    }

    fn info(&mut self) -> &mut JobInfo {
        &mut self.kept.job.info
    }

    fn end(&mut self, state: JobState, result: Option<JobResult>, now: i64) {
        self.kept.job.result = result;
        let info = self.info();
        (info.state, info.ended, info.run_after) = (state, Some(time(now)), None);
        self.lease = 0;
    }

    fn wait(&mut self) {
        let info = self.info();
        (info.state, info.run_after) = (JobState::Waiting, None);
        self.lease = 0;
    }

    /// Whether this lease is held.
    fn holds(&self, lease: &Lease, now: i64) -> bool {
        self.kept.job.info.state == JobState::Running
            && self.kept.fence == lease.fence
            && self.lease > now
    }

    /// What time alone does.
    fn tend(&mut self, now: i64) {
        let info = &self.kept.job.info;
        let is_late = info.deadline.is_some_and(|at| at <= time(now));
        let has_lapsed = info.state == JobState::Running && self.lease <= now;
        let is_due =
            info.state == JobState::Scheduled && info.run_after.is_some_and(|at| at <= time(now));
        match info.state {
            JobState::Scheduled | JobState::Waiting if is_late => {
                self.end(JobState::Failed, Some(JobResult::late()), now);
            }
            JobState::Running if has_lapsed && is_late => {
                self.end(JobState::Failed, Some(JobResult::late()), now);
            }
            JobState::Running if has_lapsed && info.tried >= info.attempts => {
                self.end(JobState::Failed, Some(JobResult::lost()), now);
            }
            _ if is_due || has_lapsed => self.wait(),
            _ => {}
        }
    }

    /// When time alone does something next.
    fn next(&self) -> Option<i64> {
        let info = &self.kept.job.info;
        let own = match info.state {
            JobState::Scheduled => info.run_after.map(|at| at.as_millisecond()),
            JobState::Running => Some(self.lease),
            _ => None,
        };
        let deadline = info.deadline.map(|at| at.as_millisecond());
        let deadline =
            deadline.filter(|_| matches!(info.state, JobState::Scheduled | JobState::Waiting));
        [own, deadline].into_iter().flatten().min()
    }
}

impl JobQueue for ModelQueue {
    fn submit(
        &self,
        jobs: &[(TenantName, NewJob)],
    ) -> Result<Vec<Result<Submitted, JobsError>>, StateError> {
        let (mut kept, now) = self.lock();
        let submitted =
            jobs.iter().map(|(tenant, job)| self.submit_one(&mut kept, now, tenant, job));
        Ok(submitted.collect())
    }

    fn show(&self, tenant: &TenantName, id: &JobId) -> Result<Job, JobsError> {
        let (kept, _) = self.lock();
        let entry = kept.jobs.get(&(tenant.clone(), *id));
        let entry = entry.filter(|entry| entry.kept.part_of.is_none());
        Ok(entry.ok_or(JobsError::NotFound(*id))?.kept.job.clone())
    }

    fn list(&self, tenant: &TenantName, filter: &JobFilter) -> Result<Vec<JobInfo>, JobsError> {
        let (kept, _) = self.lock();
        let own = kept.jobs.values().rev().filter(|one| one.kept.tenant == *tenant);
        let own = own.filter(|one| one.kept.part_of.is_none());
        let infos = own.map(|one| &one.kept.job.info);
        let wanted = infos.filter(|info| {
            filter.state.is_none_or(|state| info.state == state)
                && filter.before.is_none_or(|before| info.id < before)
        });
        Ok(wanted.take(filter.most).cloned().collect())
    }

    fn cancel(&self, tenant: &TenantName, id: &JobId) -> Result<JobInfo, JobsError> {
        self.change(tenant, id, |entry, now| {
            let state = entry.kept.job.info.state;
            if state.has_ended() {
                return Err(JobsError::Ended { id: *id, state });
            }
            entry.end(JobState::Cancelled, None, now);
            Ok(())
        })
    }

    fn retry(&self, tenant: &TenantName, id: &JobId, teller: JobId) -> Result<JobInfo, JobsError> {
        let key = (tenant.clone(), *id);
        let twice = |kept: &Kept| {
            let entry = kept.jobs.get(&key).filter(|one| one.kept.job.info.is_batch);
            entry.map_or(0, |one| one.kept.input.len() as u64)
        };
        let room = {
            let kept = self.lock().0;
            self.has_room(&kept, tenant, twice(&kept))
        };
        let mut told = None;
        let retried = self.change(tenant, id, |entry, now| {
            let state = entry.kept.job.info.state;
            if !matches!(state, JobState::Failed | JobState::Cancelled) {
                return Err(JobsError::NotFailed { id: *id, state });
            }
            room?;
            entry.kept.job.result = None;
            let info = entry.info();
            (info.tried, info.ended, info.parts) = (0, None, None);
            info.deadline = info.deadline.filter(|at| *at > time(now));
            entry.wait();
            entry.is_followed = false;
            if let Some((id, _)) = &mut entry.kept.webhook {
                told = Some(std::mem::replace(id, teller));
            }
            Ok(())
        })?;
        // What was to be told of its end is not so any more.
        if let Some(told) = told {
            self.lock().0.jobs.remove(&(tenant.clone(), told));
        }
        Ok(retried)
    }

    fn claim(&self, claim: &Claim<'_>) -> Result<Claimed, StateError> {
        let (mut kept, now) = self.lock();
        kept.jobs.values_mut().for_each(|entry| entry.tend(now));
        kept.follow(now);
        // Of each tenant, those that may be taken, the first first.
        let mut waiting: BTreeMap<TenantName, Vec<(u8, JobId)>> = BTreeMap::new();
        for entry in kept.jobs.values() {
            let tells = matches!(entry.kept.job.info.work, JobWork::Tell(_));
            let tenant = &entry.kept.tenant;
            let takes = claim.takes(tenant.as_str());
            let is_wanted = if tells { takes.tells } else { takes.others };
            if is_wanted && entry.kept.job.info.state == JobState::Waiting {
                let own = waiting.entry(entry.kept.tenant.clone()).or_default();
                own.push((entry.kept.job.info.priority, entry.kept.job.info.id));
            }
        }
        for (tenant, own) in &mut waiting {
            own.sort_by_key(|(priority, id)| (std::cmp::Reverse(*priority), *id));
            let is_running = |one: &&Entry| {
                one.kept.tenant == *tenant && one.kept.job.info.state == JobState::Running
            };
            let running = kept.jobs.values().filter(is_running).count();
            own.truncate(claim.most_of_tenant.saturating_sub(running).min(claim.most_each));
        }
        // In turn, from the one after the last.
        waiting.retain(|_, own| !own.is_empty());
        let mut turns: Vec<_> = waiting.keys().cloned().collect();
        let first = turns.iter().position(|name| Some(name) > kept.last.as_ref()).unwrap_or(0);
        turns.rotate_left(first);
        let rounds = waiting.values().map(Vec::len).max().unwrap_or(0);
        let mut chosen = Vec::new();
        let mut bytes = 0;
        'all: for round in 0..rounds {
            for tenant in &turns {
                let Some((_, id)) = waiting[tenant].get(round) else { continue };
                let key = (tenant.clone(), *id);
                bytes += kept.jobs[&key].kept.input.len() as u64;
                if chosen.len() >= claim.most || !chosen.is_empty() && bytes > claim.most_bytes {
                    break 'all;
                }
                chosen.push(key);
            }
        }
        let at = chosen
            .last()
            .map(|(tenant, _)| tenant)
            .or(turns.iter().take(Claim::TENANTS).next_back());
        if claim.most > 0 {
            kept.last = at.cloned().or(kept.last.take());
        }
        let mut jobs = Vec::new();
        for key in chosen {
            let Some(entry) = kept.jobs.get_mut(&key) else { continue };
            entry.lease = now.saturating_add(millis(claim.lease));
            entry.kept.fence += 1;
            let info = entry.info();
            (info.state, info.started) = (JobState::Running, Some(time(now)));
            info.worker = Some(claim.worker.to_owned());
            info.tried += 1;
            let left = info.deadline.map(|at| u64::try_from(at.as_millisecond() - now));
            let KeptJob { job, input, fuel, fence, part_of, .. } = &entry.kept;
            jobs.push(ClaimedJob {
                lease: Lease { tenant: key.0, id: key.1, fence: *fence },
                work: job.info.work.clone(),
                is_batch: job.info.is_batch,
                part_of: *part_of,
                parts: job.info.parts,
                input: input.clone(),
                now: job.now,
                seed: job.seed,
                fuel: *fuel,
                tried: job.info.tried,
                attempts: job.info.attempts,
                left: left.map(|left| Duration::from_millis(left.unwrap_or(0))),
            });
        }
        let times = kept.schedules.values().map(|one| one.info.next.as_millisecond());
        let next = kept.jobs.values().filter_map(Entry::next).chain(times).min();
        let next = next.map(|at| Duration::from_millis(u64::try_from(at - now).unwrap_or(0)));
        Ok(Claimed { jobs, next, due: kept.due(time(now)), now: time(now) })
    }

    fn renew(&self, leases: &[Lease], lasts: Duration) -> Result<Vec<bool>, StateError> {
        let (mut kept, now) = self.lock();
        let renewed = leases.iter().map(|lease| {
            let entry = kept.jobs.get_mut(&(lease.tenant.clone(), lease.id));
            let held = entry.filter(|entry| entry.holds(lease, now));
            held.map(|entry| entry.lease = now.saturating_add(millis(lasts))).is_some()
        });
        Ok(renewed.collect())
    }

    fn finish(&self, ended: &[(Lease, JobEnd)]) -> Result<Vec<bool>, StateError> {
        let (mut kept, now) = self.lock();
        let finished = ended.iter().map(|(lease, end)| {
            let entry = kept.jobs.get_mut(&(lease.tenant.clone(), lease.id));
            let Some(entry) = entry.filter(|entry| entry.holds(lease, now)) else { return false };
            match end.clone() {
                JobEnd::Done(result) => entry.end(JobState::Done, Some(result), now),
                JobEnd::Failed(result) => entry.end(JobState::Failed, Some(result), now),
                JobEnd::Again(result, after) => {
                    entry.wait();
                    entry.kept.job.result = Some(result);
                    let info = entry.info();
                    info.state = JobState::Scheduled;
                    info.run_after = Some(time(now.saturating_add(millis(after))));
                }
                JobEnd::GivenBack => {
                    entry.wait();
                    entry.info().tried -= 1;
                }
                JobEnd::Later(after) => {
                    entry.wait();
                    let info = entry.info();
                    info.tried -= 1;
                    info.state = JobState::Scheduled;
                    info.run_after = Some(time(now.saturating_add(millis(after))));
                }
                JobEnd::Split(parts) => {
                    entry.wait();
                    let all = u32::try_from(parts.len()).unwrap_or(u32::MAX);
                    let info = entry.info();
                    (info.state, info.parts) = (JobState::Scheduled, Some(JobParts::new(all)));
                    info.tried -= 1;
                    let batch = entry.kept.clone();
                    for part in parts {
                        kept.split_off(&batch, part, now);
                    }
                }
            }
            true
        });
        let finished = finished.collect();
        kept.follow(now);
        Ok(finished)
    }

    fn parts(
        &self,
        tenant: &TenantName,
        batch: &JobId,
        from: u32,
    ) -> Result<Vec<EndedPart>, StateError> {
        Ok(self.lock().0.parts(tenant, batch, from))
    }

    fn stores_output(&self, tenant: &TenantName, output: &Ref) -> Result<bool, StateError> {
        let (mut kept, now) = self.lock();
        let key = (tenant.clone(), output.clone());
        let one = kept.gone.entry(key).or_insert(Gone { since: now, deleting: None });
        one.since = now;
        one.deleting = one.deleting.filter(|until| *until > now);
        Ok(one.deleting.is_none())
    }

    fn output_is_gone(&self, tenant: &TenantName, output: &Ref) -> Result<(), StateError> {
        let (mut kept, _) = self.lock();
        let key = (tenant.clone(), output.clone());
        kept.gone.retain(|one, gone| *one != key || gone.deleting.is_none());
        Ok(())
    }

    fn gone_outputs(
        &self,
        age: Duration,
        most: usize,
    ) -> Result<Vec<(TenantName, Ref)>, StateError> {
        let (mut kept, now) = self.lock();
        let before = now.saturating_sub(millis(age));
        let Kept { jobs, gone, .. } = &mut *kept;
        let there: BTreeSet<_> = jobs.values().filter_map(Entry::output).collect();
        gone.retain(|one, Gone { since, .. }| *since > before || !there.contains(one));
        let is_free = |one: &Gone| one.deleting.is_none_or(|until| until <= now);
        let old = gone.iter().filter(|(_, one)| one.since <= before && is_free(one));
        let mut old: Vec<_> = old.map(|(key, one)| (one.since, key.clone())).collect();
        old.sort();
        old.truncate(most);
        let until = now.saturating_add(millis(2 * DELETING));
        for (_, key) in &old {
            gone.entry(key.clone()).and_modify(|one| one.deleting = Some(until));
        }
        Ok(old.into_iter().map(|(_, one)| one).collect())
    }

    fn ended(&self, jobs: &[(TenantName, JobId)]) -> Result<Vec<bool>, StateError> {
        let (kept, _) = self.lock();
        let ended =
            |entry: &Entry| entry.kept.job.info.state.has_ended() || entry.kept.part_of.is_some();
        Ok(jobs.iter().map(|key| kept.jobs.get(key).is_none_or(ended)).collect())
    }

    fn sweep(&self, age: Duration, most_bytes: u64) -> Result<Swept, StateError> {
        let (mut kept, now) = self.lock();
        let before = time(now.saturating_sub(millis(age)));
        let mut ended: BTreeMap<TenantName, Vec<(Option<Timestamp>, JobId)>> = BTreeMap::new();
        let mut bytes: BTreeMap<TenantName, u64> = BTreeMap::new();
        for (key, entry) in &kept.jobs {
            *bytes.entry(key.0.clone()).or_default() += entry.kept.size();
            if entry.is_over() {
                ended.entry(key.0.clone()).or_default().push((entry.kept.job.info.ended, key.1));
            }
        }
        let (mut gone, mut together) = (0, 0);
        // In turn, from the one after the last.
        let mut ended: Vec<_> = ended.into_iter().collect();
        let first = ended.iter().position(|(name, _)| Some(name) > kept.swept.as_ref());
        ended.rotate_left(first.unwrap_or(0));
        for (tenant, mut own) in ended {
            own.sort();
            let mut number = own.len() as u64;
            let bytes = bytes.entry(tenant.clone()).or_default();
            for (at, id) in own {
                let is_old = at <= Some(before);
                if !is_old
                    && number <= self.quotas.ended_jobs
                    && *bytes <= self.quotas.kept_job_bytes()
                {
                    break;
                }
                number -= 1;
                let key = (tenant.clone(), id);
                let Some(size) = kept.jobs.get(&key).map(|entry| entry.kept.size()) else {
                    continue;
                };
                if together > 0 && together + size > most_bytes {
                    return Ok(Swept { jobs: gone, is_full: true });
                }
                let output = kept.jobs.remove(&key).and_then(|entry| entry.output());
                if let Some(output) = output {
                    went(&mut kept.gone, output, now);
                }
                *bytes -= size;
                (gone, together) = (gone + 1, together + size);
                kept.swept = Some(tenant.clone());
            }
        }
        Ok(Swept { jobs: gone, is_full: false })
    }

    fn naming(&self, tenant: &TenantName, artifact: &Ref) -> Result<Option<NamedBy>, StateError> {
        let (kept, _) = self.lock();
        let runs = |work: &JobWork| matches!(work, JobWork::Run(named) if named == artifact);
        let mut schedules = kept.schedules.iter();
        let schedule = schedules.find(|((of, _), one)| of == tenant && runs(&one.info.work));
        let mut jobs = kept.jobs.iter().filter(|(_, one)| !one.kept.job.info.state.has_ended());
        let job = jobs.find(|((of, _), one)| of == tenant && runs(&one.kept.job.info.work));
        let schedule = schedule.map(|((_, name), _)| NamedBy::Schedule(name.clone()));
        let named = schedule.or_else(|| job.map(|((_, id), _)| NamedBy::Job(*id)));
        let has = |one: &&Entry| one.output() == Some((tenant.clone(), artifact.clone()));
        let output = || {
            let KeptJob { job, part_of, .. } = &kept.jobs.values().find(has)?.kept;
            Some(NamedBy::Output(part_of.map_or(job.info.id, |part| part.batch)))
        };
        Ok(named.or_else(output))
    }

    fn load(&self) -> Result<JobLoad, StateError> {
        let (kept, _) = self.lock();
        let mut load = JobLoad::default();
        for entry in kept.jobs.values() {
            match entry.kept.job.info.state {
                JobState::Scheduled => load.scheduled += 1,
                JobState::Waiting => load.waiting += 1,
                JobState::Running => load.running += 1,
                _ => {}
            }
        }
        Ok(load)
    }

    fn kept(&self, after: Option<&(TenantName, JobId)>) -> Result<Vec<KeptJob>, StateError> {
        let (kept, _) = self.lock();
        let following = kept.jobs.iter().filter(|(key, _)| Some(*key) > after);
        let mut bytes = 0;
        let page = following.map(|(_, entry)| entry.kept.clone()).take(KeptJob::PAGE);
        let page = page.enumerate().take_while(|(number, job)| {
            bytes += job.size();
            *number == 0 || bytes <= KeptJob::PAGE_BYTES
        });
        Ok(page.map(|(_, job)| job).collect())
    }

    fn restore(&self, jobs: &[KeptJob]) -> Result<(), StateError> {
        let (mut kept, _) = self.lock();
        for job in jobs {
            kept.jobs.insert((job.tenant.clone(), job.job.info.id), Entry::new(job.restored()));
        }
        Ok(())
    }
}
