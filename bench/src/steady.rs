//! What must hold over many calls: the deadline is met, and nothing is left behind.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use compute::{Limits, RunOptions, Runner as _, Status};

/// Prints by how much an infinite loop outlasts a deadline of 50 ms.
pub fn deadline() -> Result<()> {
    let wall = Duration::from_millis(50);
    let (manager, reference) =
        crate::manager(compute_guests::wasm(include_str!("../../guests/spin.wat")));
    let options = RunOptions::with_limits(Limits { wall: Some(wall), ..Limits::default() });
    let long = Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() };
    manager.preload(&reference, long)??;
    let mut over = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        let outcome = manager.run_blocking(&reference, b"{}", &options)?;
        ensure!(outcome.status() == Status::WallLimit, "it ended otherwise");
        over.push(start.elapsed().saturating_sub(wall));
    }
    over.sort_unstable();
    println!(
        "\ndeadline: an infinite loop outlasts its 50 ms by {:.2?} (p50), {:.2?} (p99), {:.2?} (max) over 200 runs",
        over[100], over[198], over[199]
    );
    Ok(())
}

/// Prints what a million calls leave behind.
pub fn soak() -> Result<()> {
    const CALLS: u32 = 1_000_000;
    const SETTLED: u32 = 10_000;
    let (manager, reference) = crate::manager(compute_guests::echo(18));
    let options = RunOptions::default();
    let mut settled = (0, 0);
    for call in 0..CALLS {
        if call == SETTLED {
            settled = (resident()?, descriptors()?);
        }
        let outcome = manager.run_blocking(&reference, b"{\"a\":1}", &options)?;
        ensure!(outcome.status() == Status::Ok, "a call failed");
    }
    let (memory, files) = (resident()?, descriptors()?);
    println!(
        "steady: over {CALLS} calls, after the first {SETTLED}, resident memory grew by {} KB, open files from {} to {files}",
        memory.saturating_sub(settled.0) / 1000,
        settled.1
    );
    Ok(())
}

/// This process's resident memory, in bytes.
fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    Ok(statm.split(' ').nth(1).unwrap_or_default().parse::<u64>()? * 4096)
}

fn descriptors() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}
