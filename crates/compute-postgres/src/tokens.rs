//! Tokens: the database has them, and memory answers.

use std::collections::BTreeSet;
use std::sync::Arc;

use compute_state::{
    Deed, KeptToken, NewToken, StateQuotas, TenantName, TokenCheck, TokenInfo, TokenScope, Tokens,
    TokensError,
};
use jiff::Timestamp;

use crate::database::{Change, Database, Seen, Stop};
use crate::token_rows::read_token;

const LIST: &str = "
SELECT id, tenant, name, hash, scopes, created, expires FROM compute.tokens
WHERE $1::text IS NULL OR tenant = $1 ORDER BY created, id";

/// No number comes again, not even where a database takes the place of another that knew more.
const COUNT: &str = "
UPDATE compute.token_changes SET number = GREATEST(number + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
RETURNING number";

#[derive(Debug)]
pub(crate) struct PostgresTokens {
    pub(crate) database: Arc<Database>,
    pub(crate) quotas: StateQuotas,
}

impl PostgresTokens {
    /// Keeps a token, in place of one of its id.
    async fn put(change: &Change<'_>, token: &KeptToken) -> Result<(), tokio_postgres::Error> {
        let KeptToken { info, hash } = token;
        let insert = "INSERT INTO compute.tokens (id, tenant, name, hash, scopes, created, expires)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET tenant = excluded.tenant,
            name = excluded.name, hash = excluded.hash, scopes = excluded.scopes,
            created = excluded.created, expires = excluded.expires";
        let scopes: Vec<_> = info.scopes.iter().map(|scope| scope.name()).collect();
        let (tenant, name, scopes) = (info.tenant.as_str(), info.name.as_bytes(), scopes.join(","));
        let (created, expires) =
            (info.created.as_millisecond(), info.expires.map(Timestamp::as_millisecond));
        let hash = hash.as_slice();
        change
            .does(insert, &[&info.id, &tenant, &name, &hash, &scopes, &created, &expires])
            .await?;
        Self::tell(change, &info.id).await
    }

    /// Tells those who check tokens that this one changed.
    async fn tell(change: &Change<'_>, id: &str) -> Result<(), tokio_postgres::Error> {
        // Whoever changes tokens comes one after the other, so the numbers are told in order, each with the one before it.
        let last = "SELECT number FROM compute.token_changes FOR UPDATE";
        let last: i64 = change.row(last, &[]).await?.get(0);
        let number: i64 = change.row(COUNT, &[]).await?.get(0);
        change.notify(&format!("token {id} {last} {number}")).await
    }

    /// Whose a token is.
    fn tenant_of(&self, id: &str) -> Result<TenantName, TokensError> {
        self.database.read(&TenantName::default(), async |read| {
            let query = "SELECT tenant FROM compute.tokens WHERE id = $1";
            let row = read.row_if_any(query, &[&id]).await?;
            let tenant = row.and_then(|row| row.get::<_, &str>(0).parse().ok());
            tenant.ok_or_else(|| Self::none(id))
        })
    }

    fn none(id: &str) -> Stop<TokensError> {
        Stop::Told(TokensError::none(id))
    }
}

impl Tokens for PostgresTokens {
    fn create(
        &self,
        tenant: Option<&TenantName>,
        name: &str,
        scopes: &BTreeSet<TokenScope>,
        expires: Option<Timestamp>,
    ) -> Result<NewToken, TokensError> {
        let tenant = tenant.cloned().unwrap_or_default();
        let (mut new, mut kept) = KeptToken::draw(&tenant, name, scopes, expires)?;
        let whole = Timestamp::from_millisecond(self.database.watch.now().as_millisecond());
        kept.info.created = whole.unwrap_or(kept.info.created);
        new.info.created = kept.info.created;
        let limit = self.quotas.tokens;
        let deed = |&(): &()| Some(Deed::token_create(&kept.info));
        self.database.change(&tenant, Seen::ByReaders, deed, async |change| {
            let count = "SELECT count(*) FROM compute.tokens WHERE tenant = $1";
            let count: i64 = change.row(count, &[&change.tenant]).await?.get(0);
            if count >= i64::from(limit) {
                return Err(Stop::Told(TokensError::TooMany { limit }));
            }
            Ok(Self::put(change, &kept).await?)
        })?;
        // Whoever asks for it finds it; it may have been revoked since.
        Ok(new)
    }

    fn list(&self, tenant: Option<&TenantName>) -> Result<Vec<TokenInfo>, TokensError> {
        let of = tenant.map(TenantName::as_str);
        let whose = tenant.cloned().unwrap_or_default();
        self.database.read(&whose, async |read| {
            let rows = read.rows(LIST, &[&of]).await?;
            Ok(rows.iter().filter_map(read_token).map(|one| one.info).collect())
        })
    }

    fn revoke(&self, id: &str, tenant: Option<&TenantName>) -> Result<(), TokensError> {
        // What has a U+0000 is no text there.
        if !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(TokensError::none(id));
        }
        let whose = match tenant {
            Some(tenant) => tenant.clone(),
            None => self.tenant_of(id)?,
        };
        let deed = |&(): &()| Some(Deed::token_revoke(id));
        self.database.change(&whose, Seen::ByReaders, deed, async |change| {
            let delete = "DELETE FROM compute.tokens WHERE id = $1 AND tenant = $2";
            if change.does(delete, &[&id, &change.tenant]).await? == 0 {
                return Err(Self::none(id));
            }
            Ok(Self::tell(change, id).await?)
        })?;
        self.database.watch.revoked(id);
        Ok(())
    }
}

impl TokenCheck for PostgresTokens {
    fn kept(&self) -> Result<Vec<KeptToken>, TokensError> {
        self.database.read(&TenantName::default(), async |read| {
            let rows = read.rows(LIST, &[&None::<&str>]).await?;
            Ok(rows.iter().filter_map(read_token).collect())
        })
    }

    fn restore(&self, token: &KeptToken) -> Result<(), TokensError> {
        self.database.change(
            &token.info.tenant,
            Seen::ByReaders,
            |_| None,
            async |change| Ok::<_, Stop<TokensError>>(Self::put(change, token).await?),
        )?;
        self.database.watch.forget_token(&token.info.id);
        Ok(())
    }

    fn check(&self, token: &str) -> Result<Option<TokenInfo>, TokensError> {
        if let Some(known) = self.check_now(token) {
            return known;
        }
        // It may have been made elsewhere just now, or revoked while this process was stopped.
        let watch = &self.database.watch;
        let was_doubtful = watch.is_doubtful();
        if watch.is_away() && !was_doubtful {
            return Err(self.database.away().into());
        }
        let id = KeptToken::id_of(token).unwrap_or_default();
        watch.ask_for_token(id);
        if watch.is_away() {
            // What was known when the database went away holds for a while.
            let known = self.check_now(token).filter(|_| was_doubtful);
            return known.unwrap_or_else(|| Err(self.database.away().into()));
        }
        Ok(KeptToken::check(watch.token(id), token, watch.now()))
    }

    fn check_now(&self, token: &str) -> Option<Result<Option<TokenInfo>, TokensError>> {
        let watch = &self.database.watch;
        if watch.is_doubtful() {
            return None;
        }
        if watch.is_stale() {
            return Some(Err(self.database.away().into()));
        }
        let known = match KeptToken::id_of(token) {
            Some(id) => Some(watch.token(id)?),
            None => None,
        };
        Some(Ok(KeptToken::check(known, token, watch.now())))
    }
}
