//! Threads for one class of work, so that no class waits for another's.
//!
//! A class has as many places as threads, and whoever gives it work holds a place: so work finds a thread at
//! once. What nobody waits for any longer is told to stop, and keeps its place until it has.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use compute::Cancel;
use tokio::sync::oneshot;

/// How long a thread waits for more work before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// How much less urgent work is than the threads that read requests and write answers: the `nice` value of POSIX. With
/// it guests that spin get a third of what a thread of the runtime gets, and all that nobody else wants.
pub(crate) const NICE: i32 = 5;
/// The same of work that nobody waits for.
pub(crate) const SPARE_NICE: i32 = 15;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that are started when there is work, up to a number, and end when there is none.
#[derive(Clone)]
pub(crate) struct Workers {
    shared: Arc<Shared>,
}

struct Shared {
    name: &'static str,
    most: usize,
    nice: i32,
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

/// The work did not end: its thread could not be started, or it panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work of a request did not end as it should")]
pub(crate) struct Unfinished;

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Workers").field("name", &self.shared.name).finish_non_exhaustive()
    }
}

impl Workers {
    pub(crate) fn new(name: &'static str, most: usize, nice: i32) -> Self {
        let (state, more) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { name, most: most.max(1), nice, state, more }) }
    }

    /// Does this on one of the threads. The work is told to stop when the future is dropped.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cancel) -> T + Send + 'static,
    ) -> Result<T, Unfinished> {
        let cancel = Cancel::new();
        let (sender, receiver) = oneshot::channel();
        let told = cancel.clone();
        self.shared.give(Box::new(move || {
            // Nobody who has gone away before it began needs it.
            if !sender.is_closed() {
                drop(sender.send(work(&told)));
            }
        }));
        let _gone = cancel.drop_guard();
        receiver.await.map_err(|_| Unfinished)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give(self: &Arc<Self>, job: Job) {
        let mut state = self.lock();
        state.jobs.push_back(job);
        if state.idle >= state.jobs.len() || state.threads >= self.most {
            drop(state);
            self.more.notify_one();
            return;
        }
        state.threads += 1;
        drop(state);
        let shared = Arc::clone(self);
        let started =
            std::thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.work());
        if let Err(error) = started {
            let mut state = self.lock();
            state.threads -= 1;
            // With no thread at all nobody would ever take it: it is dropped, and its caller told.
            if state.threads == 0 {
                state.jobs.clear();
            }
            tracing::error!(target: "request", %error, "cannot start a thread");
        }
    }

    fn work(&self) {
        // Of this thread, and of those that it starts. Whoever may not is as urgent as before.
        #[cfg(target_os = "linux")]
        let _ = rustix::process::setpriority_process(None, self.nice);
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // A panic is its job's alone; who waits for the job is told when it is dropped.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
                continue;
            }
            state.idle += 1;
            let (woken, waited) =
                self.more.wait_timeout(state, IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::{Unfinished, Workers};

    #[tokio::test]
    async fn work_is_done_and_a_panic_is_told() {
        let workers = Workers::new("test", 2, 0);
        assert_eq!(workers.run(|_| 5).await, Ok(5));
        let panics = workers.run(|_| assert_eq!(1 + 1, 3, "as it should"));
        assert_eq!(panics.await, Err(Unfinished));
        assert_eq!(workers.run(|_| 6).await, Ok(6));
    }

    #[tokio::test]
    async fn who_goes_away_tells_the_work_to_stop() {
        let workers = Workers::new("test", 1, 0);
        let (sender, receiver) = mpsc::channel();
        let work = workers.run(move |cancel| {
            while !cancel.is_cancelled() {
                std::thread::yield_now();
            }
            sender.send(()).unwrap();
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), work).await.is_err());
        receiver.recv_timeout(Duration::from_secs(5)).unwrap();
    }
}
