//! A pool of connections, transactions of one tenant, and what their failures mean.

pub(crate) mod audit;
pub(crate) mod key;
pub(crate) mod released;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use compute_state::{BoxError, Deed, StateError, StateQuotas, TenantName};
use deadpool_postgres::{
    Client, Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime as PoolRuntime,
    Transaction,
};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{IsolationLevel, Row};

use crate::address::{Address, CHANNEL, SESSION};
use crate::watch::Watch;

/// How long a caller waits for a connection that is free.
const WAIT: Duration = Duration::from_secs(10);
/// How long a transaction may take up to its end, and its end, seen from here.
const MOST: Duration = Duration::from_secs(15);
/// How many reads of a tenant there are at once.
const READS: usize = 2;
/// How often a change is tried that came too near to another.
const TRIES: u32 = 5;
/// Whoever was refused a lock after longer than this has waited for it.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A pool of connections to a database. Any thread may wait for what is done there.
#[derive(Debug)]
pub(crate) struct Database {
    /// Nothing once this is dropped.
    runtime: Option<Runtime>,
    pool: Pool,
    shown: String,
    /// How often the connection of the watch was lost when one was last taken.
    losses: AtomicU64,
    /// What each tenant may do at once.
    turns: Mutex<HashMap<TenantName, Arc<Turns>>>,
    /// How many entries of each log of who changed what are kept.
    audit_entries: u64,
    pub(crate) watch: Arc<Watch>,
}

/// A tenant's changes and reads at this moment: whoever asks for many, or has changes wait for one another, takes no connection from
/// others meanwhile.
#[derive(Debug)]
struct Turns {
    changes: Semaphore,
    reads: Semaphore,
}

/// Why a transaction goes no further.
#[derive(Debug)]
pub(crate) enum Stop<E> {
    /// The database said so.
    Sql(tokio_postgres::Error),
    /// Whoever does it said so.
    Told(E),
}

impl<E> From<tokio_postgres::Error> for Stop<E> {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}

/// How a transaction ended that was not done, as far as is known.
enum Ended<E> {
    /// There was no answer.
    Silent,
    /// It was to be done, and whether it was is not known.
    Unknown(tokio_postgres::Error),
    /// It was not done.
    Stopped(Stop<E>),
}

/// Whether those who take documents must see what a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    ByDocuments,
    ByReaders,
    /// By readers too, and it need not come one after the other.
    InAnyOrder,
}

/// Which rows a transaction may see and change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// The tenant's.
    Own,
    /// The tenant's, for statements about jobs.
    OwnJobs,
    /// The jobs of all tenants.
    AllJobs,
}

impl Rows {
    /// The statement that a transaction begins with; the tables have nothing for one without it.
    const fn begin(self) -> &'static str {
        // What is known of a table of jobs is old at once. A plan that was kept from when it was nearly empty would read all of it, so
        // each statement is planned for what there is, and goes by indexes. Whoever stands still in between has the numbers of tenants,
        // which others wait for: they wait for longer than it may.
        macro_rules! for_jobs {
            () => {
                "set_config('plan_cache_mode', 'force_custom_plan', true),
                set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true),
                set_config('enable_mergejoin', 'off', true), set_config('enable_sort', 'off', true), set_config('random_page_cost', '1.1', true),
                set_config('idle_in_transaction_session_timeout', '3s', true)"
            };
        }
        match self {
            Self::Own => "SELECT set_config('compute.tenant', $1, true)",
            Self::OwnJobs => {
                concat!("SELECT set_config('compute.tenant', $1, true), ", for_jobs!())
            }
            Self::AllJobs => {
                concat!("SELECT $1::text, set_config('compute.jobs', 'all', true), ", for_jobs!())
            }
        }
    }
}

/// A transaction of one tenant, or of whoever runs the jobs of all.
pub(crate) struct Change<'a> {
    transaction: Transaction<'a>,
    pub(crate) tenant: &'a str,
}

/// The values of a statement.
pub(crate) type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Change<'_> {
    pub(crate) async fn rows(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<Vec<Row>, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        self.transaction.query(&statement, values).await
    }

    pub(crate) async fn row(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<Row, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        self.transaction.query_one(&statement, values).await
    }

    pub(crate) async fn row_if_any(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<Option<Row>, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        self.transaction.query_opt(&statement, values).await
    }

    /// How many rows it was about.
    pub(crate) async fn does(
        &self,
        statement: &str,
        values: Values<'_>,
    ) -> Result<u64, tokio_postgres::Error> {
        let statement = self.transaction.prepare_cached(statement).await?;
        self.transaction.execute(&statement, values).await
    }

    /// Says whose transaction it is.
    async fn begin(&self, rows: Rows) -> Result<(), tokio_postgres::Error> {
        self.does(rows.begin(), &[&self.tenant]).await.map(drop)
    }

    /// Takes its turn: changes of a tenant come one after the other.
    async fn lock(&self) -> Result<(), tokio_postgres::Error> {
        let lock = "INSERT INTO compute.tenants (name) VALUES ($1) \
             ON CONFLICT (name) DO UPDATE SET name = excluded.name";
        self.does(lock, &[&self.tenant]).await.map(drop)
    }

    /// Tells those who listen, once it is committed.
    pub(crate) async fn notify(&self, told: &str) -> Result<(), tokio_postgres::Error> {
        self.does("SELECT pg_notify($1, $2)", &[&CHANNEL, &told]).await.map(drop)
    }

    /// Counts the change, and tells everybody who listens. Its number.
    async fn tell(&self) -> Result<i64, tokio_postgres::Error> {
        // No number comes again, not even where a database takes the place of another that knew more.
        let count = "UPDATE compute.tenants SET change = GREATEST(change + 1,
                (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
            WHERE name = $1 RETURNING change";
        let number: i64 = self.row(count, &[&self.tenant]).await?.get(0);
        self.notify(&format!("tenant {} {number}", self.tenant)).await?;
        Ok(number)
    }
}

impl Database {
    /// A pool of so many connections at most; none is opened yet.
    pub(crate) fn new(
        address: &Address,
        connections: usize,
        quotas: &StateQuotas,
        watch: Arc<Watch>,
    ) -> Result<Self, StateError> {
        let failed = |source: BoxError| StateError::failed(address.shown.clone(), source);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| failed(error.into()))?;
        let config = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), address.tls.clone(), config);
        let pool = Pool::builder(manager)
            .max_size(connections)
            .runtime(PoolRuntime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(
                    async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) },
                )
            }))
            .build()
            .map_err(|error| failed(error.into()))?;
        let shown = address.shown.clone();
        let (losses, turns) = (AtomicU64::new(0), Mutex::default());
        let audit_entries = quotas.audit_entries;
        Ok(Self { runtime: Some(runtime), pool, shown, losses, turns, audit_entries, watch })
    }

    /// Does this on the runtime of the connections, until it ends by itself.
    pub(crate) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.runtime {
            runtime.spawn(work);
        }
    }

    /// Waits on this thread, whichever it is.
    pub(crate) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        // The runtime's own thread drives the connections and the clocks.
        let _entered = self.runtime.as_ref().map(|runtime| runtime.enter());
        pollster::block_on(work)
    }

    /// Where it is, for people.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    pub(crate) async fn client(&self) -> Result<Client, StateError> {
        // While it is away, one connection is tried, and not one for each caller.
        if self.watch.is_away() {
            return Err(self.away());
        }
        // What is idle since before the last loss leads nowhere, maybe without a word.
        let losses = self.watch.losses();
        if self.losses.swap(losses, Ordering::AcqRel) != losses {
            self.pool.retain(|_, _| false);
        }
        self.pool.get().await.map_err(|error| match error {
            deadpool_postgres::PoolError::Backend(error) => self.failed(error),
            error => StateError::unavailable(self.shown.clone(), error),
        })
    }

    fn turns(&self, tenant: &TenantName) -> Arc<Turns> {
        let mut all = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Turns { changes: Semaphore::new(1), reads: Semaphore::new(READS) });
        Arc::clone(all.entry(tenant.clone()).or_insert_with(new))
    }

    /// Waits for a turn.
    async fn turn<'a>(&self, turns: &'a Semaphore) -> Result<SemaphorePermit<'a>, StateError> {
        match tokio::time::timeout(WAIT, turns.acquire()).await {
            Ok(Ok(turn)) => Ok(turn),
            _ => Err(StateError::unavailable(
                self.shown.clone(),
                "a tenant's changes wait for one another for too long",
            )),
        }
    }

    /// What is said of a connection that does not answer, which nobody uses again.
    fn silent(&self, client: Client) -> StateError {
        drop(Client::take(client));
        self.watch.look_soon();
        let why =
            format!("no answer in {} s; a change may have been made all the same", MOST.as_secs());
        StateError::unavailable(self.shown.clone(), why)
    }

    pub(crate) fn away(&self) -> StateError {
        StateError::unavailable(self.shown.clone(), self.watch.why())
    }

    /// Changes what is a tenant's: all of it or nothing, one change after the other, on disk when it is answered. What is done is
    /// done again where it came too near to another, or where a connection broke before the end. What `deed` says of what it gave is
    /// written with it into the log of who changed what; nothing of what changes nothing that is anybody's, or is a copy.
    pub(crate) fn change<T, E: From<StateError>>(
        &self,
        tenant: &TenantName,
        seen: Seen,
        deed: impl Fn(&T) -> Option<Deed>,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        self.wait(async {
            let turns = self.turns(tenant);
            let _turn = match seen {
                Seen::InAnyOrder => None,
                Seen::ByDocuments | Seen::ByReaders => Some(self.turn(&turns.changes).await?),
            };
            let logged = async |change: &Change<'_>| {
                let done = work(change).await?;
                if let Some(deed) = deed(&done) {
                    audit::log(change, &deed, self.audit_entries).await?;
                }
                Ok(done)
            };
            let (done, number) = self.transact(tenant.as_str(), Rows::Own, seen, logged).await?;
            if let Some(number) = number {
                self.watch.saw(tenant, number);
            }
            Ok(done)
        })
    }

    /// Changes a tenant's jobs, as many at once as there are reads: changes of other things wait for none of these, nor these for them.
    pub(crate) fn change_jobs<T, E: From<StateError>>(
        &self,
        tenant: &TenantName,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        self.wait(async {
            let turns = self.turns(tenant);
            let _turn = self.turn(&turns.reads).await?;
            let (tenant, rows) = (tenant.as_str(), Rows::OwnJobs);
            let changed = self.transact(tenant, rows, Seen::InAnyOrder, work).await?;
            Ok(changed.0)
        })
    }

    /// Changes jobs of any tenants, or reads them. It waits for no tenant's turn.
    pub(crate) fn change_all_jobs<T, E: From<StateError>>(
        &self,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        self.wait(async {
            let changed = self.transact("", Rows::AllJobs, Seen::InAnyOrder, work).await?;
            Ok(changed.0)
        })
    }

    /// One statement by itself, which answers with one row.
    pub(crate) fn ask<T>(
        &self,
        statement: &str,
        values: Values<'_>,
        read: impl Fn(Row) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, StateError> {
        self.wait(async {
            let mut tries = 1;
            loop {
                let client = self.client().await?;
                let asked = async {
                    let statement = client.prepare_cached(statement).await?;
                    client.query_one(&statement, values).await
                };
                match tokio::time::timeout(MOST, asked).await.ok() {
                    Some(Ok(row)) => return read(row).map_err(|error| self.failed(error)),
                    None => return Err(self.silent(client)),
                    Some(Err(error)) if tries < TRIES && may_be_tried_again(&error) => {}
                    Some(Err(error)) => return Err(self.failed(error)),
                }
                tries += 1;
            }
        })
    }

    /// A transaction, and the number of the change if it has one.
    async fn transact<T, E: From<StateError>>(
        &self,
        tenant: &str,
        rows: Rows,
        seen: Seen,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stop<E>>,
    ) -> Result<(T, Option<i64>), E> {
        let mut tries = 1;
        loop {
            let mut client = self.client().await?;
            let begun = Instant::now();
            let tried = async {
                let transaction = client.transaction().await?;
                let change = Change { transaction, tenant };
                change.begin(rows).await?;
                if seen != Seen::InAnyOrder {
                    change.lock().await?;
                }
                let done = work(&change).await?;
                let number = match seen {
                    Seen::ByDocuments => Some(change.tell().await?),
                    Seen::ByReaders | Seen::InAnyOrder => None,
                };
                Ok((done, number, change.transaction))
            };
            // Whether one was done whose end got no answer is not known: it is not tried again. The server's own limit of time
            // does not hold for its end.
            let ended = match tokio::time::timeout(MOST, tried).await {
                Err(_) => Err(Ended::Silent),
                Ok(Err(stop)) => Err(Ended::Stopped(stop)),
                Ok(Ok((done, number, transaction))) => {
                    match tokio::time::timeout(MOST, transaction.commit()).await {
                        Err(_) => Err(Ended::Silent),
                        Ok(Err(error)) => Err(Ended::Unknown(error)),
                        Ok(Ok(())) => Ok((done, number)),
                    }
                }
            };
            match ended {
                Ok(done) => return Ok(done),
                Err(Ended::Silent) => return Err(self.silent(client).into()),
                Err(Ended::Unknown(error)) => return Err(self.failed(error).into()),
                Err(Ended::Stopped(Stop::Sql(error)))
                    if tries < TRIES
                        && (may_be_tried_again(&error)
                            || is_locked(&error) && begun.elapsed() < AT_ONCE) => {}
                Err(Ended::Stopped(stop)) => return Err(self.stopped(stop)),
            }
            drop(client);
            let pause = Duration::from_millis(fastrand::u64(5..30) * u64::from(tries));
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    /// Reads what is a tenant's, as it is at one moment.
    pub(crate) fn read<T, E: From<StateError>>(
        &self,
        tenant: &TenantName,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        self.read_rows(tenant, Rows::Own, work)
    }

    /// As [`read`](Self::read), of the rows that these are.
    pub(crate) fn read_rows<T, E: From<StateError>>(
        &self,
        tenant: &TenantName,
        rows: Rows,
        work: impl AsyncFn(&Change<'_>) -> Result<T, Stop<E>>,
    ) -> Result<T, E> {
        self.wait(async {
            let turns = self.turns(tenant);
            let _turn = self.turn(&turns.reads).await?;
            let mut tries = 1;
            loop {
                let mut client = self.client().await?;
                let tried = async {
                    let begin = client.build_transaction().read_only(true);
                    let transaction =
                        begin.isolation_level(IsolationLevel::RepeatableRead).start().await?;
                    let read = Change { transaction, tenant: tenant.as_str() };
                    read.begin(rows).await?;
                    let done = work(&read).await?;
                    read.transaction.commit().await?;
                    Ok(done)
                };
                let tried = tokio::time::timeout(MOST, tried).await.ok();
                match tried {
                    Some(Ok(done)) => return Ok(done),
                    None => return Err(self.silent(client).into()),
                    Some(Err(Stop::Sql(error))) if tries < TRIES && may_be_tried_again(&error) => {}
                    Some(Err(stop)) => return Err(self.stopped(stop)),
                }
                tries += 1;
            }
        })
    }

    pub(crate) fn stopped<E: From<StateError>>(&self, stop: Stop<E>) -> E {
        match stop {
            Stop::Told(error) => error,
            Stop::Sql(error) => self.failed(error).into(),
        }
    }

    /// What a failure means: whether later may be better.
    pub(crate) fn failed(&self, error: tokio_postgres::Error) -> StateError {
        let is_away = error.is_closed() || error.code().is_none_or(is_passing);
        // What it says itself, with what it adds, in place of `db error`.
        let said: Option<BoxError> = error.as_db_error().map(|said| {
            let more = [said.detail(), said.hint()].into_iter().flatten();
            let more: String = more.map(|text| format!("; {text}")).collect();
            format!("{} (SQLSTATE {}){more}", said.message(), said.code().code()).into()
        });
        let source = said.unwrap_or_else(|| {
            // The library knows nothing of where passwords come from here.
            match compute::with_causes(&error) {
                text if text.contains("password missing") => {
                    format!("{text}: set PGPASSWORD, or write the password into the address").into()
                }
                _ => error.into(),
            }
        });
        if is_away {
            self.watch.look_soon();
            StateError::unavailable(self.shown.clone(), source)
        } else {
            StateError::failed(self.shown.clone(), source)
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Nobody waits for what goes on, whoever drops it.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether the same may succeed later: the server ends or begins, is a standby, has no room or no connections, or another was first.
fn is_passing(code: &SqlState) -> bool {
    // Connections, no resources, an operator, the system, transactions that another kept from it; and what is read-only.
    let classes = ["08", "53", "57", "58", "40"];
    classes.iter().any(|class| code.code().starts_with(class))
        || [SqlState::LOCK_NOT_AVAILABLE, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code)
}

/// Whether another has what it wants.
fn is_locked(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
}

/// Whether nothing of a transaction was done, and another try may succeed at once.
fn may_be_tried_again(error: &tokio_postgres::Error) -> bool {
    error.is_closed()
        || error.code().is_some_and(|code| {
            [
                SqlState::T_R_SERIALIZATION_FAILURE,
                SqlState::T_R_DEADLOCK_DETECTED,
                SqlState::ADMIN_SHUTDOWN,
                SqlState::CRASH_SHUTDOWN,
            ]
            .contains(code)
        })
}
