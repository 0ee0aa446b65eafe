//! All that is kept in a database.

mod audit;
mod shares;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use compute::Account;
use compute_state::{
    AuditLog, AuditOf, Catalogue, JobQueue, Released, Shares, State, StateError, StateQuotas,
    TenantName, TenantState, TokenCheck, TraceStore, UsageLog, Vault, VaultError,
};

use crate::address::Address;
use crate::catalogue::PostgresCatalogue;
use crate::database::{Change, Database, Seen, Stop, key};
use crate::jobs::PostgresJobs;
use crate::schema::migrate;
use crate::tokens::PostgresTokens;
use crate::traces::{PostgresTraces, TraceWriter};
use crate::watch::{Watch, follow};
use audit::PostgresAudit;
use shares::PostgresShares;
use usage::PostgresUsage;

/// How many bytes of traces may be in memory while they are read, half of them of one tenant.
const READING: u64 = 128 << 20;

/// How a database is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostgresSettings {
    /// How much each tenant may keep.
    pub quotas: StateQuotas,
    /// How long what is known may be used while the database does not answer: 5 minutes.
    pub stale: Duration,
    /// How many connections there are at most, besides one that listens: 8.
    pub connections: usize,
}

impl Default for PostgresSettings {
    fn default() -> Self {
        Self { quotas: StateQuotas::default(), stale: Duration::from_secs(300), connections: 8 }
    }
}

/// State in a PostgreSQL database that any number of processes share.
#[derive(Debug)]
pub struct PostgresState {
    database: Arc<Database>,
    writer: Arc<TraceWriter>,
    /// The memory of traces that are read.
    reading: Account,
    quotas: StateQuotas,
}

impl PostgresState {
    /// Opens what is kept in the database at this address, as `libpq` writes it, and makes the tables if there are none. The password
    /// may be in the variable `PGPASSWORD`.
    ///
    /// TLS is as `sslmode` (`disable`, `verify-full`) and `sslrootcert` in it say; without them, a server on this machine is
    /// reached in the clear, and every other through TLS by a certificate that the system trusts. PostgreSQL is 14 or newer.
    ///
    /// # Errors
    /// [`StateError::Newer`] if a later version of this program made the tables, [`StateError::Unavailable`] if the database does
    /// not answer, [`StateError::Failed`] with what is wrong with the address or the rights.
    pub fn open(address: &str, settings: PostgresSettings) -> Result<Self, StateError> {
        let address = Address::read(address)
            .map_err(|error| StateError::failed("the state in PostgreSQL", error))?;
        let (watch, asked) = Watch::new(settings.stale);
        let database =
            Database::new(&address, settings.connections.max(1), &settings.quotas, watch)?;
        database.wait(async {
            let mut client = database.client().await?;
            migrate(&database, &mut client).await
        })?;
        let watch = Arc::downgrade(&database.watch);
        database.spawn(follow(watch, address, asked));
        let database = Arc::new(database);
        let writer = TraceWriter::start(Arc::clone(&database), settings.quotas)?;
        let reading = Account::new("the memory of traces that are read", READING);
        Ok(Self { database, writer: Arc::new(writer), reading, quotas: settings.quotas })
    }

    /// That this vault has the key that secrets here are sealed with; the first that asks says which that is. It is another from when a secret
    /// is set with another while there are none, of any tenant.
    ///
    /// # Errors
    /// [`VaultError::OtherKey`] if it has another, [`VaultError::State`] if that cannot be told.
    pub fn check_key(&self, vault: &Vault) -> Result<(), VaultError> {
        let (database, tenant) = (&self.database, TenantName::default());
        let check =
            async |change: &Change<'_>| key::check(change, vault, false, database.shown()).await;
        database.change(&tenant, Seen::InAnyOrder, |_| None, check)
    }
}

impl State for PostgresState {
    fn tenant(&self, tenant: &TenantName) -> Result<Arc<dyn TenantState>, StateError> {
        let (database, writer) = (Arc::clone(&self.database), Arc::clone(&self.writer));
        let (name, reading, quotas) = (tenant.clone(), self.reading.clone(), self.quotas);
        Ok(Arc::new(PostgresTenant { database, writer, reading, name, quotas }))
    }

    fn tokens(&self) -> Result<Arc<dyn TokenCheck>, StateError> {
        let (database, quotas) = (Arc::clone(&self.database), self.quotas);
        Ok(Arc::new(PostgresTokens { database, quotas }))
    }

    fn jobs(&self) -> Result<Arc<dyn JobQueue>, StateError> {
        Ok(Arc::new(PostgresJobs::new(Arc::clone(&self.database), self.quotas)))
    }

    fn usage(&self) -> Result<Arc<dyn UsageLog>, StateError> {
        Ok(Arc::new(PostgresUsage { database: Arc::clone(&self.database) }))
    }

    fn shares(&self) -> Result<Option<Arc<dyn Shares>>, StateError> {
        Ok(Some(Arc::new(PostgresShares { database: Arc::clone(&self.database) })))
    }

    fn tenants(&self) -> Result<Vec<TenantName>, StateError> {
        self.database.read(&TenantName::default(), async |read| {
            let rows = read.rows("SELECT name FROM compute.tenants ORDER BY name", &[]).await?;
            let names = rows.iter().filter_map(|row| row.get::<_, &str>(0).parse().ok());
            Ok::<_, Stop<StateError>>(names.collect())
        })
    }

    fn location(&self) -> String {
        self.database.shown().to_owned()
    }

    fn on_release(&self, told: Box<Released>) {
        self.database.watch.on_release(told);
    }

    fn away_for(&self) -> Option<Duration> {
        self.database.watch.away_for()
    }

    fn stale(&self) -> Duration {
        self.database.watch.stale()
    }
}

/// What is a tenant's.
#[derive(Debug)]
struct PostgresTenant {
    database: Arc<Database>,
    writer: Arc<TraceWriter>,
    reading: Account,
    name: TenantName,
    quotas: StateQuotas,
}

impl TenantState for PostgresTenant {
    fn catalogue(&self) -> Result<Arc<dyn Catalogue>, StateError> {
        let catalogue =
            PostgresCatalogue::open(Arc::clone(&self.database), self.name.clone(), self.quotas)?;
        Ok(Arc::new(catalogue))
    }

    fn traces(&self) -> Result<Arc<dyn TraceStore>, StateError> {
        let (database, name) = (Arc::clone(&self.database), self.name.clone());
        let writer = Arc::clone(&self.writer);
        let memory = (writer, &self.reading);
        Ok(Arc::new(PostgresTraces::new(database, memory, name, self.quotas)))
    }

    fn audit(&self, of: AuditOf) -> Result<Arc<dyn AuditLog>, StateError> {
        let (database, tenant) = (Arc::clone(&self.database), self.name.clone());
        Ok(Arc::new(PostgresAudit { database, tenant, of }))
    }
}
