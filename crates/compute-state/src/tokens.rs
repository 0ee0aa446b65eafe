//! Who may do what: tokens, each of one tenant and with some scopes; and who did what.

mod audit;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::{StateError, TenantName};

pub(crate) use audit::unlogged;
pub use audit::{
    Actor, AuditBroken, AuditEntry, AuditHead, AuditLog, AuditOf, AuditPage, Deed, verify,
};

/// What a token begins with, so that one that leaked is recognised.
const PREFIX: &str = "compute_";
/// The length of a token's id, in bytes; it is written in hex.
const ID: usize = 8;
/// The longest name of a token, in bytes.
const MAX_NAME: usize = 100;

/// The tokens there are, as those who give them out see them, on this machine or through a server.
///
/// Each change is atomic, and durable when it is answered. All methods block.
pub trait Tokens: fmt::Debug + Send + Sync {
    /// Makes a token of a tenant; without one, of the tenant of those who name none, or of the caller's own token
    /// through a server. It is shown here, and never again.
    ///
    /// # Errors
    /// [`TokensError::NoScope`], [`TokensError::Name`], [`TokensError::TooMany`], and through a server
    /// [`TokensError::OtherTenant`] if one is named.
    fn create(
        &self,
        tenant: Option<&TenantName>,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, TokensError>;

    /// The tokens of a tenant, or of all that the caller may see, the oldest first.
    ///
    /// # Errors
    /// [`TokensError::State`].
    fn list(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenInfo>, TokensError>;

    /// Ends a token, if it is this tenant's, or whoever's it is. Whoever asks the same object sees it at once.
    ///
    /// # Errors
    /// [`TokensError::NoToken`] if there is none of this id.
    fn revoke(&self, id: &str, tenant: Option<&TenantName>) -> Result<(), TokensError>;
}

/// The tokens there are, for whoever checks them.
pub trait TokenCheck: Tokens {
    /// The token that this is, if it is one and has not ended.
    ///
    /// Each request asks, so it is answered from memory and waits for nobody who writes. A token that was made
    /// anywhere works at once; one that was revoked by somebody else ends within a second, here within 50 milliseconds.
    ///
    /// # Errors
    /// [`TokensError::State`].
    fn check(&self, token: &str) -> Result<Option<TokenInfo>, TokensError>;

    /// All tokens as they are kept, the oldest first.
    ///
    /// # Errors
    /// [`TokensError::State`].
    fn kept(&self) -> Result<Vec<KeptToken>, TokensError>;

    /// Keeps a token as it was elsewhere, in place of one of its id. Quotas are for what is new.
    ///
    /// # Errors
    /// [`TokensError::State`].
    fn restore(&self, token: &KeptToken) -> Result<(), TokensError>;

    /// The same as [`TokenCheck::check`] for callers that must not wait; nothing if it takes asking whoever keeps the tokens.
    fn check_now(&self, token: &str) -> Option<Result<Option<TokenInfo>, TokensError>> {
        Some(self.check(token))
    }
}

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

/// A token as it is kept: only its hash. A token is 256 random bits, so a fast hash keeps it: there is nothing to
/// guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptToken {
    /// What is known of it.
    pub info: TokenInfo,
    /// The SHA-256 of the whole token.
    pub hash: [u8; 32],
}

impl KeptToken {
    /// Draws a token, to show and to keep. Its times are in whole milliseconds, as they are kept.
    ///
    /// # Errors
    /// [`TokensError::NoScope`], [`TokensError::Name`], and [`TokensError::Random`].
    pub fn draw(
        tenant: &TenantName,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<(NewToken, Self), TokensError> {
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
        let kept = Self { info: info.clone(), hash: hash(&token) };
        Ok((NewToken { token, info }, kept))
    }

    /// The id that this token says it has; nothing if it is none.
    #[must_use]
    pub fn id_of(token: &str) -> Option<&str> {
        let (id, _) = token.strip_prefix(PREFIX)?.split_once('_')?;
        (id.len() == 2 * ID).then_some(id)
    }

    /// What is known of this token, if it is the one that is kept under its id and has not ended. An id that there
    /// isn't takes as long as one that there is.
    #[must_use]
    pub fn check(kept: Option<Self>, token: &str, now: Timestamp) -> Option<TokenInfo> {
        let (info, kept) = kept.map(|kept| (kept.info, kept.hash)).unzip();
        let same = bool::from(kept.unwrap_or_default().as_slice().ct_eq(hash(token).as_slice()));
        info.filter(|info| same && info.expires.is_none_or(|end| now < end))
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Deed {
    /// A token is made.
    #[must_use]
    pub fn token_create(info: &TokenInfo) -> Self {
        let TokenInfo { id, name, scopes, expires, .. } = info;
        let subject = json!({ "id": id, "name": name, "scopes": scopes, "expires": expires });
        Self::new(AuditOf::Tokens, "token.create", subject)
    }

    /// A token ends.
    #[must_use]
    pub fn token_revoke(id: &str) -> Self {
        Self::new(AuditOf::Tokens, "token.revoke", json!({ "id": id }))
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
    #[error("a tenant has at most {limit} tokens: revoke some")]
    TooMany {
        /// How many it may have.
        limit: u32,
    },
    /// There is no such token.
    #[error("there is no token `{0}`")]
    NoToken(String),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// A token for another tenant, of whoever is of one tenant only.
    #[error("tokens are for the tenant of your own token only")]
    OtherTenant,
    /// What is kept cannot be read or written.
    #[error(transparent)]
    State(#[from] StateError),
}

impl TokensError {
    /// That there is no token of this id.
    #[must_use]
    pub fn none(id: &str) -> Self {
        Self::NoToken(id.chars().take(40).collect())
    }
}
