//! The thread that interrupts guests each millisecond, so that they see their deadline. It sleeps
//! while nothing runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

use super::threads;

const TICK: Duration = Duration::from_millis(1);
/// How many ticks without a call pass before the thread goes to sleep. Waking it costs its waker a
/// system call, which callers who come one after the other must not pay each time.
const IDLE_TICKS: u32 = 100;
const STRIPES: usize = 32;

#[derive(Default)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: OnceLock<std::io::Result<Thread>>,
}

#[derive(Default)]
struct Shared {
    /// How many calls run: a count for each group of threads, so that threads which start and end calls
    /// do not contend.
    running: [Stripe; STRIPES],
    asleep: AtomicBool,
    closed: AtomicBool,
    engines: Mutex<Vec<EngineWeak>>,
}

/// In the lower half the calls that run, in the upper half all that ever started, both wrapping.
#[derive(Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

/// What a call adds to its stripe when it starts; it takes 1 off when it ends.
const STARTED: u64 = (1 << 32) + 1;
const RUNNING: u64 = u32::MAX as u64;

/// A call that wants to be interrupted; ends when dropped.
pub(crate) struct Running<'a>(&'a Stripe);

impl Ticker {
    /// Ticks this engine's epoch from now on.
    pub(crate) fn add(&self, engine: &Engine) {
        self.shared.engines.lock().unwrap_or_else(PoisonError::into_inner).push(engine.weak());
    }

    /// Ticks until the guard is dropped.
    pub(crate) fn running(&self) -> Result<Running<'_>, &std::io::Error> {
        let thread = self.thread.get_or_init(|| {
            let shared = Arc::clone(&self.shared);
            let builder = std::thread::Builder::new().name("compute-ticker".into());
            builder.spawn(move || shared.tick()).map(|handle| handle.thread().clone())
        });
        let thread = thread.as_ref()?;
        let stripe = &self.shared.running[threads::number() % STRIPES];
        // In one total order with the ticker's going to sleep: either it sees this call, or this call
        // sees that it sleeps.
        stripe.0.fetch_add(STARTED, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            thread.unpark();
        }
        Ok(Running(stripe))
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        if let Some(Ok(thread)) = self.thread.get() {
            thread.unpark();
        }
    }
}

impl Shared {
    fn tick(&self) {
        let mut idle = 0;
        let mut started_before = 0;
        while !self.closed.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
            self.increment_epochs();
            let (running, started) = self.count();
            idle = if running || started != started_before { 0 } else { idle + 1 };
            started_before = started;
            if idle >= IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while !self.count().0 && !self.closed.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Whether any call runs, and a number that changes with each call that starts.
    fn count(&self) -> (bool, u64) {
        let stripes = self.running.iter().map(|stripe| stripe.0.load(Ordering::SeqCst));
        stripes.fold((false, 0), |(running, started), stripe| {
            (running || stripe & RUNNING != 0, (stripe >> 32).wrapping_add(started))
        })
    }

    fn increment_epochs(&self) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| engine.upgrade().inspect(Engine::increment_epoch).is_some());
    }
}
