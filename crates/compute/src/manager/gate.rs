//! Who may load now: loads compile, which takes processors and memory, so few do at once, and no tenant
//! takes all of them.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The number of the one tenant of a manager that has no others: all places are its own.
pub(super) const OWN: u64 = 0;
/// How often those who wait look whether anybody still wants what they load.
const POLL: Duration = Duration::from_millis(10);

/// So many loads at once, so many of them of one tenant, and so many that wait.
#[derive(Debug)]
pub(super) struct Gate {
    places: usize,
    share: usize,
    queue: usize,
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    working: usize,
    by_tenant: HashMap<u64, Tenant>,
}

#[derive(Debug, Default)]
struct Tenant {
    working: usize,
    waiting: usize,
}

/// The right to load, until it is dropped.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    tenant: u64,
}

/// Why somebody does not pass.
#[derive(Debug)]
pub(super) enum Refused {
    /// So many of this tenant's wait already.
    Full(usize),
    /// Nobody wants it any longer.
    Unwanted,
}

impl Gate {
    pub(super) fn new(places: usize, share: usize, queue: usize) -> Self {
        let places = places.max(1);
        let share = share.clamp(1, places);
        Self { places, share, queue, state: Mutex::default(), freed: Condvar::new() }
    }

    /// Waits for a place of this tenant's, as long as it is wanted.
    pub(super) fn enter(
        self: &Arc<Self>,
        tenant: u64,
        wanted: impl Fn() -> bool,
    ) -> Result<Pass, Refused> {
        let mut state = self.lock();
        if !state.is_free(tenant, self) {
            let waiting = state.of(tenant).waiting;
            if waiting >= self.queue {
                return Err(Refused::Full(waiting));
            }
            state.of(tenant).waiting += 1;
            while !state.is_free(tenant, self) {
                if !wanted() {
                    state.of(tenant).waiting -= 1;
                    state.forget(tenant);
                    return Err(Refused::Unwanted);
                }
                let woken = self.freed.wait_timeout(state, POLL);
                state = woken.unwrap_or_else(PoisonError::into_inner).0;
            }
            state.of(tenant).waiting -= 1;
        }
        state.working += 1;
        state.of(tenant).working += 1;
        Ok(Pass { gate: Arc::clone(self), tenant })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn of(&mut self, tenant: u64) -> &mut Tenant {
        self.by_tenant.entry(tenant).or_default()
    }

    /// Whether this tenant may take a place: there is one, and others who hold less do not wait for it.
    fn is_free(&self, tenant: u64, gate: &Gate) -> bool {
        let held = self.by_tenant.get(&tenant).map_or(0, |one| one.working);
        let behind = |(other, one): (&u64, &Tenant)| {
            *other != tenant && one.waiting > 0 && one.working < held
        };
        let share = if tenant == OWN { gate.places } else { gate.share };
        self.working < gate.places && held < share && !self.by_tenant.iter().any(behind)
    }

    fn forget(&mut self, tenant: u64) {
        if self.by_tenant.get(&tenant).is_some_and(|one| one.working == 0 && one.waiting == 0) {
            self.by_tenant.remove(&tenant);
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.working -= 1;
        state.of(self.tenant).working -= 1;
        state.forget(self.tenant);
        drop(state);
        self.gate.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Gate, Refused};

    #[test]
    fn one_tenant_takes_its_share_and_waits_behind_no_more_than_the_queue() {
        let gate = Arc::new(Gate::new(2, 1, 0));
        let first = gate.enter(1, || true).unwrap();
        assert!(matches!(gate.enter(1, || true), Err(Refused::Full(0))));
        let second = gate.enter(2, || true).unwrap();
        drop((first, second));
        let gate = Arc::new(Gate::new(1, 1, 5));
        let held = gate.enter(1, || true).unwrap();
        assert!(matches!(gate.enter(2, || false), Err(Refused::Unwanted)));
        let waiting = Arc::clone(&gate);
        let waiter = std::thread::spawn(move || waiting.enter(2, || true).map(|_| ()).is_ok());
        drop(held);
        assert!(waiter.join().unwrap());
    }
}
