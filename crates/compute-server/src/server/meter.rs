//! What tenants used here, told now and then to whoever keeps it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError, TryLockError};
use std::time::Instant;

use compute_state::{DayUsage, State, StateError, TenantName, UsageLog};
use jiff::civil::Date;

use crate::tenants::Tenants;

/// Adds what tenants use to what is kept of it.
#[derive(Debug)]
pub(crate) struct Meter {
    state: Arc<dyn State>,
    /// Opened when it is first asked for.
    log: OnceLock<Arc<dyn UsageLog>>,
    /// Held by whoever adds.
    adding: Mutex<()>,
}

impl Meter {
    pub(crate) fn new(state: Arc<dyn State>) -> Self {
        Self { state, log: OnceLock::new(), adding: Mutex::new(()) }
    }

    fn log(&self) -> Result<&dyn UsageLog, StateError> {
        if let Some(log) = self.log.get() {
            return Ok(&**log);
        }
        let opened = self.state.usage()?;
        Ok(&**self.log.get_or_init(|| opened))
    }

    /// Adds what one tenant used since it was last added, or what all did. What could not be added is counted again: 10 seconds may be
    /// counted twice where nobody can tell whether it was.
    pub(crate) fn add(&self, tenants: &Tenants, of: Option<&TenantName>) -> Result<(), StateError> {
        let _adding = match (of, self.adding.try_lock()) {
            (_, Ok(adding)) => adding,
            (_, Err(TryLockError::Poisoned(poisoned))) => poisoned.into_inner(),
            // Whoever only reads waits for no others' writes.
            (Some(_), Err(TryLockError::WouldBlock)) => return Ok(()),
            (None, Err(TryLockError::WouldBlock)) => {
                self.adding.lock().unwrap_or_else(PoisonError::into_inner)
            }
        };
        let log = self.log()?;
        let entries = match of {
            Some(name) => vec![tenants.entry(name)],
            None => tenants.all(),
        };
        let taken: Vec<_> = entries.iter().map(|entry| entry.used.take()).collect();
        // Who asks for one wants to know what others added, too.
        let used: Vec<_> =
            entries.iter().zip(taken).filter(|(_, used)| of.is_some() || !used.is_none()).collect();
        if used.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = used.iter().map(|(entry, used)| (entry.name.clone(), *used)).collect();
        let asked = Instant::now();
        let added = log.add(&named);
        match &added {
            Ok(today) => {
                for ((entry, _), today) in used.iter().zip(today) {
                    if let Some(allowed) = &entry.allowed {
                        allowed.used(asked, today);
                    }
                }
            }
            Err(_) => used.iter().for_each(|(entry, used)| entry.used.add(*used)),
        }
        added.map(drop)
    }

    pub(crate) fn days(
        &self,
        tenant: &TenantName,
        from: Option<Date>,
        to: Option<Date>,
    ) -> Result<Vec<DayUsage>, StateError> {
        self.log()?.days(tenant, from, to)
    }
}
