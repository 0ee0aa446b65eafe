//! Where stacks and artifacts are kept, for everybody who shares a machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute_store::{Store, StoreError};

use super::LocalState;
use crate::{
    Catalogue, State as _, StateError, TenantName, TokenCheck, TraceStore, Vault, VaultError,
};

/// The folder of all tenants but the first.
pub(super) const TENANTS: &str = "tenants";

/// Where artifacts and stacks are kept, on this machine: a store, and a folder for all other state.
///
/// Each tenant has a place of its own below the first one, so that nothing of another's can be reached from it.
///
/// ```
/// use compute_state::Location;
///
/// let place = Location::new("s3://bucket/prefix", "/var/lib/compute");
/// let theirs = place.tenant(&"acme".parse()?);
/// assert_eq!(theirs.store, "s3://bucket/prefix/tenants/acme");
/// assert_eq!(theirs.state, std::path::Path::new("/var/lib/compute/tenants/acme"));
/// assert_eq!(place.tenant(&"default".parse()?), place);
/// # Ok::<(), compute_state::TenantError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The store's URL, as [`compute_store::open`] takes it.
    pub store: String,
    /// The folder of the state.
    pub state: PathBuf,
}

impl Location {
    /// A place.
    pub fn new(store: impl Into<String>, state: impl Into<PathBuf>) -> Self {
        Self { store: store.into(), state: state.into() }
    }

    /// A tenant's own place.
    #[must_use]
    pub fn tenant(&self, tenant: &TenantName) -> Self {
        Self { store: tenant_store(&self.store, tenant), state: tenant_folder(&self.state, tenant) }
    }

    /// The store of artifacts.
    ///
    /// # Errors
    /// As [`compute_store::open`].
    pub fn open_store(&self) -> Result<Arc<dyn Store>, StoreError> {
        compute_store::open(&self.store)
    }

    /// All that is kept in the folder, its tenants below it.
    #[must_use]
    pub fn local_state(&self) -> LocalState {
        LocalState::new(&self.state)
    }

    /// Opens the stacks and the secrets of this place's own tenant.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    pub fn catalogue(&self) -> Result<Arc<dyn Catalogue>, StateError> {
        self.local_state().tenant(&TenantName::default())?.catalogue()
    }

    /// Opens the tokens of all tenants, which are kept at the first one's place.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    pub fn tokens(&self) -> Result<Arc<dyn TokenCheck>, StateError> {
        self.local_state().tokens()
    }

    /// Opens the traces of this place's own tenant.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be opened.
    pub fn traces(&self) -> Result<Arc<dyn TraceStore>, StateError> {
        self.local_state().tenant(&TenantName::default())?.traces()
    }

    /// What seals secrets here: [`LocalState::vault`].
    ///
    /// # Errors
    /// As [`Vault::from_file`].
    pub fn vault(&self) -> Result<Vault, VaultError> {
        self.local_state().vault()
    }
}

/// Where a tenant's artifacts are below a store, by URLs as [`compute_store::open`] takes them.
#[must_use]
pub fn tenant_store(url: &str, tenant: &TenantName) -> String {
    // What is in memory is each one's own anyway.
    if tenant.is_default() || url.starts_with("memory:") {
        return url.to_owned();
    }
    format!("{}/tenants/{tenant}", url.trim_end_matches('/'))
}

/// Where a tenant's state is below a folder.
#[must_use]
pub fn tenant_folder(folder: &Path, tenant: &TenantName) -> PathBuf {
    if tenant.is_default() {
        return folder.to_owned();
    }
    folder.join(TENANTS).join(tenant.as_str())
}
