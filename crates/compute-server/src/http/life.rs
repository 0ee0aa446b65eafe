//! What a connection is about: when something last moved, what is at work, what is not sent yet.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::pace::Pace;

/// How many times the time for an answer one may take that is read steadily.
const LONGEST_ANSWER: u32 = 20;
/// The least that who reads an answer must take of it a second, in bytes, once the time for an answer is over.
const LEAST_RATE: u64 = 16 << 10;

/// How much of what was sent is read in one turn, in bytes, before it is another connection's: of those whose tenant is
/// known, and of strangers, of whom a few bytes may be a lot of work.
const TURN: usize = 16 << 10;
const STRANGERS_TURN: usize = 2 << 10;

/// Which part of the connections that there may be is closed at once to make room: one in so many.
const ROOM: usize = 64;
/// How long it is not looked for such again.
const MOMENT: Duration = Duration::from_millis(1);

/// What a connection of HTTP/2 begins with (RFC 9113, 3.4).
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// When a connection last did something, and what it is to send.
#[derive(Debug)]
pub(crate) struct Life {
    began: Instant,
    /// In milliseconds from the beginning.
    moved: AtomicU64,
    /// How many of its requests are at work.
    working: AtomicUsize,
    /// When the head of a request began to come that is not whole yet, in milliseconds; 0 if none did.
    head: AtomicU64,
    /// Whether it is one of HTTP/2, of which not all that comes between requests begins one.
    is_http2: AtomicBool,
    /// The answers that are not sent yet, by their numbers.
    answers: Mutex<Answers>,
    /// Since when what is to be written waits for the other side, in milliseconds; 0 if it does not.
    blocked: AtomicU64,
    /// The bytes written since then.
    written: AtomicU64,
    /// How many of its answers go on for as long as there is something to answer.
    endless: AtomicUsize,
    /// When the last of its requests ended, or it began, in milliseconds.
    rested: AtomicU64,
    /// Whether a request of it had a token that holds.
    known: AtomicBool,
    /// What part of the processors it shares: that of strangers until it is known, and then that of its tenant.
    pace: Mutex<Option<Arc<Pace>>>,
    /// How many bytes may be read in this turn.
    turn: AtomicUsize,
    /// Told once it is to make room for another.
    close: Notify,
}

#[derive(Debug, Default)]
struct Answers {
    next: u64,
    unsent: BTreeMap<u64, Unsent>,
}

#[derive(Debug)]
struct Unsent {
    made: Instant,
    /// When some of it was last taken.
    taken: Instant,
    is_endless: bool,
    /// Whether all that there is of it was taken.
    is_awaited: bool,
}

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Lives {
    /// How many there may be.
    most: usize,
    /// How many there are.
    open: Arc<AtomicUsize>,
    all: Mutex<Numbered>,
}

#[derive(Debug, Default)]
struct Numbered {
    next: u64,
    all: HashMap<u64, Arc<Life>>,
    /// When it was last looked for those that make room: strangers, and others.
    looked: [Option<Instant>; 2],
}

/// One of the connections that there may be, until this is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    among: Arc<Lives>,
    number: u64,
}

impl Lives {
    /// At most so many, which are counted there.
    pub(crate) fn new(most: usize, open: Arc<AtomicUsize>) -> Self {
        Self { most, open, all: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Numbered> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection. Where there is none, those that have had no request at work for longest lose theirs:
    /// nobody keeps others out by doing nothing.
    pub(crate) fn enter(self: &Arc<Self>, life: &Arc<Life>) -> Option<Open> {
        let mut lives = self.lock();
        if lives.all.len() >= self.most {
            let resting = |(number, life): (&u64, &Arc<Life>)| Some((life.rests_since()?, *number));
            let mut resting: Vec<_> = lives.all.iter().filter_map(resting).collect();
            resting.sort_unstable();
            for (_, number) in resting.into_iter().take((self.most / ROOM).max(1)) {
                lives.close(number);
            }
        }
        if lives.all.len() >= self.most {
            return None;
        }
        let number = lives.next;
        lives.next += 1;
        lives.all.insert(number, Arc::clone(life));
        self.open.store(lives.all.len(), Ordering::Relaxed);
        Some(Open { among: Arc::clone(self), number })
    }

    /// Ends connections of whose answers nothing was taken for so long, the longest first: nobody keeps others out by not
    /// reading, and whoever reads stays. Strangers end those of strangers only. Says how many. It looks for them no more
    /// than once a moment, whoever asks.
    pub(crate) fn close_stalled(&self, known: bool, least: Duration) -> usize {
        let mut lives = self.lock();
        if lives.looked[usize::from(known)].is_some_and(|looked| looked.elapsed() < MOMENT) {
            return 0;
        }
        let like = lives.all.iter().filter(|(_, life)| life.is_known() == known);
        let stalled = like.filter_map(|(number, life)| Some((life.stalled()?, *number)));
        let mut stalled: Vec<_> = stalled.filter(|(time, _)| *time >= least).collect();
        stalled.sort_unstable_by(|a, b| b.cmp(a));
        stalled.truncate((self.most / ROOM).max(1));
        for (_, number) in &stalled {
            lives.close(*number);
        }
        lives.looked[usize::from(known)] = Some(Instant::now());
        self.open.store(lives.all.len(), Ordering::Relaxed);
        stalled.len()
    }
}

impl Numbered {
    fn close(&mut self, number: u64) {
        if let Some(life) = self.all.remove(&number) {
            life.close.notify_one();
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut lives = self.among.lock();
        lives.all.remove(&self.number);
        self.among.open.store(lives.all.len(), Ordering::Relaxed);
    }
}

/// An answer that is not sent yet, until this is dropped.
#[derive(Debug)]
pub(crate) struct Answering(Option<(Arc<Life>, u64)>);

impl Life {
    pub(crate) fn new(pace: Option<Arc<Pace>>) -> Self {
        Self {
            began: Instant::now(),
            moved: AtomicU64::new(0),
            working: AtomicUsize::new(0),
            head: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            answers: Mutex::default(),
            blocked: AtomicU64::new(0),
            written: AtomicU64::new(0),
            endless: AtomicUsize::new(0),
            rested: AtomicU64::new(0),
            known: AtomicBool::new(false),
            pace: Mutex::new(pace),
            turn: AtomicUsize::new(0),
            close: Notify::new(),
        }
    }

    /// Since when it has had no request at work, if it has none. What else moves does not count.
    pub(crate) fn rests_since(&self) -> Option<Instant> {
        let rested = Duration::from_millis(self.rested.load(Ordering::Relaxed));
        (self.working.load(Ordering::Relaxed) == 0).then(|| self.began + rested)
    }

    /// A request of it has a token that holds, of somebody who shares this.
    pub(crate) fn note_known(&self, pace: Option<&Arc<Pace>>) {
        self.known.store(true, Ordering::Relaxed);
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner) = pace.cloned();
    }

    pub(crate) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    pub(crate) fn pace(&self) -> Option<Arc<Pace>> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn begin_turn(&self) {
        let turn = if self.is_known() { TURN } else { STRANGERS_TURN };
        self.turn.store(turn, Ordering::Relaxed);
    }

    /// How many bytes may still be read in this turn.
    pub(crate) fn left_of_turn(&self) -> usize {
        self.turn.load(Ordering::Relaxed)
    }

    pub(crate) fn note_read(&self, bytes: &[u8]) {
        let left = self.left_of_turn().saturating_sub(bytes.len().max(1));
        self.turn.store(left, Ordering::Relaxed);
        if bytes.starts_with(HTTP2) {
            self.note_http2();
        }
        // What comes while an answer is on its way waits for that, and is no head that is late.
        let begins = !bytes.is_empty()
            && self.head.load(Ordering::Relaxed) == 0
            && self.working.load(Ordering::Relaxed) == 0
            && !self.is_http2.load(Ordering::Relaxed)
            && self.answers().unsent.is_empty();
        if begins {
            self.head.store(self.now(), Ordering::Relaxed);
        }
    }

    /// It speaks HTTP/2.
    pub(crate) fn note_http2(&self) {
        self.is_http2.store(true, Ordering::Relaxed);
    }

    /// Whether the head of a request has been coming for as long as this.
    pub(crate) fn is_late(&self, limit: Duration) -> bool {
        let began = self.head.load(Ordering::Relaxed);
        began > 0 && u128::from(self.now().saturating_sub(began)) >= limit.as_millis()
    }

    /// For how long nothing of its answers was taken, if there are any.
    fn stalled(&self) -> Option<Duration> {
        let answers = self.answers();
        let untaken = answers.unsent.values().filter(|one| !one.is_awaited);
        Some(untaken.map(|one| one.taken).max()?.elapsed())
    }

    /// Waits until it is to make room for another.
    pub(crate) async fn closed(&self) {
        self.close.notified().await;
    }

    /// In milliseconds, from 1.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    pub(crate) fn move_on(&self) {
        self.moved.store(self.now(), Ordering::Relaxed);
    }

    pub(crate) fn is_idle(&self, limit: Duration) -> bool {
        let still = self.now().saturating_sub(self.moved.load(Ordering::Relaxed));
        self.working.load(Ordering::Relaxed) == 0 && u128::from(still) >= limit.as_millis()
    }

    /// Whether answers are not taken: one is not sent within the time that there is for it, and what is
    /// taken of it is next to nothing.
    pub(crate) fn is_stuck(&self, limit: Duration) -> bool {
        let blocked = self.blocked.load(Ordering::Relaxed);
        let waited = self.now().saturating_sub(blocked);
        let crawls = blocked > 0
            && u128::from(waited) >= limit.as_millis()
            && self.written.load(Ordering::Relaxed) < waited.saturating_mul(LEAST_RATE) / 1000;
        let stuck = |one: &Unsent| {
            let is_late = !one.is_endless && one.made.elapsed() >= limit * LONGEST_ANSWER;
            is_late || (!one.is_awaited && one.taken.elapsed() >= limit)
        };
        crawls || self.answers().unsent.values().any(stuck)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever flushes has written all there was.
    pub(crate) fn note_flush(&self) {
        self.blocked.store(0, Ordering::Relaxed);
    }

    /// Something is to be written and cannot be, or all of it was.
    pub(crate) fn note_write(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Pending => {
                let now = self.now();
                let first =
                    self.blocked.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
                if first.is_ok() {
                    self.written.store(0, Ordering::Relaxed);
                }
            }
            // Of what has no end, something is to be taken from time to time.
            Poll::Ready(Ok(_)) if self.endless.load(Ordering::Relaxed) > 0 => {
                if self.blocked.load(Ordering::Relaxed) > 0 {
                    self.blocked.store(self.now(), Ordering::Relaxed);
                }
            }
            Poll::Ready(Ok(bytes)) => {
                self.written.fetch_add(*bytes as u64, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
        }
    }
}

impl Answering {
    /// An answer on this connection; on none, where a router is called without one.
    pub(crate) fn new(life: Option<&Arc<Life>>) -> Self {
        Self(life.map(|life| {
            let mut answers = life.answers();
            let number = answers.next;
            answers.next += 1;
            let (made, taken) = (Instant::now(), Instant::now());
            let unsent = Unsent { made, taken, is_endless: false, is_awaited: false };
            answers.unsent.insert(number, unsent);
            (Arc::clone(life), number)
        }))
    }

    /// It goes on for as long as there is something to answer, and its connection is at work until it ends.
    pub(crate) fn never_ends(&self) -> Option<Endless> {
        let (life, _) = self.0.as_ref()?;
        self.change(|one| one.is_endless = true);
        life.endless.fetch_add(1, Ordering::Relaxed);
        Some(Endless { life: Arc::clone(life), _at_work: AtWork::new(life) })
    }

    /// Some of it was taken.
    pub(crate) fn move_on(&self) {
        self.change(|one| {
            one.taken = Instant::now();
            one.is_awaited = false;
        });
    }

    /// All that there is of it was taken.
    pub(crate) fn wait(&self) {
        self.change(|one| one.is_awaited = one.is_endless);
    }

    fn change(&self, change: impl FnOnce(&mut Unsent)) {
        if let Some((life, number)) = &self.0
            && let Some(one) = life.answers().unsent.get_mut(number)
        {
            change(one);
        }
    }
}

/// An answer that goes on, until this is dropped.
pub(crate) struct Endless {
    life: Arc<Life>,
    _at_work: AtWork,
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.life.endless.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some((life, number)) = self.0.take() {
            life.answers().unsent.remove(&number);
        }
    }
}

/// A request at work: its connection waits for it.
pub(crate) struct AtWork(Arc<Life>);

impl AtWork {
    pub(crate) fn new(life: &Arc<Life>) -> Self {
        life.working.fetch_add(1, Ordering::Relaxed);
        life.head.store(0, Ordering::Relaxed);
        Self(Arc::clone(life))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.rested.store(self.0.now(), Ordering::Relaxed);
        self.0.working.fetch_sub(1, Ordering::Relaxed);
        self.0.move_on();
    }
}
