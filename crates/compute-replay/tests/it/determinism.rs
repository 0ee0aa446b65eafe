//! The same record gives the same answer, failure, fuel, memory, log and events, however it is run again.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use compute::{
    Algorithm, Artifact, ArtifactMap, EngineConfig, Limits, Manager, OpCall, Record, RecordKeep,
    Recorder, Ref, RunOptions, RunRecord, Runner as _, Subject,
};
use compute_replay::{Against, Verdict, replay_run};
use compute_wasm::Settings;

use crate::key;

/// Ops that do what may come out otherwise: clocks, chance, timers, order, floating point, failures, logs, limits.
const OPS: [&str; 18] = [
    "return [Math.random(), Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(8))]];",
    "return [Date.now(), new Date().toISOString(), performance.now()];",
    "const order = []; await Promise.all([3, 1, 2].map(async (n) => { await new Promise((r) => setTimeout(r, n)); order.push([n, Date.now()]); })); return order;",
    "return [0.1 + 0.2, Math.sin(input.n), Math.pow(input.n, 0.5), 1 / 3, Math.fround(input.n / 7), Number.MAX_VALUE * 10 > 1];",
    "const list = Array.from({ length: 500 }, () => Math.random()); return list.sort()[input.n];",
    "log.info('n is', input.n); log.warn({ a: [1, { b: 2 }] }); emit('seen', { n: input.n }); return input.n;",
    "throw new Error('no ' + input.n);",
    "const deep = (n) => deep(n + 1) + 1; try { return deep(0); } catch (error) { return error.name; }",
    "const deep = (n) => deep(n + 1) + 1; return deep(input.n);",
    "const all = []; while (true) all.push('x'.repeat(100000) + all.length);",
    "return 'x'.repeat(5 << 20);",
    "let n = 0; for (let i = 0; i < 1000 * input.n; i++) n = (n * 31 + i) >>> 0; return n;",
    "const map = new Map(); for (let i = 0; i < 300; i++) map.set('k' + ((i * 7919) % 1009), i); return [...map].slice(input.n, input.n + 5);",
    "return JSON.parse(JSON.stringify({ input, nested: Array.from({ length: 50 }, (_, i) => ({ i, text: 't'.repeat(i) })) }));",
    "return 'The quick brown fox'.replace(/(\\w+)/g, (word) => word.split('').reverse().join('')) + input.n;",
    "const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(String(input.n))); return [...new Uint8Array(digest)].slice(0, 4);",
    "return new Intl.DateTimeFormat('de', { dateStyle: 'full', timeZone: 'Asia/Tokyo' }).format(input.n * 1e10) + (1234.5).toLocaleString('fr');",
    "return Promise.reject(new TypeError('refused ' + input.n));",
];
/// How many inputs each has.
const INPUTS: u32 = 28;

fn manager(artifacts: &Arc<ArtifactMap>, settings: Settings) -> Manager {
    Manager::builder()
        .shared_resolver(Arc::clone(artifacts) as _)
        .engine(compute_wasm::NAME, EngineConfig::from(settings))
        .build()
}

fn build(
    folder: &Path,
    number: usize,
    body: &str,
    artifacts: &ArtifactMap,
    compiler: &Manager,
) -> Ref {
    let file = folder.join(format!("op{number}.js"));
    let source = format!(
        "import {{ op }} from \"@compute/op\";\nexport default op(async ({{ input, log, emit }}) => {{ {body} }});\n"
    );
    std::fs::write(&file, source).unwrap();
    let built = compute_js::build(&file, &compute_js::BuildOptions::default(), compiler).unwrap();
    artifacts.insert(built.artifact.clone());
    built.artifact.reference().clone()
}

#[test]
fn five_hundred_records_come_out_the_same_in_every_setting() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = Arc::new(ArtifactMap::from([compute_js_plugin::plugin()]));
    let kept = compute_guests::root().join("target/test-code");
    let warm = manager(&artifacts, Settings { code_cache: Some(kept), ..Settings::default() });
    let mut computes: Vec<Ref> = OPS
        .iter()
        .enumerate()
        .map(|(number, body)| build(folder.path(), number, body, &artifacts, &warm))
        .collect();
    let guests = compute_guests::LANGUAGES.map(compute_guests::transform_wasm);
    for wasm in guests.into_iter().chain([compute_guests::echo(2)]) {
        let guest = Artifact::new(Algorithm::Sha256, "wasm", wasm);
        computes.push(guest.reference().clone());
        artifacts.insert(guest);
    }

    let taken = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&taken);
    let take = move |record: Record| sink.lock().unwrap().push(record.sealed());
    let recorder =
        Recorder::new(Arc::new(warm.clone()), Arc::new(take), key()).keep(RecordKeep::Bytes);
    for (number, reference) in computes.iter().enumerate() {
        for input in 0..INPUTS {
            let limits = Limits {
                wall: Some(Duration::from_secs(60)),
                // Every other one is metered.
                fuel: (input % 2 == 0).then_some(3_000_000_000),
                ..Limits::COMMAND_LINE
            };
            let op = (number < OPS.len()).then(OpCall::default);
            let options = RunOptions { limits, op, ..RunOptions::default() };
            let input = format!("{{\"n\":{input}}}");
            recorder.run_blocking(reference, input.as_bytes(), &options).unwrap();
        }
    }
    let records = std::mem::take(&mut *taken.lock().unwrap());
    assert!(records.len() >= 500, "{}", records.len());
    // Both kinds of ends are among them.
    let ended = |status: &str| records.iter().filter(|one| one.subject.status() == status).count();
    for status in ["ok", "trapped", "memory-limit", "output-limit"] {
        assert!(ended(status) > 0, "none ended with {status}");
    }

    // In the same process and caches; with one sandbox; with code compiled anew and kept nowhere; with code that another
    // engine has kept on disk.
    let cold = tempfile::tempdir().unwrap();
    let on_disk = || Settings { code_cache: Some(cold.path().into()), ..Settings::default() };
    let settings: [(&str, Manager); 5] = [
        ("warm", warm.clone()),
        ("one sandbox", manager(&artifacts, Settings { sandboxes: 1, ..Settings::default() })),
        ("nothing kept", manager(&artifacts, Settings::default())),
        ("cold", manager(&artifacts, on_disk())),
        ("from disk", manager(&artifacts, on_disk())),
    ];
    for (name, manager) in &settings {
        // On several threads at once, each its part, so that neighbours differ.
        std::thread::scope(|scope| {
            for part in 0..3 {
                let records = &records;
                scope.spawn(move || {
                    for record in records.iter().skip(part).step_by(3) {
                        same(name, record, manager);
                    }
                });
            }
        });
    }
}

fn same(name: &str, record: &Record, manager: &Manager) {
    let Subject::Run(run) = &record.subject else { panic!("it is of a run") };
    let (verdict, again) = replay_run(run, manager, &|_| None, &key(), &Against::default());
    assert_eq!(verdict, Verdict::Identical, "{name}: {} of {}", record.id, run.reference);
    // All that a record says of a run, but for the limits, of which the wall's is longer.
    let RunRecord { limits, .. } = **run;
    let again = RunRecord { limits, ..again.unwrap().record };
    let again = Record::new(Subject::Run(Box::new(again)), record.rid.clone(), record.at, 0);
    assert_eq!(again.sealed().id, record.id, "{name}");
}
