//! `compute bench`: what a compute costs on this machine.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use compute::{Manager, Ref, RunOptions, Runner as _};
use serde::Serialize;

use crate::args::{BenchArgs, Cli};
use crate::failure::Failure;
use crate::host::{self, Host};
use crate::input;
use crate::show::{print_json, print_line};
use crate::work::target;

#[derive(Serialize)]
struct Report {
    #[serde(rename = "ref")]
    reference: Ref,
    threads: u16,
    calls: usize,
    calls_per_second: f64,
    first_call_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
    peak_memory: u64,
}

pub(crate) fn bench(cli: &Cli, args: &BenchArgs) -> Result<(), Failure> {
    let host = Host::new(cli, host::memory(&args.limits), args.threads)?;
    let artifact = target::load(cli, &host, &args.target)?.artifact;
    let input = input::read(args.input.as_deref())?;
    let reference = artifact.reference().clone();
    let options = RunOptions::with_limits(host::limits(&args.limits));
    let call = Call { manager: host.manager, reference, input, options };

    let (first, _) = call.time().map_err(|failure| failure.about(&args.target, &call.reference))?;
    let stop = AtomicBool::new(false);
    let start = Instant::now();
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..args.threads).map(|_| scope.spawn(|| call.repeat(&stop))).collect();
        let end = start + Duration::from_secs(args.seconds.into());
        while Instant::now() < end && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let elapsed = start.elapsed();

    let mut times = Vec::new();
    let mut peak_memory = 0;
    for result in results {
        let measured =
            result.map_err(|_| Failure::Host("a measuring thread panicked".into()))??;
        times.extend(measured.times);
        peak_memory = peak_memory.max(measured.peak_memory);
    }
    times.sort_unstable();
    let percentile = |percent: usize| {
        times.get((times.len().max(1) - 1) * percent / 100).copied().unwrap_or_default()
    };
    let report = Report {
        reference: call.reference.clone(),
        threads: args.threads,
        calls: times.len(),
        calls_per_second: (times.len() as f64 / elapsed.as_secs_f64()).round(),
        first_call_ns: first,
        p50_ns: percentile(50),
        p90_ns: percentile(90),
        p99_ns: percentile(99),
        max_ns: percentile(100),
        peak_memory,
    };
    if args.json { print_json(&report) } else { print(&report) }
}

struct Call {
    manager: Manager,
    reference: Ref,
    input: Vec<u8>,
    options: RunOptions,
}

struct Measured {
    times: Vec<u64>,
    peak_memory: u64,
}

impl Call {
    /// One call: its time in nanoseconds, and the guest's peak memory.
    fn time(&self) -> Result<(u64, u64), Failure> {
        let start = Instant::now();
        let outcome = self.manager.run_blocking(&self.reference, &self.input, &self.options)?;
        let time = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        match outcome.result {
            Ok(_) => Ok((time, outcome.metrics.peak_memory)),
            Err(failure) => {
                Err(Failure::Guest(format!("{failure} [{}]\n{}", failure.status(), failure.stderr)))
            }
        }
    }

    fn repeat(&self, stop: &AtomicBool) -> Result<Measured, Failure> {
        let mut measured = Measured { times: Vec::new(), peak_memory: 0 };
        while !stop.load(Ordering::Relaxed) {
            let (time, peak_memory) = self.time().inspect_err(|_| {
                stop.store(true, Ordering::Relaxed);
            })?;
            measured.times.push(time);
            measured.peak_memory = measured.peak_memory.max(peak_memory);
        }
        Ok(measured)
    }
}

fn print(report: &Report) -> Result<(), Failure> {
    let time = |nanos: u64| format!("{:.1?}", Duration::from_nanos(nanos));
    let row = |name: &str, value: String| print_line(format!("{name:<14}{value:>12}"));
    row("first call", time(report.first_call_ns))?;
    row("p50", time(report.p50_ns))?;
    row("p90", time(report.p90_ns))?;
    row("p99", time(report.p99_ns))?;
    row("max", time(report.max_ns))?;
    row("calls", report.calls.to_string())?;
    row("calls/second", format!("{:.0}", report.calls_per_second))?;
    row("threads", report.threads.to_string())?;
    row("peak memory", ByteSize::b(report.peak_memory).display().iec().to_string())
}
