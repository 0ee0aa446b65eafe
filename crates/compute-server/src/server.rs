//! What requests share, and how a server begins and ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use compute::{Artifact, ArtifactMap};
use compute::{BoxFuture, Error, Limits, Manager, ManagerBuilder, Ref, Resolver};
use compute_flow::{Catalogue, CatalogueError, Processor, ProcessorSettings, Traces};
use compute_store::{Store, StoreResolver};
use tokio::net::TcpListener;

use crate::live::Live;
use crate::{Admission, router};

/// What a server may use.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many requests work at once: four for each processor.
    pub places: usize,
    /// How many of them one caller may hold: half.
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
}

impl Default for Settings {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            places: processors * 4,
            share: processors * 2,
            queue: 1000,
            limits: Limits::DEFAULT,
            documents: ProcessorSettings::default(),
            compile: Duration::from_secs(60),
            body: Duration::from_secs(30),
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
    pub(crate) store: Arc<dyn Store>,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) traces: Traces,
    pub(crate) live: Live,
    pub(crate) manager: Manager,
    pub(crate) processor: Processor,
    pub(crate) admission: Admission,
    /// What is being uploaded: it is compiled before it is stored.
    pub(crate) arriving: Arc<ArtifactMap>,
    draining: AtomicBool,
}

/// A server cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The catalogue cannot be opened.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[from] std::io::Error),
}

impl Server {
    /// A server on this store, catalogue and folder of traces. The builder says what the engines are opened
    /// with; where artifacts come from is set here.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        catalogue: Catalogue,
        traces: Traces,
        manager: ManagerBuilder,
        settings: Settings,
    ) -> Self {
        let arriving = Arc::new(ArtifactMap::default());
        let resolver = Arriving {
            arriving: Arc::clone(&arriving),
            stored: StoreResolver::new(Arc::clone(&store)),
        };
        let manager = manager.resolver(resolver).limits(settings.limits).build();
        let catalogue = Arc::new(catalogue);
        let runner = Arc::new(manager.clone());
        Self {
            shared: Arc::new(Shared {
                live: Live::new(Arc::clone(&catalogue)),
                processor: Processor::with_settings(runner, settings.documents),
                admission: Admission::new(settings.places, settings.share, settings.queue),
                store,
                catalogue,
                traces,
                manager,
                arriving,
                settings,
                draining: AtomicBool::new(false),
            }),
        }
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

/// Answers requests until `shutdown` is done; then takes no more, and finishes what it accepted.
///
/// # Errors
/// [`ServerError::Listener`] if the listener fails.
pub async fn serve(
    listener: TcpListener,
    server: Server,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    let draining = server.clone();
    let shutdown = async move {
        shutdown.await;
        draining.shared.draining.store(true, Ordering::Relaxed);
    };
    axum::serve(listener, router(server)).with_graceful_shutdown(shutdown).await?;
    Ok(())
}

/// Looks first among what is being uploaded.
#[derive(Debug)]
struct Arriving {
    arriving: Arc<ArtifactMap>,
    stored: StoreResolver,
}

impl Resolver for Arriving {
    fn resolve<'a>(&'a self, reference: &'a Ref) -> BoxFuture<'a, Result<Artifact, Error>> {
        Box::pin(async move {
            match self.arriving.resolve(reference).await {
                Err(Error::NotFound { .. }) => self.stored.resolve(reference).await,
                found => found,
            }
        })
    }
}
