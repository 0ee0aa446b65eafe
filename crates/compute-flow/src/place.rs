//! Where stacks and artifacts are kept, for everybody who shares a machine.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use compute_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use crate::{Catalogue, CatalogueError, Tokens, TokensError, Traces, Vault, VaultError};

/// Where a tenant's artifacts and stacks are kept: a store, and a folder for the catalogue and the traces.
///
/// Each tenant has a place of its own below the first one, so that nothing of another's can be reached from it.
///
/// ```
/// use compute_flow::Place;
///
/// let place = Place::new("s3://bucket/prefix", "/var/lib/compute");
/// let theirs = place.tenant(&"acme".parse()?);
/// assert_eq!(theirs.store, "s3://bucket/prefix/tenants/acme");
/// assert_eq!(theirs.state, std::path::Path::new("/var/lib/compute/tenants/acme"));
/// assert_eq!(place.tenant(&"default".parse()?), place);
/// # Ok::<(), compute_flow::TenantError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The store's URL, as [`compute_store::open`] takes it.
    pub store: String,
    /// The folder of the catalogue and the traces.
    pub state: PathBuf,
}

impl Place {
    /// A place.
    pub fn new(store: impl Into<String>, state: impl Into<PathBuf>) -> Self {
        Self { store: store.into(), state: state.into() }
    }

    /// A tenant's own place.
    #[must_use]
    pub fn tenant(&self, tenant: &TenantName) -> Self {
        if tenant.is_default() {
            return self.clone();
        }
        // What is in memory is each one's own anyway.
        let store = match self.store.starts_with("memory:") {
            true => self.store.clone(),
            false => format!("{}/tenants/{tenant}", self.store.trim_end_matches('/')),
        };
        Self { store, state: self.state.join("tenants").join(tenant.as_str()) }
    }

    /// The store of artifacts.
    ///
    /// # Errors
    /// As [`compute_store::open`].
    pub fn open_store(&self) -> Result<Arc<dyn Store>, StoreError> {
        compute_store::open(&self.store)
    }

    /// The catalogue of stacks.
    ///
    /// # Errors
    /// As [`Catalogue::open`].
    pub fn catalogue(&self) -> Result<Catalogue, CatalogueError> {
        Catalogue::open(&self.state.join("catalogue.sqlite"))
    }

    /// The tokens of all tenants, which are kept at the first one's place.
    ///
    /// # Errors
    /// As [`Tokens::open`].
    pub fn tokens(&self) -> Result<Tokens, TokensError> {
        Tokens::open(&self.state.join("access.sqlite"))
    }

    /// The traces of documents.
    #[must_use]
    pub fn traces(&self) -> Traces {
        Traces::new(self.state.join("traces"))
    }

    /// What seals secrets here, under the key that is kept beside them; it is made if there is none.
    ///
    /// # Errors
    /// As [`Vault::from_file`].
    pub fn vault(&self) -> Result<Vault, VaultError> {
        Vault::from_file(&self.state.join("secret.key"))
    }
}

/// The name of a tenant: 1 to 63 lower-case letters, digits and `-`, neither first nor last a `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(Arc<str>);

impl TenantName {
    /// The longest name, in bytes.
    pub const MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the tenant of those who name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TenantName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// A text that is not the name of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a tenant's name: 1 to 63 lower-case letters, digits and `-` inside")]
pub struct TenantError {
    text: String,
}

impl FromStr for TenantName {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, TenantError> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends = |b: Option<&u8>| b.is_some_and(|b| letter(*b));
        let bytes = text.as_bytes();
        if bytes.len() <= Self::MAX
            && ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|b| letter(*b) || *b == b'-')
        {
            Ok(Self(text.into()))
        } else {
            Err(TenantError { text: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for TenantName {
    type Error = TenantError;

    fn try_from(text: String) -> Result<Self, TenantError> {
        text.parse()
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
