//! What a worker does, and when: which jobs it claims, how long it holds them, what it gives back. It knows no clock, no thread and
//! no database: it is told what happened, says what is to be done, and is the same in the simulation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc;
use std::time::Duration;

use compute_state::{
    Claimed, ClaimedJob, DueSchedule, JobEnd, JobResult, JobWork, Lease, NewPart, TenantName,
};

/// A time, in milliseconds since the worker began.
pub(crate) type Millis = u64;

/// How long the jobs that are claimed at once may take together, in milliseconds: where they are short, many are.
const AHEAD: u64 = 50;
/// How many more than it has places for.
const MOST_AHEAD: usize = 64;
/// When it looks again where there was nothing, about.
const POLL: Millis = 2000;
/// How long it waits after a failure of whoever keeps the jobs, the first time and at most.
const PAUSE: (Millis, Millis) = (100, 5000);
/// How soon after a failure a job is tried again, the first time and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How soon schedules are tried again of which none could be fired.
const UNFIRED: Millis = 1000;
/// How soon at the least it looks again for what is due and was not there to be taken.
const SOON: Millis = 100;
/// How many bytes the inputs have of jobs that are claimed and not started, about.
const INPUTS: u64 = 16 << 20;
/// With so many bytes of results that are not kept yet, no job is started.
const UNKEPT: usize = 64 << 20;
/// How long it claims nothing where the server had no place for a job, and nothing of a tenant where that had none.
const BUSY: Millis = 200;
const TENANT_BUSY: Millis = 1000;
/// How many are told at once that jobs have ended, and how many of them by one tenant's. They take no place: they wait for others.
const TELLS: usize = 256;
const TELLS_OF_TENANT: usize = 4;
/// With so many that wait for that or are told, no more is claimed of a tenant's.
const TELLS_HELD: usize = 2 * TELLS_OF_TENANT;
/// How long a job that was claimed waits for a place here: others may have one.
const PATIENCE: Millis = 1000;
/// For how long no more is claimed of a tenant whose jobs waited in vain, unless one of them ends; or of others, who had its places.
const CROWDED: Millis = 10_000;
/// How long those wait then that are to be told, at least.
const TOLD_LATER: Duration = Duration::from_secs(10);
/// How long those wait whose output somebody deletes at this moment, about: no attempt is theirs.
const LATER: Duration = Duration::from_secs(60);
/// How many results are kept together, and how many bytes they have at most.
const TOGETHER: usize = 500;
const BYTES: usize = 8 << 20;

/// What a worker goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WorkerSettings {
    /// How many jobs run at once.
    pub(crate) places: usize,
    /// How many of them are one tenant's.
    pub(crate) share: usize,
    /// How long a lease lasts unless it is renewed.
    pub(crate) lease: Duration,
}

/// What a worker is told.
#[derive(Debug)]
pub(crate) enum Told {
    /// That there may be something to do.
    Woken,
    /// That a job may have been cancelled.
    Look,
    /// What it claimed, or that it could not.
    Claimed(Option<Claimed>),
    /// That none of the schedules that were due with that was fired.
    Unfired,
    /// Which of the leases that it renewed are still held, or that nobody knows.
    Renewed(Vec<Lease>, Option<Vec<bool>>),
    /// What became of a job that it started.
    Ended(Lease, Verdict),
    /// That what became of these is kept, or that nobody knows.
    Finished(Vec<(Lease, JobEnd)>, bool),
    /// That it is to take no more, and give back what it has not started. When it has nothing left, what it was told with this is
    /// dropped.
    Drain(mpsc::Sender<()>),
    /// That it is to stop what it runs, and give it back.
    Stop,
}

/// What became of a job's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has a result.
    Done(JobResult),
    /// It fails whoever tries it again.
    Failed(JobResult),
    /// It failed, and may not the next time.
    Passing(JobResult),
    /// It was not begun: the server has no room.
    NoRoom,
    /// It was not begun: its tenant has no room, or no time.
    NotNow,
    /// It ran, and what it gave cannot be kept for some minutes, whoever tries.
    Later,
    /// It is split into these, of which there is one at least.
    Split(Vec<NewPart>),
}

/// What a worker would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// How many jobs.
    pub(crate) most: usize,
    /// How many of one tenant.
    pub(crate) most_each: usize,
    /// How many bytes their inputs have at most.
    pub(crate) most_bytes: u64,
    /// Of these it has enough that do not tell of the ends of others.
    pub(crate) only_tells: Vec<TenantName>,
    /// Of these it has enough that do.
    pub(crate) without_tells: Vec<TenantName>,
    /// Whether it has enough of all that do not.
    pub(crate) without_others: bool,
}

/// What a worker has done.
#[derive(Debug)]
pub(crate) enum Do {
    /// To claim jobs.
    Claim(Wanted),
    /// To renew these leases.
    Renew(Vec<Lease>),
    /// To run this job.
    Start(Box<ClaimedJob>),
    /// To stop running this one: the lease is lost.
    Cancel(Lease),
    /// To keep what became of these.
    Finish(Vec<(Lease, JobEnd)>),
}

/// A worker.
#[derive(Debug)]
pub(crate) struct Worker {
    settings: WorkerSettings,
    random: fastrand::Rng,
    /// Jobs that are claimed and not started.
    queued: VecDeque<ClaimedJob>,
    /// Leases that are held, of all that is not finished.
    held: BTreeMap<Lease, Held>,
    running: Running,
    telling: Running,
    /// Until when no more is claimed of these: their jobs found no place here.
    crowded: BTreeMap<TenantName, Millis>,
    /// Those of them whose places others had: until any job ends here.
    crowded_out: BTreeSet<TenantName>,
    ends: Vec<(Lease, JobEnd)>,
    /// When it was last claimed, renewed or finished, while that is under way.
    claiming: Option<Millis>,
    asked: usize,
    renewing: Option<Millis>,
    finishing: bool,
    /// How many results are kept together: fewer after that failed, so that one which cannot be kept keeps no others from it.
    together: usize,
    /// Nothing is claimed before, whatever comes: the server has no room, or whoever keeps the jobs failed.
    not_before: Millis,
    /// Whether to renew at once after the renewal that is under way.
    looks_again: bool,
    /// When it claims again, renews, finishes at the earliest.
    next_claim: Millis,
    /// When schedules are tried again, if none could be fired.
    fires_at: Millis,
    /// When it looks at the latest for schedules that are due, though it has no place for a job.
    next_look: Millis,
    next_renew: Millis,
    next_finish: Millis,
    failures: u32,
    /// How long a job takes, about, in milliseconds.
    takes: f64,
    draining: bool,
}

/// A lease that is held.
#[derive(Clone, Debug)]
struct Held {
    /// When it was asked for, and when it came.
    claimed: Millis,
    came: Millis,
    /// Whether it tells of the end of another.
    tells: bool,
    /// Until when, seen from here: it was sent before it was given.
    until: Millis,
    tried: u32,
    attempts: u32,
    /// When it was started.
    started: Option<Millis>,
}

impl Worker {
    pub(crate) fn new(settings: WorkerSettings, seed: u64) -> Self {
        Self {
            settings,
            random: fastrand::Rng::with_seed(seed),
            queued: VecDeque::new(),
            held: BTreeMap::new(),
            running: Running::default(),
            telling: Running::default(),
            crowded: BTreeMap::new(),
            crowded_out: BTreeSet::new(),
            ends: Vec::new(),
            claiming: None,
            asked: 0,
            renewing: None,
            finishing: false,
            together: TOGETHER,
            not_before: 0,
            looks_again: false,
            next_claim: 0,
            next_look: 0,
            fires_at: 0,
            next_renew: 0,
            next_finish: 0,
            failures: 0,
            takes: AHEAD as f64,
            draining: false,
        }
    }

    /// How many jobs it runs, and how many of them only tell of the ends of others.
    #[cfg(test)]
    pub(crate) const fn running(&self) -> (usize, usize) {
        (self.running.all, self.telling.all)
    }

    /// Whether it has nothing left that others wait for.
    pub(crate) fn is_idle(&self) -> bool {
        self.held.is_empty() && !self.finishing && self.claiming.is_none()
    }

    /// Takes what it is told, and says what is to be done now.
    pub(crate) fn step(&mut self, now: Millis, told: Option<Told>) -> Vec<Do> {
        let mut todo = Vec::new();
        if let Some(told) = told {
            self.take(now, told, &mut todo);
        }
        self.lose(now, &mut todo);
        self.start(now, &mut todo);
        self.give_back(now);
        self.finish(now, &mut todo);
        self.renew(now, &mut todo);
        self.claim(now, &mut todo);
        todo
    }

    /// When it has something to do next if it is told nothing.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        let at = if self.wants() > 0 { self.next_claim } else { self.next_look };
        let at = at.max(self.not_before);
        let claim = (self.claiming.is_none() && !self.draining).then_some(at);
        let renew = (self.renewing.is_none() && !self.held.is_empty()).then_some(self.next_renew);
        let finish = (!self.finishing && !self.ends.is_empty()).then_some(self.next_finish);
        let lost = self.held.values().map(|held| held.until).min();
        let stale = self.oldest().map(|came| came + PATIENCE);
        let crowded = self.crowded.values().min().copied();
        [claim, renew, finish, lost, stale, crowded].into_iter().flatten().min()
    }

    fn take(&mut self, now: Millis, told: Told, todo: &mut Vec<Do>) {
        match told {
            Told::Woken => self.next_claim = self.next_claim.min(now),
            Told::Look => {
                self.next_renew = now;
                self.looks_again = self.renewing.is_some();
            }
            Told::Claimed(claimed) => self.claimed(now, claimed),
            Told::Unfired => self.fires_at = now + UNFIRED,
            Told::Renewed(leases, known) => self.renewed(now, &leases, known, todo),
            Told::Ended(lease, verdict) => self.ended(now, lease, verdict),
            Told::Finished(ends, true) => {
                self.finishing = false;
                self.failures = 0;
                self.together = TOGETHER.min(self.together * 2);
                let mut has_told = false;
                for (lease, _) in &ends {
                    has_told |= self.held.remove(lease).is_some_and(|held| held.tells);
                }
                // More may be told, whoever has the places of jobs.
                if has_told {
                    self.next_look = self.next_look.min(now);
                }
                // A tenant may have a place again that it had none of.
                self.next_claim = self.next_claim.min(now);
            }
            Told::Finished(mut ends, false) => {
                self.finishing = false;
                self.next_finish = now + self.pause();
                self.together = 1;
                ends.retain(|(lease, _)| self.held.contains_key(lease));
                // After the others: one of them may be why it failed.
                self.ends.append(&mut ends);
            }
            Told::Drain(_) => self.drain(),
            Told::Stop => {
                self.drain();
                let started: Vec<_> =
                    self.held.iter().filter(|(_, held)| held.started.is_some()).collect();
                let leases: Vec<Lease> =
                    started.into_iter().map(|(lease, _)| lease.clone()).collect();
                for lease in leases {
                    self.gone(&lease);
                    todo.push(Do::Cancel(lease.clone()));
                    self.ends.push((lease, JobEnd::GivenBack));
                }
            }
        }
    }

    fn pause(&mut self) -> Millis {
        self.failures += 1;
        let (first, most) = PAUSE;
        let pause = (first << self.failures.min(6)).min(most);
        pause / 2 + self.random.u64(0..=pause / 2)
    }

    fn claimed(&mut self, now: Millis, claimed: Option<Claimed>) {
        let sent = self.claiming.take().unwrap_or(now);
        let Some(Claimed { jobs, next, due, .. }) = claimed else {
            self.next_claim = now + self.pause();
            (self.next_look, self.not_before) = (self.next_claim, self.next_claim);
            return;
        };
        self.failures = 0;
        let poll = self.random.u64(POLL * 3 / 4..POLL * 5 / 4);
        // There may be more that are due: whoever has none of its places free fires them all the same.
        let is_full = due.len() >= DueSchedule::TOGETHER;
        // Others have these, or they cannot be fired now: jobs that come meanwhile wake it.
        let fires_at = if due.is_empty() { now } else { now.max(self.fires_at) };
        // What is due of jobs and was not done is done for whoever has places, though none here is free.
        let is_behind = next.is_some_and(|next| next.is_zero());
        self.next_look = match (is_full, is_behind) {
            (true, _) => fires_at,
            (false, true) => fires_at.max(now + SOON),
            (false, false) => now + poll,
        };
        self.next_claim = if jobs.len() >= self.asked {
            now
        } else if is_full {
            fires_at
        } else {
            let known = next.and_then(|next| u64::try_from(next.as_millis()).ok());
            // What is due and was not taken is another's at this moment, or cannot be done now.
            let soon = known.map_or(poll, |known| known.saturating_add(1).max(SOON).min(poll));
            fires_at.max(now + soon)
        };
        if self.held.is_empty() {
            self.next_renew = sent + self.lease() / 3;
        }
        for job in jobs {
            // No two leases are the same; if two were, the one that is held would lose its place.
            if self.held.contains_key(&job.lease) {
                continue;
            }
            let held = Held {
                claimed: sent,
                came: now,
                tells: matches!(job.work, JobWork::Tell(_)),
                until: sent + self.lease(),
                tried: job.tried,
                attempts: job.attempts,
                started: None,
            };
            self.held.insert(job.lease.clone(), held);
            self.queued.push_back(job);
        }
        if self.draining {
            self.drain();
        }
    }

    fn lease(&self) -> Millis {
        u64::try_from(self.settings.lease.as_millis()).unwrap_or(u64::MAX / 4)
    }

    fn renewed(
        &mut self,
        now: Millis,
        leases: &[Lease],
        known: Option<Vec<bool>>,
        todo: &mut Vec<Do>,
    ) {
        let sent = self.renewing.take().unwrap_or(now);
        let Some(known) = known else {
            self.next_renew = now + self.pause();
            return;
        };
        self.failures = 0;
        let again = std::mem::take(&mut self.looks_again);
        self.next_renew = if again { now } else { sent + self.lease() / 3 };
        for (lease, is_held) in leases.iter().zip(known) {
            if is_held {
                let until = sent + self.lease();
                if let Some(held) = self.held.get_mut(lease) {
                    held.until = until;
                }
            } else {
                self.lost(lease, todo);
            }
        }
    }

    /// Lets go of what is another's by now, whatever the others say.
    fn lose(&mut self, now: Millis, todo: &mut Vec<Do>) {
        let lapsed = self.held.iter().filter(|(_, held)| held.until <= now);
        let lapsed: Vec<_> = lapsed.map(|(lease, _)| lease.clone()).collect();
        for lease in lapsed {
            self.lost(&lease, todo);
        }
    }

    fn lost(&mut self, lease: &Lease, todo: &mut Vec<Do>) {
        self.queued.retain(|job| job.lease != *lease);
        self.ends.retain(|(ended, _)| ended != lease);
        if self.gone(lease) {
            todo.push(Do::Cancel(lease.clone()));
        }
        self.held.remove(lease);
    }

    /// Has its place back. Whether it ran.
    fn gone(&mut self, lease: &Lease) -> bool {
        let Some(held) = self.held.get_mut(lease) else { return false };
        let ran = held.started.take().is_some();
        if ran {
            let running = if held.tells { &mut self.telling } else { &mut self.running };
            running.ended(&lease.tenant);
        }
        ran
    }

    fn ended(&mut self, now: Millis, lease: Lease, verdict: Verdict) {
        let Some(held) = self.held.get(&lease).cloned() else { return };
        let Some(started) = held.started else { return };
        let is_usual = !held.tells
            && !matches!(verdict, Verdict::NoRoom | Verdict::NotNow | Verdict::Split(_));
        if is_usual {
            self.takes = self.takes * 0.9 + now.saturating_sub(started) as f64 * 0.1;
        }
        self.gone(&lease);
        if !held.tells {
            self.crowded.remove(&lease.tenant);
            for tenant in std::mem::take(&mut self.crowded_out) {
                self.crowded.remove(&tenant);
            }
        }
        let end = match verdict {
            Verdict::Done(result) => JobEnd::Done(result),
            Verdict::Failed(result) => JobEnd::Failed(result),
            Verdict::Passing(result) if held.tried >= held.attempts => JobEnd::Failed(result),
            Verdict::Passing(result) => JobEnd::Again(result, self.again(held.tried)),
            Verdict::Split(parts) => JobEnd::Split(parts),
            Verdict::Later => JobEnd::Later(LATER.mul_f64(0.5 + self.random.f64())),
            Verdict::NoRoom => {
                self.not_before = now + BUSY;
                JobEnd::GivenBack
            }
            Verdict::NotNow if held.tells => self.later(),
            Verdict::NotNow => {
                self.crowded_out.remove(&lease.tenant);
                self.crowded.insert(lease.tenant.clone(), now + TENANT_BUSY);
                JobEnd::GivenBack
            }
        };
        self.ends.push((lease, end));
    }

    /// How long until a job is tried again that was tried so often: longer each time, and never all at once.
    fn again(&mut self, tried: u32) -> Duration {
        let (first, most) = AGAIN;
        let pause = first.saturating_mul(1 << tried.saturating_sub(1).min(16)).min(most);
        pause.mul_f64(0.5 + self.random.f64())
    }

    /// Has one that tells of the end of another wait: never all at once.
    fn later(&mut self) -> JobEnd {
        JobEnd::Later(TOLD_LATER.mul_f64(1.0 + self.random.f64()))
    }

    /// Gives back what it has not started, and claims no more.
    fn drain(&mut self) {
        self.draining = true;
        let queued = std::mem::take(&mut self.queued);
        self.ends.extend(queued.into_iter().map(|job| (job.lease, JobEnd::GivenBack)));
    }

    fn start(&mut self, now: Millis, todo: &mut Vec<Do>) {
        // What ended and is not kept yet is in memory.
        if size_of(&self.ends) >= UNKEPT {
            return;
        }
        let WorkerSettings { places, share, .. } = self.settings;
        loop {
            let has_place = |job: &ClaimedJob| match job.work {
                JobWork::Tell(_) => self.telling.may(&job.lease.tenant, TELLS, TELLS_OF_TENANT),
                _ => self.running.may(&job.lease.tenant, places, share),
            };
            let Some(at) = self.queued.iter().position(has_place) else { return };
            let Some(mut job) = self.queued.remove(at) else { return };
            if let Some(held) = self.held.get_mut(&job.lease) {
                held.started = Some(now);
                let waited = Duration::from_millis(now.saturating_sub(held.claimed));
                job.left = job.left.map(|left| left.saturating_sub(waited));
                let running = if held.tells { &mut self.telling } else { &mut self.running };
                running.began(&job.lease.tenant);
                todo.push(Do::Start(Box::new(job)));
            }
        }
    }

    /// When the first of those came that are not started.
    fn oldest(&self) -> Option<Millis> {
        let first = self.queued.front()?;
        Some(self.held.get(&first.lease).map_or(0, |held| held.came))
    }

    /// Gives back what waited for long: others may have places.
    fn give_back(&mut self, now: Millis) {
        let crowded = self.crowded.len();
        self.crowded.retain(|_, until| *until > now);
        self.crowded_out.retain(|tenant| self.crowded.contains_key(tenant));
        if self.crowded.len() < crowded {
            self.next_claim = self.next_claim.min(now);
        }
        // They are in the order in which they came.
        while self.oldest().is_some_and(|came| came + PATIENCE <= now) {
            let Some(job) = self.queued.pop_front() else { return };
            let end = match job.work {
                JobWork::Tell(_) => self.later(),
                _ => {
                    let tenant = job.lease.tenant.clone();
                    let own = self.running.of(&tenant);
                    if own < self.settings.share {
                        self.crowded_out.insert(tenant.clone());
                    }
                    self.crowded.insert(tenant, now + CROWDED);
                    JobEnd::GivenBack
                }
            };
            self.ends.push((job.lease, end));
        }
    }

    fn finish(&mut self, now: Millis, todo: &mut Vec<Do>) {
        if self.finishing || self.ends.is_empty() || now < self.next_finish {
            return;
        }
        let mut bytes = 0;
        let fits = self.ends.iter().take(self.together).take_while(|(_, end)| {
            bytes += end.size();
            bytes <= BYTES
        });
        let number = fits.count().max(1);
        let rest = self.ends.split_off(number);
        let ends = std::mem::replace(&mut self.ends, rest);
        self.finishing = true;
        todo.push(Do::Finish(ends));
    }

    fn renew(&mut self, now: Millis, todo: &mut Vec<Do>) {
        if self.renewing.is_some() || self.held.is_empty() || now < self.next_renew {
            return;
        }
        self.renewing = Some(now);
        todo.push(Do::Renew(self.held.keys().cloned().collect()));
    }

    /// How many jobs it holds for each place: many where they are short.
    fn ahead(&self) -> usize {
        ((AHEAD as f64 / self.takes.max(0.1)) as usize).clamp(1, MOST_AHEAD)
    }

    /// How many bytes the inputs have of jobs that are not started.
    fn queued_bytes(&self) -> u64 {
        self.queued.iter().map(|job| job.input.len() as u64).sum()
    }

    /// How many more jobs it would have.
    fn wants(&self) -> usize {
        if self.draining {
            return 0;
        }
        let most = self.settings.places * self.ahead();
        // Many at once, and not one for each that ends.
        let held = self.held.values().filter(|held| !held.tells).count();
        if self.queued_bytes() >= INPUTS || size_of(&self.ends) >= UNKEPT {
            return 0;
        }
        if held < self.settings.places || held <= most / 4 { most - held } else { 0 }
    }

    /// How many more it would have that tell of the ends of others, where it has so many.
    fn may_tell(&self, held: usize) -> usize {
        let is_full = self.queued_bytes() >= INPUTS || size_of(&self.ends) >= UNKEPT;
        if is_full { 0 } else { TELLS.saturating_sub(held) }
    }

    fn claim(&mut self, now: Millis, todo: &mut Vec<Do>) {
        let wanted = self.wants();
        let at = if wanted > 0 { self.next_claim } else { self.next_look };
        let at = at.max(self.not_before);
        if self.claiming.is_some() || self.draining || now < at {
            return;
        }
        let mut most_each = self.settings.share * self.ahead();
        let mut held: BTreeMap<&TenantName, (usize, usize)> = BTreeMap::new();
        for (lease, one) in &self.held {
            let (jobs, tells) = held.entry(&lease.tenant).or_default();
            *if one.tells { tells } else { jobs } += 1;
        }
        let mut only_tells: Vec<_> = self.crowded.keys().cloned().collect();
        let mut without_tells = Vec::new();
        for (tenant, (jobs, tells)) in held {
            if jobs >= most_each && !self.crowded.contains_key(tenant) {
                only_tells.push(tenant.clone());
            }
            if tells >= TELLS_HELD {
                without_tells.push(tenant.clone());
            }
        }
        // Who tells takes no place, and is told to while there is none.
        let without_others = wanted == 0;
        let mut most = wanted;
        if without_others {
            let tells = self.held.values().filter(|held| held.tells).count();
            (most, most_each) = (self.may_tell(tells), TELLS_HELD);
        }
        (self.claiming, self.asked) = (Some(now), most.min(most_each));
        let most_bytes = INPUTS.saturating_sub(self.queued_bytes());
        todo.push(Do::Claim(Wanted {
            most,
            most_each,
            most_bytes,
            only_tells,
            without_tells,
            without_others,
        }));
    }
}

/// How many jobs run, in all and of each tenant.
#[derive(Debug, Default)]
struct Running {
    all: usize,
    of: BTreeMap<TenantName, usize>,
}

impl Running {
    /// Whether one more of a tenant's may, of so many in all and so many of one tenant.
    fn may(&self, tenant: &TenantName, most: usize, share: usize) -> bool {
        self.all < most && self.of(tenant) < share
    }

    /// How many of a tenant's do.
    fn of(&self, tenant: &TenantName) -> usize {
        self.of.get(tenant).copied().unwrap_or(0)
    }

    fn began(&mut self, tenant: &TenantName) {
        self.all += 1;
        *self.of.entry(tenant.clone()).or_default() += 1;
    }

    fn ended(&mut self, tenant: &TenantName) {
        self.all -= 1;
        if let Some(own) = self.of.get_mut(tenant) {
            *own -= 1;
            if *own == 0 {
                self.of.remove(tenant);
            }
        }
    }
}

/// How many bytes what became of these has.
fn size_of(ends: &[(Lease, JobEnd)]) -> usize {
    ends.iter().map(|(_, end)| end.size()).sum()
}
