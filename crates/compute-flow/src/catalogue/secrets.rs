//! The secrets that rules may name, sealed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use super::{Catalogue, CatalogueError, Result, time};
use crate::{Vault, VaultError};

/// The longest name of a secret, in bytes.
const MAX_NAME: usize = 128;
/// The longest secret, in bytes.
const MAX_VALUE: usize = 64 << 10;
/// How many secrets there may be.
const MAX_SECRETS: u32 = 1000;
/// How many bytes all of them may have, sealed: 1 MiB.
const MAX_BYTES: u64 = 1 << 20;

/// What is known of a secret: never its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
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
    #[error("there are {MAX_SECRETS} secrets already, which is the most")]
    TooMany,
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
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

impl Catalogue {
    /// The names of the secrets, in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn secrets(&self) -> Result<Vec<SecretInfo>> {
        let connection = self.reader();
        let mut query =
            self.sql(connection.prepare("SELECT name, set_at FROM secrets ORDER BY name"))?;
        let rows =
            query.query_map([], |row| Ok(SecretInfo { name: row.get(0)?, set: time(row.get(1)?) }));
        self.sql(rows.and_then(Iterator::collect))
    }

    /// Keeps a secret, in place of the one of its name.
    ///
    /// # Errors
    /// A name or a value that cannot be one, too many of them, or a file that cannot be written.
    pub fn set_secret(
        &self,
        vault: &Vault,
        name: &str,
        value: &str,
    ) -> std::result::Result<(), SecretError> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(fits) {
            return Err(SecretError::Name(name.chars().take(MAX_NAME).collect()));
        }
        if value.len() > MAX_VALUE {
            return Err(SecretError::TooLong(value.len()));
        }
        let sealed = vault.seal(name, value)?;
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let (others, bytes): (u32, u32) = self.sql(change.query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(sealed)), 0) FROM secrets WHERE name <> ?1",
            [name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        ))?;
        if others >= MAX_SECRETS {
            return Err(SecretError::TooMany);
        }
        if u64::from(bytes) + sealed.len() as u64 > MAX_BYTES {
            return Err(SecretError::Quota { limit: MAX_BYTES });
        }
        self.sql(change.execute(
            "INSERT OR REPLACE INTO secrets (name, sealed, set_at) VALUES (?1, ?2, ?3)",
            params![name, sealed, Timestamp::now().as_millisecond()],
        ))?;
        self.sql(change.execute("UPDATE changes SET number = number + 1", []))?;
        Ok(self.sql(change.commit())?)
    }

    /// Forgets a secret.
    ///
    /// # Errors
    /// [`SecretError::NoSecret`] if there is none of this name.
    pub fn delete_secret(&self, name: &str) -> std::result::Result<(), SecretError> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let gone = self.sql(change.execute("DELETE FROM secrets WHERE name = ?1", [name]))?;
        if gone == 0 {
            return Err(SecretError::NoSecret(name.chars().take(MAX_NAME).collect()));
        }
        self.sql(change.execute("UPDATE changes SET number = number + 1", []))?;
        Ok(self.sql(change.commit())?)
    }

    /// All secrets, opened, for rules to name.
    ///
    /// # Errors
    /// The first that this vault cannot open.
    pub fn open_secrets(
        &self,
        vault: &Vault,
    ) -> std::result::Result<BTreeMap<String, String>, SecretError> {
        let connection = self.reader();
        let mut query = self.sql(connection.prepare("SELECT name, sealed FROM secrets"))?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        let rows: Vec<(String, Vec<u8>)> = self.sql(rows.and_then(Iterator::collect))?;
        let open = |(name, sealed): (String, Vec<u8>)| {
            let value = vault.open(&name, &sealed)?;
            Ok((name, value))
        };
        rows.into_iter().map(open).collect()
    }
}
