//! Tokens as rows.

use compute_state::{KeptToken, ScopeError, TokenInfo};
use jiff::Timestamp;
use tokio_postgres::Row;

/// All tokens, and the number of their last change: one row at least.
pub(crate) const LOAD: &str = "
SELECT c.number, t.id, t.tenant, t.name, t.hash, t.scopes, t.created, t.expires
FROM compute.token_changes c LEFT JOIN compute.tokens t ON true";
/// Those of these ids.
pub(crate) const LOAD_ONE: &str = "SELECT id, tenant, name, hash, scopes, created, expires FROM compute.tokens WHERE id = ANY($1)";

/// A token of a row; nothing if there is none, or what another version wrote.
pub(crate) fn read_token(row: &Row) -> Option<KeptToken> {
    let id: Option<String> = row.try_get("id").ok()?;
    let text = |column: &str| row.try_get::<_, String>(column).ok();
    let time = |millis| Timestamp::from_millisecond(millis).ok();
    let scopes: Result<_, ScopeError> = text("scopes")?.split(',').map(str::parse).collect();
    let expires: Option<i64> = row.try_get("expires").ok()?;
    let info = TokenInfo {
        id: id?,
        tenant: text("tenant")?.parse().ok()?,
        name: String::from_utf8(row.try_get("name").ok()?).ok()?,
        scopes: scopes.ok()?,
        created: time(row.try_get("created").ok()?)?,
        // One whose end cannot be read has ended.
        expires: expires.map(|end| time(end).unwrap_or(Timestamp::UNIX_EPOCH)),
    };
    let hash: Vec<u8> = row.try_get("hash").ok()?;
    Some(KeptToken { info, hash: hash.try_into().ok()? })
}
