//! The thread that interrupts guests each millisecond, so that they see their deadline. It sleeps
//! while nothing runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use wasmtime::{Engine, EngineWeak};

const TICK: Duration = Duration::from_millis(1);
/// How many ticks without a call pass before the thread goes to sleep. Waking it costs its waker a
/// system call, which callers who come one after the other must not pay each time.
const IDLE_TICKS: u32 = 100;

#[derive(Default)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: OnceLock<std::io::Result<Thread>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicU64,
    started: AtomicU64,
    asleep: AtomicBool,
    closed: AtomicBool,
    engines: Mutex<Vec<EngineWeak>>,
}

/// A call that wants to be interrupted; ends when dropped.
pub(crate) struct Running<'a>(&'a Shared);

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
        let guard = Running(&self.shared);
        self.shared.started.fetch_add(1, Ordering::Relaxed);
        // In one total order with the ticker's going to sleep: either it sees this call, or this call
        // sees that it sleeps.
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) {
            thread.unpark();
        }
        Ok(guard)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
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
        let mut started = 0;
        while !self.closed.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
            self.increment_epochs();
            let now_started = self.started.load(Ordering::Relaxed);
            let busy = self.running.load(Ordering::SeqCst) > 0 || now_started != started;
            started = now_started;
            idle = if busy { 0 } else { idle + 1 };
            if idle >= IDLE_TICKS {
                self.sleep();
                idle = 0;
            }
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        while self.running.load(Ordering::SeqCst) == 0 && !self.closed.load(Ordering::SeqCst) {
            std::thread::park();
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    fn increment_epochs(&self) {
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|engine| engine.upgrade().inspect(Engine::increment_epoch).is_some());
    }
}
