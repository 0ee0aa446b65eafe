//! Who may work now, who waits, and who is sent away: bounded, and fair between callers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Places for work, and a bounded queue for them.
///
/// Callers take turns: one who asks for much waits behind one who asks for little. No caller holds more than
/// its share of the places, so that some are free for the others at once.
#[derive(Clone, Debug)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: usize,
    /// How many places one caller may hold.
    share: usize,
    queue: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    working: BTreeMap<String, usize>,
    taken: usize,
    waiting: BTreeMap<String, VecDeque<oneshot::Sender<Permit>>>,
    queued: usize,
    /// The callers who wait, in the order of their turns.
    turns: VecDeque<String>,
}

/// A place; it is given back when this is dropped.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    caller: String,
}

/// There is no place, and none to wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is busy: {queued} requests wait already")]
pub struct Full {
    /// How many wait.
    pub queued: usize,
}

impl Admission {
    /// So many places, so many of them for one caller, and so many callers who may wait.
    #[must_use]
    pub fn new(places: usize, share: usize, queue: usize) -> Self {
        let (places, share) = (places.max(1), share.clamp(1, places.max(1)));
        Self { shared: Arc::new(Shared { places, share, queue, state: Mutex::default() }) }
    }

    /// A place for this caller, at once or when its turn comes. Whoever stops waiting gives up the turn.
    ///
    /// # Errors
    /// [`Full`], at once, if too many wait.
    pub async fn enter(&self, caller: &str) -> Result<Permit, Full> {
        let turn = {
            let mut state = self.shared.lock();
            if state.may_enter(caller, &self.shared) {
                return Ok(self.shared.permit(&mut state, caller));
            }
            // Those who went away leave their places in the queue to others.
            if state.queued >= self.shared.queue {
                state.forget_gone();
            }
            if state.queued >= self.shared.queue {
                return Err(Full { queued: state.queued });
            }
            state.wait(caller)
        };
        // The sender is kept until it is used.
        turn.await.map_err(|_| Full { queued: self.shared.queue })
    }

    /// How many work, and how many wait.
    #[must_use]
    pub fn load(&self) -> (usize, usize) {
        let state = self.shared.lock();
        (state.taken, state.queued)
    }
}

impl State {
    fn may_enter(&self, caller: &str, shared: &Shared) -> bool {
        self.taken < shared.places && self.held(caller) < shared.share
    }

    fn held(&self, caller: &str) -> usize {
        self.working.get(caller).copied().unwrap_or(0)
    }

    fn wait(&mut self, caller: &str) -> oneshot::Receiver<Permit> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.waiting.entry(caller.to_owned()).or_default();
        if queue.is_empty() {
            self.turns.push_back(caller.to_owned());
        }
        queue.push_back(sender);
        self.queued += 1;
        receiver
    }

    fn forget_gone(&mut self) {
        for queue in self.waiting.values_mut() {
            queue.retain(|sender| !sender.is_closed());
        }
        self.waiting.retain(|_, queue| !queue.is_empty());
        let waiting = &self.waiting;
        self.turns.retain(|caller| waiting.contains_key(caller));
        self.queued = self.waiting.values().map(VecDeque::len).sum();
    }

    /// The next who may enter, in turn.
    fn next(&mut self, shared: &Shared) -> Option<(String, oneshot::Sender<Permit>)> {
        for _ in 0..self.turns.len() {
            let caller = self.turns.pop_front()?;
            if !self.may_enter(&caller, shared) {
                self.turns.push_back(caller);
                continue;
            }
            let queue = self.waiting.get_mut(&caller)?;
            let sender = queue.pop_front()?;
            self.queued -= 1;
            if queue.is_empty() {
                self.waiting.remove(&caller);
            } else {
                self.turns.push_back(caller.clone());
            }
            return Some((caller, sender));
        }
        None
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn permit(self: &Arc<Self>, state: &mut State, caller: &str) -> Permit {
        state.taken += 1;
        *state.working.entry(caller.to_owned()).or_default() += 1;
        Permit { shared: Arc::clone(self), caller: caller.to_owned() }
    }

    /// Gives free places to those whose turn it is.
    fn admit(self: &Arc<Self>) {
        loop {
            let (permit, sender) = {
                let mut state = self.lock();
                let Some((caller, sender)) = state.next(self) else { return };
                (self.permit(&mut state, &caller), sender)
            };
            // One who went away gives the place back by dropping it, outside the lock.
            drop(sender.send(permit));
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.taken -= 1;
            if let Some(held) = state.working.get_mut(&self.caller) {
                *held -= 1;
                if *held == 0 {
                    state.working.remove(&self.caller);
                }
            }
        }
        self.shared.admit();
    }
}
