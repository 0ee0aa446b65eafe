//! All that is kept, in a folder on this machine.

mod audit;
mod bindings;
mod location;
mod opened;
mod traces;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::sqlite::{SqliteCatalogue, SqliteJobs, SqliteTokens, SqliteUsage};
use crate::{
    AuditLog, AuditOf, Catalogue, JobQueue, State, StateError, StateQuotas, TenantName,
    TenantState, TokenCheck, TraceStore, UsageLog, Vault, VaultError,
};

use audit::StackAudit;
pub use bindings::FileBindings;
use location::TENANTS;
pub use location::{Location, tenant_folder, tenant_store};
use opened::Opened;
pub use traces::FolderTraces;

/// The file of a tenant's stacks and secrets, in its folder.
const CATALOGUE: &str = "catalogue.sqlite";

/// What is kept in a folder: SQLite files and a folder of traces for each tenant, which several processes may use.
#[derive(Clone, Debug)]
pub struct LocalState {
    folder: PathBuf,
    quotas: StateQuotas,
    tokens: Arc<Opened<SqliteTokens>>,
    jobs: Arc<Opened<SqliteJobs>>,
}

impl LocalState {
    /// What is kept in this folder; it is made when something is.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let (folder, quotas) = (folder.into(), StateQuotas::default());
        Self { folder, quotas, tokens: Arc::default(), jobs: Arc::default() }
    }

    /// Whether anything was ever kept in the folder.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let is_one = |folder: &Path| folder.join(CATALOGUE).exists();
        is_one(&self.folder)
            || self.access_file().exists()
            || self.jobs_file().exists()
            || std::fs::read_dir(self.folder.join(TENANTS)).is_ok_and(|mut tenants| {
                tenants.any(|one| one.is_ok_and(|one| is_one(&one.path())))
            })
    }

    /// Whether stacks or secrets of a tenant were ever kept there.
    #[must_use]
    pub fn has(&self, tenant: &TenantName) -> bool {
        tenant_folder(&self.folder, tenant).join(CATALOGUE).exists()
    }

    /// The same, where each tenant may keep so much.
    #[must_use]
    pub fn with_quotas(self, quotas: StateQuotas) -> Self {
        Self { quotas, ..Self::new(self.folder) }
    }

    /// What seals secrets here, under the key that is kept beside them; it is made if there is none.
    ///
    /// # Errors
    /// As [`Vault::from_file`].
    pub fn vault(&self) -> Result<Vault, VaultError> {
        Vault::from_file(&self.key_file())
    }

    /// The file of the key that seals secrets here, whether it is there or not.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.folder.join("secret.key")
    }

    /// What seals secrets here, if there is a key.
    ///
    /// # Errors
    /// As [`Vault::from_file`].
    pub fn vault_if_made(&self) -> Result<Option<Vault>, VaultError> {
        let file = self.key_file();
        file.exists().then(|| Vault::from_file(&file)).transpose()
    }
}

impl LocalState {
    fn open_tokens(&self) -> Result<Arc<SqliteTokens>, StateError> {
        self.tokens.get(|| SqliteTokens::open(&self.access_file(), self.quotas))
    }

    fn open_jobs(&self) -> Result<Arc<SqliteJobs>, StateError> {
        self.jobs.get(|| SqliteJobs::open(&self.jobs_file(), self.quotas))
    }

    fn jobs_file(&self) -> PathBuf {
        self.folder.join("jobs.sqlite")
    }

    fn access_file(&self) -> PathBuf {
        self.folder.join("access.sqlite")
    }
}

impl State for LocalState {
    fn tenant(&self, tenant: &TenantName) -> Result<Arc<dyn TenantState>, StateError> {
        let folder = tenant_folder(&self.folder, tenant);
        let (state, name) = (self.clone(), tenant.clone());
        let (quotas, catalogue) = (self.quotas, Arc::default());
        Ok(Arc::new(LocalTenant { state, name, folder, quotas, catalogue }))
    }

    fn tokens(&self) -> Result<Arc<dyn TokenCheck>, StateError> {
        Ok(self.open_tokens()?)
    }

    fn jobs(&self) -> Result<Arc<dyn JobQueue>, StateError> {
        Ok(self.open_jobs()?)
    }

    fn usage(&self) -> Result<Arc<dyn UsageLog>, StateError> {
        Ok(Arc::new(SqliteUsage::open(&self.folder.join("usage.sqlite"))?))
    }

    fn tenants(&self) -> Result<Vec<TenantName>, StateError> {
        let folder = self.folder.join(TENANTS);
        let mut tenants = BTreeSet::from([TenantName::default()]);
        match std::fs::read_dir(&folder) {
            Ok(entries) => tenants
                .extend(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StateError::failed(folder.display().to_string(), error)),
        }
        // Of some there are tokens or schedules and no more, or there were.
        if self.access_file().exists() {
            tenants.extend(self.open_tokens()?.audited()?);
        }
        if self.jobs_file().exists() {
            tenants.extend(self.open_jobs()?.audited()?);
        }
        Ok(tenants.into_iter().collect())
    }

    fn location(&self) -> String {
        self.folder.display().to_string()
    }
}

/// A tenant's folder.
#[derive(Debug)]
struct LocalTenant {
    state: LocalState,
    name: TenantName,
    folder: PathBuf,
    quotas: StateQuotas,
    catalogue: Arc<Opened<SqliteCatalogue>>,
}

impl LocalTenant {
    fn open_catalogue(&self) -> Result<Arc<SqliteCatalogue>, StateError> {
        let file = self.folder.join(CATALOGUE);
        self.catalogue.get(|| SqliteCatalogue::open(&file, self.quotas))
    }
}

impl TenantState for LocalTenant {
    fn catalogue(&self) -> Result<Arc<dyn Catalogue>, StateError> {
        Ok(self.open_catalogue()?)
    }

    fn traces(&self) -> Result<Arc<dyn TraceStore>, StateError> {
        Ok(Arc::new(FolderTraces::new(self.folder.join("traces"), self.quotas)))
    }

    fn audit(&self, of: AuditOf) -> Result<Arc<dyn AuditLog>, StateError> {
        // Each entry is in the file of what it tells of.
        Ok(Arc::new(match of {
            AuditOf::Stacks => {
                let (file, catalogue) = (self.folder.join(CATALOGUE), Arc::clone(&self.catalogue));
                return Ok(Arc::new(StackAudit { file, quotas: self.quotas, catalogue }));
            }
            AuditOf::Tokens => self.state.open_tokens()?.audit(&self.name),
            AuditOf::Schedules => self.state.open_jobs()?.audit(&self.name),
        }))
    }
}
