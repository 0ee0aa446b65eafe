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
    /// Those who wait, and nobody else: whoever stops waiting leaves at once.
    waiting: BTreeMap<String, Queue>,
    /// How many wait, but for those who do so however many they are.
    queued: usize,
    /// The callers who wait, in the order of their turns. When nobody has the lock, none of them may enter.
    turns: VecDeque<String>,
    /// The number of the next who waits.
    next: u64,
}

/// Those of one caller who wait.
#[derive(Debug, Default)]
struct Queue {
    /// By number, in the order in which they came.
    waiting: BTreeMap<u64, Waiting>,
    /// How many of them the queue has a place for.
    bounded: usize,
}

/// One who waits.
#[derive(Debug)]
struct Waiting {
    sender: oneshot::Sender<Permit>,
    /// Whether the queue has a place for it.
    is_bounded: bool,
}

/// One who waits, until it stops.
struct InLine<'a> {
    shared: &'a Shared,
    caller: &'a str,
    number: u64,
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
        let (number, turn) = {
            let mut state = self.shared.lock();
            if state.may_enter(caller, &self.shared) {
                return Ok(self.shared.permit(&mut state, caller));
            }
            if is_bounded && state.is_full(caller, &self.shared) {
                return Err(Full { queued: state.queued });
            }
            state.wait(caller, is_bounded)
        };
        let in_line = InLine { shared: &self.shared, caller, number };
        // The sender is kept until it is used.
        let permit = turn.await.map_err(|_| Full { queued: self.shared.queue });
        // Whose turn came has left the line.
        std::mem::forget(in_line);
        permit
    }

    /// A place for this caller, if one is free.
    #[must_use]
    pub fn try_enter(&self, caller: &str) -> Option<Permit> {
        let mut state = self.shared.lock();
        let free = state.may_enter(caller, &self.shared);
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
        let own = self.waiting.get(caller).map_or(0, |queue| queue.bounded);
        self.queued >= shared.queue || own >= shared.queue_share
    }

    fn held(&self, caller: &str) -> usize {
        self.working.get(caller).copied().unwrap_or(0)
    }

    fn wait(&mut self, caller: &str, is_bounded: bool) -> (u64, oneshot::Receiver<Permit>) {
        let (sender, receiver) = oneshot::channel();
        let queue = self.waiting.entry(caller.to_owned()).or_default();
        if queue.waiting.is_empty() {
            self.turns.push_back(caller.to_owned());
        }
        let number = self.next;
        self.next += 1;
        queue.waiting.insert(number, Waiting { sender, is_bounded });
        queue.bounded += usize::from(is_bounded);
        self.queued += usize::from(is_bounded);
        (number, receiver)
    }

    /// One stops waiting, if it does.
    fn leave_line(&mut self, caller: &str, number: u64) {
        let Some(queue) = self.waiting.get_mut(caller) else { return };
        let Some(Waiting { is_bounded, .. }) = queue.waiting.remove(&number) else { return };
        queue.bounded -= usize::from(is_bounded);
        self.queued -= usize::from(is_bounded);
        if queue.waiting.is_empty() {
            self.waiting.remove(caller);
            self.turns.retain(|one| one != caller);
        }
    }

    /// A place of this caller's is free.
    fn leave(&mut self, caller: &str) {
        self.taken -= 1;
        if let Some(held) = self.working.get_mut(caller) {
            *held -= 1;
            if *held == 0 {
                self.working.remove(caller);
            }
        }
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
            let (_, Waiting { sender, is_bounded }) = queue.waiting.pop_first()?;
            queue.bounded -= usize::from(is_bounded);
            self.queued -= usize::from(is_bounded);
            if queue.waiting.is_empty() {
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

    /// Takes back a place of this caller's, and gives it to whose turn it is.
    fn pass_on(self: &Arc<Self>, mut caller: String) {
        loop {
            let (permit, sender) = {
                let mut state = self.lock();
                state.leave(&caller);
                let Some((next, sender)) = state.next(self) else { return };
                (self.permit(&mut state, &next), sender)
            };
            // One who went away just now leaves the place here, for the next turn of this loop: a permit that was dropped
            // would come back here once for each of them.
            let Err(mut unwanted) = sender.send(permit) else { return };
            unwanted.is_given_back = true;
            caller = std::mem::take(&mut unwanted.caller);
        }
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.shared.lock().leave_line(self.caller, self.number);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if !self.is_given_back {
            self.shared.pass_on(std::mem::take(&mut self.caller));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many they are whom the queue does not bound.
    #[tokio::test]
    async fn nothing_is_kept_of_those_who_left() {
        let admission = Admission::new(2, 1, 1);
        let place = admission.enter("a").await.unwrap();
        for _ in 0..1000 {
            let mut one = Box::pin(admission.enter_patiently("a"));
            let mut other = Box::pin(admission.enter("a"));
            assert!(futures_util::poll!(&mut one).is_pending());
            assert!(futures_util::poll!(&mut other).is_pending());
        }
        {
            let state = admission.shared.lock();
            assert!(state.waiting.is_empty() && state.turns.is_empty(), "{state:?}");
            assert_eq!((state.taken, state.queued), (1, 0));
        }
        drop(place);
    }
}
