//! The loaded artifacts, up to a number of bytes, those used least recently given up first.
//!
//! Every call looks here, from every thread, so a look-up writes to no memory that threads share: it
//! reads a snapshot of the map, which only a load replaces.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::{ArcSwap, Guard};

use crate::{Instance, Profile, Ref};

type Map = HashMap<Ref, Vec<Arc<Entry>>>;

pub(super) struct Cache {
    entries: ArcSwap<Map>,
    /// Held while a new map is made.
    writing: Mutex<()>,
    capacity: u64,
    started: Instant,
}

struct Entry {
    profile: Profile,
    instance: Arc<dyn Instance>,
    size: u64,
    /// When it was last used, in milliseconds since the cache was made.
    used: AtomicU64,
}

/// The cache at one moment. What is found in it stays loaded while this is held.
pub(super) struct Snapshot<'a> {
    entries: Guard<Arc<Map>>,
    cache: &'a Cache,
}

impl Cache {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            entries: ArcSwap::default(),
            writing: Mutex::default(),
            capacity,
            started: Instant::now(),
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot<'_> {
        Snapshot { entries: self.entries.load(), cache: self }
    }

    /// Adds an artifact, and gives up others until all fit. One that is larger than the whole cache is
    /// not kept.
    pub(super) fn insert(&self, reference: &Ref, profile: Profile, instance: Arc<dyn Instance>) {
        let size = instance.size() as u64;
        if size > self.capacity {
            return;
        }
        let used = AtomicU64::new(self.time(Instant::now()));
        let new = Arc::new(Entry { profile, instance, size, used });
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut map = Map::clone(&self.entries.load());
        let same = map.entry(reference.clone()).or_default();
        same.retain(|entry| entry.profile != profile);
        same.push(Arc::clone(&new));
        while total(&map) > self.capacity {
            remove_oldest(&mut map, &new);
        }
        self.entries.store(Arc::new(map));
    }

    /// How many artifacts are loaded, and their size in bytes.
    pub(super) fn held(&self) -> (usize, u64) {
        let map = self.entries.load();
        (map.values().map(Vec::len).sum(), total(&map))
    }

    fn time(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Snapshot<'_> {
    /// The artifact, if it is loaded for this profile; it counts as used now.
    pub(super) fn get(
        &self,
        reference: &Ref,
        profile: Profile,
        now: Instant,
    ) -> Option<&Arc<dyn Instance>> {
        let mut same = self.entries.get(reference)?.iter();
        let entry = same.find(|entry| entry.profile == profile)?;
        let now = self.cache.time(now);
        if entry.used.load(Ordering::Relaxed) != now {
            entry.used.store(now, Ordering::Relaxed);
        }
        Some(&entry.instance)
    }
}

fn total(map: &Map) -> u64 {
    map.values().flatten().map(|entry| entry.size).sum()
}

/// Removes the entry that was used least recently, other than the new one.
fn remove_oldest(map: &mut Map, new: &Arc<Entry>) {
    let old = map.iter().flat_map(|(reference, same)| same.iter().map(move |one| (reference, one)));
    let oldest = old
        .filter(|(_, entry)| !Arc::ptr_eq(entry, new))
        .min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed))
        .map(|(reference, entry)| (reference.clone(), Arc::clone(entry)));
    let Some((reference, oldest)) = oldest else { return };
    if let Some(same) = map.get_mut(&reference) {
        same.retain(|entry| !Arc::ptr_eq(entry, &oldest));
        if same.is_empty() {
            map.remove(&reference);
        }
    }
}
