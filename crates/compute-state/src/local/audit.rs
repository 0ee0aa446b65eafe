//! The log of a tenant's stacks, which makes no place for a tenant that is only asked about.

use std::path::PathBuf;
use std::sync::Arc;

use super::opened::Opened;
use crate::sqlite::{SqliteAudit, SqliteCatalogue};
use crate::{AuditEntry, AuditHead, AuditLog, AuditPage, Deed, StateError, StateQuotas};

/// The log in the file of a tenant's stacks, which is made when something is written.
#[derive(Debug)]
pub(super) struct StackAudit {
    pub(super) file: PathBuf,
    pub(super) quotas: StateQuotas,
    pub(super) catalogue: Arc<Opened<SqliteCatalogue>>,
}

impl StackAudit {
    fn open(&self) -> Result<SqliteAudit, StateError> {
        Ok(self.catalogue.get(|| SqliteCatalogue::open(&self.file, self.quotas))?.audit())
    }
}

impl AuditLog for StackAudit {
    fn page(&self, after: Option<u64>, most: usize) -> Result<AuditPage, StateError> {
        if !self.file.exists() {
            return Ok(AuditPage::default());
        }
        self.open()?.page(after, most)
    }

    fn write(&self, deed: &Deed) -> Result<(), StateError> {
        self.open()?.write(deed)
    }

    fn restore(&self, gone: &AuditHead, entries: &[AuditEntry]) -> Result<(), StateError> {
        self.open()?.restore(gone, entries)
    }
}
