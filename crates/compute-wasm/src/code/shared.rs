//! Things that are made once, and shared by all who use them at the time.
//!
//! What nobody uses any longer is given up, but for the few that were used last.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::time::Duration;

use compute::Load;

/// How often somebody who waits for another's making looks whether it is still wanted.
const POLL: Duration = Duration::from_millis(2);

/// Things by their keys, of which the last few are held though nobody uses them.
pub(crate) struct SharedCache<K, T> {
    entries: Mutex<HashMap<K, Arc<Entry<T>>>>,
    recent: Mutex<VecDeque<Arc<T>>>,
    most_recent: usize,
}

/// Held while the thing is made.
type Entry<T> = Mutex<Weak<T>>;

/// Nobody wants it any longer.
pub(crate) struct Abandoned;

impl<K: Clone + Eq + Hash, T> SharedCache<K, T> {
    pub(crate) fn new(most_recent: usize) -> Self {
        Self { entries: Mutex::default(), recent: Mutex::default(), most_recent }
    }

    /// What has this key, made now unless somebody uses it. Of several who ask at once, one makes it, and the
    /// others wait for it as long as their own load is wanted.
    pub(crate) fn get<E: From<Abandoned>>(
        &self,
        key: &K,
        load: &Load<'_>,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let entry = self.entry(key);
        let mut entry = wait_for(&entry, load)?;
        let thing = match entry.upgrade() {
            Some(thing) => thing,
            None => Arc::new(make()?),
        };
        *entry = Arc::downgrade(&thing);
        drop(entry);
        self.remember(&thing);
        Ok(thing)
    }

    fn entry(&self, key: &K) -> Arc<Entry<T>> {
        let mut entries = lock(&self.entries);
        let used =
            |entry: &Arc<Entry<T>>| Arc::strong_count(entry) > 1 || lock(entry).strong_count() > 0;
        entries.retain(|_, entry| used(entry));
        Arc::clone(entries.entry(key.clone()).or_default())
    }

    fn remember(&self, thing: &Arc<T>) {
        let mut recent = lock(&self.recent);
        recent.retain(|other| !Arc::ptr_eq(other, thing));
        recent.push_front(Arc::clone(thing));
        let kept = recent.len().min(self.most_recent);
        let given_up = recent.split_off(kept);
        drop(recent);
        drop(given_up);
    }
}

fn wait_for<'a, T>(entry: &'a Mutex<T>, load: &Load<'_>) -> Result<MutexGuard<'a, T>, Abandoned> {
    loop {
        match entry.try_lock() {
            Ok(guard) => return Ok(guard),
            Err(TryLockError::Poisoned(poisoned)) => return Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) if load.must_stop() => return Err(Abandoned),
            Err(TryLockError::WouldBlock) => std::thread::sleep(POLL),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use compute::{ArtifactMap, Load, Profile};

    use super::{Abandoned, SharedCache};

    #[test]
    fn what_is_used_is_shared_and_what_is_not_is_given_up_but_for_the_last() {
        let none = ArtifactMap::default();
        let load = Load::new(Profile::default(), &none);
        let kept = SharedCache::new(1);
        let get = |key: u32| kept.get::<Abandoned>(&key, &load, || Ok(key)).ok().unwrap();
        let one = get(1);
        let weak = Arc::downgrade(&one);
        assert!(Arc::ptr_eq(&one, &get(1)));
        get(2);
        assert!(Arc::ptr_eq(&one, &get(1)), "it is in use");
        drop(one);
        assert!(weak.upgrade().is_some(), "it was used last");
        get(2);
        assert!(weak.upgrade().is_none());
        get(3);
        assert_eq!(kept.entries.lock().unwrap().len(), 2, "the first's entry is gone");
    }
}
