//! Does what a worker decides: one thread tells it what happens, one claims, one keeps what became of jobs.
//! Jobs that run do so where the server's other work does.

use std::collections::HashMap;
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use compute_state::{Claim, Claimed, Fired, Firing, JobEnd, Lease, TenantName};
use tokio::task::AbortHandle;

use super::forget::{Outputs, Sweeper};
use super::guard::{guarded, known};
use super::runner::RunJobs;
use super::worker::{Do, Millis, Told, Wanted, Worker, WorkerSettings};
use super::{JobLimits, Jobs};

/// How often it is seen whether the server is still there.
const LOOK: Duration = Duration::from_secs(5);

/// The thread that tells a worker what happens.
pub(crate) struct Driver {
    worker: Worker,
    begun: Instant,
    told: mpsc::Receiver<Told>,
    tell: mpsc::Sender<Told>,
    claims: mpsc::Sender<Wanted>,
    keeps: mpsc::Sender<Keep>,
    runner: Arc<dyn RunJobs>,
    running: HashMap<Lease, AbortHandle>,
    jobs: Weak<Jobs>,
    /// Whoever deletes outputs does so while this is here.
    _runs: mpsc::Sender<()>,
    /// Is told when all is given back.
    drained: Option<mpsc::Sender<()>>,
}

enum Keep {
    Renew(Vec<Lease>),
    Finish(Vec<(Lease, JobEnd)>),
}

impl Driver {
    /// Starts it. What it is told goes into what this gives back.
    pub(super) fn start(
        jobs: &Arc<Jobs>,
        settings: WorkerSettings,
        limits: JobLimits,
        runner: Arc<dyn RunJobs>,
    ) -> std::io::Result<mpsc::Sender<Told>> {
        let (tell, told) = mpsc::channel();
        let (claims, claimed) = mpsc::channel();
        let (keeps, kept) = mpsc::channel();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let name = worker_name();
        let weak = Arc::downgrade(jobs);
        let claimer = Claimer {
            jobs: weak.clone(),
            name,
            settings,
            limits,
            tell: tell.clone(),
            runner: Arc::clone(&runner),
        };
        thread("compute-claim").spawn(move || claimer.run(&claimed))?;
        let (sweeps, sweep) = mpsc::channel();
        let sweeper = Sweeper { jobs: weak.clone(), age: limits.age };
        thread("compute-sweep").spawn(move || sweeper.run(&sweep))?;
        let keeper = Keeper { jobs: weak.clone(), settings, tell: tell.clone(), sweeps };
        thread("compute-keep").spawn(move || keeper.run(&kept))?;
        let (runs, ended) = mpsc::channel();
        let outputs = Outputs { jobs: weak.clone(), runner: Arc::clone(&runner) };
        thread("compute-outputs").spawn(move || outputs.run(&ended))?;
        let driver = Self {
            worker: Worker::new(settings, fastrand::u64(..)),
            begun: Instant::now(),
            told,
            tell: tell.clone(),
            claims,
            keeps,
            runner,
            running: HashMap::new(),
            jobs: weak,
            _runs: runs,
            drained: None,
        };
        thread("compute-jobs").spawn(move || driver.run())?;
        Ok(tell)
    }

    fn now(&self) -> Millis {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn run(mut self) {
        loop {
            let wait = self.worker.wake_at().map(|at| at.saturating_sub(self.now()));
            let wait = wait.map_or(LOOK, Duration::from_millis).min(LOOK);
            let told = match self.told.recv_timeout(wait) {
                Ok(told) => Some(told),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            };
            // Without its server nobody needs it.
            if self.jobs.strong_count() == 0 {
                return;
            }
            self.step(told);
            // What came meanwhile is taken before anything is asked for it.
            while let Ok(told) = self.told.try_recv() {
                self.step(Some(told));
            }
            if self.drained.is_some() && self.worker.is_idle() {
                return;
            }
        }
    }

    fn step(&mut self, told: Option<Told>) {
        let told = match told {
            Some(Told::Drain(done)) => {
                self.drained = Some(done.clone());
                Some(Told::Drain(done))
            }
            Some(Told::Ended(lease, verdict)) => {
                self.running.remove(&lease);
                Some(Told::Ended(lease, verdict))
            }
            told => told,
        };
        for what in self.worker.step(self.now(), told) {
            match what {
                Do::Claim(wanted) => drop(self.claims.send(wanted)),
                Do::Renew(leases) => drop(self.keeps.send(Keep::Renew(leases))),
                Do::Finish(ends) => drop(self.keeps.send(Keep::Finish(ends))),
                Do::Start(job) => {
                    let (lease, tell) = (job.lease.clone(), self.tell.clone());
                    let of = lease.clone();
                    let ended = move |verdict| drop(tell.send(Told::Ended(of, verdict)));
                    let running = self.runner.start(*job, Box::new(ended));
                    self.running.insert(lease, running);
                }
                Do::Cancel(lease) => {
                    if let Some(running) = self.running.remove(&lease) {
                        running.abort();
                    }
                }
            }
        }
    }
}

/// What people find this worker by: the machine and the process.
fn worker_name() -> String {
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine: String = machine.trim().chars().take(60).collect();
    format!("{machine}/{}", std::process::id())
}

/// Asks for jobs.
struct Claimer {
    jobs: Weak<Jobs>,
    name: String,
    settings: WorkerSettings,
    limits: JobLimits,
    tell: mpsc::Sender<Told>,
    runner: Arc<dyn RunJobs>,
}

impl Claimer {
    fn run(self, claims: &mpsc::Receiver<Wanted>) {
        let (mut failed, mut unfired) = (false, false);
        while let Ok(wanted) = claims.recv() {
            let Wanted { most, most_each, most_bytes, .. } = wanted;
            let Wanted { mut only_tells, without_tells, without_others, .. } = wanted;
            let Some(jobs) = self.jobs.upgrade() else { return };
            // Whoever is told that a job has ended takes none of its tenant's time.
            only_tells.extend(self.runner.without());
            let claim = Claim {
                worker: &self.name,
                most,
                most_each,
                without_tells: &without_tells,
                only_tells: &only_tells,
                without_others,
                most_bytes,
                most_of_tenant: self.limits.most_of_tenant,
                lease: self.settings.lease,
            };
            let claimed = guarded(|| jobs.queue()?.claim(&claim));
            let claimed = known(claimed, &mut failed);
            let firings = claimed.as_ref().map(firings).unwrap_or_default();
            // Jobs that were claimed begin, whatever becomes of schedules: these are due until they are fired.
            if self.tell.send(Told::Claimed(claimed)).is_err() {
                return;
            }
            if !firings.is_empty() {
                let fired = known(guarded(|| jobs.queue()?.fire(&firings)), &mut unfired);
                let is_none = |all: Vec<_>| all.iter().all(|one| *one == Fired::Not);
                if fired.is_none_or(is_none) && self.tell.send(Told::Unfired).is_err() {
                    return;
                }
            }
        }
    }
}

/// What becomes of the schedules whose time has come.
fn firings(claimed: &Claimed) -> Vec<Firing> {
    claimed.due.iter().map(|due| due.firing(claimed.now)).collect()
}

/// Keeps leases, and what became of jobs.
struct Keeper {
    jobs: Weak<Jobs>,
    settings: WorkerSettings,
    tell: mpsc::Sender<Told>,
    /// Has those swept that are too many.
    sweeps: mpsc::Sender<()>,
}

impl Keeper {
    fn run(self, keeps: &mpsc::Receiver<Keep>) {
        let (mut failed, mut unswept) = (false, 0);
        while let Ok(keep) = keeps.recv() {
            let Some(jobs) = self.jobs.upgrade() else { return };
            let told = match keep {
                Keep::Renew(leases) => {
                    let renew = || jobs.queue()?.renew(&leases, self.settings.lease);
                    let held = known(guarded(renew), &mut failed);
                    Told::Renewed(leases, held)
                }
                Keep::Finish(ends) => {
                    let kept = known(guarded(|| jobs.queue()?.finish(&ends)), &mut failed);
                    if kept.is_some() {
                        let ended: Vec<(TenantName, _)> = ends
                            .iter()
                            .map(|(lease, _)| (lease.tenant.clone(), lease.id))
                            .collect();
                        jobs.waits.ended(&ended);
                        unswept += ends.len();
                        if unswept >= Sweeper::AFTER {
                            unswept = 0;
                            let _ = self.sweeps.send(());
                        }
                    }
                    Told::Finished(ends, kept.is_some())
                }
            };
            if self.tell.send(told).is_err() {
                return;
            }
        }
    }
}
