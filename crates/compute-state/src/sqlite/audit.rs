//! Who changed what, in the file of what was changed.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::database::Database;
use crate::{AuditEntry, AuditHead, AuditLog, AuditPage, Deed, StateError, TenantName};

/// The tables of logs; in a file of one tenant its name is empty.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS audit (
    tenant TEXT NOT NULL,
    number INTEGER NOT NULL,
    entry TEXT NOT NULL,        -- canonical JSON, without the hash
    hash TEXT NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit_gone (     -- the last entry that went
    tenant TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Writes the entry of a change, and forgets the oldest where there are more than so many.
pub(super) fn log(
    change: &Connection,
    tenant: &str,
    deed: &Deed,
    most: u64,
) -> rusqlite::Result<()> {
    match deed.entry(&head(change, tenant)?, Timestamp::now()) {
        Some(entry) => keep(change, tenant, &entry, most),
        None => Ok(()),
    }
}

fn keep(change: &Connection, tenant: &str, entry: &AuditEntry, most: u64) -> rusqlite::Result<()> {
    let insert = "INSERT INTO audit (tenant, number, entry, hash) VALUES (?1, ?2, ?3, ?4)";
    change.execute(insert, params![tenant, column(entry.number), entry.text(), entry.hash])?;
    let last = column(entry.number.saturating_sub(most.max(1)));
    if last == 0 {
        return Ok(());
    }
    let gone = "INSERT OR REPLACE INTO audit_gone (tenant, number, hash)
        SELECT tenant, number, hash FROM audit WHERE tenant = ?1 AND number <= ?2
        ORDER BY number DESC LIMIT 1";
    change.execute(gone, params![tenant, last])?;
    change
        .execute("DELETE FROM audit WHERE tenant = ?1 AND number <= ?2", params![tenant, last])?;
    Ok(())
}

/// A number as SQLite has them.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn number(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get(0).map(|number: i64| number.unsigned_abs())
}

fn read_head(row: &Row<'_>) -> rusqlite::Result<AuditHead> {
    Ok(AuditHead { number: number(row)?, hash: row.get(1)? })
}

fn gone(connection: &Connection, tenant: &str) -> rusqlite::Result<AuditHead> {
    let query = "SELECT number, hash FROM audit_gone WHERE tenant = ?1";
    Ok(connection.query_row(query, [tenant], read_head).optional()?.unwrap_or_default())
}

fn head(connection: &Connection, tenant: &str) -> rusqlite::Result<AuditHead> {
    let query = "SELECT number, hash FROM audit WHERE tenant = ?1 ORDER BY number DESC LIMIT 1";
    match connection.query_row(query, [tenant], read_head).optional()? {
        Some(head) => Ok(head),
        None => gone(connection, tenant),
    }
}

/// The tenants that have a log in this file.
pub(super) fn tenants(database: &Database) -> Result<Vec<TenantName>, StateError> {
    let connection = database.reader();
    let query = connection.prepare("SELECT DISTINCT tenant FROM audit ORDER BY tenant");
    let mut query = database.sql(query)?;
    let rows = query.query_map([], |row| row.get::<_, String>(0));
    let names: Vec<_> = database.sql(rows.and_then(Iterator::collect))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The log of a tenant.
#[derive(Debug)]
pub(crate) struct SqliteAudit {
    pub(super) database: Arc<Database>,
    pub(super) tenant: String,
    pub(super) most: u64,
}

impl AuditLog for SqliteAudit {
    fn page(&self, after: Option<u64>, most: usize) -> Result<AuditPage, StateError> {
        let sql = |result| self.database.sql(result);
        let mut connection = self.database.reader();
        // One transaction sees one state.
        let read = self.database.sql(connection.transaction())?;
        let (gone, head) = (sql(gone(&read, &self.tenant))?, sql(head(&read, &self.tenant))?);
        let after = after.unwrap_or_else(|| head.number.saturating_sub(most as u64));
        let query = "SELECT number, entry, hash FROM audit WHERE tenant = ?1 AND number > ?2
            ORDER BY number LIMIT ?3";
        let mut query = self.database.sql(read.prepare(query))?;
        let values = params![self.tenant, column(after), column(most as u64)];
        let rows = query.query_map(values, |row| {
            Ok((number(row)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
        });
        let rows: Vec<_> = self.database.sql(rows.and_then(Iterator::collect))?;
        let entry =
            |(number, text, hash): (u64, String, String)| AuditEntry::read(number, &text, hash);
        let entries = rows.into_iter().map(entry).collect::<Result<_, _>>()?;
        Ok(AuditPage { gone, head, entries })
    }

    fn write(&self, deed: &Deed) -> Result<(), StateError> {
        let mut connection = self.database.connection();
        let change = self.database.change(&mut connection)?;
        self.database.sql(log(&change, &self.tenant, deed, self.most))?;
        self.database.sql(change.commit())
    }

    fn restore(&self, gone: &AuditHead, entries: &[AuditEntry]) -> Result<(), StateError> {
        let mut connection = self.database.connection();
        let change = self.database.change(&mut connection)?;
        let mut last = self.database.sql(head(&change, &self.tenant))?;
        if last.number == 0 && gone.number > 0 {
            let put =
                "INSERT OR REPLACE INTO audit_gone (tenant, number, hash) VALUES (?1, ?2, ?3)";
            let put = change.execute(put, params![self.tenant, column(gone.number), gone.hash]);
            self.database.sql(put)?;
            last = gone.clone();
        }
        for entry in last.new_of(entries)? {
            self.database.sql(keep(&change, &self.tenant, entry, u64::MAX))?;
        }
        self.database.sql(change.commit())
    }
}
