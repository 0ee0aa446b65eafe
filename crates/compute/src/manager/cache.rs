//! The loaded artifacts, up to a number of bytes.
//!
//! Each tenant has a cache of its own, so that nothing depends on what another has loaded; all tenants
//! together hold so many bytes, and where they are full, the one that holds most gives up what it used
//! least recently. Every call looks here, from every thread, so a look-up writes to no memory that threads
//! share: it reads a snapshot of its map, which only a load replaces.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};

use crate::{Instance, Profile, Ref};

type Map = HashMap<Ref, Vec<Arc<Entry>>>;

/// All tenants' caches, and how much they hold together.
pub(super) struct Cache {
    /// Held while a tenant is changed.
    tenants: Mutex<Vec<Weak<TenantCache>>>,
    capacity: u64,
    started: Instant,
}

/// What one tenant has loaded.
#[derive(Default)]
pub(super) struct TenantCache(ArcSwap<Map>);

struct Entry {
    profile: Profile,
    instance: Arc<dyn Instance>,
    size: u64,
    /// When it was last used, in milliseconds since the cache was made.
    used: AtomicU64,
}

/// A cache at one moment. What is found in it stays loaded while this is held.
pub(super) struct Snapshot(Guard<Arc<Map>>);

impl Cache {
    pub(super) fn new(capacity: u64) -> Self {
        Self { tenants: Mutex::default(), capacity, started: Instant::now() }
    }

    pub(super) fn new_tenant(&self) -> Arc<TenantCache> {
        let tenant = Arc::new(TenantCache::default());
        let mut tenants = self.lock();
        tenants.retain(|tenant| tenant.strong_count() > 0);
        tenants.push(Arc::downgrade(&tenant));
        tenant
    }

    /// Adds an artifact for a tenant, and gives up others until all fit. One that is larger than the whole
    /// cache is not kept.
    pub(super) fn insert(
        &self,
        tenant: &TenantCache,
        reference: &Ref,
        profile: Profile,
        instance: Arc<dyn Instance>,
    ) {
        let size = instance.size() as u64;
        let shared = instance.shared().map_or(0, |part| part.size as u64);
        if size.saturating_add(shared) > self.capacity {
            return;
        }
        let used = AtomicU64::new(self.time(Instant::now()));
        let new = Arc::new(Entry { profile, instance, size, used });
        let tenants = self.lock();
        tenant.change(|map| {
            let same = map.entry(reference.clone()).or_default();
            same.retain(|entry| entry.profile != profile);
            same.push(Arc::clone(&new));
        });
        let all: Vec<_> = tenants.iter().filter_map(Weak::upgrade).collect();
        while total(&all) > self.capacity {
            let largest = all.iter().max_by_key(|tenant| total(std::slice::from_ref(*tenant)));
            if !largest.is_some_and(|tenant| tenant.give_up_oldest(&new)) {
                // What is left elsewhere is smaller, and may still be more than fits.
                if !all.iter().any(|tenant| tenant.give_up_oldest(&new)) {
                    break;
                }
            }
        }
    }

    /// Forgets an artifact of a tenant.
    pub(super) fn remove(&self, tenant: &TenantCache, reference: &Ref) {
        let _tenants = self.lock();
        tenant.change(|map| map.remove(reference));
    }

    /// How many artifacts are loaded, and their size in bytes.
    pub(super) fn held(&self) -> (usize, u64) {
        let all: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let count = all.iter().map(|tenant| tenant.0.load().values().map(Vec::len).sum::<usize>());
        (count.sum(), total(&all))
    }

    /// Marks what was found in a cache as used.
    pub(super) fn get<'a>(
        &self,
        snapshot: &'a Snapshot,
        reference: &Ref,
        profile: Profile,
        now: Instant,
    ) -> Option<&'a Arc<dyn Instance>> {
        let mut same = snapshot.0.get(reference)?.iter();
        let entry = same.find(|entry| entry.profile == profile)?;
        let now = self.time(now);
        if entry.used.load(Ordering::Relaxed) != now {
            entry.used.store(now, Ordering::Relaxed);
        }
        Some(&entry.instance)
    }

    fn time(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<TenantCache>>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantCache {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(self.0.load())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Map) -> T) {
        let mut map = Map::clone(&self.0.load());
        change(&mut map);
        self.0.store(Arc::new(map));
    }

    /// Removes the entry that was used least recently, other than the new one; false if there is none.
    fn give_up_oldest(&self, new: &Arc<Entry>) -> bool {
        let map = self.0.load();
        let all =
            map.iter().flat_map(|(reference, same)| same.iter().map(move |one| (reference, one)));
        let oldest = all
            .filter(|(_, entry)| !Arc::ptr_eq(entry, new))
            .min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed))
            .map(|(reference, entry)| (reference.clone(), Arc::clone(entry)));
        let Some((reference, oldest)) = oldest else { return false };
        drop(map);
        self.change(|map| {
            if let Some(same) = map.get_mut(&reference) {
                same.retain(|entry| !Arc::ptr_eq(entry, &oldest));
                if same.is_empty() {
                    map.remove(&reference);
                }
            }
        });
        true
    }
}

/// The bytes that tenants hold; what instances share counts once.
fn total(tenants: &[Arc<TenantCache>]) -> u64 {
    let (mut own, mut seen, mut shared) = (0, HashSet::new(), 0);
    for tenant in tenants {
        for entry in tenant.0.load().values().flatten() {
            own += entry.size;
            if let Some(part) = entry.instance.shared()
                && seen.insert(part.id)
            {
                shared += part.size as u64;
            }
        }
    }
    own + shared
}
