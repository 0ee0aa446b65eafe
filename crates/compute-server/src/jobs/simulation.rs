//! Workers and a queue in a world that a seed decides: time, crashes, pauses, answers that come late or never, all in one thread. The
//! workers are those of the server; the queue is the one that every other is compared with.

#![allow(clippy::panic, reason = "tests")]

mod cost;
mod steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use compute::Seed;
use compute_state::conformance::ModelQueue;
use compute_state::{
    Claim, ClaimedJob, EndedPart, JobEnd, JobId, JobQueue as _, JobResult, JobState, JobTime,
    JobWork, Lease, NewJob, NewPart, StateQuotas, TenantName, Webhook,
};

use super::worker::{Do, Told, Verdict, Wanted, Worker, WorkerSettings};

/// How many seeds there are.
const SEEDS: u64 = 10_000;
/// How long the world is unkind, and how long it then is kind, in milliseconds.
const UNKIND: i64 = 60_000;
const KIND: i64 = 3_600_000;
const LEASE: Duration = Duration::from_secs(10);
const SETTINGS: WorkerSettings = WorkerSettings { places: 3, share: 2, lease: LEASE };

/// What happens, and when.
enum Event {
    /// A worker looks what is to be done; the number says which of its timers that is.
    Timer(u64),
    /// A worker is told something.
    Told(Told),
    /// What a worker asked for comes to the queue.
    Asked(Asked),
    Submit,
    Cancel,
    Crash,
    Pause,
}

enum Asked {
    Claim(Wanted),
    Renew(Vec<Lease>),
    Finish(Vec<(Lease, JobEnd)>),
}

struct Node {
    worker: Worker,
    /// Counts its lives: what was meant for an earlier one never comes.
    life: u64,
    born: i64,
    /// It does nothing until then.
    paused: i64,
    /// What came meanwhile.
    held_up: Vec<Event>,
    /// Of each, whether it tells of the end of another.
    started: BTreeMap<Lease, bool>,
    timer: u64,
}

struct World {
    random: fastrand::Rng,
    clock: Arc<AtomicI64>,
    queue: ModelQueue,
    nodes: Vec<Node>,
    /// By time and number: which node (in which life) it is about.
    events: BTreeMap<(i64, u64), (usize, u64, Event)>,
    number: u64,
    submitted: BTreeMap<(TenantName, JobId), NewJob>,
    cancelled: BTreeSet<JobId>,
    /// What jobs were when they were first seen to have ended.
    ended: BTreeMap<JobId, (JobState, Option<JobResult>)>,
    claims: u64,
    /// How often the queue was asked to claim, renew or finish.
    asked: u64,
    /// Jobs take this long, and nobody looks whether each step is right: only what it costs is wanted.
    takes: Option<i64>,
}

/// What a job answers, whoever runs it: some fail.
fn answer(job: &JobWork, seed: Seed, input: &[u8]) -> Verdict {
    let body = [job.to_string().as_bytes(), seed.as_bytes(), input].concat();
    let result = JobResult::new(body, Vec::new());
    if seed.as_bytes()[0].is_multiple_of(5) {
        Verdict::Failed(result)
    } else {
        Verdict::Done(result)
    }
}

/// What a batch has in the place of what a part gave that was lost as often as it may be.
const LOST: u8 = u8::MAX;

/// What the lines of a batch give: each line is a byte, and gives itself.
fn lines(input: &[u8]) -> JobResult {
    JobResult::new(input.to_vec(), Vec::new())
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let nodes = random.usize(1..=4);
        Self::of(random, nodes)
    }

    fn of(mut random: fastrand::Rng, nodes: usize) -> Self {
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        let shown = Arc::clone(&clock);
        let clock_of = Box::new(move || shown.load(Ordering::Relaxed));
        let nodes = (0..nodes).map(|_| {
            let worker = Worker::new(SETTINGS, random.u64(..));
            let (held_up, started) = (Vec::new(), BTreeMap::new());
            Node { worker, life: 0, born: 0, paused: 0, held_up, started, timer: 0 }
        });
        let nodes: Vec<_> = nodes.collect();
        Self {
            random,
            queue: ModelQueue::by(StateQuotas::default(), clock_of),
            clock,
            nodes,
            events: BTreeMap::new(),
            number: 0,
            submitted: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            ended: BTreeMap::new(),
            claims: 0,
            asked: 0,
            takes: None,
        }
    }

    fn now(&self) -> i64 {
        self.clock.load(Ordering::Relaxed) - 1_700_000_000_000
    }

    fn at(&mut self, time: i64, node: usize, event: Event) {
        self.number += 1;
        let life = self.nodes[node].life;
        self.events.insert((time, self.number), (node, life, event));
    }

    fn is_unkind(&self) -> bool {
        self.now() < UNKIND
    }

    /// How long something is on its way.
    fn delay(&mut self) -> i64 {
        let slow = self.is_unkind() && self.random.u32(0..20) == 0;
        if slow { self.random.i64(0..15_000) } else { self.random.i64(0..20) }
    }

    /// Lets everything happen until then.
    fn run(&mut self, until: i64) {
        while let Some((&key, _)) = self.events.first_key_value()
            && key.0 <= until
        {
            let Some((node, life, event)) = self.events.remove(&key) else { return };
            assert!(self.number < 1_000_000, "it goes round in a circle");
            self.clock.store(key.0 + 1_700_000_000_000, Ordering::Relaxed);
            self.happen(node, life, event);
            if self.takes.is_none() {
                self.look();
            }
        }
    }

    fn happen(&mut self, at: usize, life: u64, event: Event) {
        let now = self.now();
        if let Event::Asked(asked) = event {
            self.asked(at, life, asked);
            return;
        }
        let node = &mut self.nodes[at];
        match event {
            Event::Submit => self.submit(at),
            Event::Cancel => self.cancel(),
            Event::Crash => {
                node.worker = Worker::new(SETTINGS, self.random.u64(..));
                (node.life, node.born, node.paused) = (node.life + 1, now, 0);
                node.started.clear();
                node.held_up.clear();
                let back = now + self.random.i64(0..30_000);
                self.at(back, at, Event::Told(Told::Woken));
            }
            Event::Pause => {
                node.paused = now + self.random.i64(0..3 * LEASE.as_millis() as i64);
                let (until, timer) = (node.paused, node.timer);
                self.at(until, at, Event::Timer(timer));
            }
            _ if node.life != life => {}
            event if node.paused > now => node.held_up.push(event),
            event => {
                let mut events = std::mem::take(&mut node.held_up);
                events.push(event);
                for event in events {
                    let told = match event {
                        Event::Timer(timer) if timer != self.nodes[at].timer => continue,
                        Event::Timer(_) => None,
                        Event::Told(told) => Some(told),
                        _ => continue,
                    };
                    self.step(at, told);
                }
            }
        }
    }

    fn step(&mut self, at: usize, told: Option<Told>) {
        let now = self.now();
        let node = &mut self.nodes[at];
        if let Some(Told::Ended(lease, _)) = &told {
            node.started.remove(lease);
        }
        let local = u64::try_from(now - node.born).unwrap();
        let todo = node.worker.step(local, told);
        node.timer += 1;
        if let Some(wake) = node.worker.wake_at() {
            let (time, timer) = (node.born + i64::try_from(wake).unwrap(), node.timer);
            self.at(time.max(now), at, Event::Timer(timer));
        }
        for what in todo {
            match what {
                Do::Claim(wanted) => self.ask(at, Asked::Claim(wanted)),
                Do::Renew(leases) => self.ask(at, Asked::Renew(leases)),
                Do::Finish(ends) => self.ask(at, Asked::Finish(ends)),
                Do::Start(job) => self.start(at, *job),
                Do::Cancel(lease) => {
                    self.nodes[at].started.remove(&lease);
                }
            }
        }
        let node = &self.nodes[at];
        let (running, telling) = node.worker.running();
        assert!(running <= SETTINGS.places);
        assert_eq!(running + telling, node.started.len());
        for lease in node.started.keys() {
            let own =
                node.started.iter().filter(|(one, tells)| !**tells && one.tenant == lease.tenant);
            assert!(own.count() <= SETTINGS.share, "a tenant has more than its share");
        }
    }

    fn start(&mut self, at: usize, job: ClaimedJob) {
        // Whoever is not paused runs what nobody else runs who is not.
        let now = self.now();
        for node in self.nodes.iter().filter(|node| node.paused <= now) {
            let twice = node.started.keys().any(|lease| lease.id == job.lease.id);
            assert!(!twice, "two run one job");
        }
        let tells = matches!(job.work, JobWork::Tell(_));
        self.nodes[at].started.insert(job.lease.clone(), tells);
        let takes = match (self.takes, self.random.u32(0..10)) {
            (Some(takes), _) => takes,
            (None, 0) => self.random.i64(0..4 * LEASE.as_millis() as i64),
            (None, _) => self.random.i64(0..200),
        };
        let verdict = match self.random.u32(0..20) {
            0 if self.is_unkind() => match self.random.u32(0..3) {
                0 => Verdict::NoRoom,
                1 => Verdict::NotNow,
                _ => Verdict::Later,
            },
            1 if self.is_unkind() => {
                Verdict::Passing(JobResult::new(b"the host failed".to_vec(), Vec::new()))
            }
            _ if job.is_batch => self.batch(&job),
            _ => answer(&job.work, job.seed, &job.input),
        };
        self.at(now + takes, at, Event::Told(Told::Ended(job.lease, verdict)));
    }

    fn batch(&mut self, job: &ClaimedJob) -> Verdict {
        if job.part_of.is_some() || job.input.len() < 2 {
            return Verdict::Done(lines(&job.input));
        }
        if job.parts.is_some() {
            let parts = self.queue.parts(&job.lease.tenant, &job.lease.id, 0).unwrap();
            let all = parts.into_iter().flat_map(|EndedPart { state, result, .. }| match state {
                JobState::Done => result.unwrap().body,
                _ => vec![LOST],
            });
            return Verdict::Done(lines(&all.collect::<Vec<_>>()));
        }
        let (mut parts, mut first, mut rest) = (Vec::new(), 1, job.input.as_slice());
        while !rest.is_empty() {
            let (part, other) = rest.split_at(self.random.usize(1..=rest.len()));
            let mut random = [0; 10];
            self.random.fill(&mut random);
            parts.push(NewPart { id: JobId::of(1, random), first, input: part.to_vec() });
            (first, rest) = (first + part.len() as u32, other);
        }
        Verdict::Split(parts)
    }

    fn ask(&mut self, at: usize, asked: Asked) {
        let time = self.now() + self.delay();
        self.at(time, at, Event::Asked(asked));
    }

    /// The queue is asked, if what asks comes there; and the answer goes back, if it does.
    fn asked(&mut self, at: usize, life: u64, asked: Asked) {
        self.asked += 1;
        let comes = !self.is_unkind() || self.random.u32(0..20) > 0;
        let returns = comes && (!self.is_unkind() || self.random.u32(0..20) > 0);
        let told = match asked {
            Asked::Claim(wanted) => {
                let Wanted { most, most_each, most_bytes, only_tells, without_tells, .. } = &wanted;
                self.claims += 1;
                let worker = format!("{at}");
                let claim = Claim {
                    worker: &worker,
                    most: *most,
                    most_each: *most_each,
                    without_tells,
                    only_tells,
                    without_others: wanted.without_others,
                    most_bytes: *most_bytes,
                    most_of_tenant: usize::MAX,
                    lease: LEASE,
                };
                let claimed = comes.then(|| self.queue.claim(&claim).unwrap());
                Told::Claimed(claimed.filter(|_| returns))
            }
            Asked::Renew(leases) => {
                let held = comes.then(|| self.queue.renew(&leases, LEASE).unwrap());
                Told::Renewed(leases, held.filter(|_| returns))
            }
            Asked::Finish(ends) => {
                if comes {
                    self.queue.finish(&ends).unwrap();
                }
                Told::Finished(ends, returns)
            }
        };
        let time = self.now() + self.delay();
        if self.nodes[at].life == life {
            self.at(time, at, Event::Told(told));
        }
    }

    fn submit(&mut self, at: usize) {
        let tenant: TenantName = ["a", "b", "c"][self.random.usize(0..3)].parse().unwrap();
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        let mut random = [0; 10];
        self.random.fill(&mut random);
        let now = self.clock.load(Ordering::Relaxed);
        let later = |millis: i64| Some(JobTime::In(Duration::from_millis(millis.unsigned_abs())));
        let mut job = NewJob::new(JobWork::Document("s".to_owned()), vec![seed[1]]);
        job.id = JobId::of(u64::try_from(now).unwrap(), random);
        job.seed = Seed::new(seed);
        if self.random.u32(0..4) == 0 {
            job.is_batch = true;
            job.input = (0..self.random.u8(1..9)).collect();
        }
        if self.random.u32(0..4) == 0 {
            self.random.fill(&mut random);
            let id = JobId::of(u64::try_from(now).unwrap(), random);
            job.webhook = Some((id, Webhook::new("https://a.b", "c").unwrap()));
        }
        job.priority = self.random.u8(0..10);
        job.attempts = self.random.u32(1..6);
        if self.random.u32(0..5) == 0 {
            job.run_after = later(self.random.i64(0..UNKIND));
        }
        if self.random.u32(0..10) == 0 {
            job.deadline = later(self.random.i64(0..2 * UNKIND));
        }
        let answers = self.queue.submit(&[(tenant.clone(), job.clone())]).unwrap();
        assert!(answers.iter().all(Result::is_ok));
        self.submitted.insert((tenant, job.id), job);
        self.at(self.now(), at, Event::Told(Told::Woken));
    }

    fn cancel(&mut self) {
        let number = self.submitted.len();
        if number == 0 {
            return;
        }
        let which = self.random.usize(0..number);
        let Some((tenant, id)) = self.submitted.keys().nth(which).cloned() else { return };
        if self.queue.cancel(&tenant, &id).is_ok() {
            self.cancelled.insert(id);
        }
    }

    /// What has ended stays as it is.
    fn look(&mut self) {
        for (tenant, id) in self.submitted.keys() {
            let job = self.queue.show(tenant, id).unwrap();
            if let Some((state, result)) = self.ended.get(id) {
                assert_eq!((*state, result), (job.info.state, &job.result), "an end changed");
            } else if job.info.state.has_ended() {
                self.ended.insert(*id, (job.info.state, job.result));
            }
        }
    }

    /// What must hold at the end.
    fn check(&self) {
        for ((tenant, id), job) in &self.submitted {
            let (state, result) = self
                .ended
                .get(id)
                .unwrap_or_else(|| panic!("a job never ended: {:?}", self.queue.show(tenant, id)));
            let right = match job.is_batch {
                true => Verdict::Done(lines(&job.input)),
                false => answer(&job.work, job.seed, &job.input),
            };
            let code = |result: &JobResult| String::from_utf8_lossy(&result.body).into_owned();
            match (state, result) {
                // A part of it had no attempt left.
                (JobState::Done, Some(result)) if job.is_batch && result.body.contains(&LOST) => {
                    assert!(job.attempts < 5, "{result:?}");
                }
                (JobState::Done, Some(result)) => assert_eq!(right, Verdict::Done(result.clone())),
                (JobState::Failed, Some(result)) if right == Verdict::Failed(result.clone()) => {}
                (JobState::Failed, Some(result)) if code(result).contains("deadline") => {
                    assert!(job.deadline.is_some());
                }
                // It was tried as often as it may be, and each time there was something.
                (JobState::Failed, Some(result)) => {
                    let shown = self.queue.show(tenant, id).unwrap();
                    assert_eq!(shown.info.tried, job.attempts, "{}", code(result));
                }
                (JobState::Cancelled, None) => assert!(self.cancelled.contains(id)),
                other => panic!("{other:?}"),
            }
            // Whoever waits for its end is told, once, however it came.
            if let Some((told, _)) = &job.webhook {
                assert!(self.queue.show(tenant, told).is_ok(), "nobody was told of {id}");
            }
        }
        let kept = self.queue.kept(None).unwrap();
        assert!(kept.iter().all(|job| job.part_of.is_none()), "parts outlive their batch");
    }
}

fn world(seed: u64) -> World {
    let mut world = World::new(seed);
    let nodes = world.nodes.len();
    for node in 0..nodes {
        world.at(0, node, Event::Told(Told::Woken));
    }
    for _ in 0..world.random.usize(1..12) {
        let (time, node) = (world.random.i64(0..UNKIND), world.random.usize(0..nodes));
        world.at(time, node, Event::Submit);
    }
    for _ in 0..world.random.usize(0..3) {
        let time = world.random.i64(0..UNKIND);
        world.at(time, 0, Event::Cancel);
    }
    for _ in 0..world.random.usize(0..4) {
        let (time, node) = (world.random.i64(0..UNKIND), world.random.usize(0..nodes));
        let event = if world.random.bool() { Event::Crash } else { Event::Pause };
        world.at(time, node, event);
    }
    world
}

/// Whatever the seed, each job ends once, with the answer that it has wherever it runs; no two workers run it at once that are
/// there; and no worker has more than its places.
#[test]
fn every_job_has_one_result() {
    let first = std::env::var("COMPUTE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = first.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let told = std::panic::catch_unwind(|| {
            let mut world = world(seed);
            while world.ended.len() < world.submitted.len() || world.is_unkind() {
                let next = world.events.first_key_value().map(|((time, _), _)| *time);
                match next.filter(|time| *time < KIND) {
                    Some(time) => world.run(time),
                    None => break,
                }
            }
            world.check();
        });
        assert!(told.is_ok(), "COMPUTE_SEED={seed} repeats it");
    }
}

/// Workers that have nothing to do ask once in a second at most.
#[test]
fn idle_workers_ask_little() {
    let mut world = World::new(7);
    let nodes = world.nodes.len();
    world.clock.store(1_700_000_000_000 + UNKIND, Ordering::Relaxed);
    for node in 0..nodes {
        world.at(UNKIND, node, Event::Told(Told::Woken));
    }
    world.run(UNKIND + 600_000);
    assert!(world.claims <= nodes as u64 * 600, "{} claims of {nodes} in 600 s", world.claims);
    assert!(world.claims >= nodes as u64 * 200, "{} claims of {nodes} in 600 s", world.claims);
}
