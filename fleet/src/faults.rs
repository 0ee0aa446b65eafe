//! What goes wrong, and when: a seed says it.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use crate::nodes::{Fleet, NODES};

/// For how long a server is stopped that loses its leases: they last 30 seconds.
const PAUSE: Duration = Duration::from_secs(35);
/// How long the database is cut off, and how long it takes to be started again.
const CUT: Duration = Duration::from_secs(8);
const RESTART: Duration = Duration::from_secs(2);

/// What went wrong.
#[derive(Default)]
pub(crate) struct Faults {
    killed: u32,
    ended: u32,
    paused: u32,
    restarts: u32,
    cuts: u32,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} killed, {} ended and started, {} stopped for {} s; the database restarted {} times, cut off {} times",
            self.killed,
            self.ended,
            self.paused,
            PAUSE.as_secs(),
            self.restarts,
            self.cuts
        )
    }
}

/// Has things go wrong for so long.
pub(crate) fn inject(fleet: &Fleet, time: Duration, seed: u64) -> Result<Faults> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut faults = Faults::default();
    let begun = Instant::now();
    // The database's own are spread over the time: two restarts, one cut.
    let part = |of: u32| time * of / 4;
    let mut of_database = vec![(part(3), 'r'), (part(2), 'c'), (part(1), 'r')];
    let mut paused: Option<(usize, Instant)> = None;
    while begun.elapsed() < time {
        std::thread::sleep(Duration::from_millis(random.u64(1000..4000)));
        if let Some((node, since)) = paused
            && since.elapsed() >= PAUSE
        {
            println!("{:>4} s: server {node} goes on", begun.elapsed().as_secs());
            fleet.signal(node, Signal::CONT);
            paused = None;
        }
        if let Some((at, what)) = of_database.last().copied()
            && begun.elapsed() >= at
        {
            of_database.pop();
            if what == 'r' {
                println!("{:>4} s: the database crashes", begun.elapsed().as_secs());
                fleet.cluster.crash();
                std::thread::sleep(RESTART);
                fleet.cluster.resume();
                faults.restarts += 1;
            } else {
                println!("{:>4} s: the database is cut off", begun.elapsed().as_secs());
                fleet.proxy.cut();
                std::thread::sleep(CUT);
                fleet.proxy.mend();
                faults.cuts += 1;
            }
            continue;
        }
        let others: Vec<_> =
            (0..NODES).filter(|node| paused.is_none_or(|(stopped, _)| stopped != *node)).collect();
        let node = others[random.usize(0..others.len())];
        match random.u32(0..6) {
            0..3 => {
                println!("{:>4} s: server {node} is killed", begun.elapsed().as_secs());
                fleet.kill(node);
                std::thread::sleep(Duration::from_millis(random.u64(0..2000)));
                fleet.begin(node)?;
                faults.killed += 1;
            }
            3 if paused.is_none() && begun.elapsed() + PAUSE < time => {
                println!("{:>4} s: server {node} is stopped", begun.elapsed().as_secs());
                fleet.signal(node, Signal::STOP);
                paused = Some((node, Instant::now()));
                faults.paused += 1;
            }
            4 => {
                println!("{:>4} s: server {node} ends and starts", begun.elapsed().as_secs());
                fleet.end(node);
                fleet.begin(node)?;
                faults.ended += 1;
            }
            _ => {}
        }
    }
    Ok(faults)
}
