//! Forgets what is old: jobs that have ended, and the outputs that no job has any more. Each has a thread of its own, so that leases are
//! renewed meanwhile, and a store that does not answer keeps no jobs from going.

use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use compute_state::{DELETING, JobQueue, StateError, Swept};

use super::Jobs;
use super::guard::{guarded, known};
use super::runner::RunJobs;

/// How often it is looked for what is not kept any longer, about, and while there is some.
const SWEEP: Duration = Duration::from_secs(60);
const MORE: Duration = Duration::from_millis(600);
/// How many bytes of jobs go at once, about: whoever keeps them may write nothing else meanwhile.
const SWEPT: u64 = 64 << 20;
/// How many outputs of jobs that are gone are deleted one after the other, and how long after that: another job may be about to have the same.
const OUTPUTS: usize = 20;
const GONE: Duration = Duration::from_secs(3600);
/// Each takes less than this, which is less than the time for that.
const DELETING_ONE: Duration = Duration::from_secs(30);
const _: () = assert!(DELETING_ONE.as_secs() < DELETING.as_secs());

/// Deletes jobs that have ended, until the worker ends.
pub(super) struct Sweeper {
    pub(super) jobs: Weak<Jobs>,
    pub(super) age: Duration,
}

impl Sweeper {
    /// After so many ends here it is told to look, however lately it did: a tenant may have as many again as it keeps.
    pub(super) const AFTER: usize = 10_000;

    pub(super) fn run(self, told: &mpsc::Receiver<()>) {
        let (mut failed, mut swept, mut took) = (false, None, Duration::ZERO);
        loop {
            match told.recv_timeout(pause(swept, took)) {
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
                Ok(()) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            let Some(jobs) = self.jobs.upgrade() else { return };
            let begun = Instant::now();
            swept = known(guarded(|| jobs.queue()?.sweep(self.age, SWEPT)), &mut failed);
            took = begun.elapsed();
        }
    }
}

/// How long it waits after what it did. While more are to go, as long as that took: so others have half of the time, and no tenant ends
/// jobs faster than they go.
fn pause(swept: Option<Swept>, took: Duration) -> Duration {
    match swept.filter(|swept| swept.jobs > 0) {
        Some(Swept { is_full: true, .. }) => took,
        Some(_) => drawn(MORE),
        None => drawn(SWEEP),
    }
}

/// About so long.
fn drawn(pause: Duration) -> Duration {
    pause.mul_f64(0.5 + fastrand::f64())
}

/// Deletes the outputs of jobs that are not kept any more, until the worker ends.
pub(super) struct Outputs {
    pub(super) jobs: Weak<Jobs>,
    pub(super) runner: Arc<dyn RunJobs>,
}

impl Outputs {
    pub(super) fn run(self, ended: &mpsc::Receiver<()>) {
        let (mut failed, mut pause) = (false, SWEEP);
        while ended.recv_timeout(drawn(pause)) == Err(mpsc::RecvTimeoutError::Timeout) {
            let Some(jobs) = self.jobs.upgrade() else { return };
            let delete = || self.delete(&*jobs.queue()?, GONE);
            let more = known(guarded(delete), &mut failed);
            pause = if more == Some(true) { MORE } else { SWEEP };
        }
    }

    /// Deletes some. Whether there may be more.
    fn delete(&self, queue: &dyn JobQueue, age: Duration) -> Result<bool, StateError> {
        for _ in 0..OUTPUTS {
            // One after the other: while it is said that one is deleted, no job may have the same.
            let Some((tenant, output)) = queue.gone_outputs(age, 1)?.pop() else {
                return Ok(false);
            };
            // What is not deleted in this time may be yet, and is told again. A store that fails with one is left alone.
            if !self.runner.delete_output(&tenant, &output, DELETING_ONE) {
                return Ok(false);
            }
            queue.output_is_gone(&tenant, &output)?;
        }
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Weak};

    use compute::Ref;
    use compute_state::conformance::ModelQueue;
    use compute_state::{ClaimedJob, JobQueue as _, StateQuotas, TenantName};
    use tokio::task::AbortHandle;

    use super::super::runner::{Ended, RunJobs};
    use super::{Duration, Outputs, SWEEP, Swept, pause};

    /// A store that does not delete after so many.
    struct Deletes(AtomicUsize);

    impl RunJobs for Deletes {
        fn start(&self, _: ClaimedJob, _: Ended) -> AbortHandle {
            unreachable!("nothing is run")
        }

        fn delete_output(&self, _: &TenantName, _: &Ref, _: Duration) -> bool {
            self.0
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
        }

        fn without(&self) -> Vec<TenantName> {
            Vec::new()
        }
    }

    /// What is not deleted at this moment may be stored again.
    #[test]
    fn one_output_is_deleted_after_the_other() {
        let queue = ModelQueue::new(StateQuotas::default());
        let tenant: TenantName = "a".parse().unwrap();
        let stored = || {
            let names = ["aa", "bb", "cc", "dd"].map(|name| format!("compute://sha256/{name}"));
            names.map(|name| queue.stores_output(&tenant, &name.parse().unwrap()).unwrap())
        };
        assert_eq!(stored(), [true; 4]);
        let outputs = Outputs { jobs: Weak::new(), runner: Arc::new(Deletes(AtomicUsize::new(1))) };
        assert!(!outputs.delete(&queue, Duration::ZERO).unwrap());
        assert_eq!(stored().into_iter().filter(|may| !may).count(), 1);
        let outputs = Outputs { jobs: Weak::new(), runner: Arc::new(Deletes(AtomicUsize::new(9))) };
        assert!(!outputs.delete(&queue, Duration::ZERO).unwrap());
        assert_eq!(queue.gone_outputs(Duration::ZERO, 9).unwrap(), []);
    }

    #[test]
    fn while_more_are_to_go_they_go() {
        let swept = |jobs, is_full| Some(Swept { jobs, is_full });
        let took = Duration::from_millis(7);
        assert_eq!(pause(swept(200, true), took), took);
        assert!(pause(swept(1, false), took) < SWEEP / 10);
        // What others have at this moment is theirs.
        for none in [None, swept(0, false), swept(0, true)] {
            assert!(pause(none, took) >= SWEEP / 2, "{none:?}");
        }
    }
}
