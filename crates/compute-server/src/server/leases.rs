//! What tenants may send in a second, here: taken from this node's part of it, which is leased while somebody asks for more than is free.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use compute_state::{Rated, Shares, StateError, TenantName, WantedShare};

use super::Shared;
use crate::telemetry::warn;
use crate::tenants::{Entry, Refused};
use crate::work::Asks;

/// How long a part is a node's after it asked for it, and how often it asks, about.
const LEASE: Duration = Duration::from_secs(3);
const ASKS: Duration = Duration::from_millis(950);
/// How many limits are asked for together.
const TOGETHER: usize = 200;
/// How long the line of a batch waits at once: its node may have more by then. And how long at the least.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(250));

/// Asks for this node's parts, on a thread that there is only while there are limits to ask for.
#[derive(Debug)]
pub(crate) struct Leases {
    /// Nothing where a process has all for itself.
    shares: Option<Arc<dyn Shares>>,
    node: u64,
    wanted: Mutex<Wanted>,
}

#[derive(Debug, Default)]
struct Wanted {
    limits: Vec<(Arc<Entry>, Rated)>,
    is_asking: bool,
}

impl Leases {
    pub(super) fn new(shares: Option<Arc<dyn Shares>>) -> Self {
        Self { shares, node: fastrand::u64(..), wanted: Mutex::default() }
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a part of this limit from now on, for as long as it is needed.
    fn want(self: &Arc<Self>, entry: &Arc<Entry>, of: Rated) {
        let Some(shares) = &self.shares else { return };
        let mut wanted = self.wanted();
        wanted.limits.push((Arc::clone(entry), of));
        if wanted.is_asking {
            return;
        }
        let (leases, shares) = (Arc::downgrade(self), Arc::clone(shares));
        let thread = std::thread::Builder::new().name("compute-shares".to_owned());
        match thread.spawn(move || ask(&leases, &*shares)) {
            Ok(_) => wanted.is_asking = true,
            Err(error) => {
                warn(&error);
                wanted.limits.drain(..).for_each(|(entry, of)| untold(&entry, of));
            }
        }
    }

    /// Tells what is asked for, and takes what this node gets. What is asked for no more is given back, and left out from then on. Whether
    /// any is left.
    fn tell(&self, shares: &dyn Shares, has_failed: &mut bool) -> bool {
        let limits = self.wanted().limits.clone();
        for limits in limits.chunks(TOGETHER) {
            if let Err(error) = self.tell_some(shares, limits) {
                if !std::mem::replace(has_failed, true) {
                    warn(&error);
                }
                // What there is ends by itself.
                return true;
            }
        }
        *has_failed = false;
        let mut wanted = self.wanted();
        wanted.is_asking = !wanted.limits.is_empty();
        wanted.is_asking
    }

    fn tell_some(
        &self,
        shares: &dyn Shares,
        limits: &[(Arc<Entry>, Rated)],
    ) -> Result<(), StateError> {
        let asked = Instant::now();
        let wanted = limits.iter().map(|(entry, of)| WantedShare {
            tenant: entry.name.clone(),
            of: *of,
            demand: entry.rate(*of).map_or(0.0, |mut rate| rate.demand(asked)),
        });
        let wanted: Vec<_> = wanted.collect();
        // The thread goes on, whatever happens there.
        let parts = catch_unwind(AssertUnwindSafe(|| shares.share(self.node, &wanted, LEASE)));
        let parts = parts.unwrap_or_else(|_| {
            Err(StateError::failed("the parts of rates", "what keeps them panicked"))
        })?;
        let now = Instant::now();
        for ((entry, of), part) in limits.iter().zip(&parts) {
            if let Some(mut rate) = entry.rate(*of) {
                rate.leased(now, *part, asked + LEASE);
            }
        }
        let gone: Vec<_> = wanted.iter().filter(|one| one.told() <= 0.0).collect();
        let is_gone = |tenant: &TenantName, of: Rated| {
            gone.iter().any(|one| one.tenant == *tenant && one.of == of)
        };
        if !gone.is_empty() {
            // Whoever is asked for it again comes again.
            self.wanted().limits.retain(|(entry, of)| !is_gone(&entry.name, *of));
            let limits = limits.iter().filter(|(entry, of)| is_gone(&entry.name, *of));
            limits.for_each(|(entry, of)| untold(entry, *of));
        }
        Ok(())
    }
}

fn untold(entry: &Entry, of: Rated) {
    if let Some(mut rate) = entry.rate(of) {
        rate.untold();
    }
}

/// Asks until nothing is wanted, or nobody is there to want it.
fn ask(leases: &Weak<Leases>, shares: &dyn Shares) {
    let mut has_failed = false;
    loop {
        let Some(leases) = leases.upgrade() else { return };
        if !leases.tell(shares, &mut has_failed) {
            return;
        }
        drop(leases);
        // Not all nodes at one moment.
        std::thread::sleep(ASKS.mul_f64(0.9 + fastrand::f64() / 10.0));
    }
}

impl Shared {
    /// That a tenant may send one more of these now.
    pub(crate) fn admit(&self, entry: &Arc<Entry>, of: Rated) -> Result<(), Refused> {
        let Some(allowed) = &entry.allowed else { return Ok(()) };
        if self.take(entry, of, Asks::Once).is_none() {
            return Ok(());
        }
        let refused = allowed.refused(of);
        self.telemetry.refused(&entry.name, refused.why());
        Err(refused)
    }

    /// Waits until a tenant may send one more of these, and not for ever. Who comes first is first.
    pub(crate) async fn admit_in_turn(
        &self,
        entry: &Arc<Entry>,
        of: Rated,
        limit: Duration,
    ) -> Result<(), Refused> {
        let Some(allowed) = &entry.allowed else { return Ok(()) };
        let turn = async {
            let _turn = allowed.waiting.lock().await;
            let (least, most) = WAITS;
            while let Some(wait) = self.take(entry, of, Asks::Waits) {
                tokio::time::sleep(wait.clamp(least, most)).await;
            }
        };
        let waited = tokio::time::timeout(limit, turn).await;
        waited.map_err(|_| {
            let refused = allowed.refused(of);
            self.telemetry.refused(&entry.name, refused.why());
            refused
        })
    }

    /// Takes one, or says when there is one.
    fn take(&self, entry: &Arc<Entry>, of: Rated, asks: Asks) -> Option<Duration> {
        let taken = entry.rate(of)?.take(Instant::now(), asks);
        if taken.wants {
            self.leases.want(entry, of);
        }
        taken.wait
    }

    /// That a tenant has time left today for what its guests do. What is not known is asked for meanwhile.
    pub(crate) fn has_time(self: &Arc<Self>, entry: &Arc<Entry>) -> Result<(), Refused> {
        let Some(allowed) = &entry.allowed else { return Ok(()) };
        let (has_time, looks) = allowed.has_time(Instant::now(), || entry.used.wall_us());
        if looks {
            let (shared, name) = (Arc::clone(self), entry.name.clone());
            let look = move || {
                if let Err(error) = shared.usage.add(&shared.tenants, Some(&name)) {
                    warn(&error);
                }
            };
            blocking::unblock(look).detach();
        }
        has_time.inspect_err(|refused| self.telemetry.refused(&entry.name, refused.why()))
    }
}
