//! Who changed what.

use std::sync::Arc;

use compute_state::{
    AuditEntry, AuditHead, AuditLog, AuditOf, AuditPage, Deed, StateError, TenantName,
};
use tokio_postgres::Row;

use crate::database::audit::{gone, head, keep};
use crate::database::{Change, Database, Seen, Stop};

/// A log of a tenant.
#[derive(Debug)]
pub(crate) struct PostgresAudit {
    pub(crate) database: Arc<Database>,
    pub(crate) tenant: TenantName,
    pub(crate) of: AuditOf,
}

impl AuditLog for PostgresAudit {
    fn page(&self, after: Option<u64>, most: usize) -> Result<AuditPage, StateError> {
        let log = self.of.name();
        let (page, rows): (AuditPage, Vec<Row>) =
            self.database.read(&self.tenant, async |read| {
                let (gone, head) = (gone(read, self.of).await?, head(read, self.of).await?);
                let after = after.unwrap_or_else(|| head.number.saturating_sub(most as u64));
                let query = "SELECT number, entry, hash FROM compute.audit
                WHERE tenant = $1 AND log = $2 AND number > $3 ORDER BY number LIMIT $4";
                let (after, most) = (i64::try_from(after).unwrap_or(i64::MAX), most as i64);
                let rows = read.rows(query, &[&read.tenant, &log, &after, &most]).await?;
                Ok::<_, Stop<StateError>>((AuditPage { gone, head, entries: Vec::new() }, rows))
            })?;
        let entry = |row: &Row| {
            AuditEntry::read(row.get::<_, i64>(0).unsigned_abs(), row.get(1), row.get(2))
        };
        let entries = rows.iter().map(entry).collect::<Result<_, _>>()?;
        Ok(AuditPage { entries, ..page })
    }

    fn write(&self, deed: &Deed) -> Result<(), StateError> {
        let told = |&(): &()| Some(deed.clone());
        self.database.change(&self.tenant, Seen::ByReaders, told, async |_: &Change<'_>| {
            Ok::<_, Stop<StateError>>(())
        })
    }

    fn restore(&self, last: &AuditHead, entries: &[AuditEntry]) -> Result<(), StateError> {
        self.database.change(
            &self.tenant,
            Seen::ByReaders,
            |_| None,
            async |change| {
                let mut head = head(change, self.of).await?;
                if head.number == 0 && last.number > 0 {
                    let put = "INSERT INTO compute.audit_gone (tenant, log, number, hash)
                    VALUES ($1, $2, $3, $4)";
                    let (log, number) = (self.of.name(), last.number.cast_signed());
                    change.does(put, &[&change.tenant, &log, &number, &last.hash]).await?;
                    head = last.clone();
                }
                for entry in head.new_of(entries).map_err(Stop::Told)? {
                    keep(change, self.of, entry).await?;
                }
                Ok(())
            },
        )
    }
}
