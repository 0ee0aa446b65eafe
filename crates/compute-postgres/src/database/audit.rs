//! The entry that a change has in the log of who changed what, in its transaction.

use compute_state::{AuditEntry, AuditHead, AuditOf, Deed};
use jiff::Timestamp;
use tokio_postgres::{Error, Row};

use super::Change;

/// Writes the entry of a change, and forgets the oldest where there are more than so many. Changes of a tenant come one after the
/// other.
pub(super) async fn log(change: &Change<'_>, deed: &Deed, most: u64) -> Result<(), Error> {
    let now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let now: i64 = change.row(now, &[]).await?.get(0);
    let now = Timestamp::from_millisecond(now).unwrap_or_default();
    let Some(entry) = deed.entry(&head(change, deed.of()).await?, now) else { return Ok(()) };
    keep(change, deed.of(), &entry).await?;
    let last = entry.number.saturating_sub(most.max(1));
    if last == 0 {
        return Ok(());
    }
    let (log, last) = (deed.of().name(), last.cast_signed());
    let gone = "INSERT INTO compute.audit_gone (tenant, log, number, hash)
        SELECT tenant, log, number, hash FROM compute.audit
        WHERE tenant = $1 AND log = $2 AND number <= $3 ORDER BY number DESC LIMIT 1
        ON CONFLICT (tenant, log) DO UPDATE SET number = excluded.number, hash = excluded.hash";
    change.does(gone, &[&change.tenant, &log, &last]).await?;
    let delete = "DELETE FROM compute.audit WHERE tenant = $1 AND log = $2 AND number <= $3";
    change.does(delete, &[&change.tenant, &log, &last]).await.map(drop)
}

/// Keeps an entry after those that there are.
pub(crate) async fn keep(
    change: &Change<'_>,
    of: AuditOf,
    entry: &AuditEntry,
) -> Result<(), Error> {
    let insert = "INSERT INTO compute.audit (tenant, log, number, entry, hash)
        VALUES ($1, $2, $3, $4, $5)";
    let (log, number) = (of.name(), entry.number.cast_signed());
    change
        .does(insert, &[&change.tenant, &log, &number, &entry.text(), &entry.hash])
        .await
        .map(drop)
}

/// The last entry of a log.
pub(crate) async fn head(read: &Change<'_>, of: AuditOf) -> Result<AuditHead, Error> {
    let query = "SELECT number, hash FROM compute.audit
        WHERE tenant = $1 AND log = $2 ORDER BY number DESC LIMIT 1";
    match read.row_if_any(query, &[&read.tenant, &of.name()]).await? {
        Some(row) => Ok(head_of(&row)),
        None => gone(read, of).await,
    }
}

/// The last entry of a log that went.
pub(crate) async fn gone(read: &Change<'_>, of: AuditOf) -> Result<AuditHead, Error> {
    let query = "SELECT number, hash FROM compute.audit_gone WHERE tenant = $1 AND log = $2";
    let row = read.row_if_any(query, &[&read.tenant, &of.name()]).await?;
    Ok(row.as_ref().map(head_of).unwrap_or_default())
}

fn head_of(row: &Row) -> AuditHead {
    AuditHead { number: row.get::<_, i64>(0).unsigned_abs(), hash: row.get(1) }
}
