//! Who may do what: tokens, each of one tenant and with some scopes.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::TenantName;
use crate::database::{Database, DatabaseError};

/// What a token begins with, so that one that leaked is recognised.
const PREFIX: &str = "compute_";
/// The length of a token's id, in bytes; it is written in hex.
const ID: usize = 8;
/// The longest name of a token, in bytes.
const MAX_NAME: usize = 100;
/// How many tokens a tenant may have.
const MAX_TOKENS: u32 = 1000;
/// How long what is known of tokens is taken as it is: what another process changes is seen after this.
const FRESH: Duration = Duration::from_millis(50);
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

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenScope {
    /// Look at artifacts, stacks and traces.
    Read,
    /// Run computes, and take documents through stacks.
    Run,
    /// Upload and delete artifacts, and write drafts.
    Update,
    /// Make versions active.
    Activate,
    /// All of these, and tokens and secrets.
    Admin,
}

impl TokenScope {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Read, Self::Run, Self::Update, Self::Activate, Self::Admin];

    /// The scope's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Run => "run",
            Self::Update => "update",
            Self::Activate => "activate",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a scope: they are read, run, update, activate and admin")]
pub struct ScopeError(String);

impl FromStr for TokenScope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let named = Self::ALL.into_iter().find(|scope| scope.name() == text);
        named.ok_or_else(|| ScopeError(text.chars().take(40).collect()))
    }
}

/// What is known of a token: never the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct TokenInfo {
    /// What it is called by.
    pub id: String,
    /// Whose it is.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub tenant: TenantName,
    /// What it is for.
    pub name: String,
    /// What it allows.
    pub scopes: BTreeSet<TokenScope>,
    /// When it was made.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created: Timestamp,
    /// When it ends.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub expires: Option<Timestamp>,
}

impl TokenInfo {
    /// Whether it allows this.
    #[must_use]
    pub fn allows(&self, scope: TokenScope) -> bool {
        self.scopes.contains(&scope) || self.scopes.contains(&TokenScope::Admin)
    }
}

/// A new token: the only time that it is shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub struct NewToken {
    /// The token.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub info: TokenInfo,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewToken").field("info", &self.info).finish_non_exhaustive()
    }
}

/// Tokens cannot be read or written, or there is no such token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// A token allows something.
    #[error("a token needs at least one scope: read, run, update, activate or admin")]
    NoScope,
    /// The name is too long.
    #[error("a token's name has at most {MAX_NAME} bytes")]
    Name,
    /// The tenant has as many tokens as it may.
    #[error("a tenant has at most {MAX_TOKENS} tokens: revoke some")]
    TooMany,
    /// There is no such token.
    #[error("there is no token `{0}`")]
    NoToken(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// The file cannot be opened, read or written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

type Result<T, E = TokensError> = std::result::Result<T, E>;

/// The tokens there are: a SQLite file. Of each only its hash is kept.
///
/// A token is 256 random bits, so a fast hash keeps it: there is nothing to guess. Requests are checked from
/// memory: they wait for nobody who writes.
#[derive(Debug)]
pub struct Tokens {
    database: Database,
    /// All tokens, by id. Nothing is read or written while it is locked.
    known: RwLock<HashMap<String, Known>>,
    /// When the file was last asked whether it has changed, and what it said.
    asked: Mutex<Asked>,
}

#[derive(Clone, Debug)]
struct Known {
    info: TokenInfo,
    hash: Vec<u8>,
}

#[derive(Debug, Default)]
struct Asked {
    at: Option<Instant>,
    /// `PRAGMA data_version`: another number when another connection has written.
    version: Option<i64>,
}

impl Tokens {
    /// Opens the tokens in this file, and makes it if there is none.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(path: &Path) -> Result<Self> {
        let database = Database::open(path)?;
        database.sql(database.connection().execute_batch(SCHEMA))?;
        let tokens = Self { database, known: RwLock::default(), asked: Mutex::default() };
        tokens.look(&mut lock(&tokens.asked))?;
        Ok(tokens)
    }

    /// Makes a token.
    ///
    /// # Errors
    /// No scope, a name that is too long, too many tokens, or a file that cannot be written.
    pub fn create(
        &self,
        tenant: &TenantName,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<NewToken> {
        if scopes.is_empty() {
            return Err(TokensError::NoScope);
        }
        if name.len() > MAX_NAME {
            return Err(TokensError::Name);
        }
        let (mut id, mut secret) = ([0; ID], [0; 32]);
        getrandom::fill(&mut id).map_err(|_| TokensError::Random)?;
        getrandom::fill(&mut secret).map_err(|_| TokensError::Random)?;
        let id = hex::encode(id);
        let token = format!("{PREFIX}{id}_{}", URL_SAFE_NO_PAD.encode(secret));
        // As it will be read again.
        let whole =
            |time: Timestamp| Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time);
        let info = TokenInfo {
            id,
            tenant: tenant.clone(),
            name: name.to_owned(),
            scopes: scopes.clone(),
            created: whole(Timestamp::now()),
            expires: expires.map(whole),
        };
        let names: Vec<_> = scopes.iter().map(|scope| scope.name()).collect();
        let hash = hash(&token).to_vec();
        let mut connection = self.database.connection();
        let change = self.database.change(&mut connection)?;
        let count = "SELECT COUNT(*) FROM tokens WHERE tenant = ?1";
        let count: u32 =
            self.database.sql(change.query_row(count, [tenant.as_str()], |row| row.get(0)))?;
        if count >= MAX_TOKENS {
            return Err(TokensError::TooMany);
        }
        self.database.sql(change.execute(
            "INSERT INTO tokens (id, tenant, name, hash, scopes, created, expires) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                info.id,
                tenant.as_str(),
                name,
                hash,
                names.join(","),
                info.created.as_millisecond(),
                info.expires.map(Timestamp::as_millisecond),
            ],
        ))?;
        self.database.sql(change.commit())?;
        drop(connection);
        self.see()?;
        Ok(NewToken { token, info })
    }

    /// The tokens of a tenant, or of all of them, the oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn list(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenInfo>> {
        let connection = self.database.reader();
        let mut query = self.database.sql(connection.prepare(&format!(
            "SELECT {COLUMNS} FROM tokens WHERE ?1 IS NULL OR tenant = ?1 ORDER BY created, id"
        )))?;
        let rows = query.query_map([tenant.map(TenantName::as_str)], read);
        Ok(self.database.sql(rows.and_then(Iterator::collect))?)
    }

    /// Ends a token, if it is this tenant's, or whoever's it is.
    ///
    /// # Errors
    /// [`TokensError::NoToken`] if there is none of this id.
    pub fn revoke(&self, id: &str, tenant: Option<&TenantName>) -> Result<()> {
        let gone = self.database.sql(self.database.connection().execute(
            "DELETE FROM tokens WHERE id = ?1 AND (?2 IS NULL OR tenant = ?2)",
            params![id, tenant.map(TenantName::as_str)],
        ))?;
        if gone == 0 {
            return Err(TokensError::NoToken(id.chars().take(40).collect()));
        }
        self.see()
    }

    /// The token that this is, if it is one and has not ended.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn check(&self, token: &str) -> Result<Option<TokenInfo>> {
        let id = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let id = id.map_or("", |(id, _)| id);
        // Another that looks at this moment looks for all.
        if let Ok(mut asked) = self.asked.try_lock()
            && asked.at.is_none_or(|at| at.elapsed() >= FRESH)
        {
            self.look(&mut asked)?;
        }
        let known = || self.known.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        let mut found = known();
        if found.is_none() && id.len() == 2 * ID {
            // It may have been made elsewhere just now: one that was made works at once.
            self.see()?;
            found = known();
        }
        // An id that there isn't takes as long as one that there is.
        let (info, kept) = found.map(|found| (found.info, found.hash)).unzip();
        let kept = kept.unwrap_or_else(|| vec![0; 32]);
        let same = bool::from(kept.as_slice().ct_eq(hash(token).as_slice()));
        let now = Timestamp::now();
        Ok(info.filter(|info| same && info.expires.is_none_or(|end| now < end)))
    }

    /// Sees what was just written here, before it is answered.
    fn see(&self) -> Result<()> {
        self.look(&mut lock(&self.asked))
    }

    /// Reads all tokens, if the file has changed.
    fn look(&self, asked: &mut Asked) -> Result<()> {
        let connection = self.database.watcher();
        let version = connection.query_row("PRAGMA data_version", [], |row| row.get(0));
        let version: i64 = self.database.sql(version)?;
        if asked.version != Some(version) {
            let query = format!("SELECT {COLUMNS}, hash FROM tokens");
            let mut query = self.database.sql(connection.prepare_cached(&query))?;
            let rows = query.query_map([], |row| {
                let info = read(row)?;
                Ok((info.id.clone(), Known { info, hash: row.get(6)? }))
            });
            let all = self.database.sql(rows.and_then(Iterator::collect))?;
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = all;
            asked.version = Some(version);
        }
        asked.at = Some(Instant::now());
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
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
    use super::{TokenScope, Tokens};

    #[test]
    fn a_token_is_shown_once_and_kept_as_a_hash() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.sqlite");
        let tokens = Tokens::open(&path).unwrap();
        let acme = "acme".parse().unwrap();
        let new = tokens.create(&acme, "ci", &[TokenScope::Run].into(), None).unwrap();
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
        let tokens = Tokens::open(&folder.path().join("access.sqlite")).unwrap();
        let past = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(1);
        let tenant = "default".parse().unwrap();
        let new = tokens.create(&tenant, "", &[TokenScope::Admin].into(), Some(past)).unwrap();
        assert_eq!(tokens.check(&new.token).unwrap(), None);
        assert!(tokens.create(&tenant, "", &[].into(), None).is_err());
    }
}
