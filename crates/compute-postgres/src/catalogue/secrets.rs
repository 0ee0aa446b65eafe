//! Sealed secrets.

use std::collections::BTreeMap;

use compute_state::{
    Deed, SealedSecrets, SecretError, SecretInfo, Vault, check_secret, check_secret_name,
};

use super::{NOW, PostgresCatalogue, time};
use crate::database::{Change, Seen, Stop, key};

impl PostgresCatalogue {
    /// Keeps a sealed secret, if it passes.
    fn put(
        &self,
        name: &str,
        sealed: &[u8],
        check: impl AsyncFn(&Change<'_>) -> Result<(), Stop<SecretError>>,
    ) -> Result<(), SecretError> {
        check_secret_name(name)?;
        let (limit, bytes) = (self.quotas.secrets, self.quotas.secret_bytes);
        let deed = |&(): &()| Some(Deed::secret_set(name));
        self.database.change(&self.tenant, Seen::ByDocuments, deed, async |change| {
            check(change).await?;
            let others = "SELECT count(*), COALESCE(sum(octet_length(sealed)), 0)::bigint
                FROM compute.secrets WHERE tenant = $1 AND name <> $2";
            let row = change.row(others, &[&change.tenant, &name]).await?;
            let (others, kept): (i64, i64) = (row.get(0), row.get(1));
            if others >= i64::from(limit) {
                return Err(Stop::Told(SecretError::TooMany { limit }));
            }
            if kept.unsigned_abs() + sealed.len() as u64 > bytes {
                return Err(Stop::Told(SecretError::Quota { limit: bytes }));
            }
            let put = format!(
                "INSERT INTO compute.secrets (tenant, name, sealed, set_at) VALUES ($1, $2, $3, {NOW})
                 ON CONFLICT (tenant, name) DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at"
            );
            change.does(&put, &[&change.tenant, &name, &sealed]).await?;
            Ok(())
        })
    }
}

impl SealedSecrets for PostgresCatalogue {
    fn secrets(&self) -> Result<Vec<SecretInfo>, SecretError> {
        self.database.read(&self.tenant, async |read| {
            let query = "SELECT name, set_at FROM compute.secrets WHERE tenant = $1 ORDER BY name";
            let rows = read.rows(query, &[&read.tenant]).await?;
            let info =
                rows.iter().map(|row| SecretInfo { name: row.get(0), set: time(row.get(1)) });
            Ok(info.collect())
        })
    }

    fn put_sealed(&self, name: &str, sealed: &[u8]) -> Result<(), SecretError> {
        self.put(name, sealed, async |_| Ok(()))
    }

    fn set_secret(&self, vault: &Vault, name: &str, value: &str) -> Result<(), SecretError> {
        check_secret(name, value)?;
        let sealed = vault.seal(name, value)?;
        let shown = self.database.shown();
        self.put(name, &sealed, async |change| key::check(change, vault, true, shown).await)
    }

    fn restore_sealed(&self, secret: &SecretInfo, sealed: &[u8]) -> Result<(), SecretError> {
        check_secret_name(&secret.name)?;
        let (name, set) = (secret.name.as_str(), secret.set.as_millisecond());
        self.database.change(&self.tenant, Seen::ByDocuments, |_| None, async |change| {
            let put = "INSERT INTO compute.secrets (tenant, name, sealed, set_at) VALUES ($1, $2, $3, $4)
                ON CONFLICT (tenant, name) DO UPDATE SET sealed = excluded.sealed, set_at = excluded.set_at";
            change.does(put, &[&change.tenant, &name, &sealed, &set]).await?;
            Ok(())
        })
    }

    fn delete_secret(&self, name: &str) -> Result<(), SecretError> {
        // What is no name is none's, and may not be text there.
        check_secret_name(name).map_err(|_| SecretError::none(name))?;
        let deed = |&(): &()| Some(Deed::secret_delete(name));
        self.database.change(&self.tenant, Seen::ByDocuments, deed, async |change| {
            let delete = "DELETE FROM compute.secrets WHERE tenant = $1 AND name = $2";
            if change.does(delete, &[&change.tenant, &name]).await? == 0 {
                return Err(Stop::Told(SecretError::none(name)));
            }
            Ok(())
        })
    }

    fn sealed_secrets(&self) -> Result<BTreeMap<String, Vec<u8>>, SecretError> {
        self.database.read(&self.tenant, async |read| {
            let query = "SELECT name, sealed FROM compute.secrets WHERE tenant = $1";
            let rows = read.rows(query, &[&read.tenant]).await?;
            Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
        })
    }
}
