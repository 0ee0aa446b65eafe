//! What a tenant keeps of artifacts, counted against its quotas.

use compute_store::Store;
use tokio::sync::{Mutex, MutexGuard};

use crate::Problem;
use crate::Quotas;

/// Which part of its quotas is stored here before it is counted anew: servers that share a store count for themselves, and N of
/// them keep no more than `limit × (1 + N/16)`.
const PART: u64 = 16;

/// How many artifacts a tenant keeps, and how many bytes: counted when it is first asked, and kept up since.
#[derive(Debug)]
pub(crate) struct Usage {
    quotas: Quotas,
    counted: Mutex<Option<Counted>>,
}

/// What there was when it was counted, and what was stored here since.
#[derive(Clone, Copy, Debug)]
struct Counted {
    there: compute_store::Usage,
    stored: compute_store::Usage,
}

impl Counted {
    fn now(&self) -> compute_store::Usage {
        let mut now = self.there;
        now.artifacts = now.artifacts.saturating_add(self.stored.artifacts);
        now.bytes = now.bytes.saturating_add(self.stored.bytes);
        now
    }
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
///
/// Whoever made room and does not say what was stored may have stored a part of it: what is there is counted anew.
pub(crate) struct Room<'a> {
    usage: &'a Usage,
    counted: MutexGuard<'a, Option<Counted>>,
    grown: bool,
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
        Room { usage: self, counted: self.counted.lock().await, grown: false }
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
        let part = |limit: u64, stored: u64| stored >= limit.div_ceil(PART);
        let is_old = |Counted { stored, .. }: &Counted| {
            let Quotas { artifacts, artifact_bytes } = self.usage.quotas;
            part(artifacts, stored.artifacts) || part(artifact_bytes, stored.bytes)
        };
        let known = self.counted.filter(|counted| !is_old(counted));
        let mut over = known.and_then(|counted| self.usage.over(counted.now(), artifacts, bytes));
        if known.is_none() || over.is_some() {
            // Another process may have stored or deleted some of it.
            let there = store.usage().await?;
            over = self.usage.over(there, artifacts, bytes);
            *self.counted = Some(Counted { there, stored: compute_store::Usage::default() });
        }
        self.grown = over.is_none();
        over.map_or(Ok(()), |over| Err(over.into()))
    }

    /// That it was stored.
    pub(crate) fn taken(mut self, artifacts: u64, bytes: u64) {
        self.grown = false;
        if let Some(Counted { stored, .. }) = &mut *self.counted {
            stored.artifacts = stored.artifacts.saturating_add(artifacts);
            stored.bytes = stored.bytes.saturating_add(bytes);
        }
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if self.grown {
            *self.counted = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use compute::{Algorithm, Artifact};
    use compute_store::{NewArtifact, open};

    use super::*;

    async fn store_one(usage: &Usage, store: &dyn Store, text: String) -> Result<(), Problem> {
        let size = text.len() as u64;
        let room = usage.room(store, 1, size).await?;
        let artifact = Artifact::new(Algorithm::Sha256, "wasm", text.into_bytes());
        store.put(&NewArtifact::new(artifact)).await?;
        room.taken(1, size);
        Ok(())
    }

    #[tokio::test]
    async fn servers_that_share_a_store_keep_little_more_than_one() {
        let store = open("memory:").unwrap();
        let quotas = Quotas { artifacts: 64, ..Quotas::default() };
        let servers = [(); 4].map(|()| Usage::new(quotas));
        for server in &servers {
            drop(server.room(&*store, 1, 0).await.unwrap());
        }
        for number in 0..400 {
            let _ = store_one(&servers[number % 4], &*store, format!("{number}")).await;
        }
        let kept = store.usage().await.unwrap().artifacts;
        assert!((64..=64 + 4 * 4).contains(&kept), "{kept}");
    }

    #[tokio::test]
    async fn what_was_stored_in_part_counts() {
        let store = open("memory:").unwrap();
        let usage = Usage::new(Quotas { artifact_bytes: 10_000, ..Quotas::default() });
        store_one(&usage, &*store, "one".into()).await.unwrap();
        for part in 0..100 {
            // Whoever waited for it has gone.
            let Ok(room) = usage.room(&*store, 1, 1000).await else { break };
            let bytes = format!("{part:01000}").into_bytes();
            let artifact = Artifact::new(Algorithm::Sha256, "wasm", bytes);
            store.put(&NewArtifact::new(artifact)).await.unwrap();
            drop(room);
        }
        assert!(store.usage().await.unwrap().bytes <= 16_000);
    }
}
