//! Who may work now, who waits, and who is sent away: bounded, and fair between callers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Places for work, and a bounded queue for them.
///
/// Callers take turns: one who asks for much waits behind one who asks for little. No caller holds more than
/// its share of the places, nor more than half of the queue, so that some are free for the others at once.
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
    /// How many of those who wait may be of one caller.
    queue_share: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    working: BTreeMap<String, usize>,
    taken: usize,
    waiting: BTreeMap<String, VecDeque<Waiting>>,
    /// How many wait, but for those who do so however many they are.
    queued: usize,
    /// The callers who wait, in the order of their turns.
    turns: VecDeque<String>,
}

/// One who waits.
#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Permit>,
    /// Whether the queue has a place for it.
    is_bounded: bool,
}

/// How many of those who wait take a place of the queue.
fn bounded(queue: &VecDeque<Waiting>) -> usize {
    queue.iter().filter(|one| one.is_bounded).count()
}

/// A place; it is given back when this is dropped.
#[derive(Debug)]
pub struct Permit {
    shared: Arc<Shared>,
    caller: String,
    is_given_back: bool,
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
        let (queue_share, state) = (queue.div_ceil(2), Mutex::default());
        Self { shared: Arc::new(Shared { places, share, queue, queue_share, state }) }
    }

    /// A place for this caller, at once or when its turn comes. Whoever stops waiting gives up the turn.
    ///
    /// # Errors
    /// [`Full`], at once, if too many wait.
    pub async fn enter(&self, caller: &str) -> Result<Permit, Full> {
        self.entered(caller, true).await
    }

    /// The same for work that may wait for as long as it takes, however many wait. Whoever asks bounds how many these are.
    ///
    /// # Errors
    /// [`Full`] if nobody can enter any longer.
    pub async fn enter_patiently(&self, caller: &str) -> Result<Permit, Full> {
        self.entered(caller, false).await
    }

    async fn entered(&self, caller: &str, is_bounded: bool) -> Result<Permit, Full> {
        let turn = {
            let mut state = self.shared.lock();
            if state.may_enter(caller, &self.shared) {
                return Ok(self.shared.permit(&mut state, caller));
            }
            // Those who went away leave their places in the queue to others.
            if state.is_full(caller, &self.shared) {
                state.forget_gone();
            }
            if is_bounded && state.is_full(caller, &self.shared) {
                return Err(Full { queued: state.queued });
            }
            state.wait(caller, is_bounded)
        };
        // The sender is kept until it is used.
        turn.await.map_err(|_| Full { queued: self.shared.queue })
    }

    /// A place for this caller, if one is free and nobody waits for it.
    #[must_use]
    pub fn try_enter(&self, caller: &str) -> Option<Permit> {
        let mut state = self.shared.lock();
        let free = state.turns.is_empty() && state.may_enter(caller, &self.shared);
        free.then(|| self.shared.permit(&mut state, caller))
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

    fn is_full(&self, caller: &str, shared: &Shared) -> bool {
        let own = self.waiting.get(caller).map_or(0, bounded);
        self.queued >= shared.queue || own >= shared.queue_share
    }

    fn held(&self, caller: &str) -> usize {
        self.working.get(caller).copied().unwrap_or(0)
    }

    fn wait(&mut self, caller: &str, is_bounded: bool) -> oneshot::Receiver<Permit> {
        let (sender, receiver) = oneshot::channel();
        let queue = self.waiting.entry(caller.to_owned()).or_default();
        if queue.is_empty() {
            self.turns.push_back(caller.to_owned());
        }
        queue.push_back(Waiting { sender, is_bounded });
        self.queued += usize::from(is_bounded);
        receiver
    }

    fn forget_gone(&mut self) {
        for queue in self.waiting.values_mut() {
            queue.retain(|one| !one.sender.is_closed());
        }
        self.waiting.retain(|_, queue| !queue.is_empty());
        let waiting = &self.waiting;
        self.turns.retain(|caller| waiting.contains_key(caller));
        self.queued = self.waiting.values().map(bounded).sum();
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
            let Waiting { sender, is_bounded } = queue.pop_front()?;
            self.queued -= usize::from(is_bounded);
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
        Permit { shared: Arc::clone(self), caller: caller.to_owned(), is_given_back: false }
    }

    /// Gives free places to those whose turn it is.
    fn admit(self: &Arc<Self>) {
        loop {
            let (permit, sender) = {
                let mut state = self.lock();
                let Some((caller, sender)) = state.next(self) else { return };
                (self.permit(&mut state, &caller), sender)
            };
            // One who went away leaves the place here, for the next turn of this loop: a permit that was
            // dropped would come back here once for each of them.
            if let Err(unwanted) = sender.send(permit) {
                unwanted.give_back();
            }
        }
    }

    /// Takes back a place of this caller's.
    fn leave(&self, caller: &str) {
        let mut state = self.lock();
        state.taken -= 1;
        if let Some(held) = state.working.get_mut(caller) {
            *held -= 1;
            if *held == 0 {
                state.working.remove(caller);
            }
        }
    }
}

impl Permit {
    /// Gives the place back without looking who is next.
    fn give_back(mut self) {
        self.shared.leave(&self.caller);
        self.is_given_back = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.shared.leave(&self.caller);
            self.shared.admit();
        }
    }
}
