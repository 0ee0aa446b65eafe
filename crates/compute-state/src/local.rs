//! All that is kept, in a folder on this machine.

mod bindings;
mod location;
mod traces;

use std::path::PathBuf;
use std::sync::Arc;

use crate::sqlite::{SqliteCatalogue, SqliteTokens};
use crate::{
    Catalogue, State, StateError, StateQuotas, TenantName, TenantState, TokenCheck, TraceStore,
    Vault, VaultError,
};

pub use bindings::FileBindings;
use location::TENANTS;
pub use location::{Location, tenant_folder, tenant_store};
pub use traces::FolderTraces;

/// What is kept in a folder: SQLite files and a folder of traces for each tenant, which several processes may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalState {
    folder: PathBuf,
    quotas: StateQuotas,
}

impl LocalState {
    /// What is kept in this folder; it is made when something is.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), quotas: StateQuotas::default() }
    }

    /// The same, where each tenant may keep so much.
    #[must_use]
    pub fn with_quotas(self, quotas: StateQuotas) -> Self {
        Self { quotas, ..self }
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

impl State for LocalState {
    fn tenant(&self, tenant: &TenantName) -> Result<Arc<dyn TenantState>, StateError> {
        let folder = tenant_folder(&self.folder, tenant);
        Ok(Arc::new(LocalTenant { folder, quotas: self.quotas }))
    }

    fn tokens(&self) -> Result<Arc<dyn TokenCheck>, StateError> {
        Ok(Arc::new(SqliteTokens::open(&self.folder.join("access.sqlite"), self.quotas)?))
    }

    fn tenants(&self) -> Result<Vec<TenantName>, StateError> {
        let folder = self.folder.join(TENANTS);
        let mut tenants = vec![TenantName::default()];
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(tenants),
            Err(error) => return Err(StateError::failed(folder.display().to_string(), error)),
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        tenants.extend(names);
        tenants.sort();
        Ok(tenants)
    }

    fn location(&self) -> String {
        self.folder.display().to_string()
    }
}

/// A tenant's folder.
#[derive(Debug)]
struct LocalTenant {
    folder: PathBuf,
    quotas: StateQuotas,
}

impl TenantState for LocalTenant {
    fn catalogue(&self) -> Result<Arc<dyn Catalogue>, StateError> {
        let path = self.folder.join("catalogue.sqlite");
        Ok(Arc::new(SqliteCatalogue::open(&path, self.quotas)?))
    }

    fn traces(&self) -> Result<Arc<dyn TraceStore>, StateError> {
        Ok(Arc::new(FolderTraces::new(self.folder.join("traces"), self.quotas)))
    }
}
