//! Measures, side by side in one run: `cargo xtask bench engine`, `js`, `flow`, `record` and `server`.
//!
//! Absolute times differ between machines and moments, so contenders take turns in short rounds and the
//! ratios are what counts.

mod bare;
mod bare_op;
mod first_call;
mod flow;
mod js;
mod record;
mod server;
mod siege;
mod soak;
mod steady;
mod with_wasi;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use compute::{Algorithm, Artifact, ArtifactMap, Manager, Ref, RunOptions, Runner as _};
use compute_wasm as _;
use mimalloc::MiMalloc;

/// As the command line and the server have it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// 200 bytes of JSON.
pub fn input() -> Vec<u8> {
    let mut input = br#"{"name":"Ada","text":""#.to_vec();
    input.resize(198, b'x');
    input.extend_from_slice(br#""}"#);
    input
}

type Work = Arc<dyn Fn() + Send + Sync>;

struct Contender {
    name: String,
    work: Work,
    /// Time per call, in nanoseconds, of each call of all rounds.
    times: Vec<u64>,
}

impl Contender {
    fn new(name: impl Into<String>, work: impl Fn() + Send + Sync + 'static) -> Self {
        Self { name: name.into(), work: Arc::new(work), times: Vec::new() }
    }

    fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        Duration::from_nanos(times[(times.len() - 1) * percent / 100])
    }
}

/// A manager with one artifact.
pub fn manager(wasm: Vec<u8>) -> (Manager, Ref) {
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", wasm);
    let reference = artifact.reference().clone();
    (Manager::builder().resolver(ArtifactMap::from([artifact])).build(), reference)
}

/// Lets the contenders take turns, so that a change of the machine's speed hits them all.
fn race(contenders: &mut [Contender], rounds: usize, calls: usize) {
    for contender in contenders.iter() {
        (0..calls).for_each(|_| (contender.work)());
    }
    for _ in 0..rounds {
        for contender in contenders.iter_mut() {
            for _ in 0..calls {
                let start = Instant::now();
                (contender.work)();
                contender.times.push(start.elapsed().as_nanos() as u64);
            }
        }
    }
}

/// Calls a second with this many threads.
fn throughput(work: &Work, threads: usize, time: Duration) -> f64 {
    let stop = AtomicBool::new(false);
    let calls = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    (0..100).for_each(|_| work());
                    calls.fetch_add(100, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    calls.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

/// How many times the calls of one thread two threads make: the median of some rounds, with its rates.
fn scaling(work: &Work) -> (f64, f64, f64) {
    let round = |_| {
        let one = throughput(work, 1, Duration::from_millis(700));
        let two = throughput(work, 2, Duration::from_millis(700));
        (two / one, one, two)
    };
    let mut rounds: Vec<_> = (0..7).map(round).collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds[3]
}

fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}

fn engine() -> Result<()> {
    println!("echo of 200 bytes, a fresh sandbox for each call\n");
    println!("{:<34} {:>9} {:>9} {:>9} {:>8}", "", "p50", "p90", "p99", "ratio");
    for pages in [2, 18] {
        let wasm = compute_guests::echo(pages);
        let bare = bare::Bare::new(&wasm).map_err(plain)?;
        let wasi = with_wasi::WithWasi::new(&wasm).map_err(plain)?;
        let (manager, reference) = manager(wasm);
        let options = RunOptions::default();
        let metered = RunOptions::with_limits(compute::Limits {
            fuel: Some(1_000_000_000),
            ..Default::default()
        });
        if bare.call(&input()).map_err(plain)? != input()
            || wasi.call(&input()).map_err(plain)? != input()
        {
            bail!("the echo does not echo");
        }
        let again = (manager.clone(), reference.clone());
        let mut contenders = [
            Contender::new(format!("bare wasmtime, {pages} pages"), move || {
                bare.call(&input()).expect("an echo");
            }),
            Contender::new(format!("Manager, {pages} pages"), move || {
                let outcome = manager.run_blocking(&reference, &input(), &options);
                outcome.expect("a run").result.expect("an echo");
            }),
            Contender::new(format!("Manager, {pages} pages, metered"), move || {
                let outcome = again.0.run_blocking(&again.1, &input(), &metered);
                outcome.expect("a run").result.expect("an echo");
            }),
            Contender::new(format!("bare + wasmtime-wasi, {pages} pages"), move || {
                wasi.call(&input()).expect("an echo");
            }),
            Contender::new("native copy, no sandbox", || {
                std::hint::black_box(std::hint::black_box(&input()).clone());
            }),
        ];
        race(&mut contenders, 40, 1000);
        let floor = contenders[0].percentile(50);
        for contender in &contenders {
            let [p50, p90, p99] = [50, 90, 99].map(|percent| contender.percentile(percent));
            println!(
                "{:<34} {p50:>9.2?} {p90:>9.2?} {p99:>9.2?} {:>7.2}x",
                contender.name,
                p50.as_secs_f64() / floor.as_secs_f64(),
            );
        }
        println!();
        // What this machine's second core is worth just now, to work that shares nothing.
        let alone = Contender::new("arithmetic, nothing shared", || {
            let mut number = std::hint::black_box(1_u64);
            for step in 0..4000 {
                number = number.rotate_left(7) ^ step;
            }
            std::hint::black_box(number);
        });
        for contender in [&alone, &contenders[0], &contenders[1]] {
            let (ratio, one, two) = scaling(&contender.work);
            println!(
                "{:<34} {one:>9.0} calls/s on one thread, {two:>9.0} on two: {ratio:.2}x",
                contender.name
            );
        }
        println!();
    }
    first_call::print()?;
    steady::deadline()?;
    steady::soak()
}

fn main() -> Result<()> {
    match std::env::args().nth(1).as_deref() {
        Some("engine") => engine(),
        Some("js") => js::print(std::env::args().any(|arg| arg == "--peers")),
        Some("flow") => flow::flow(),
        Some("record") => record::print(),
        Some("server") => server::server(std::env::args().any(|arg| arg == "--peers")),
        Some("siege") => {
            soak::siege()?;
            siege::siege(seconds())
        }
        Some("soak") => soak::soak(seconds().unwrap_or(600)),
        _ => bail!("say what to measure: engine, js, flow, record, server, siege or soak"),
    }
}

/// For how long, if that is said.
fn seconds() -> Option<u64> {
    std::env::args().nth(2)?.parse().ok()
}
