//! The secrets that rules may name: kept sealed, and opened for documents only.

mod vault;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::StateError;

pub(crate) use vault::make_folder;
pub use vault::{Vault, VaultError};

/// The longest name of a secret, in bytes.
const MAX_NAME: usize = 128;
/// The longest secret, in bytes.
const MAX_VALUE: usize = 64 << 10;

/// Secrets as those who set them see them, on this machine or through a server: nobody gets a value back.
///
/// Each change is atomic, and durable when it is answered. All methods block.
pub trait Secrets: fmt::Debug + Send + Sync {
    /// What is known of the secrets, by name.
    ///
    /// # Errors
    /// [`SecretError::State`].
    fn list(&self) -> Result<Vec<SecretInfo>, SecretError>;

    /// Keeps a secret, in place of the one of its name.
    ///
    /// # Errors
    /// A name or a value that cannot be one, or too many of them.
    fn set(&self, name: &str, value: &str) -> Result<(), SecretError>;

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`SecretError::NoSecret`] if there is none of this name.
    fn delete(&self, name: &str) -> Result<(), SecretError>;
}

/// Sealed secrets by name. Whoever keeps them can open none: that takes the [`Vault`].
///
/// Each change is atomic, counts in [`crate::Catalogue::change_number`], and is durable when it is answered. All
/// methods block.
pub trait SealedSecrets: fmt::Debug + Send + Sync {
    /// What is known of the secrets, by name.
    ///
    /// # Errors
    /// [`SecretError::State`].
    fn secrets(&self) -> Result<Vec<SecretInfo>, SecretError>;

    /// Keeps what [`Vault::seal`] gave for this name, in place of what was kept.
    ///
    /// # Errors
    /// [`SecretError::Name`], [`SecretError::TooMany`] and [`SecretError::Quota`]; nothing is changed then.
    fn put_sealed(&self, name: &str, sealed: &[u8]) -> Result<(), SecretError>;

    /// Keeps a sealed secret as it was elsewhere, in place of what was kept. Quotas are for what is new.
    ///
    /// # Errors
    /// [`SecretError::Name`].
    fn restore_sealed(&self, secret: &SecretInfo, sealed: &[u8]) -> Result<(), SecretError>;

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`SecretError::NoSecret`] if there is none of this name.
    fn delete_secret(&self, name: &str) -> Result<(), SecretError>;

    /// All secrets, sealed, as they are at one moment.
    ///
    /// # Errors
    /// [`SecretError::State`].
    fn sealed_secrets(&self) -> Result<BTreeMap<String, Vec<u8>>, SecretError>;

    /// Seals a secret and keeps it, in place of the one of its name.
    ///
    /// # Errors
    /// [`VaultError::OtherKey`] where those who share what is kept have another key; a name or a value that cannot be one, or too many of them.
    fn set_secret(&self, vault: &Vault, name: &str, value: &str) -> Result<(), SecretError> {
        check_secret(name, value)?;
        self.put_sealed(name, &vault.seal(name, value)?)
    }

    /// All secrets, opened, for rules to name.
    ///
    /// # Errors
    /// The first that this vault cannot open.
    fn open_secrets(&self, vault: &Vault) -> Result<BTreeMap<String, String>, SecretError> {
        let open = |(name, sealed): (String, Vec<u8>)| {
            let value = vault.open(&name, &sealed)?;
            Ok((name, value))
        };
        self.sealed_secrets()?.into_iter().map(open).collect()
    }
}

/// That a name is one of a secret: 1 to 128 letters, digits, `_`, `-` and `.`.
///
/// # Errors
/// [`SecretError::Name`] if it isn't.
pub fn check_secret_name(name: &str) -> Result<(), SecretError> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
        return Err(SecretError::Name(name.chars().take(MAX_NAME).collect()));
    }
    Ok(())
}

/// That a name and a value are those of a secret.
///
/// # Errors
/// [`SecretError::Name`] and [`SecretError::TooLong`] if they aren't.
pub fn check_secret(name: &str, value: &str) -> Result<(), SecretError> {
    check_secret_name(name)?;
    if value.len() > MAX_VALUE {
        return Err(SecretError::TooLong(value.len()));
    }
    Ok(())
}

/// [`SealedSecrets`] and what seals them, as [`Secrets`].
#[derive(Clone, Debug)]
pub struct VaultSecrets {
    sealed: Arc<dyn SealedSecrets>,
    vault: Vault,
}

impl VaultSecrets {
    /// These secrets, under the key of this vault.
    #[must_use]
    pub fn new(sealed: Arc<dyn SealedSecrets>, vault: Vault) -> Self {
        Self { sealed, vault }
    }
}

impl Secrets for VaultSecrets {
    fn list(&self) -> Result<Vec<SecretInfo>, SecretError> {
        self.sealed.secrets()
    }

    fn set(&self, name: &str, value: &str) -> Result<(), SecretError> {
        self.sealed.set_secret(&self.vault, name, value)
    }

    fn delete(&self, name: &str) -> Result<(), SecretError> {
        self.sealed.delete_secret(name)
    }
}

/// What is known of a secret: never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SecretInfo {
    /// Its name.
    pub name: String,
    /// When it was set.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub set: Timestamp,
}

/// A secret cannot be kept or opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecretError {
    /// The name is not one.
    #[error("`{0}` is not a secret's name: 1 to 128 letters, digits, `_`, `-` and `.`")]
    Name(String),
    /// The value is too long.
    #[error("a secret has at most {MAX_VALUE} bytes; this has {0}")]
    TooLong(usize),
    /// There are too many.
    #[error("there are {limit} secrets already, which is the most")]
    TooMany {
        /// How many there may be.
        limit: u32,
    },
    /// All of them together are too long.
    #[error("all secrets together have at most {limit} bytes")]
    Quota {
        /// How many bytes.
        limit: u64,
    },
    /// There is no such secret.
    #[error("there is no secret `{0}`")]
    NoSecret(String),
    /// It cannot be sealed or opened.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// What is kept cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl SecretError {
    /// That there is no secret of this name.
    #[must_use]
    pub fn none(name: &str) -> Self {
        Self::NoSecret(name.chars().take(MAX_NAME).collect())
    }
}
