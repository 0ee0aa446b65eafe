//! Sealed secrets, in the catalogue's file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::params;

use super::{SqliteCatalogue, time};
use crate::{Deed, SealedSecrets, SecretError, SecretInfo, check_secret_name};

const PUT: &str = "INSERT OR REPLACE INTO secrets (name, sealed, set_at) VALUES (?1, ?2, ?3)";

impl SealedSecrets for SqliteCatalogue {
    fn secrets(&self) -> Result<Vec<SecretInfo>, SecretError> {
        let connection = self.reader();
        let mut query =
            self.sql(connection.prepare("SELECT name, set_at FROM secrets ORDER BY name"))?;
        let rows =
            query.query_map([], |row| Ok(SecretInfo { name: row.get(0)?, set: time(row.get(1)?) }));
        Ok(self.sql(rows.and_then(Iterator::collect))?)
    }

    fn put_sealed(&self, name: &str, sealed: &[u8]) -> Result<(), SecretError> {
        check_secret_name(name)?;
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let (others, bytes): (u32, u32) = self.sql(change.query_row(
            "SELECT COUNT(*), COALESCE(SUM(LENGTH(sealed)), 0) FROM secrets WHERE name <> ?1",
            [name],
            |row| Ok((row.get(0)?, row.get(1)?)),
        ))?;
        if others >= self.quotas.secrets {
            return Err(SecretError::TooMany { limit: self.quotas.secrets });
        }
        if u64::from(bytes) + sealed.len() as u64 > self.quotas.secret_bytes {
            return Err(SecretError::Quota { limit: self.quotas.secret_bytes });
        }
        let now = Timestamp::now().as_millisecond();
        self.sql(change.execute(PUT, params![name, sealed, now]))?;
        Ok(self.changed(change, Deed::secret_set(name))?)
    }

    fn restore_sealed(&self, secret: &SecretInfo, sealed: &[u8]) -> Result<(), SecretError> {
        check_secret_name(&secret.name)?;
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        self.sql(change.execute(PUT, params![secret.name, sealed, secret.set.as_millisecond()]))?;
        Ok(self.changed(change, None)?)
    }

    fn delete_secret(&self, name: &str) -> Result<(), SecretError> {
        let mut connection = self.connection();
        let change = self.change(&mut connection)?;
        let gone = self.sql(change.execute("DELETE FROM secrets WHERE name = ?1", [name]))?;
        if gone == 0 {
            return Err(SecretError::none(name));
        }
        Ok(self.changed(change, Deed::secret_delete(name))?)
    }

    fn sealed_secrets(&self) -> Result<BTreeMap<String, Vec<u8>>, SecretError> {
        let connection = self.reader();
        let mut query = self.sql(connection.prepare("SELECT name, sealed FROM secrets"))?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        Ok(self.sql(rows.and_then(Iterator::collect))?)
    }
}
