//! What requests share, and how a server begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use compute::{Account, Limits, ManagerBuilder, Ref};
use compute_flow::ProcessorSettings;
use compute_state::{Place, State, StateError, TenantName, TokenCheck, Vault};

use crate::classes::Classes;
use crate::requests::Requests;
use crate::telemetry::{GuestLog, Telemetry, TelemetryError, Watched};
use crate::tenants::{TenantError, Tenants};

/// The engines that a server runs. The others that are linked in are for tests.
const ENGINES: [&str; 1] = ["wasm"];
/// How many bytes requests without a token may take.
const NOBODY_MEMORY: u64 = 16 << 20;

/// What a server may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether requests without a token are taken, from this machine only.
    pub dev: bool,
    /// How many sandboxes run at once: four for each processor.
    pub max_concurrency: usize,
    /// How many of them one tenant may hold: half.
    pub max_tenant_concurrency: usize,
    /// How many requests may wait for each kind of work: 1,000, half of them of one tenant.
    pub max_queue: usize,
    /// How many artifacts are compiled at once, as they are uploaded: as many as there are processors, two at
    /// least. One tenant has half of them.
    pub max_uploads: usize,
    /// How many administrative requests are worked on at once: four. One tenant has half of them.
    pub max_admin: usize,
    /// How many requests there may be in all, from their heads to the ends of their answers: 4,000. One tenant
    /// has half of them.
    pub max_requests: usize,
    /// The limits of each run; a request may ask for less.
    pub limits: Limits,
    /// What documents may use.
    pub documents: ProcessorSettings,
    /// How long an upload may take to compile: a minute.
    pub compile: Duration,
    /// How long an administrative request may take, its wait for a place included: half a minute.
    pub admin_wall: Duration,
    /// How long a body may take to arrive: half a minute.
    pub body_timeout: Duration,
    /// How many bytes of memory all requests may take together, for bodies, documents and answers: 512 MiB.
    pub memory: u64,
    /// How many of them one tenant's requests may take: half.
    pub tenant_memory: u64,
    /// How many of them one request may take: 128 MiB.
    pub request_memory: u64,
    /// What one tenant may keep.
    pub quotas: Quotas,
    /// How many connections may be open: 10,000.
    pub max_connections: usize,
    /// How long the head of a request may take to arrive: 10 seconds.
    pub head_timeout: Duration,
    /// How long a connection may do nothing: half a minute.
    pub idle_timeout: Duration,
    /// How long the reader of an answer may take nothing of it: half a minute.
    pub answer_timeout: Duration,
    /// How long what was accepted may take to be answered when the server ends: 35 seconds.
    pub drain_timeout: Duration,
}

/// What one tenant may keep of artifacts. What it may keep of stacks, tokens, secrets and traces, those who keep
/// them say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// How many artifacts: 10,000.
    pub artifacts: u64,
    /// How many bytes of artifacts and attachments: 8 GiB.
    pub artifact_bytes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { artifacts: 10_000, artifact_bytes: 8 << 30 }
    }
}

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            dev: false,
            max_concurrency: processors * 4,
            max_tenant_concurrency: processors * 2,
            max_queue: 1000,
            max_uploads: processors.max(2),
            max_admin: 4,
            max_requests: 4000,
            limits: Limits::DEFAULT,
            documents: ProcessorSettings::default(),
            compile: Duration::from_secs(60),
            admin_wall: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            memory: 512 << 20,
            tenant_memory: 256 << 20,
            request_memory: 128 << 20,
            quotas: Quotas::default(),
            max_connections: 10_000,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(35),
        }
    }
}

/// Where a server keeps what its tenants have.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The URL of the store of artifacts, as [`compute_store::open`] takes it; each tenant has its own below it.
    pub store: String,
    /// What is kept of stacks, secrets, tokens and traces.
    pub state: Arc<dyn State>,
    /// Seals and opens the secrets.
    pub vault: Vault,
}

/// What the requests of a server share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) tokens: Arc<dyn TokenCheck>,
    pub(crate) tenants: Tenants,
    pub(crate) classes: Classes,
    /// The memory of requests of nobody yet.
    pub(crate) nobody: Account,
    pub(crate) requests: Requests,
    pub(crate) telemetry: Telemetry,
    pub(crate) connections: Arc<AtomicUsize>,
    pub(crate) draining: AtomicBool,
}

/// A server cannot begin, or its listener failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The tokens cannot be opened.
    #[error(transparent)]
    Tokens(#[from] StateError),
    /// The first tenant's place cannot be opened.
    #[error("cannot open {place}")]
    Place {
        /// What.
        place: String,
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
        place: Place,
        vault: Vault,
        manager: ManagerBuilder,
        settings: Settings,
    ) -> Result<Self, ServerError> {
        let state = Arc::new(place.local_state());
        Self::open_on(Storage { store: place.store, state, vault }, manager, settings)
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
        let tokens = storage.state.tokens()?;
        let place = format!("{} and {}", storage.store, storage.state.location());
        let guest_log = GuestLog::new()?;
        let logs_dropped = Arc::clone(&guest_log.dropped);
        // Each tenant's manager is one of its own, with what it resolves; this one resolves nothing.
        let manager = manager
            .only_engines(ENGINES)
            .loads(settings.max_uploads)
            .load_time(settings.compile)
            .limits(settings.limits)
            .build();
        let classes = Classes::new(&settings);
        let connections = Arc::<AtomicUsize>::default();
        let memory = Account::new("the memory of all requests", settings.memory);
        let telemetry = Telemetry::new(Watched {
            sandboxes: classes.sandboxes.admission.clone(),
            manager: manager.clone(),
            connections: Arc::clone(&connections),
            memory: memory.clone(),
            logs_dropped,
        })?;
        let tenants = Tenants::new(storage, manager, &memory, settings, guest_log);
        // What is wrong with the place is told now, and not to the first caller.
        let opened = tenants.open(&TenantName::default());
        opened.map_err(|error: TenantError| ServerError::Place { place, source: error.into() })?;
        let nobody = memory.child("the memory of requests without a token", NOBODY_MEMORY);
        Ok(Self {
            shared: Arc::new(Shared {
                tokens,
                tenants,
                classes,
                nobody,
                requests: Requests::new(settings.max_requests),
                telemetry,
                connections,
                settings,
                draining: AtomicBool::new(false),
            }),
        })
    }

    /// Lets every tenant link to these artifacts of the first one's: the plugins that the operator has bound to names.
    #[must_use]
    pub fn with_plugins(self, plugins: impl IntoIterator<Item = Ref>) -> Self {
        self.shared.tenants.share_plugins(plugins.into_iter().collect());
        self
    }

    /// How many sandboxes are taken, and how many requests wait for one.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.shared.classes.sandboxes.admission.load()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}
