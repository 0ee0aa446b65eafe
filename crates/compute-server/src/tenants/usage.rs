//! What a tenant keeps of artifacts, counted against its quotas.

use compute_store::Store;
use tokio::sync::{Mutex, MutexGuard};

use crate::Problem;
use crate::Quotas;

/// How many artifacts a tenant keeps, and how many bytes: counted when it is first asked, and kept up since.
#[derive(Debug)]
pub(crate) struct Usage {
    quotas: Quotas,
    counted: Mutex<Option<compute_store::Usage>>,
}

/// A tenant may not keep so much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this tenant may keep {limit} {what}, and has {used}: delete what nothing needs")]
pub(crate) struct QuotaError {
    pub(crate) what: &'static str,
    pub(crate) limit: u64,
    pub(crate) used: u64,
}

/// The right to store something, while nothing else is stored or deleted for this tenant.
pub(crate) struct Room<'a> {
    usage: &'a Usage,
    counted: MutexGuard<'a, Option<compute_store::Usage>>,
}

impl Usage {
    pub(crate) const fn new(quotas: Quotas) -> Self {
        Self { quotas, counted: Mutex::const_new(None) }
    }

    /// Room for so many artifacts more, and so many bytes.
    pub(crate) async fn room(
        &self,
        store: &dyn Store,
        artifacts: u64,
        bytes: u64,
    ) -> Result<Room<'_>, Problem> {
        let mut room = self.storing().await;
        room.grow(store, artifacts, bytes).await?;
        Ok(room)
    }

    /// Room for nothing yet.
    pub(crate) async fn storing(&self) -> Room<'_> {
        Room { usage: self, counted: self.counted.lock().await }
    }

    /// What there would be too much of.
    fn over(&self, now: compute_store::Usage, artifacts: u64, bytes: u64) -> Option<QuotaError> {
        let Quotas { artifacts: most, artifact_bytes } = self.quotas;
        let over = |what, limit, used| Some(QuotaError { what, limit, used });
        if artifacts > 0 && now.artifacts.saturating_add(artifacts) > most {
            return over("artifacts", most, now.artifacts);
        }
        if now.bytes.saturating_add(bytes) > artifact_bytes {
            return over("bytes of artifacts", artifact_bytes, now.bytes);
        }
        None
    }

    /// While something is deleted nothing is stored; what is left then is counted anew.
    pub(crate) async fn deleting(&self) -> MutexGuard<'_, impl Sized> {
        let mut counted = self.counted.lock().await;
        *counted = None;
        counted
    }
}

impl Room<'_> {
    /// Makes room for so many artifacts more, and so many bytes.
    pub(crate) async fn grow(
        &mut self,
        store: &dyn Store,
        artifacts: u64,
        bytes: u64,
    ) -> Result<(), Problem> {
        let known = self.counted.is_some();
        let mut now = match *self.counted {
            Some(now) => now,
            None => store.usage().await?,
        };
        let mut over = self.usage.over(now, artifacts, bytes);
        if over.is_some() && known {
            // Another process may have deleted some of it.
            now = store.usage().await?;
            over = self.usage.over(now, artifacts, bytes);
        }
        *self.counted = Some(now);
        over.map_or(Ok(()), |over| Err(over.into()))
    }

    /// That it was stored.
    pub(crate) fn taken(mut self, artifacts: u64, bytes: u64) {
        if let Some(counted) = &mut *self.counted {
            counted.artifacts += artifacts;
            counted.bytes += bytes;
        }
    }
}
