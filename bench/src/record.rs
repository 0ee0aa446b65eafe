//! What recording costs a run, and how fast records are run again.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use compute::{
    Algorithm, Artifact, ArtifactMap, Limits, Manager, Record, RecordKeep, RecordKey, Recorder,
    RunOptions, Runner, Subject,
};
use compute_replay::{Against, LogSettings, RecordLog, Verdict, replay_run};

use crate::{Contender, input, race, throughput};

/// How many records are run again.
const RECORDS: usize = 20_000;

pub(crate) fn print() -> Result<()> {
    let ops = std::env::var("COMPUTE_OPS").context("run it by `cargo xtask bench record`")?;
    let op =
        Artifact::new(Algorithm::Sha256, "wasm", std::fs::read(format!("{ops}/trivial.wasm"))?);
    let reference = op.reference().clone();
    let artifacts = Arc::new(ArtifactMap::from([op, compute_js_plugin::plugin()]));
    let manager = Manager::builder().shared_resolver(artifacts.clone()).build();
    let folder = tempfile::tempdir()?;
    let log = |name: &str| RecordLog::open(&folder.path().join(name), LogSettings::default());
    let logs = [Arc::new(log("digests")?), Arc::new(log("bytes")?)];
    let key = || RecordKey::new([7; 32]);
    let runner = || Arc::new(manager.clone()) as Arc<dyn Runner>;
    let digests = Recorder::new(runner(), logs[0].clone(), key());
    let bytes = Recorder::new(runner(), logs[1].clone(), key()).keep(RecordKeep::Bytes);

    let contender = |name: &str, runner: Arc<dyn Runner>| {
        let reference = reference.clone();
        Contender::new(name, move || {
            let outcome = runner.run_blocking(&reference, &input(), &options());
            outcome.expect("a run").result.expect("an answer");
        })
    };
    let keeping = Manager::builder().shared_resolver(artifacts).results(64 << 20).build();
    let cached = {
        let reference = reference.clone();
        Contender::new("a result that is kept", move || {
            let options = RunOptions { cache: true, ..options() };
            let outcome = keeping.run_blocking(&reference, &input(), &options).expect("a run");
            outcome.result.expect("an answer");
        })
    };
    let mut contenders = [
        contender("Manager", runner()),
        contender("recorded, digests", Arc::new(digests)),
        contender("recorded, with bytes", Arc::new(bytes)),
        cached,
    ];
    println!("a trivial op on 200 bytes, p50\n");
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "", "p50", "p90", "p99", "more");
    race(&mut contenders, 40, 500);
    let floor = contenders[0].percentile(50);
    for contender in &contenders {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| contender.percentile(percent));
        let more = p50.saturating_sub(floor);
        println!("{:<28} {p50:>9.2?} {p90:>9.2?} {p99:>9.2?} {more:>9.2?}", contender.name);
    }
    for (name, log) in ["digests", "with bytes"].iter().zip(&logs) {
        log.flush()?;
        let stats = log.stats();
        println!(
            "{name}: {} written, {} lost, for more were made than could wait",
            stats.written, stats.lost
        );
    }
    replaying(&manager, &reference, &contenders[0])
}

/// Time enough for the first call, which compiles.
fn options() -> RunOptions {
    RunOptions::with_limits(Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() })
}

/// Runs many records again on all processors, beside as many plain runs.
fn replaying(manager: &Manager, reference: &compute::Ref, plain: &Contender) -> Result<()> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&taken);
    let take = move |record: Record| sink.lock().expect("no panic").push(record);
    let key = RecordKey::new([7; 32]);
    let recorder = Recorder::new(Arc::new(manager.clone()), Arc::new(take), key.clone())
        .keep(RecordKeep::Bytes);
    for _ in 0..RECORDS {
        recorder.run_blocking(reference, &input(), &options())?;
    }
    let records = std::mem::take(&mut *taken.lock().expect("no panic"));
    let threads = std::thread::available_parallelism()?.get();
    let mut ratios = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        std::thread::scope(|scope| {
            for part in records.chunks(records.len().div_ceil(threads)) {
                let key = &key;
                scope.spawn(move || {
                    for record in part {
                        let Subject::Run(run) = &record.subject else { continue };
                        let none = |_: &str| None;
                        let (verdict, _) =
                            replay_run(run, manager, &none, key, &Against::default());
                        assert_eq!(verdict, Verdict::Identical);
                    }
                });
            }
        });
        let replayed = records.len() as f64 / began.elapsed().as_secs_f64();
        let ran = throughput(&plain.work, threads, Duration::from_millis(500));
        ratios.push((replayed / ran, replayed, ran));
    }
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, replayed, ran) = ratios[2];
    println!(
        "\n{replayed:>9.0} records/s run again and compared, {ran:>9.0} plain runs/s: {ratio:.2}x"
    );
    Ok(())
}
