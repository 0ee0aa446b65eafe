//! Who changed what, in memory.

use std::sync::Arc;

use compute_state::{
    AuditEntry, AuditHead, AuditLog, AuditOf, AuditPage, Deed, StateError, TenantName,
};
use jiff::Timestamp;

use super::{MemoryCatalogue, MemoryTokens, Schedules, lock};

/// A log.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain(AuditPage);

impl Chain {
    pub(super) fn log(&mut self, deed: &Deed, most: u64) {
        self.extend(deed.entry(&self.0.head, Timestamp::now()));
        while self.0.entries.len() as u64 > most.max(1) {
            self.0.gone = self.0.entries.remove(0).head();
        }
    }

    fn extend(&mut self, entries: impl IntoIterator<Item = AuditEntry>) {
        self.0.entries.extend(entries);
        self.0.head = self.0.entries.last().map_or(self.0.gone.clone(), AuditEntry::head);
    }
}

/// A tenant's logs.
#[derive(Debug)]
pub(super) struct MemoryAudit {
    pub(super) catalogue: Arc<MemoryCatalogue>,
    pub(super) tokens: Arc<MemoryTokens>,
    pub(super) schedules: Schedules,
    pub(super) tenant: TenantName,
    pub(super) of: AuditOf,
}

impl MemoryAudit {
    fn with<T>(&self, work: impl FnOnce(&mut Chain) -> T) -> T {
        match self.of {
            AuditOf::Stacks => work(&mut lock(&self.catalogue.kept).audit),
            AuditOf::Tokens => {
                work(lock(&self.tokens.audit).entry(self.tenant.clone()).or_default())
            }
            AuditOf::Schedules => {
                work(lock(&self.schedules).entry(self.tenant.clone()).or_default())
            }
        }
    }
}

impl AuditLog for MemoryAudit {
    fn page(&self, after: Option<u64>, most: usize) -> Result<AuditPage, StateError> {
        let AuditPage { gone, head, mut entries } = self.with(|chain| chain.0.clone());
        let after = after.unwrap_or(head.number.saturating_sub(most as u64));
        entries.retain(|entry| entry.number > after);
        entries.truncate(most);
        Ok(AuditPage { gone, head, entries })
    }

    fn write(&self, deed: &Deed) -> Result<(), StateError> {
        let most = self.catalogue.quotas.audit_entries;
        self.with(|chain| chain.log(deed, most));
        Ok(())
    }

    fn restore(&self, gone: &AuditHead, entries: &[AuditEntry]) -> Result<(), StateError> {
        self.with(|chain| {
            if chain.0.head.number == 0 {
                (chain.0.gone, chain.0.head) = (gone.clone(), gone.clone());
            }
            let new = chain.0.head.new_of(entries)?;
            chain.extend(new.to_vec());
            Ok(())
        })
    }
}
