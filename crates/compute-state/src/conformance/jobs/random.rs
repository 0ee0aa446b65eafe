//! Jobs by chance: what is done with a queue is done with the model as well, and both must give the same.

use std::time::Duration;

use super::super::{ModelQueue, Reopen};
use super::sweep::sweep;
use super::{HOUR, at, result, tenant};
use crate::{
    Claim, EndNotice, JobEnd, JobFilter, JobId, JobInfo, JobQueue, JobState, JobTime, JobWork,
    KeptJob, Lease, NewJob, NewPart, StateQuotas, TenantName, Webhook,
};

/// How many sequences there are.
const SEEDS: u64 = 15;
/// How much is done in each.
const STEPS: u64 = 60;
const TENANTS: [&str; 3] = ["a", "b", "c-d"];

pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let quotas = StateQuotas { jobs: 8, job_bytes: 4000, ..StateQuotas::default() };
    let open = new(quotas);
    let jobs = open().jobs().unwrap();
    let both = Both { real: &*jobs, model: ModelQueue::new(quotas) };
    for seed in 0..SEEDS {
        let mut sequence =
            Sequence { chance: Chance(seed), seed, leases: Vec::new(), ids: Vec::new() };
        for step in 0..STEPS {
            let said = sequence.step(&both, step);
            // What is on a page is all of it, nearly always.
            if step % 4 == 3 {
                let [real, model] = both.kept();
                assert_eq!(real, model, "seed {seed}, step {step}: {said}");
            }
        }
        both.clear();
    }
}

/// Numbers that a seed gives.
struct Chance(u64);

impl Chance {
    /// One of so many.
    fn of(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }

    fn pick<T: Clone>(&mut self, all: &[T]) -> T {
        all[self.of(all.len() as u64) as usize].clone()
    }
}

struct Both<'a> {
    real: &'a dyn JobQueue,
    model: ModelQueue,
}

impl Both<'_> {
    /// Does the same with both.
    fn same(&self, done: &str, work: impl Fn(&dyn JobQueue) -> String) {
        let (model, real) = (work(&self.model), work(self.real));
        assert_eq!(real, model, "{done}");
    }

    fn kept(&self) -> [Vec<String>; 2] {
        [self.real, &self.model]
            .map(|jobs| jobs.kept(None).unwrap().into_iter().map(text).collect())
    }

    /// Ends and deletes all.
    fn clear(&self) {
        for jobs in [self.real, &self.model] {
            // What ends is told by more of them, and parts go with their batches.
            for _ in 0..2 {
                for job in pages(jobs) {
                    let is_whole = job.part_of.is_none();
                    if is_whole && !job.job.info.state.has_ended() {
                        jobs.cancel(&job.tenant, &job.job.info.id).unwrap();
                    }
                }
            }
            sweep(jobs, Duration::ZERO);
            assert!(jobs.kept(None).unwrap().is_empty());
        }
    }
}

fn pages(jobs: &dyn JobQueue) -> Vec<KeptJob> {
    let mut all = Vec::<KeptJob>::new();
    loop {
        let last = all.last().map(|job| (job.tenant.clone(), job.job.info.id));
        let page = jobs.kept(last.as_ref()).unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// What is known of a job, but for what its clock was when it happened.
fn info(info: &JobInfo) -> String {
    let whether = [info.run_after, info.started, info.ended].map(|at| at.is_some());
    let JobInfo { id, work, state, priority, tried, attempts, deadline, worker, parts, .. } = info;
    format!(
        "{id} {work} {} {state} {priority} {tried}/{attempts} {deadline:?} {worker:?} {whether:?} {parts:?}",
        info.is_batch
    )
}

fn text(mut job: KeptJob) -> String {
    // One that was not asked for is that of its acceptance.
    if job.job.now != 7 {
        job.job.now = 0;
    }
    let KeptJob { tenant, job, input, key, request, fuel, fence, webhook, part_of } = job;
    let input = shown(&job.info.work, &input);
    format!(
        "{tenant} {} {} {:?} {:?} {input} {key:?} {} {fuel:?} {fence} {webhook:?} {part_of:?}",
        info(&job.info),
        job.now,
        job.seed,
        job.result,
        request[0]
    )
}

/// An input, but for when what it tells of happened.
fn shown(work: &JobWork, input: &[u8]) -> String {
    // Parts of one have any.
    let notice = serde_json::from_slice::<EndNotice>(input).ok();
    match notice.filter(|_| matches!(work, JobWork::Tell(_))) {
        Some(notice) => format!("{} {:?}", notice.job, notice.state()),
        None => format!("{input:?}"),
    }
}

struct Sequence {
    chance: Chance,
    seed: u64,
    leases: Vec<Lease>,
    ids: Vec<JobId>,
}

impl Sequence {
    fn tenant(&mut self) -> TenantName {
        tenant(self.chance.pick(&TENANTS))
    }

    /// A job of theirs, or none.
    fn id(&mut self) -> (TenantName, JobId) {
        let id = match self.ids.is_empty() {
            true => JobId::of(0, [0; 10]),
            false => self.chance.pick(&self.ids),
        };
        (self.tenant(), id)
    }

    fn leases(&mut self) -> Vec<Lease> {
        let mut some = Vec::new();
        for lease in &self.leases {
            if self.chance.of(3) == 0 {
                some.push(lease.clone());
            }
        }
        some
    }

    fn new_job(&mut self) -> NewJob {
        let chance = &mut self.chance;
        let mut random = [0; 10];
        random[..8].copy_from_slice(&chance.of(u64::MAX).to_be_bytes());
        // Those of an id that was there are the same.
        let id = match self.ids.is_empty() || chance.of(12) > 0 {
            true => JobId::of(self.seed * 1000 + chance.of(100), random),
            false => chance.pick(&self.ids),
        };
        self.ids.push(id);
        NewJob {
            id,
            key: chance.pick(&[None, None, None, Some("k".to_owned()), Some("\0".to_owned())]),
            request: [chance.of(2) as u8; 32],
            run_after: chance.pick(&[None, None, Some(at(-1)), Some(JobTime::In(9 * HOUR))]),
            deadline: chance.pick(&[None, None, None, Some(at(-1)), Some(at(9))]),
            priority: chance.of(3) as u8,
            attempts: 1 + chance.of(3) as u32,
            now: chance.pick(&[None, Some(7)]),
            fuel: chance.pick(&[None, Some(u64::MAX)]),
            is_batch: chance.of(4) == 0,
            webhook: (chance.of(4) == 0).then(|| {
                let id = JobId::of(self.seed * 1000 + chance.of(100), random.map(|byte| !byte));
                (id, Webhook::new("https://a.b/c", "key").unwrap())
            }),
            ..NewJob::new(
                chance.pick(&[
                    JobWork::Document("s".to_owned()),
                    JobWork::Run("compute://sha256/ab".parse().unwrap()),
                ]),
                vec![b'1'; chance.of(40) as usize],
            )
        }
    }

    /// Does something, and says what.
    fn step(&mut self, both: &Both<'_>, step: u64) -> String {
        let place = format!("seed {}, step {step}", self.seed);
        match self.chance.of(14) {
            0..4 => {
                let jobs: Vec<_> =
                    (0..=self.chance.of(3)).map(|_| (self.tenant(), self.new_job())).collect();
                let done = format!("{place}: submit {jobs:?}");
                both.same(&done, |queue| {
                    let answers = queue.submit(&jobs).unwrap().into_iter().map(|one| {
                        format!("{:?}", one.map(|one| (info(&one.info), one.was_there)))
                    });
                    answers.collect()
                });
                done
            }
            4..7 => {
                let worker = self.chance.pick(&["w1", "w2"]);
                let [without_tells, only_tells] = [0, 0].map(|_| match self.chance.of(4) {
                    0 => vec![self.tenant()],
                    _ => Vec::new(),
                });
                let claim = Claim {
                    worker,
                    most_each: self.chance.pick(&[1, 2, 100, 100]),
                    without_tells: &without_tells,
                    only_tells: &only_tells,
                    without_others: self.chance.of(6) == 0,
                    most: self.chance.of(6) as usize,
                    most_bytes: self.chance.pick(&[0, 30, 100, u64::MAX]),
                    most_of_tenant: self.chance.pick(&[1, 2, 100, 100]),
                    lease: self.chance.pick(&[Duration::ZERO, HOUR, HOUR]),
                };
                let done = format!("{place}: {claim:?}");
                let leases = std::cell::RefCell::new(Vec::new());
                both.same(&done, |queue| {
                    let claimed = queue.claim(&claim).unwrap();
                    leases.replace(claimed.jobs.iter().map(|job| job.lease.clone()).collect());
                    // The next moment is the same, but for the time that this takes.
                    let next = claimed.next.map(|next| next.as_secs_f64() / 3600.0);
                    let next = next.map(f64::round);
                    let jobs = claimed.jobs.iter().map(|job| {
                        let now = if job.now == 7 { 7 } else { 0 };
                        let left = job.left.map(|left| (left.as_secs_f64() / 3600.0).round());
                        let (lease, work) = (&job.lease, &job.work);
                        let input = shown(work, &job.input);
                        let rest = (now, job.seed, job.fuel, job.tried, job.attempts, left);
                        let batch = (job.is_batch, job.part_of, job.parts);
                        format!("{lease:?} {work} {input} {rest:?} {batch:?}")
                    });
                    format!("{:?} {next:?}", jobs.collect::<Vec<_>>())
                });
                self.leases.extend(leases.into_inner());
                done
            }
            7 | 8 => {
                // Neither a part is split, nor a batch twice.
                let parts: Vec<_> = pages(&both.model)
                    .into_iter()
                    .filter(|job| job.part_of.is_some() || job.job.info.parts.is_some())
                    .map(|job| job.job.info.id)
                    .collect();
                let ended = self.leases().into_iter().map(|lease| {
                    let what = result(self.chance.pick(&["1", "22"]));
                    let after = self.chance.pick(&[Duration::ZERO, HOUR]);
                    let end = match parts.contains(&lease.id) {
                        true => JobEnd::Done(what.clone()),
                        false => JobEnd::Split(self.parts()),
                    };
                    let end = self.chance.pick(&[
                        end,
                        JobEnd::Done(what.clone()),
                        JobEnd::Failed(what.clone()),
                        JobEnd::Again(what, after),
                        JobEnd::GivenBack,
                    ]);
                    (lease, end)
                });
                let mut ended: Vec<_> = ended.collect();
                if let Some((lease, _)) = ended.first().cloned() {
                    ended.push((lease, JobEnd::GivenBack));
                }
                let done = format!("{place}: finish {ended:?}");
                both.same(&done, |queue| format!("{:?}", queue.finish(&ended).unwrap()));
                done
            }
            9 => {
                let (leases, lasts) = (self.leases(), self.chance.pick(&[Duration::ZERO, HOUR]));
                let done = format!("{place}: renew {leases:?} {lasts:?}");
                both.same(&done, |queue| format!("{:?}", queue.renew(&leases, lasts).unwrap()));
                done
            }
            10 => {
                let (tenant, id) = self.id();
                let done = format!("{place}: cancel {tenant} {id}");
                both.same(&done, |queue| {
                    format!("{:?}", queue.cancel(&tenant, &id).map(|one| info(&one)))
                });
                done
            }
            11 => {
                let (tenant, id) = self.id();
                let mut random = [0; 10];
                random[..8].copy_from_slice(&self.chance.of(u64::MAX).to_be_bytes());
                let teller = JobId::of(self.seed * 1000 + 200, random);
                let done = format!("{place}: retry {tenant} {id} {teller}");
                both.same(&done, |queue| {
                    format!("{:?}", queue.retry(&tenant, &id, teller).map(|one| info(&one)))
                });
                done
            }
            12 => self.restore(both, &place),
            _ => self.look(both, &place),
        }
    }

    /// What a job may be split into.
    fn parts(&mut self) -> Vec<NewPart> {
        let parts = (0..=self.chance.of(2)).map(|number| {
            let mut random = [9; 10];
            random[..8].copy_from_slice(&self.chance.of(u64::MAX).to_be_bytes());
            let id = JobId::of(self.seed * 1000, random);
            self.ids.push(id);
            let input = vec![b'2'; self.chance.of(20) as usize];
            NewPart { id, first: 1 + number as u32 * 7, input }
        });
        parts.collect()
    }

    /// Restores some as they are, but for one thing.
    fn restore(&mut self, both: &Both<'_>, place: &str) -> String {
        let mut kept = pages(&both.model);
        kept.retain(|_| self.chance.of(4) == 0);
        for job in &mut kept {
            job.job.info.priority = self.chance.of(3) as u8;
        }
        let done = format!("{place}: restore {kept:?}");
        both.same(&done, |queue| format!("{:?}", queue.restore(&kept).unwrap()));
        done
    }

    /// Looks at what there is, and sweeps.
    fn look(&mut self, both: &Both<'_>, place: &str) -> String {
        let (tenant, id) = self.id();
        let filter = JobFilter {
            state: [None, Some(self.chance.pick(&JobState::ALL))][self.chance.of(2) as usize],
            before: self.chance.pick(&[None, Some(id)]),
            most: self.chance.of(9) as usize,
        };
        let done = format!("{place}: {tenant} {id} {filter:?}");
        both.same(&done, |queue| {
            let shown = queue.show(&tenant, &id).map(|job| (info(&job.info), job.seed, job.result));
            let listed: Vec<_> = queue.list(&tenant, &filter).unwrap().iter().map(info).collect();
            let ended = queue.ended(&[(tenant.clone(), id)]).unwrap();
            let parts = queue.parts(&tenant, &id, 2).unwrap();
            format!("{shown:?} {listed:?} {ended:?} {parts:?} {:?}", queue.load().unwrap())
        });
        if self.chance.of(3) == 0 {
            both.same(&done, |queue| sweep(queue, Duration::ZERO).to_string());
        }
        done
    }
}
