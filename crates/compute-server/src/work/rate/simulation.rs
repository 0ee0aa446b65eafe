//! Nodes that share a limit, with a seed for what is asked of which, and for what is lost: all together take no more than is said.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use compute_state::WantedShare;

use super::{Asks, FLOOR, Rate};

const LIMIT: u32 = 160;
const LEASE: Duration = Duration::from_secs(3);
const STEP: Duration = Duration::from_millis(5);

/// Whoever keeps the parts, by [`WantedShare::part`].
#[derive(Default)]
struct Kept(HashMap<usize, (f64, f64, Instant)>);

impl Kept {
    fn share(&mut self, now: Instant, node: usize, demand: f64) -> f64 {
        self.0.retain(|other, (.., until)| *other != node && *until > now);
        let others = self.0.values().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let part = WantedShare::part(demand, others.0, others.1);
        if demand > 0.0 {
            self.0.insert(node, (demand, part, now + LEASE));
        }
        part
    }
}

struct Node {
    rate: Rate,
    /// When it tells the others next, if it does.
    tells: Option<Instant>,
    /// How many a second are asked of it.
    asked: f64,
    /// What of one more is due.
    due: f64,
}

struct Simulation {
    begun: Instant,
    now: Instant,
    random: fastrand::Rng,
    nodes: Vec<Node>,
    kept: Kept,
    is_away: bool,
    /// What all took that a bucket of the bound's size would not have let go yet.
    level: f64,
    /// Which part of the limit all may have together.
    bound: f64,
}

impl Simulation {
    fn new(seed: u64, number: usize) -> Self {
        let (begun, mut random) = (Instant::now(), fastrand::Rng::with_seed(seed));
        let node = |_| Node {
            rate: Rate::shared(NonZeroU32::new(LIMIT).unwrap(), begun),
            tells: None,
            asked: 0.0,
            due: random.f64(),
        };
        let nodes: Vec<_> = (0..number).map(node).collect();
        let (kept, bound) = (Kept::default(), 1.0 + number as f64 / FLOOR);
        Self { begun, now: begun, random, nodes, kept, is_away: false, level: 0.0, bound }
    }

    /// Goes on for so long. How many each node took.
    fn run(&mut self, time: Duration) -> Vec<usize> {
        let mut taken = vec![0; self.nodes.len()];
        let (end, limit, number) = (self.now + time, f64::from(LIMIT), self.nodes.len() as f64);
        while self.now < end {
            self.now += STEP;
            self.level = (self.level - limit * self.bound * STEP.as_secs_f64()).max(0.0);
            for (at, node) in self.nodes.iter_mut().enumerate() {
                node.due += node.asked * STEP.as_secs_f64();
                while node.due >= 1.0 {
                    node.due -= 1.0;
                    let one = node.rate.take(self.now, Asks::Once);
                    if one.wants {
                        node.tells = Some(self.now);
                    }
                    if one.wait.is_none() {
                        taken[at] += 1;
                        self.level += 1.0;
                    }
                }
                // A second of the limit of each, and what is due in a step.
                let most = limit * (number + self.bound * STEP.as_secs_f64()) + 1.0;
                assert!(
                    self.level <= most,
                    "{} of {most} at {:?}",
                    self.level,
                    self.now - self.begun
                );
            }
            self.tell();
        }
        taken
    }

    fn tell(&mut self) {
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if node.tells.is_none_or(|tells| tells > self.now) {
                continue;
            }
            let demand = node.rate.demand(self.now);
            node.tells = Some(self.now + Duration::from_millis(self.random.u64(900..1000)));
            if self.is_away {
                continue;
            }
            let part = self.kept.share(self.now, at, demand);
            node.rate.leased(self.now, part, self.now + LEASE);
            if demand <= 0.0 {
                node.tells = None;
                node.rate.untold();
            }
        }
    }

    /// Other demands: some nodes are idle, and some are asked for far too much.
    fn change(&mut self) {
        for node in &mut self.nodes {
            node.asked = match self.random.u8(0..3) {
                0 => 0.0,
                1 => self.random.f64() * f64::from(LIMIT) / FLOOR,
                _ => self.random.f64() * f64::from(LIMIT) * 3.0,
            };
        }
    }
}

#[test]
fn all_together_take_no_more_than_is_said() {
    for seed in 0..300 {
        let mut simulation = Simulation::new(seed, 1 + seed as usize % 8);
        for _ in 0..6 {
            simulation.change();
            let time = simulation.random.u64(500..6000);
            simulation.run(Duration::from_millis(time));
        }
    }
}

#[test]
fn whoever_is_busy_alone_has_nearly_all_at_once_or_soon_after_others() {
    let most = |taken: usize, seconds: f64| taken as f64 >= f64::from(LIMIT) * seconds * 0.9;
    let mut alone = Simulation::new(0, 4);
    alone.nodes[0].asked = f64::from(LIMIT) * 1.5;
    alone.run(Duration::from_millis(200));
    let taken = alone.run(Duration::from_secs(2))[0];
    assert!(most(taken, 2.0), "{taken}");
    for seed in 0..200 {
        let mut simulation = Simulation::new(seed, 2 + seed as usize % 7);
        simulation.change();
        simulation.run(Duration::from_secs(5));
        for node in &mut simulation.nodes {
            node.asked = 0.0;
        }
        let last = simulation.nodes.len() - 1;
        simulation.nodes[last].asked = f64::from(LIMIT) * 1.5;
        // Each tells in a second that it wants less, and in another that it wants nothing; then this one asks again.
        simulation.run(Duration::from_secs(3));
        let taken = simulation.run(Duration::from_secs(3))[last];
        assert!(most(taken, 3.0), "seed {seed}: {taken}");
    }
}

#[test]
fn two_that_want_the_same_have_the_same() {
    let mut simulation = Simulation::new(1, 3);
    for node in &mut simulation.nodes[..2] {
        node.asked = f64::from(LIMIT) * 2.0;
    }
    simulation.run(Duration::from_secs(3));
    let taken = simulation.run(Duration::from_secs(10));
    assert!(taken[..2].iter().all(|taken| (720..=880).contains(taken)), "{taken:?}");
}

#[test]
fn without_whoever_keeps_it_nobody_has_more() {
    for seed in 0..200 {
        let mut simulation = Simulation::new(seed, 1 + seed as usize % 6);
        simulation.change();
        simulation.run(Duration::from_secs(4));
        simulation.is_away = true;
        for _ in 0..3 {
            simulation.change();
            simulation.run(Duration::from_secs(3));
        }
        // In the moment in which it comes back, some have half of what they had, and others what is theirs again.
        simulation.is_away = false;
        simulation.bound += 0.5;
        simulation.run(Duration::from_secs(4));
    }
}
