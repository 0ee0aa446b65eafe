//! How many jobs there are on all servers, for those who look often: whoever keeps the jobs is asked once in five seconds, and nobody
//! waits for the answer for long.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use compute_state::JobLoad;

/// After how long it is asked again.
const FRESH: Duration = Duration::from_secs(5);
/// How long one who looks waits for an answer.
const PATIENCE: Duration = Duration::from_millis(250);
/// How long an answer counts while no other comes.
const KNOWN: Duration = Duration::from_secs(60);

/// How many jobs there are, as far as that is known.
#[derive(Debug, Default)]
pub(crate) struct KnownLoad {
    known: Mutex<Known>,
    answered: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    load: Option<(Instant, JobLoad)>,
    asked: Option<Instant>,
    is_asking: bool,
}

impl KnownLoad {
    /// How many there are; nothing if nobody has answered for a while. If it is time to ask again, this is asked.
    pub(crate) fn get(
        self: &Arc<Self>,
        ask: impl FnOnce() -> Option<JobLoad> + Send + 'static,
    ) -> Option<JobLoad> {
        let mut known = self.lock();
        if !known.is_asking && known.asked.is_none_or(|asked| asked.elapsed() >= FRESH) {
            let asking = Asking { load: Arc::clone(self), answer: None };
            let thread = std::thread::Builder::new().name("compute-load".to_owned());
            (known.asked, known.is_asking) = (Some(Instant::now()), true);
            // Where there is no thread it is dropped, which ends it.
            drop(known);
            let _ = thread.spawn(move || {
                let mut asking = asking;
                asking.answer = ask();
            });
            known = self.lock();
        }
        if known.is_asking {
            let waited = self.answered.wait_timeout_while(known, PATIENCE, |known| known.is_asking);
            known = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        known.load.filter(|(at, _)| at.elapsed() < KNOWN).map(|(_, load)| load)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question, until it is dropped.
struct Asking {
    load: Arc<KnownLoad>,
    answer: Option<JobLoad>,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut known = self.load.lock();
        known.is_asking = false;
        if let Some(load) = self.answer {
            known.load = Some((Instant::now(), load));
        }
        self.load.answered.notify_all();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, reason = "tests")]

    use std::sync::mpsc;

    use super::*;

    const TWO: JobLoad = JobLoad { scheduled: 0, waiting: 2, running: 0 };

    #[test]
    fn many_who_look_ask_once() {
        let load = Arc::<KnownLoad>::default();
        assert_eq!(load.get(|| Some(TWO)), Some(TWO));
        for _ in 0..100 {
            assert_eq!(load.get(|| panic!("it was asked")), Some(TWO));
        }
    }

    #[test]
    fn nobody_waits_for_who_does_not_answer() {
        let load = Arc::<KnownLoad>::default();
        let (answer, asked) = mpsc::channel();
        assert_eq!(load.get(move || asked.recv().ok()), None);
        assert_eq!(load.get(|| panic!("it was asked twice")), None);
        answer.send(TWO).unwrap();
        let known = load.answered.wait_while(load.lock(), |known| known.is_asking).unwrap();
        drop(known);
        assert_eq!(load.get(|| panic!("it was asked twice")), Some(TWO));
    }

    #[test]
    fn what_fails_is_asked_again_and_not_at_once() {
        let load = Arc::<KnownLoad>::default();
        assert_eq!(load.get(|| None), None);
        assert_eq!(load.get(|| panic!("it was asked at once")), None);
        load.lock().asked = None;
        assert_eq!(load.get(|| Some(TWO)), Some(TWO));
    }
}
