//! What is known in memory of what changes: one connection listens, and asks every few seconds besides.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use compute_state::{BoxError, KeptToken, Released, TenantName};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{AsyncMessage, Client, Connection, Notification, Socket};

use crate::address::{Address, CHANNEL, SESSION};
use crate::token_rows::{LOAD, LOAD_ONE, read_token};

/// All that is asked every few seconds, in one statement: an idle server costs the database no more.
const LOOK: &str = "
SELECT 'clock', (extract(epoch FROM clock_timestamp()) * 1000)::bigint, '', ''
UNION ALL SELECT 'rows', relrowsecurity::int, '', '' FROM pg_catalog.pg_class WHERE oid = 'compute.secrets'::regclass
UNION ALL SELECT 'tokens', number, '', '' FROM compute.token_changes
UNION ALL SELECT 'tenant', change, name, '' FROM compute.tenants WHERE name = ANY($1)
UNION ALL SELECT 'released', at, tenant, ref FROM compute.released WHERE at > $2";
/// How often it is asked what has changed, at least and at most: a node that was told nothing finds it then.
const POLL: std::ops::Range<u64> = 2000..4000;
/// How long an answer may take before the connection counts as broken.
const ANSWER: Duration = Duration::from_secs(3);
/// How long what was read may take until it is known: an answer, and time for a machine that does other things.
const ON_ITS_WAY: Duration = Duration::from_secs(30);
/// How late a change may be seen that says when it was, in milliseconds: it may have waited for others before its end.
const LATE: i64 = 15_000;
/// After how long without an answer it is away, whatever else is known.
const SILENT: Duration = Duration::from_secs(15);
/// After how long without an answer it is doubtful what is known, if nobody has said that the database is away: whoever asks every few
/// seconds would have. So the process was stopped meanwhile, and what was told since then is not read yet.
const DOUBT: Duration = Duration::from_secs(8);
/// How soon a connection that broke is tried again, the first time and at most; each time half of it at random.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// How many wait at most for a token that is not known.
const WAITING: usize = 1024;
/// How soon after another such question the next is put: so often may strangers have the database asked.
const QUESTIONS: Duration = Duration::from_millis(20);

/// What is known of what changes.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The numbers of tenants whose catalogues are open.
    tenants: RwLock<HashMap<TenantName, Weak<AtomicI64>>>,
    tokens: RwLock<Known>,
    /// When the database last answered.
    heard: Mutex<Instant>,
    is_away: AtomicBool,
    why: Mutex<String>,
    /// By how many milliseconds its clock is before this machine's.
    ahead: AtomicI64,
    /// How long what is known may be used.
    stale: Duration,
    asks: mpsc::Sender<Ask>,
    /// Is told of artifacts that others have released.
    on_release: OnceLock<Told>,
    /// The tokens that were revoked here a moment ago.
    revoked: Mutex<Vec<(Instant, String)>>,
    /// How often the connection was lost.
    losses: AtomicU64,
    /// Until when those are known, by the database's clock.
    released: AtomicI64,
}

struct Told(Box<Released>);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

/// The tokens, by id.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// That of their last change.
    number: Option<i64>,
    all: HashMap<String, KeptToken>,
}

/// What the watch is asked to do.
#[derive(Debug)]
pub(crate) enum Ask {
    /// To see whether there is a token of this id.
    Token(String, oneshot::Sender<()>),
    /// To see whether the database is there.
    Look,
}

/// Why the connection is of no use.
type Broken = BoxError;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// What nothing is known of yet, and what it will be asked.
    pub(crate) fn new(stale: Duration) -> (Arc<Self>, mpsc::Receiver<Ask>) {
        let (asks, asked) = mpsc::channel(WAITING);
        let watch = Self {
            tenants: RwLock::default(),
            tokens: RwLock::default(),
            heard: Mutex::new(Instant::now()),
            is_away: AtomicBool::new(false),
            why: Mutex::default(),
            ahead: AtomicI64::new(0),
            stale,
            asks,
            on_release: OnceLock::new(),
            revoked: Mutex::default(),
            losses: AtomicU64::new(0),
            released: AtomicI64::new(0),
        };
        (Arc::new(watch), asked)
    }

    /// The number of a tenant, which others' changes change from now on.
    pub(crate) fn follow(&self, tenant: &TenantName) -> Arc<AtomicI64> {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        let known = tenants.get(tenant).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let number = Arc::new(AtomicI64::new(0));
            tenants.insert(tenant.clone(), Arc::downgrade(&number));
            number
        })
    }

    /// Knows that a tenant's number has grown to this.
    pub(crate) fn saw(&self, tenant: &TenantName, number: i64) {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(tenant).and_then(Weak::upgrade) {
            known.fetch_max(number, Ordering::AcqRel);
        }
    }

    /// Has this called with artifacts that others release.
    pub(crate) fn on_release(&self, told: Box<Released>) {
        let _ = self.on_release.set(Told(told));
    }

    fn tell_released(&self, tenant: &str, artifact: &str) {
        if let (Some(Told(told)), Ok(tenant), Ok(artifact)) =
            (self.on_release.get(), tenant.parse(), artifact.parse())
        {
            told(&tenant, &artifact);
        }
    }

    /// What is known of a token.
    pub(crate) fn token(&self, id: &str) -> Option<KeptToken> {
        self.tokens.read().unwrap_or_else(PoisonError::into_inner).all.get(id).cloned()
    }

    /// Does not know a token any more: it is asked for when somebody has it.
    pub(crate) fn forget_token(&self, id: &str) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.all.remove(id);
    }

    /// Knows that a token was revoked here, whatever was read before that and is still on its way.
    pub(crate) fn revoked(&self, id: &str) {
        let mut revoked = lock(&self.revoked);
        revoked.retain(|(at, _)| at.elapsed() < ON_ITS_WAY);
        revoked.push((Instant::now(), id.to_owned()));
        drop(revoked);
        self.forget_token(id);
    }

    /// Whether a token was revoked here since this was asked for. What was asked for later, and has it, is of a database that was put back.
    fn is_revoked_since(&self, asked: Instant, id: &str) -> bool {
        lock(&self.revoked).iter().any(|(at, one)| *at >= asked && one == id)
    }

    /// Knows a tenant's number, of an answer. Where another was known before that was asked for, and it is larger, the database was put
    /// back to what it was; one that came since is newer than the answer.
    fn is_at(&self, tenant: &TenantName, number: i64, before: i64) {
        if number >= before {
            return self.saw(tenant, number);
        }
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = tenants.get(tenant).and_then(Weak::upgrade) {
            let _ = known.compare_exchange(before, number, Ordering::AcqRel, Ordering::Relaxed);
        }
    }

    /// Waits until it is known whether there is a token of this id, or until that can't be.
    pub(crate) fn ask_for_token(&self, id: &str) {
        let (done, answered) = oneshot::channel();
        if self.asks.try_send(Ask::Token(id.to_owned(), done)).is_ok() {
            let _ = pollster::block_on(answered);
        }
    }

    /// Has somebody see soon whether the database is there.
    pub(crate) fn look_soon(&self) {
        let _ = self.asks.try_send(Ask::Look);
    }

    /// Whether the database does not answer. Whoever asks it has stopped where nothing was heard for long.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Acquire) || lock(&self.heard).elapsed() > SILENT
    }

    /// Whether this process did not look for so long that what it knows may be of long ago.
    pub(crate) fn is_doubtful(&self) -> bool {
        !self.is_away.load(Ordering::Acquire) && lock(&self.heard).elapsed() > DOUBT
    }

    /// How long the database has not answered, if it is away.
    pub(crate) fn away_for(&self) -> Option<Duration> {
        self.is_away().then(|| lock(&self.heard).elapsed())
    }

    pub(crate) const fn stale(&self) -> Duration {
        self.stale
    }

    /// Whether what is known is too old to be used.
    pub(crate) fn is_stale(&self) -> bool {
        self.away_for().is_some_and(|time| time > self.stale)
    }

    /// Why the database is away.
    pub(crate) fn why(&self) -> String {
        lock(&self.why).clone()
    }

    /// The time, by the database's clock.
    pub(crate) fn now(&self) -> Timestamp {
        let ahead = SignedDuration::from_millis(self.ahead.load(Ordering::Relaxed));
        Timestamp::now().checked_add(ahead).unwrap_or(Timestamp::MAX)
    }

    fn answered(&self) {
        *lock(&self.heard) = Instant::now();
        self.is_away.store(false, Ordering::Release);
    }

    /// How often the connection was lost: others were, too, then.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    fn lost(&self, why: &Broken) {
        self.losses.fetch_add(1, Ordering::AcqRel);
        *lock(&self.why) = compute::with_causes(&**why);
        self.is_away.store(true, Ordering::Release);
    }
}

/// Follows the database for as long as somebody has the watch.
pub(crate) async fn follow(watch: Weak<Watch>, address: Address, mut asked: mpsc::Receiver<Ask>) {
    let (first, most) = RETRY;
    let mut pause = first;
    loop {
        let begun = Instant::now();
        let Err(broken) = connected(&watch, &address, &mut asked).await else { return };
        let Some(watch) = watch.upgrade() else { return };
        if !watch.is_away() {
            tracing::warn!(target: "request", "{} does not answer: {broken}", address.shown);
        }
        watch.lost(&broken);
        drop(watch);
        // Who waits is told at once.
        while let Ok(ask) = asked.try_recv() {
            drop(ask);
        }
        if begun.elapsed() > most {
            pause = first;
        }
        // Not all nodes at one moment.
        let half = pause / 2;
        tokio::time::sleep(half + half.mul_f64(fastrand::f64())).await;
        pause = (pause * 2).min(most);
    }
}

/// Follows the database on one connection, until that breaks or nobody has the watch.
async fn connected(
    watch: &Weak<Watch>,
    address: &Address,
    asked: &mut mpsc::Receiver<Ask>,
) -> Result<(), Broken> {
    let connecting = address.config.connect(address.tls.clone());
    let (client, connection) = tokio::time::timeout(address.patience(), connecting).await??;
    let (notes, mut told) = mpsc::unbounded_channel();
    let pump = tokio::spawn(pump(connection, notes));
    let followed = following(watch, &client, asked, &mut told).await;
    pump.abort();
    followed
}

async fn following(
    watch: &Weak<Watch>,
    client: &Client,
    asked: &mut mpsc::Receiver<Ask>,
    told: &mut mpsc::UnboundedReceiver<Notification>,
) -> Result<(), Broken> {
    let begin = format!("{SESSION}; LISTEN {CHANNEL}");
    within(client.batch_execute(&begin)).await?;
    let mut next_question = tokio::time::Instant::now();
    let mut next_poll = next_question;
    let mut is_first = true;
    let mut questions: Vec<(String, oneshot::Sender<()>)> = Vec::new();
    loop {
        let is_asked = !questions.is_empty();
        tokio::select! {
            // What was changed comes before what strangers ask.
            biased;
            note = told.recv() => {
                let note = note.ok_or("the connection was closed")?;
                let Some(watch) = watch.upgrade() else { return Ok(()) };
                watch.note(client, note.payload()).await?;
            }
            () = tokio::time::sleep_until(next_poll) => {
                let Some(watch) = watch.upgrade() else { return Ok(()) };
                // What is told from now on comes after it.
                watch.look(client, std::mem::take(&mut is_first)).await?;
                next_poll = tokio::time::Instant::now() + Duration::from_millis(fastrand::u64(POLL));
            }
            () = tokio::time::sleep_until(next_question), if is_asked => {
                let Some(watch) = watch.upgrade() else { return Ok(()) };
                let (ids, waiting): (Vec<_>, Vec<_>) = questions.drain(..).unzip();
                watch.find(client, &ids).await?;
                for one in waiting {
                    let _ = one.send(());
                }
                next_question = tokio::time::Instant::now() + QUESTIONS;
            }
            ask = asked.recv() => match ask {
                None => return Ok(()),
                Some(Ask::Look) => next_poll = next_poll.min(tokio::time::Instant::now() + QUESTIONS),
                Some(Ask::Token(id, done)) => questions.push((id, done)),
            }
        }
    }
}

/// Keeps a connection going, and hands on what is told on it.
async fn pump<S>(mut connection: Connection<Socket, S>, notes: mpsc::UnboundedSender<Notification>)
where
    S: tokio_postgres::tls::TlsStream + Unpin,
{
    let mut next = std::future::poll_fn(|context| connection.poll_message(context));
    while let Some(Ok(message)) = (&mut next).await {
        if let AsyncMessage::Notification(note) = message
            && notes.send(note).is_err()
        {
            return;
        }
    }
}

/// An answer that comes in time.
async fn within<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Broken> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(format!("no answer in {} s", ANSWER.as_secs()).into()),
    }
}

impl Watch {
    /// Takes what was told.
    async fn note(&self, client: &Client, payload: &str) -> Result<(), Broken> {
        let parts: Vec<_> = payload.split(' ').collect();
        match &parts[..] {
            ["tenant", tenant, number] => {
                if let (Ok(tenant), Ok(number)) = (tenant.parse(), number.parse()) {
                    self.saw(&tenant, number);
                }
            }
            ["token", id, last, number] => {
                let (Ok(last), Ok(number)) = (last.parse::<i64>(), number.parse::<i64>()) else {
                    return Ok(());
                };
                let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner).number;
                match known {
                    Some(known) if number <= known => {}
                    Some(known) if last == known => {
                        self.find(client, &[(*id).to_owned()]).await?;
                        let mut tokens =
                            self.tokens.write().unwrap_or_else(PoisonError::into_inner);
                        tokens.number = Some(number);
                    }
                    _ => self.load(client).await?,
                }
            }
            ["released", tenant, artifact] => self.tell_released(tenant, artifact),
            // What another version tells.
            _ => {}
        }
        self.answered();
        Ok(())
    }

    /// Asks what has changed.
    async fn look(&self, client: &Client, is_first: bool) -> Result<(), Broken> {
        // Before it is asked: what an answer says of less is not of before that.
        let mut before: HashMap<TenantName, i64> = {
            let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
            tenants.retain(|_, number| number.strong_count() > 0);
            let all = tenants.iter().filter_map(|(name, number)| {
                Some((name.clone(), number.upgrade()?.load(Ordering::Acquire)))
            });
            all.collect()
        };
        let names: Vec<_> = before.keys().map(|name| name.as_str().to_owned()).collect();
        let now = Timestamp::now().as_millisecond();
        // Those that went before this is known are loaded nowhere here.
        let known = self.released.load(Ordering::Relaxed);
        let since = if known > 0 { known - LATE } else { i64::MAX };
        let rows = within(client.query(LOOK, &[&names, &since])).await?;
        let mut until = known;
        for row in &rows {
            let (what, number): (&str, i64) = (row.get(0), row.get(1));
            let (name, artifact): (&str, &str) = (row.get(2), row.get(3));
            match (what, name.parse()) {
                ("clock", _) => {
                    self.ahead.store(number - now, Ordering::Relaxed);
                    until = number;
                }
                // A dump closes rows last: what is read before may be a half.
                ("rows", _) if number == 0 => return Err("it is being put back".into()),
                ("tokens", _) => {
                    let known = self.tokens.read().unwrap_or_else(PoisonError::into_inner).number;
                    if is_first || known != Some(number) {
                        self.load(client).await?;
                    }
                }
                ("tenant", Ok(tenant)) => {
                    if let Some(before) = before.remove(&tenant) {
                        self.is_at(&tenant, number, before);
                    }
                }
                ("released", _) => self.tell_released(name, artifact),
                _ => {}
            }
        }
        // There is nothing of these, or not any more.
        for (tenant, before) in before {
            self.is_at(&tenant, 0, before);
        }
        // Not before all were told: what breaks off in between is asked for again.
        self.released.store(until, Ordering::Relaxed);
        self.answered();
        Ok(())
    }

    /// Reads all tokens.
    async fn load(&self, client: &Client) -> Result<(), Broken> {
        let asked = Instant::now();
        // One statement sees one moment.
        let rows = within(client.query(LOAD, &[])).await?;
        let number = rows.first().map(|row| row.get::<_, i64>("number"));
        let all = rows.iter().filter_map(read_token).map(|one| (one.info.id.clone(), one));
        let mut all: HashMap<_, _> = all.collect();
        // Whoever revokes one meanwhile forgets it after this.
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|id, _| !self.is_revoked_since(asked, id));
        *tokens = Known { number, all };
        Ok(())
    }

    /// Reads the tokens of these ids.
    async fn find(&self, client: &Client, ids: &[String]) -> Result<(), Broken> {
        let asked = Instant::now();
        let rows = within(client.query(LOAD_ONE, &[&ids])).await?;
        let found = rows.iter().filter_map(read_token);
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        for id in ids {
            tokens.all.remove(id);
        }
        let found = found.filter(|one| !self.is_revoked_since(asked, &one.info.id));
        tokens.all.extend(found.map(|one| (one.info.id.clone(), one)));
        drop(tokens);
        self.answered();
        Ok(())
    }
}
