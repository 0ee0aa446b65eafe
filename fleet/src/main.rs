//! Three servers on one PostgreSQL and one S3, under load, while they are killed, stopped and started, and the database restarts
//! and is cut off: `cargo xtask fleet`. A seed repeats the schedule of faults. Afterwards it is checked that
//!
//! - each job that was accepted has exactly one result, which a single server gives, too, for the same clock and seed; batches too;
//! - whoever asked for it was told how the job ended;
//! - what was answered of activations holds: each stack's active version is a linearizable register;
//! - no document went through two versions of a stack;
//! - no token works a second after it was revoked, unless the server says that it is cut off from the database.

mod faults;
mod history;
mod load;
mod nodes;
mod proxy;
mod receiver;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;

use nodes::Fleet;

/// What is asked for.
#[derive(Parser)]
struct Arguments {
    /// The program `compute`
    #[arg(long)]
    program: PathBuf,
    /// For how many seconds things go wrong
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// What the faults come from; drawn, and printed, if it is not said
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("seed {seed}");
    let fleet = Arc::new(Fleet::start(&arguments.program)?);
    let time = Duration::from_secs(arguments.seconds);
    let done = Arc::new(AtomicBool::new(false));
    let load = load::Load::start(&fleet, &done, seed)?;
    let begun = Instant::now();
    let faults = faults::inject(&fleet, time, seed)?;
    fleet.heal()?;
    // What was begun comes to an end, with nothing in its way.
    std::thread::sleep(Duration::from_secs(2));
    done.store(true, Ordering::Relaxed);
    let told = load.finish();
    println!("{faults}");
    println!(
        "{} documents, {} activations, {} looks at what is active, {} jobs, {} tokens in {} s",
        told.documents,
        told.activations,
        told.looks,
        told.jobs.len(),
        told.tokens,
        begun.elapsed().as_secs()
    );
    let mut wrong = told.wrong.clone();
    wrong.extend(load::check_jobs(&fleet, &told)?);
    wrong.extend(history::check(&told.history));
    for one in wrong.iter().take(20) {
        eprintln!("{one}");
    }
    ensure!(wrong.is_empty(), "{} faults; `--seed {seed}` repeats the schedule", wrong.len());
    ensure!(!told.jobs.is_empty() && told.activations > 0 && told.tokens > 0, "there was no load");
    println!("all held");
    Ok(())
}
