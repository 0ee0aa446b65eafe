//! Nodes hold parts of a limit, never more than one whole together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::Reopen;
use crate::{Rated, Shares, StateQuotas, TenantName, WantedShare};

const LONG: Duration = Duration::from_secs(600);

fn wants(tenant: &str, of: Rated, demand: f64) -> WantedShare {
    WantedShare { tenant: tenant.parse().unwrap(), of, demand }
}

fn one(shares: &dyn Shares, node: u64, demand: f64, lease: Duration) -> f64 {
    shares.share(node, &[wants("acme", Rated::Requests, demand)], lease).unwrap()[0]
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// Of a state that one process has for itself there are none, and nothing is asked.
pub(super) fn all(new: &mut dyn FnMut(StateQuotas) -> Reopen) {
    let state = new(StateQuotas::default());
    if state().shares().unwrap().is_none() {
        return;
    }
    let open = || state().shares().unwrap().unwrap();
    let (here, there) = (open(), open());

    // Whoever is alone has all, and another gets what that one gives up.
    assert!(is_near(one(&*here, 1, 30.0, LONG), 1.0));
    assert!(is_near(one(&*there, 2, 10.0, LONG), 0.0));
    assert!(is_near(one(&*here, 1, 30.0, LONG), 0.75));
    assert!(is_near(one(&*there, 2, 10.0, LONG), 0.25));
    // What else there is has parts of its own, and so have others.
    let more = [
        wants("other", Rated::Requests, 1.0),
        wants("acme", Rated::Documents, 1.0),
        wants("acme", Rated::Requests, 10.0),
        wants("nothing", Rated::Requests, 0.0),
    ];
    let parts = there.share(2, &more, LONG).unwrap();
    assert!(parts.iter().zip([1.0, 1.0, 0.25, 0.0]).all(|(a, b)| is_near(*a, b)), "{parts:?}");
    assert_eq!(there.share(2, &[], LONG).unwrap(), [0.0; 0]);
    // What is given back is the other's.
    for nothing in [0.0, -1.0, f64::NAN] {
        assert!(is_near(one(&*there, 2, 10.0, LONG), 0.25));
        assert!(is_near(one(&*there, 2, nothing, LONG), 0.0));
        assert!(is_near(one(&*here, 1, 30.0, LONG), 1.0));
        assert!(is_near(one(&*there, 2, 10.0, LONG), 0.0));
        assert!(is_near(one(&*here, 1, 30.0, LONG), 0.75));
    }
    // And so is what was not asked for again in time.
    assert!(is_near(one(&*here, 1, 30.0, Duration::ZERO), 0.75));
    assert!(is_near(one(&*there, 2, 10.0, LONG), 1.0));
    random(&*open());
    together(&std::array::from_fn(|_| open()));
}

/// Whoever asks when gets what the arithmetic says.
fn random(shares: &dyn Shares) {
    let mut state = 18_u64;
    let mut draw = |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut kept: BTreeMap<(TenantName, Rated), BTreeMap<u64, (f64, f64)>> = BTreeMap::new();
    for _ in 0..200 {
        let node = draw(5);
        let mut wanted = Vec::new();
        for tenant in ["a", "b", "c"] {
            for of in [Rated::Requests, Rated::Documents] {
                if draw(2) == 0 {
                    let demand = if draw(4) == 0 { 0.0 } else { draw(10_000) as f64 / 100.0 };
                    wanted
                        .insert(draw(1 + wanted.len() as u64) as usize, wants(tenant, of, demand));
                }
            }
        }
        let parts = shares.share(node, &wanted, LONG).unwrap();
        assert_eq!(parts.len(), wanted.len());
        for (WantedShare { tenant, of, demand }, part) in wanted.into_iter().zip(parts) {
            let nodes = kept.entry((tenant, of)).or_default();
            nodes.remove(&node);
            let others = nodes.values().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            let expected = WantedShare::part(demand, others.0, others.1);
            assert!(is_near(part, expected), "{part} and not {expected}");
            if demand > 0.0 {
                nodes.insert(node, (demand, part));
            }
            assert!(nodes.values().map(|(_, part)| part).sum::<f64>() < 1.0 + 1e-9);
        }
    }
}

/// Many who ask at one moment have one whole together.
fn together(opened: &[Arc<dyn Shares>; 4]) {
    for _ in 0..5 {
        let parts: Vec<f64> = std::thread::scope(|scope| {
            let asked = opened.iter().zip(10_u64..).map(|(shares, node)| {
                let demand = 1.0 + node as f64;
                scope.spawn(move || {
                    let wanted = ["x", "y"].map(|tenant| wants(tenant, Rated::Documents, demand));
                    shares.share(node, &wanted, LONG).unwrap()
                })
            });
            let asked: Vec<_> = asked.collect();
            asked.into_iter().map(|asked| asked.join().unwrap()[0]).collect()
        });
        assert!(parts.iter().sum::<f64>() < 1.0 + 1e-9, "{parts:?}");
    }
}
