//! The bytes of a module, from an attacker: whatever they are, they are refused, or they run and end as an
//! outcome. Neither is ever the host's failure, and both repeat.

#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;
use compute::{
    ArtifactMap, EngineConfig, Error, Limits, Manager, OpCall, Outcome, RunOptions, Runner as _,
    Seed, Status,
};
use compute_fuzz::{artifact, plugin_of, seeds};
use compute_wasm::HostFunction;
use libfuzzer_sys::{Corpus, fuzz_target};

/// What the input begins with that changes a module of [`Setup::known`] here and there.
const EDIT: u8 = b'e';
/// How many places it changes at most, and how many bytes at each.
const EDITS: usize = 16;
const EDIT_BYTES: usize = 16;

/// What each run may use.
const LIMITS: Limits = Limits {
    memory: Some(4 << 20),
    wall: Some(Duration::from_millis(100)),
    fuel: Some(10_000_000),
    output: Some(64 << 10),
    log: Some(16 << 10),
    now: Some(SystemTime::UNIX_EPOCH),
    seed: Some(Seed::new([7; 32])),
    ..Limits::DEFAULT
};
/// How long the load of a module may take, instrumented, on a busy machine.
const LOAD: Duration = Duration::from_secs(15);

struct Setup {
    artifacts: Arc<ArtifactMap>,
    manager: Manager,
    /// Real modules, to be changed.
    known: Vec<Vec<u8>>,
    smith: wasm_smith::Config,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let artifacts = Arc::new(ArtifactMap::default());
    let settings = compute_wasm::Settings { sandboxes: 4, ..Default::default() };
    let engine = EngineConfig { memory: Some(64 << 20), ..settings.into() };
    let manager = Manager::builder()
        .shared_resolver(Arc::clone(&artifacts) as Arc<dyn compute::Resolver>)
        .engine("wasm", engine)
        .cache_bytes(16 << 20)
        .load_time(LOAD)
        .build();
    let known = seeds().map_or_else(Vec::new, |folder| read_modules(&folder.join("modules")));
    // What ops link to is there, and is not changed: to compile it takes a second.
    if let Some(op) = known.iter().find(|wasm| compute_wasm::linked_plugin(wasm).is_some()) {
        artifacts.insert(plugin_of(op));
    }
    Setup { artifacts, manager, known, smith: smith() }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(wasm) = module(input) else { return Corpus::Reject };
    let artifact = artifact(wasm);
    let reference = artifact.reference().clone();
    SETUP.artifacts.insert(artifact);
    // Neither a run's wall limit nor the second run's depend on how long the first has compiled.
    let load = Limits { wall: Some(LOAD), fuel: Some(1), ..LIMITS };
    let run = |limits| {
        let op = OpCall::default();
        let options = RunOptions { limits, op: Some(op), ..RunOptions::default() };
        SETUP.manager.run_blocking(&reference, br#"{"kind":"order","items":[1,2.5]}"#, &options)
    };
    match run(load) {
        // It took too long to compile, on a machine that does other things: nothing is known of it.
        Ok(outcome) if outcome.status() == Status::WallLimit => return Corpus::Reject,
        Ok(_) => match (run(LIMITS), run(LIMITS)) {
            (Ok(first), Ok(second)) => same(&first, &second),
            (first, second) => panic!("it was loaded: {first:?}, {second:?}"),
        },
        Err(error @ (Error::Refused { .. } | Error::NotFound { .. })) => {
            SETUP.manager.forget(&reference);
            let again = run(load).expect_err("it was refused");
            assert_eq!(compute::with_causes(&again), compute::with_causes(&error));
        }
        Err(error) => panic!("{}", compute::with_causes(&error)),
    }
    SETUP.manager.forget(&reference);
    SETUP.artifacts.remove(&reference);
    Corpus::Keep
});

/// Two runs of the same are the same, but for what they took. Only the wall limit depends on the machine.
fn same(first: &Outcome, second: &Outcome) {
    if [first, second].iter().any(|one| one.status() == Status::WallLimit) {
        return;
    }
    assert_eq!(first.result, second.result);
    assert_eq!(first.log.bytes, second.log.bytes);
    assert_eq!(first.log.lines, second.log.lines);
    assert_eq!(first.log.dropped, second.log.dropped);
    assert_eq!(first.events, second.events);
    assert_eq!(first.metrics.peak_memory, second.metrics.peak_memory);
    assert_eq!(first.metrics.fuel, second.metrics.fuel);
    assert!(first.metrics.peak_memory <= 4 << 20, "{}", first.metrics.peak_memory);
    assert!(first.result.as_ref().map_or(0, Vec::len) <= 64 << 10);
}

/// The module that an input stands for: itself, a real one that is changed, or one that is made of it.
fn module(input: &[u8]) -> Option<Vec<u8>> {
    if input.starts_with(b"\0asm") {
        return Some(input.to_vec());
    }
    match input.split_first()? {
        (&EDIT, edits) => edited(&mut Unstructured::new(edits)).ok().flatten(),
        _ => {
            let mut unstructured = Unstructured::new(input);
            let made = wasm_smith::Module::new(SETUP.smith.clone(), &mut unstructured);
            made.ok().map(|module| module.to_bytes())
        }
    }
}

fn edited(input: &mut Unstructured<'_>) -> arbitrary::Result<Option<Vec<u8>>> {
    let known = &SETUP.known;
    if known.is_empty() {
        return Ok(None);
    }
    let mut wasm = input.choose(known)?.clone();
    for _ in 0..EDITS {
        if input.is_empty() {
            break;
        }
        let at = input.arbitrary::<u32>()? as usize % wasm.len();
        let length = input.int_in_range(0..=EDIT_BYTES)?.min(input.len());
        let bytes = input.bytes(length)?;
        match input.arbitrary::<u8>()? % 4 {
            // Something else there, something more there, something less there.
            0 | 1 => {
                let end = (at + length).min(wasm.len());
                wasm[at..end].copy_from_slice(&bytes[..end - at]);
            }
            2 => drop(wasm.splice(at..at, bytes.iter().copied())),
            _ => drop(wasm.drain(at..(at + length).min(wasm.len()))),
        }
        if wasm.is_empty() {
            break;
        }
    }
    Ok(Some(wasm))
}

/// The modules in a folder, by name.
fn read_modules(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files.iter().filter_map(|file| std::fs::read(file).ok()).collect()
}

/// Modules that import what the sandbox has, and can be called.
fn smith() -> wasm_smith::Config {
    let imports: String = compute_wasm::host_functions().iter().map(import).collect();
    let imports = wat::parse_str(format!("(module {imports})")).expect("they are listed as WAT");
    let exports = r#"(module (memory (export "memory") 1) (func (export "_start")))"#;
    wasm_smith::Config {
        available_imports: Some(imports),
        exports: Some(wat::parse_str(exports).expect("it is WAT")),
        max_imports: 20,
        max_memories: 1,
        max_memory32_bytes: 8 << 20,
        max_tables: 4,
        max_table_elements: 1000,
        memory64_enabled: false,
        threads_enabled: false,
        max_instructions: 500,
        max_nesting_depth: 50,
        ..wasm_smith::Config::default()
    }
}

fn import(function: &HostFunction) -> String {
    let HostFunction { module, name, signature, .. } = function;
    let (parameters, result) = signature.split_once(" -> ").unwrap_or((signature, ""));
    let parameters = parameters.trim_matches(['(', ')']).replace(',', "");
    format!("(import \"{module}\" \"{name}\" (func (param {parameters}) (result {result})))\n")
}
