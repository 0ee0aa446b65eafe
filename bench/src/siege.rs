//! Bad neighbours, measured: the rows of the command line's tests against an optimised server.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

// The tests run the same rows.
#[path = "../../crates/compute-cli/tests/it/neighbours.rs"]
mod neighbours;

use neighbours::{ROWS, run, together};

/// The longest that one in a hundred of the good neighbour's calls may take.
const P99: Duration = Duration::from_millis(20);

/// What a server's resident memory is bounded by, in MiB, with its default settings on two processors: see
/// docs/security.md, whose figures these are.
const BOUND: u64 = {
    let program = 60;
    // The heads of ten thousand connections, 16 KiB each, and what else a connection takes.
    let connections = 220;
    // Bodies of HTTP/2 that have come and are not read yet: 128 KiB a connection.
    let windows = 10_000 / 8;
    let requests = 512;
    let loaded = 512;
    // Of active stacks, and of replaced ones that documents still use.
    let rules = 2 * 512;
    // Eight sandboxes: 32 MiB of memory, an output, its events and a copy of its input, of 4 MiB each, and the stack of its
    // thread.
    let sandboxes = 8 * (32 + 12 + 17);
    // Two loads: an artifact of 32 MiB and its compiled code.
    let loads = 2 * (32 + 128);
    // Four administrative requests: two versions of 16 MiB, read and checked.
    let admin = 4 * 64;
    (program + connections + windows + requests + loaded + rules + sandboxes + loads + admin) * 5
        / 4
};

/// Prints a table of the rows; fails if one is not as it should be.
pub(crate) fn siege(seconds: Option<u64>) -> Result<()> {
    let program = crate::server::compute()?;
    println!(
        "\n{:<46} {:>8} {:>8} {:>8} {:>6} {:>6} {:>11} {:>7} {:>6}",
        "a bad neighbour", "p50", "p99", "max", "calls", "lost", "MiB", "threads", "s"
    );
    let mut wrong = Vec::new();
    for row in ROWS {
        let done = run(row, &program)?;
        let seen = &done.seen;
        let [p50, p99, max] = [50, 99, 100].map(|percent| seen.percentile(percent));
        println!(
            "{:<46} {p50:>8.1?} {p99:>8.1?} {max:>8.1?} {:>6} {:>6} {:>4} → {:>4} {:>7} {:>6.1}",
            row.name,
            seen.times.len(),
            seen.lost.len(),
            done.before,
            seen.memory,
            seen.threads,
            done.took.as_secs_f64(),
        );
        wrong.extend(done.wrong.into_iter().map(|what| format!("{}: {what}", row.name)));
        if p99 > P99 {
            wrong.push(format!("{}: p99 {p99:.1?}", row.name));
        }
    }
    if let Some(seconds) = seconds {
        let begun = Instant::now();
        let (seen, other) = together(&program, Duration::from_secs(seconds))?;
        let [p50, p99, max] = [50, 99, 100].map(|percent| seen.percentile(percent));
        println!(
            "\nall of them, one after the other and at once, for {:.0?}: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}, {} calls, {} lost, {} MiB (bound {BOUND}), {} threads",
            begun.elapsed(),
            seen.times.len(),
            seen.lost.len(),
            seen.memory,
            seen.threads,
        );
        wrong.extend(other);
        if seen.memory > BOUND {
            wrong.push(format!("{} MiB, and the bound is {BOUND}", seen.memory));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
