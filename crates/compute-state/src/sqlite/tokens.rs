//! Tokens: a SQLite file, and all of it in memory.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::audit::{self, SqliteAudit};
use super::database::Database;
use crate::{
    Deed, KeptToken, NewToken, ScopeError, StateError, StateQuotas, TenantName, TokenCheck,
    TokenInfo, TokenScope, Tokens, TokensError,
};

/// How long what is known of tokens is taken as it is: what another process changes is seen after this.
const FRESH: Duration = Duration::from_millis(50);
/// Files of before their format was counted have it: it is made where it is not there.
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    hash BLOB NOT NULL,         -- SHA-256 of the whole token
    scopes TEXT NOT NULL,       -- with commas between them
    created INTEGER NOT NULL,   -- milliseconds since 1970
    expires INTEGER
) STRICT, WITHOUT ROWID;";
const COLUMNS: &str = "id, tenant, name, scopes, created, expires";

/// The tokens there are: a SQLite file that several processes may use. Requests are checked from memory: they wait
/// for nobody who writes.
#[derive(Debug)]
pub struct SqliteTokens {
    database: Arc<Database>,
    quotas: StateQuotas,
    /// All tokens, by id. Nothing is read or written while it is locked.
    known: RwLock<HashMap<String, KeptToken>>,
    /// When the file was last asked whether it has changed, and what it said.
    asked: Mutex<Asked>,
}

#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    /// `PRAGMA data_version`: another number when another connection has written.
    version: Option<i64>,
}

impl SqliteTokens {
    /// Opens the tokens in this file, and makes it if there is none.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path, quotas: StateQuotas) -> Result<Self, StateError> {
        let database = Arc::new(Database::open(path)?);
        database.migrate("the tokens", &[SCHEMA, audit::SCHEMA])?;
        let (known, asked) = (RwLock::default(), Mutex::default());
        let tokens = Self { database, quotas, known, asked };
        tokens.look(&mut lock(&tokens.asked))?;
        Ok(tokens)
    }

    /// The log of who changed a tenant's tokens.
    pub(crate) fn audit(&self, tenant: &TenantName) -> SqliteAudit {
        let (database, most) = (Arc::clone(&self.database), self.quotas.audit_entries);
        SqliteAudit { database, tenant: tenant.as_str().to_owned(), most }
    }

    /// The tenants whose tokens were ever changed.
    pub(crate) fn audited(&self) -> Result<Vec<TenantName>, StateError> {
        audit::tenants(&self.database)
    }

    /// Writes the entry of a change.
    fn log(&self, change: &Connection, tenant: &str, deed: &Deed) -> Result<(), StateError> {
        self.database.sql(audit::log(change, tenant, deed, self.quotas.audit_entries))
    }

    /// Sees what was just written here, before it is answered.
    fn see(&self) -> Result<(), StateError> {
        self.look(&mut lock(&self.asked))
    }

    /// Reads all tokens, if the file has changed.
    fn look(&self, asked: &mut Asked) -> Result<(), StateError> {
        let connection = self.database.watcher();
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        let version: i64 = self.database.sql(version)?;
        if asked.version != Some(version) {
            let query = format!("SELECT {COLUMNS}, hash FROM tokens");
            let mut query = self.database.sql(connection.prepare_cached(&query))?;
            let rows = query.query_map([], |row| {
                let info = read(row)?;
                // A hash of another length is of no token.
                let hash: Vec<u8> = row.get(6)?;
                let hash = hash.try_into().unwrap_or_default();
                Ok((info.id.clone(), KeptToken { info, hash }))
            });
            let all = self.database.sql(rows.and_then(Iterator::collect))?;
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = all;
            asked.version = Some(version);
        }
        asked.at = Some(Instant::now());
        Ok(())
    }
}

impl Tokens for SqliteTokens {
    fn create(
        &self,
        tenant: Option<&TenantName>,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, TokensError> {
        let (new, kept) =
            KeptToken::draw(tenant.unwrap_or(&TenantName::default()), name, scopes, expires)?;
        let info = &kept.info;
        let mut connection = self.database.connection();
        let change = self.database.change(&mut connection)?;
        let count = "SELECT COUNT(*) FROM tokens WHERE tenant = ?1";
        let count: u32 =
            self.database.sql(change.query_row(count, [info.tenant.as_str()], |row| row.get(0)))?;
        let limit = self.quotas.tokens;
        if count >= limit {
            return Err(TokensError::TooMany { limit });
        }
        self.database.sql(put(&change, &kept))?;
        self.log(&change, info.tenant.as_str(), &Deed::token_create(info))?;
        self.database.sql(change.commit())?;
        drop(connection);
        self.see()?;
        Ok(new)
    }

    fn list(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenInfo>, TokensError> {
        let connection = self.database.reader();
        let mut query = self.database.sql(connection.prepare(&format!(
            "SELECT {COLUMNS} FROM tokens WHERE ?1 IS NULL OR tenant = ?1 ORDER BY created, id"
        )))?;
        let rows = query.query_map([tenant.map(TenantName::as_str)], read);
        Ok(self.database.sql(rows.and_then(Iterator::collect))?)
    }

    fn revoke(&self, id: &str, tenant: Option<&TenantName>) -> Result<(), TokensError> {
        let mut connection = self.database.connection();
        let change = self.database.change(&mut connection)?;
        let delete =
            "DELETE FROM tokens WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2) RETURNING tenant";
        let values = params![id, tenant.map(TenantName::as_str)];
        let whose = change.query_row(delete, values, |row| row.get(0)).optional();
        let whose: Option<String> = self.database.sql(whose)?;
        let whose = whose.ok_or_else(|| TokensError::none(id))?;
        self.log(&change, &whose, &Deed::token_revoke(id))?;
        self.database.sql(change.commit())?;
        drop(connection);
        Ok(self.see()?)
    }
}

/// Keeps a token, in place of one of its id.
fn put(change: &Connection, token: &KeptToken) -> rusqlite::Result<usize> {
    let KeptToken { info, hash } = token;
    let scopes: Vec<_> = info.scopes.iter().map(|scope| scope.name()).collect();
    change.execute(
        "INSERT OR REPLACE INTO tokens (id, tenant, name, hash, scopes, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            info.id,
            info.tenant.as_str(),
            info.name,
            hash,
            scopes.join(","),
            info.created.as_millisecond(),
            info.expires.map(Timestamp::as_millisecond),
        ],
    )
}

impl TokenCheck for SqliteTokens {
    fn kept(&self) -> Result<Vec<KeptToken>, TokensError> {
        self.see()?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let mut kept: Vec<_> = known.values().cloned().collect();
        kept.sort_by(|a, b| (a.info.created, &a.info.id).cmp(&(b.info.created, &b.info.id)));
        Ok(kept)
    }

    fn restore(&self, token: &KeptToken) -> Result<(), TokensError> {
        self.database.sql(put(&self.database.connection(), token))?;
        Ok(self.see()?)
    }

    fn check(&self, token: &str) -> Result<Option<TokenInfo>, TokensError> {
        let id = KeptToken::id_of(token);
        // Another that looks at this moment looks for all.
        if let Ok(mut asked) = self.asked.try_lock()
            && asked.at.is_none_or(|at| at.elapsed() >= FRESH)
        {
            self.look(&mut asked)?;
        }
        let known = || self.known.read().unwrap_or_else(PoisonError::into_inner).get(id?).cloned();
        let mut found = known();
        if found.is_none() && id.is_some() {
            // It may have been made elsewhere just now: one that was made works at once.
            self.see()?;
            found = known();
        }
        Ok(KeptToken::check(found, token, Timestamp::now()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(row: &Row<'_>) -> rusqlite::Result<TokenInfo> {
    let wrong = |column: usize, error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, error)
    };
    let time = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH);
    let (tenant, scopes): (String, String) = (row.get(1)?, row.get(3)?);
    let scopes: Result<_, ScopeError> = scopes.split(',').map(str::parse).collect();
    Ok(TokenInfo {
        id: row.get(0)?,
        tenant: tenant.parse().map_err(|error| wrong(1, Box::new(error)))?,
        name: row.get(2)?,
        scopes: scopes.map_err(|error| wrong(3, Box::new(error)))?,
        created: time(row.get(4)?),
        expires: row.get::<_, Option<i64>>(5)?.map(time),
    })
}

#[cfg(test)]
mod tests {
    use super::SqliteTokens;
    use crate::{StateQuotas, TokenCheck as _, TokenScope, Tokens as _};

    #[test]
    fn a_token_is_shown_once_and_kept_as_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.sqlite");
        let tokens = SqliteTokens::open(&path, StateQuotas::default()).unwrap();
        let acme = "acme".parse().unwrap();
        let new = tokens.create(Some(&acme), "ci", &[TokenScope::Run].into(), None).unwrap();
        let info = tokens.check(&new.token).unwrap().unwrap();
        assert_eq!(
            (&info, info.allows(TokenScope::Run), info.allows(TokenScope::Read)),
            (&new.info, true, false)
        );
        let secret = new.token.splitn(3, '_').nth(2).unwrap().as_bytes();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(20).any(|part| part == &secret[..20]), "in the clear");
        }
        let mut other = new.token.clone();
        other.pop();
        for wrong in ["", "compute_", &other, &format!("{}x", new.token), &new.info.id] {
            assert_eq!(tokens.check(wrong).unwrap(), None, "{wrong}");
        }
        assert!(tokens.revoke(&info.id, Some(&"other".parse().unwrap())).is_err());
        tokens.revoke(&info.id, Some(&acme)).unwrap();
        assert_eq!(tokens.check(&new.token).unwrap(), None);
    }

    #[test]
    fn a_token_ends() {
        let folder = tempfile::tempdir().unwrap();
        let tokens =
            SqliteTokens::open(&folder.path().join("access.sqlite"), StateQuotas::default())
                .unwrap();
        let past = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
        let tenant = "default".parse().unwrap();
        let new =
            tokens.create(Some(&tenant), "", &[TokenScope::Admin].into(), Some(past)).unwrap();
        assert_eq!(tokens.check(&new.token).unwrap(), None);
        assert!(tokens.create(Some(&tenant), "", &[].into(), None).is_err());
    }
}
