//! The parts that nodes have of what they share, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use compute_state::{Rated, Shares, StateError, TenantName, WantedShare};

use super::lock;

/// By limit.
#[derive(Debug, Default)]
pub(super) struct MemoryShares(Mutex<BTreeMap<(TenantName, Rated), Vec<Held>>>);

/// What a node told, and has.
#[derive(Debug)]
struct Held {
    node: u64,
    demand: f64,
    part: f64,
    until: Instant,
}

impl Shares for MemoryShares {
    fn share(
        &self,
        node: u64,
        wanted: &[WantedShare],
        lease: Duration,
    ) -> Result<Vec<f64>, StateError> {
        let (now, mut kept) = (Instant::now(), lock(&self.0));
        let parts = wanted.iter().map(|one| {
            let nodes = kept.entry((one.tenant.clone(), one.of)).or_default();
            nodes.retain(|other| other.node != node && other.until > now);
            let demands = nodes.iter().map(|other| other.demand).sum();
            let (demand, until) = (one.told(), now + lease);
            let part = WantedShare::part(demand, demands, nodes.iter().map(|one| one.part).sum());
            if demand > 0.0 {
                nodes.push(Held { node, demand, part, until });
            }
            part
        });
        Ok(parts.collect())
    }
}
