//! Work that is done in parallel, and waited for.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Says whether another thread may help a document. What it gives is held until that thread is done.
pub trait Helpers: fmt::Debug + Send + Sync {
    /// A permit for one thread, if there is one now.
    fn try_enter(&self) -> Option<Box<dyn Any + Send>>;
}

/// Does all jobs and gives back what they give, in their order; nothing for one that panicked.
///
/// The caller works too, and takes what none of the helpers has taken yet. Of the helpers that would pay, as many
/// come as are allowed.
pub(crate) fn run<T: Send + 'static>(
    jobs: Vec<Job<T>>,
    helpers: usize,
    allowed: Option<&dyn Helpers>,
) -> Vec<Option<T>> {
    if jobs.len() <= 1 || helpers == 0 {
        return jobs.into_iter().map(|job| catch_unwind(AssertUnwindSafe(job)).ok()).collect();
    }
    let batch = Arc::new(Batch {
        results: jobs.iter().map(|_| Mutex::new(None)).collect(),
        jobs: jobs.into_iter().map(|job| Mutex::new(Some(job))).collect(),
        next: AtomicUsize::new(0),
        done: Mutex::new(0),
        all_done: Condvar::new(),
    });
    for _ in 0..helpers {
        let permit = allowed.map(Helpers::try_enter);
        if matches!(permit, Some(None)) {
            break;
        }
        let batch = Arc::clone(&batch);
        let help = move || {
            let _held = permit;
            batch.work();
        };
        blocking::unblock(help).detach();
    }
    batch.work();
    batch.wait();
    batch.results.iter().map(|result| lock(result).take()).collect()
}

struct Batch<T> {
    jobs: Vec<Mutex<Option<Job<T>>>>,
    results: Vec<Mutex<Option<T>>>,
    next: AtomicUsize,
    done: Mutex<usize>,
    all_done: Condvar,
}

impl<T> Batch<T> {
    fn work(&self) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.jobs.get(at) else { return };
            let Some(job) = lock(job).take() else { return };
            let result = catch_unwind(AssertUnwindSafe(job)).ok();
            *lock(&self.results[at]) = result;
            let mut done = lock(&self.done);
            *done += 1;
            if *done == self.jobs.len() {
                self.all_done.notify_all();
            }
        }
    }

    fn wait(&self) {
        let mut done = lock(&self.done);
        while *done < self.jobs.len() {
            done = self.all_done.wait(done).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> fmt::Debug for Batch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::{Helpers, Job, run};

    #[test]
    fn results_keep_the_order_of_the_jobs_and_a_panic_is_told() {
        let jobs: Vec<Job<usize>> = (0..50)
            .map(|n| -> Job<usize> {
                Box::new(move || {
                    assert_ne!(n, 7, "as it should");
                    n
                })
            })
            .collect();
        let results = run(jobs, 3, None);
        assert_eq!(results.len(), 50);
        for (n, result) in results.into_iter().enumerate() {
            assert_eq!(result, (n != 7).then_some(n));
        }
    }

    /// Two permits.
    #[derive(Debug, Default)]
    struct TwoAtOnce(Arc<AtomicUsize>);

    struct Permit(Arc<AtomicUsize>);

    impl Drop for Permit {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    impl Helpers for TwoAtOnce {
        fn try_enter(&self) -> Option<Box<dyn Any + Send>> {
            if self.0.fetch_add(1, Ordering::SeqCst) >= 2 {
                self.0.fetch_sub(1, Ordering::SeqCst);
                return None;
            }
            Some(Box::new(Permit(Arc::clone(&self.0))))
        }
    }

    #[test]
    fn no_more_threads_help_than_are_allowed_and_permits_come_back() {
        let two = TwoAtOnce::default();
        let [running, most] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let jobs = (0..30).map(|_| -> Job<()> {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            Box::new(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                running.fetch_sub(1, Ordering::SeqCst);
            })
        });
        assert_eq!(run(jobs.collect(), 8, Some(&two)).len(), 30);
        assert!((1..=3).contains(&most.load(Ordering::SeqCst)), "{most:?}");
        while two.0.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }
}
