//! What requests share, and how a server begins.

mod leases;
mod meter;
mod ready;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use compute::{Account, Artifact, ManagerBuilder, Ref};
use compute_state::{Location, State, StateError, TenantName, TokenCheck, Vault};
use tokio::sync::{Notify, Semaphore};

use crate::errors::SERVER_MEMORY;
use crate::http::{Lives, Pace};
use crate::jobs::{JobLimits, Jobs, RunJobs, WebhookOrigin, WorkerSettings};
use crate::telemetry::{GuestLog, Telemetry, TelemetryError, Watched};
use crate::tenants::{BATCHES, TenantError, Tenants, record_writer};
use crate::work::{Classes, Requests};
use crate::{Settings, Storage};
use leases::Leases;
use meter::Meter;

/// The engines that a server runs. The others that are linked in are for tests.
const ENGINES: [&str; 1] = ["wasm"];
/// Which part of the requests that there may be those without a token may be besides, and which part of the processors
/// their connections may use: one in so many.
const STRANGERS: usize = 8;
/// How many threads look at once for tokens that are not known here, and how many wait for that besides.
const LOOKING: usize = 8;
const LOOKERS: usize = 64;
/// How many requests there may be at once that ask whether the server lives and takes work, until they are answered: whatever strangers
/// do, it is told.
const PROBES: usize = 64;
/// How long a job is another's that a server runs which says nothing more of it.
const LEASE: Duration = Duration::from_secs(30);
/// How many bytes requests without a token may take.
const NOBODY_MEMORY: u64 = 16 << 20;

/// What the requests of a server share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) state: Arc<dyn State>,
    pub(crate) tokens: Arc<dyn TokenCheck>,
    /// Taken by whoever looks for a token that is not known here.
    pub(crate) looking: Semaphore,
    /// Those that look, and that wait for it.
    pub(crate) lookers: Requests,
    pub(crate) probes: [Requests; 2],
    /// Whether the state can be asked.
    pub(crate) ready: Arc<ready::Ready>,
    pub(crate) tenants: Tenants,
    pub(crate) jobs: Arc<Jobs>,
    /// Adds what tenants use to what is kept of it.
    pub(crate) usage: Meter,
    /// What this node has of what tenants may send in a second.
    pub(crate) leases: Arc<Leases>,
    pub(crate) classes: Classes,
    /// The memory of requests of nobody yet.
    pub(crate) nobody: Account,
    pub(crate) requests: Requests,
    /// Those that are batches.
    pub(crate) batches: Requests,
    /// Those that have no token.
    pub(crate) strangers: Requests,
    /// What of the processors goes to connections without a token.
    pub(crate) strangers_pace: Arc<Pace>,
    pub(crate) telemetry: Telemetry,
    pub(crate) connections: Arc<AtomicUsize>,
    /// What the connections are about.
    pub(crate) lives: Arc<Lives>,
    draining: AtomicBool,
    /// Told when it begins to drain.
    drains: Notify,
    /// How many artifacts are being made ready.
    pub(crate) warming: AtomicUsize,
}

/// A server cannot begin, or its listener failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The tokens cannot be opened.
    #[error(transparent)]
    Tokens(#[from] StateError),
    /// The first tenant's place cannot be opened.
    #[error("cannot open {location}")]
    Location {
        /// What.
        location: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Telemetry cannot begin.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The listener failed, or a thread cannot be started.
    #[error("the server failed")]
    Io(#[from] std::io::Error),
}

impl Server {
    /// A server on this place; each tenant has its own below it. The vault opens their secrets. The builder says
    /// what the engines are opened with; where artifacts come from is set here.
    ///
    /// # Errors
    /// [`ServerError`] if the place cannot be opened.
    pub fn open(
        location: Location,
        vault: Vault,
        manager: ManagerBuilder,
        settings: Settings,
    ) -> Result<Self, ServerError> {
        let state = Arc::new(location.local_state());
        let records = Some(location.state);
        Self::open_on(Storage { store: location.store, state, records, vault }, manager, settings)
    }

    /// A server on what is kept anywhere. As [`Server::open`] otherwise.
    ///
    /// # Errors
    /// [`ServerError`] if it cannot be opened.
    pub fn open_on(
        storage: Storage,
        manager: ManagerBuilder,
        settings: Settings,
    ) -> Result<Self, ServerError> {
        let state = Arc::clone(&storage.state);
        let tokens = state.tokens()?;
        let location = format!("{} and {}", storage.store, storage.state.location());
        let guest_log = GuestLog::new()?;
        let logs_dropped = Arc::clone(&guest_log.dropped);
        // Each tenant's manager is one of its own, with what it resolves; this one resolves nothing.
        let manager = match settings.verify_results {
            Some(every) => manager.verify_results(every),
            None => manager,
        };
        let manager = manager
            .results(settings.result_memory)
            .only_engines(ENGINES)
            .loads(settings.max_uploads)
            .load_time(settings.compile)
            .limits(settings.limits)
            .build();
        let classes = Classes::new(&settings);
        let connections = Arc::<AtomicUsize>::default();
        let memory = Account::new(SERVER_MEMORY, settings.memory);
        let writer = record_writer(storage.records.clone(), &settings)?;
        let jobs = Arc::new(Jobs::new(Arc::clone(&state)));
        // A format that is newer is told now, and not to whoever comes first.
        drop((jobs.queue()?, state.usage()?));
        let counted = Arc::downgrade(&jobs);
        let telemetry = Telemetry::new(Watched {
            sandboxes: classes.sandboxes.admission.clone(),
            manager: manager.clone(),
            connections: Arc::clone(&connections),
            memory: memory.clone(),
            logs_dropped,
            records: writer.clone(),
            state: Arc::clone(&state),
            jobs: Box::new(move || counted.upgrade()?.load()),
        })?;
        let shares = state.shares()?;
        let is_shared = shares.is_some();
        let tenants =
            Tenants::new(storage, manager, &memory, settings, guest_log, writer, is_shared);
        // What is wrong with the place is told now, and not to the first caller.
        let opened = tenants.open(&TenantName::default());
        opened.map_err(|error: TenantError| ServerError::Location {
            location,
            source: error.into(),
        })?;
        let nobody = memory.child("the memory of requests without a token", NOBODY_MEMORY);
        let server = Self {
            shared: Arc::new(Shared {
                jobs,
                usage: Meter::new(Arc::clone(&state)),
                leases: Arc::new(Leases::new(shares)),
                state,
                tokens,
                looking: Semaphore::new(LOOKING),
                lookers: Requests::new(LOOKERS),
                probes: [(); 2].map(|()| Requests::new(PROBES)),
                ready: Arc::default(),
                tenants,
                classes,
                nobody,
                requests: Requests::new(settings.max_requests),
                batches: Requests::new(settings.max_requests.div_ceil(BATCHES)),
                strangers: Requests::new(settings.max_requests.div_ceil(STRANGERS)),
                strangers_pace: Arc::new(Pace::one_in(STRANGERS as u64)),
                telemetry,
                lives: Arc::new(Lives::new(settings.max_connections, Arc::clone(&connections))),
                connections,
                settings,
                draining: AtomicBool::new(false),
                drains: Notify::new(),
                warming: AtomicUsize::new(0),
            }),
        };
        // What another that shares the state has deleted is not run here either.
        let shared = Arc::downgrade(&server.shared);
        server.shared.state.on_release(Box::new(move |tenant, artifact| {
            if let Some(shared) = shared.upgrade() {
                shared.tenants.forget(tenant, artifact);
            }
        }));
        Ok(server)
    }

    /// Lets every tenant link to these artifacts of the first one's: the plugins that the operator has bound to names.
    #[must_use]
    pub fn with_plugins(self, plugins: impl IntoIterator<Item = Ref>) -> Self {
        self.shared.tenants.share_plugins(plugins.into_iter().collect());
        self
    }

    /// Lets every tenant link to these artifacts, which the program carries: the plugin of a language. Nobody needs to store
    /// them.
    #[must_use]
    pub fn with_carried_plugins(self, plugins: impl IntoIterator<Item = Artifact>) -> Self {
        self.shared.tenants.carry_plugins(plugins);
        self
    }

    /// Lets jobs of all tenants tell these of their ends. Nobody is told otherwise.
    #[must_use]
    pub fn with_webhooks(self, origins: impl IntoIterator<Item = WebhookOrigin>) -> Self {
        self.shared.jobs.webhooks.allow(origins.into_iter().collect());
        self
    }

    /// That computes can run here: compiles a small one, and runs it. It blocks.
    ///
    /// # Errors
    /// What keeps them from it, such as a limit of the system.
    pub fn check(&self) -> Result<(), compute::Error> {
        self.shared.tenants.check()
    }

    /// Makes an artifact ready, as no tenant, and with it what it links to: the first that links to the same does not wait
    /// for that. Until it ends, `/readyz` says so. It blocks.
    ///
    /// # Errors
    /// What keeps the artifact from being made or loaded.
    pub fn warm<E: From<compute::Error>>(
        &self,
        artifact: impl FnOnce() -> Result<Artifact, E>,
    ) -> Result<(), E> {
        let warming = &self.shared.warming;
        warming.fetch_add(1, Ordering::Relaxed);
        let warmed = artifact().and_then(|one| Ok(self.shared.tenants.warm(&one)?));
        warming.fetch_sub(1, Ordering::Relaxed);
        warmed
    }

    /// How many sandboxes are taken, and how many requests wait for one.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.shared.classes.sandboxes.admission.load()
    }

    /// Runs jobs from now on, until it drains or nobody has it any more.
    pub(crate) fn run_jobs(&self, runner: Arc<dyn RunJobs>) -> std::io::Result<()> {
        let settings = &self.shared.settings;
        let worker = WorkerSettings {
            places: settings.max_jobs,
            share: settings.max_jobs.div_ceil(2),
            lease: LEASE,
        };
        let limits = JobLimits { most_of_tenant: settings.max_tenant_jobs, age: settings.job_age };
        self.shared.jobs.run(worker, limits, runner)
    }

    pub(crate) fn is_warming(&self) -> bool {
        self.shared.warming.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// From now on what goes on comes to an end.
    pub(crate) fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
        self.shared.drains.notify_waiters();
    }

    /// Waits until it drains.
    pub(crate) async fn drains(&self) {
        let told = self.shared.drains.notified();
        let mut told = std::pin::pin!(told);
        told.as_mut().enable();
        if !self.is_draining() {
            told.await;
        }
    }
}
