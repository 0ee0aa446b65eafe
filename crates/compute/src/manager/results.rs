//! What runs gave that looked at nothing but what they were given: kept, up to a number of bytes, and given again.
//!
//! A result is found by a keyed digest of all that its run could see. Each tenant has results of its own; where all together are
//! too many, the tenant that holds most gives up what it used least recently.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashlink::LruCache;

use crate::{Bounds, OpCall, Outcome, Ref, Seed};

/// What an entry takes besides its outcome: its digest and its place, there and in the order of use.
const ENTRY: usize = 256;
/// The part of all bytes that one result may have, and one tenant's results: one in so many.
const LARGEST: u64 = 8;
const TENANT: u64 = 2;

/// The results of all tenants.
pub(super) struct Results {
    settings: ResultSettings,
    /// Nobody who chooses inputs knows which digests they have.
    key: [u8; 32],
    tenants: Mutex<Vec<Weak<TenantResults>>>,
    held: Arc<AtomicU64>,
    hits: AtomicU64,
    misses: AtomicU64,
    verified: AtomicU64,
    differed: AtomicU64,
}

/// How results are kept.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResultSettings {
    /// How many bytes of memory they take.
    pub(super) bytes: u64,
    /// Of so many that are found one is run all the same, and compared.
    pub(super) verify: Option<NonZeroU32>,
}

/// The results of one tenant.
pub(super) struct TenantResults {
    /// What is held, here and in all, changes while this is locked.
    kept: Mutex<LruCache<Key, Arc<Outcome>>>,
    held: AtomicU64,
    all: Arc<AtomicU64>,
    /// How often everything was forgotten.
    generation: AtomicU64,
}

/// What a result is found by.
pub(super) type Key = [u8; 32];

/// What became of runs whose results may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultStats {
    /// How many were found.
    pub hits: u64,
    /// How many were run.
    pub misses: u64,
    /// How many bytes the results take that are kept.
    pub bytes: u64,
    /// How many that were found were run all the same.
    pub verified: u64,
    /// How many of those came out otherwise.
    pub differed: u64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(outcome: &Outcome) -> u64 {
    (outcome.size() + ENTRY) as u64
}

impl Results {
    pub(super) fn new(settings: ResultSettings) -> Self {
        Self {
            settings,
            key: *Seed::random().as_bytes(),
            tenants: Mutex::default(),
            held: Arc::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            verified: AtomicU64::new(0),
            differed: AtomicU64::new(0),
        }
    }

    pub(super) const fn are_kept(&self) -> bool {
        self.settings.bytes > 0
    }

    pub(super) fn stats(&self) -> ResultStats {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ResultStats {
            hits: read(&self.hits),
            misses: read(&self.misses),
            bytes: read(&self.held),
            verified: read(&self.verified),
            differed: read(&self.differed),
        }
    }

    pub(super) fn new_tenant(&self) -> Arc<TenantResults> {
        let tenant = Arc::new(TenantResults {
            kept: Mutex::new(LruCache::new_unbounded()),
            held: AtomicU64::new(0),
            all: Arc::clone(&self.held),
            generation: AtomicU64::new(0),
        });
        let mut tenants = lock(&self.tenants);
        tenants.retain(|tenant| tenant.strong_count() > 0);
        tenants.push(Arc::downgrade(&tenant));
        tenant
    }

    /// What the result of such a run is found by: all that it could see but the clock, random numbers and its request, and
    /// whatever bounds it but time.
    pub(super) fn key(
        &self,
        tenant: &TenantResults,
        reference: &Ref,
        input: &[u8],
        (bounds, raw, op): (&Bounds, bool, Option<&OpCall>),
    ) -> Key {
        let mut hash = blake3::Hasher::new_keyed(&self.key);
        let mut put = |bytes: &[u8]| {
            hash.update(&(bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        put(&tenant.generation.load(Ordering::Acquire).to_le_bytes());
        put(reference.as_str().as_bytes());
        put(input);
        let Bounds { memory, fuel, stack, table_elements, output, log, .. } = *bounds;
        for number in [
            memory,
            u64::from(fuel.is_some()),
            fuel.unwrap_or_default(),
            stack,
            table_elements,
            output,
            log,
            u64::from(raw),
        ] {
            put(&number.to_le_bytes());
        }
        if let Some(op) = op {
            put(&[1, u8::from(op.always), u8::from(op.meta.rid.is_empty())]);
            for text in [&op.meta.op, &op.meta.stack, &op.meta.name] {
                put(text.as_bytes());
            }
            put(&op.meta.scope.to_le_bytes());
            put(op.env.get().as_bytes());
            for (name, value) in op.secrets.iter() {
                put(name.as_bytes());
                put(value.as_bytes());
            }
        }
        *hash.finalize().as_bytes()
    }

    /// A result that is kept.
    pub(super) fn find(&self, tenant: &TenantResults, key: &Key) -> Option<Arc<Outcome>> {
        let found = lock(&tenant.kept).get(key).cloned();
        let count = if found.is_some() { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Whether one that was found is to be run all the same.
    pub(super) fn is_to_be_verified(&self) -> bool {
        let Some(every) = self.settings.verify else { return false };
        let verified = self.hits.load(Ordering::Relaxed).is_multiple_of(u64::from(every.get()));
        if verified {
            self.verified.fetch_add(1, Ordering::Relaxed);
        }
        verified
    }

    /// Compares a result that was found with what its run gives now. Says whether it is the same; if not, it is forgotten.
    pub(super) fn is_same(
        &self,
        tenant: &TenantResults,
        key: &Key,
        (kept, again): (&Outcome, &Outcome),
    ) -> bool {
        // What time or a caller stopped says nothing.
        let stopped = matches!(again.status(), crate::Status::WallLimit | crate::Status::Cancelled);
        let is_same = stopped
            || kept.result.as_ref().ok() == again.result.as_ref().ok()
                && kept.events == again.events
                && kept.log == again.log
                && kept.metrics.fuel == again.metrics.fuel
                && kept.metrics.peak_memory == again.metrics.peak_memory;
        if !is_same {
            self.differed.fetch_add(1, Ordering::Relaxed);
            tenant.remove(|kept| kept.remove(key));
        }
        is_same
    }

    /// Keeps a result, and gives up others until all have room.
    pub(super) fn keep(&self, tenant: &TenantResults, key: Key, outcome: &Outcome) {
        let (taken, most) = (size(outcome), self.settings.bytes);
        if taken > most / LARGEST {
            return;
        }
        let mut outcome = outcome.clone();
        // What it took to make it is nobody's any more.
        outcome.metrics.phases = crate::PhaseTimes::default();
        {
            let mut kept = lock(&tenant.kept);
            let before = kept.insert(key, Arc::new(outcome));
            let freed = before.map_or(0, |before| size(&before));
            for held in [&tenant.held, &*self.held] {
                held.fetch_add(taken, Ordering::AcqRel);
                held.fetch_sub(freed, Ordering::AcqRel);
            }
        }
        while tenant.held.load(Ordering::Acquire) > most / TENANT {
            if !tenant.remove_oldest() {
                break;
            }
        }
        while self.held.load(Ordering::Acquire) > most {
            let tenants: Vec<_> = lock(&self.tenants).iter().filter_map(Weak::upgrade).collect();
            let largest = tenants.iter().max_by_key(|tenant| tenant.held.load(Ordering::Acquire));
            let Some(largest) = largest else { break };
            if !largest.remove_oldest() {
                break;
            }
        }
    }

    /// Forgets all results of a tenant, and those of its runs that are on their way.
    pub(super) fn forget(&self, tenant: &TenantResults) {
        tenant.generation.fetch_add(1, Ordering::AcqRel);
        while tenant.remove_oldest() {}
    }
}

impl TenantResults {
    fn remove(
        &self,
        remove: impl FnOnce(&mut LruCache<Key, Arc<Outcome>>) -> Option<Arc<Outcome>>,
    ) -> bool {
        let mut kept = lock(&self.kept);
        let removed = remove(&mut kept);
        let freed = removed.as_ref().map_or(0, |outcome| size(outcome));
        for held in [&self.held, &*self.all] {
            held.fetch_sub(freed, Ordering::AcqRel);
        }
        removed.is_some()
    }

    fn remove_oldest(&self) -> bool {
        self.remove(|kept| kept.remove_lru().map(|(_, outcome)| outcome))
    }
}

impl Drop for TenantResults {
    fn drop(&mut self) {
        self.all.fetch_sub(self.held.load(Ordering::Acquire), Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Results {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Results").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for TenantResults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantResults").field("held", &self.held).finish_non_exhaustive()
    }
}
