//! What requests share, and how a server begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use compute::{Limits, Manager, ManagerBuilder};
use compute_flow::{Place, ProcessorSettings, TenantName, Tokens, TokensError, Vault};

use crate::Admission;
use crate::body::Budget;
use crate::telemetry::{GuestLog, Telemetry, TelemetryError, Watched};
use crate::tenants::{Everywhere, Shelves, TenantError, Tenants};

/// What a server may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether requests without a token are taken, from this machine only.
    pub dev: bool,
    /// How many requests work at once: four for each processor.
    pub places: usize,
    /// How many of them one tenant may hold: half.
    pub share: usize,
    /// How many requests may wait: 1,000.
    pub queue: usize,
    /// The limits of each run; a request may ask for less.
    pub limits: Limits,
    /// What documents may use.
    pub documents: ProcessorSettings,
    /// How long an upload may take to compile: a minute.
    pub compile: Duration,
    /// How long a body may take to arrive: half a minute.
    pub body: Duration,
    /// How many bytes all bodies under way may have together: 256 MiB.
    pub bodies: u64,
    /// How many connections may be open: 10,000.
    pub connections: usize,
    /// How long the head of a request may take to arrive: 10 seconds.
    pub head: Duration,
    /// How long a connection may do nothing: half a minute.
    pub idle: Duration,
    /// How long what was accepted may take to be answered when the server ends: 35 seconds.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            dev: false,
            places: processors * 4,
            share: processors * 2,
            queue: 1000,
            limits: Limits::DEFAULT,
            documents: ProcessorSettings::default(),
            compile: Duration::from_secs(60),
            body: Duration::from_secs(30),
            bodies: 256 << 20,
            connections: 10_000,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(30),
            drain: Duration::from_secs(35),
        }
    }
}

/// What the requests of a server share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) tokens: Tokens,
    pub(crate) tenants: Tenants,
    pub(crate) shelves: Arc<Shelves>,
    pub(crate) manager: Manager,
    pub(crate) admission: Admission,
    /// Uploads wait for places of their own: their bodies come as slowly as their senders like.
    pub(crate) uploads: Admission,
    pub(crate) budget: Budget,
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
    Tokens(#[from] TokensError),
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
        let tokens = place.tokens()?;
        let shelves = Arc::new(Shelves::default());
        let guest_log = GuestLog::new()?;
        let logs_dropped = Arc::clone(&guest_log.dropped);
        let manager =
            manager.resolver(Everywhere(Arc::clone(&shelves))).limits(settings.limits).build();
        let admission = Admission::new(settings.places, settings.share, settings.queue);
        let connections = Arc::<AtomicUsize>::default();
        let telemetry = Telemetry::new(Watched {
            admission: admission.clone(),
            manager: manager.clone(),
            connections: Arc::clone(&connections),
            logs_dropped,
        })?;
        let tenants = Tenants::new(
            place.clone(),
            vault,
            manager.clone(),
            Arc::clone(&shelves),
            settings.documents,
            guest_log,
        );
        // What is wrong with the place is told now, and not to the first caller.
        let opened = tenants.open(&TenantName::default());
        opened.map_err(|error: TenantError| ServerError::Place {
            place: format!("{} and {}", place.store, place.state.display()),
            source: error.into(),
        })?;
        Ok(Self {
            shared: Arc::new(Shared {
                tokens,
                tenants,
                shelves,
                manager,
                uploads: Admission::new(settings.places, settings.share, settings.queue),
                budget: Budget::new(settings.bodies),
                admission,
                telemetry,
                connections,
                settings,
                draining: AtomicBool::new(false),
            }),
        })
    }

    /// How many requests work, and how many wait.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        self.shared.admission.load()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}
