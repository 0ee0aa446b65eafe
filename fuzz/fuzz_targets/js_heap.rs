//! A heap that was made before the image was taken, and changed in a call, against the same program with all
//! of it done in the call: what comes out is the same, byte for byte.
//!
//! `js/heap.js` is the program. `cargo xtask fuzz js-heap` builds the two ops that it is in. The one that makes
//! its heap at its top level has the numbers to make it from in its bytecode, as text: they are written over
//! here, so that each input has an image of its own.

#![no_main]

use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use arbitrary::Unstructured;
use compute::{
    Artifact, ArtifactMap, EngineConfig, Limits, Manager, Outcome, Ref, RunOptions, Runner as _,
    Seed, Status,
};
use compute_fuzz::{artifact, plugin_of, seeds};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::json;

/// What stands for the seed and the number of steps in the op.
const PLACE: &[u8] = b"seed=0000000000 steps=0000000000";
/// What stands for bytecode's checksum where it has none: see `bc_csum` in QuickJS-NG.
const NO_CHECKSUM: [u8; 4] = [0xff; 4];
/// How many steps make the heap, and change it, at most.
const STEPS: u32 = 4000;
/// How many calls there are of an image.
const CALLS: usize = 4;

const LIMITS: Limits = Limits {
    memory: Some(256 << 20),
    wall: Some(Duration::from_secs(20)),
    now: Some(SystemTime::UNIX_EPOCH),
    seed: Some(Seed::new([7; 32])),
    ..Limits::DEFAULT
};

struct Setup {
    artifacts: Arc<ArtifactMap>,
    manager: Manager,
    /// The op that makes its heap at its top level, and where its numbers stand.
    before: Vec<u8>,
    place: usize,
    /// The one that makes it in the call.
    in_call: Ref,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let folder = seeds().expect("`cargo xtask fuzz` says where they are");
    let read = |name: &str| {
        std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let mut before = read("before.wasm");
    let artifacts = Arc::new(ArtifactMap::default());
    artifacts.insert(plugin_of(&before));
    let in_call = artifact(read("in-call.wasm"));
    let reference = in_call.reference().clone();
    artifacts.insert(in_call);
    let settings = compute_wasm::Settings { sandboxes: 4, ..Default::default() };
    let manager = Manager::builder()
        .shared_resolver(Arc::clone(&artifacts) as Arc<dyn compute::Resolver>)
        .engine("wasm", EngineConfig::from(settings))
        .build();
    let place = before.windows(PLACE.len()).position(|bytes| bytes == PLACE);
    let place = place.expect("the numbers stand in its bytecode as text");
    // A version of one byte, then the checksum.
    let checksum = bytecode(&before).start + 1;
    before[checksum..checksum + NO_CHECKSUM.len()].copy_from_slice(&NO_CHECKSUM);
    Setup { artifacts, manager, before, place, in_call: reference }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let mut input = Unstructured::new(input);
    let Ok((seed, steps)) = numbers(&mut input) else { return Corpus::Reject };
    let before = made_from(seed, steps);
    let reference = before.reference().clone();
    SETUP.artifacts.insert(before);
    for _ in 0..CALLS {
        let Ok((call_seed, call_steps)) = numbers(&mut input) else { break };
        let call = json!({ "made": [seed, steps], "seed": call_seed, "steps": call_steps });
        let (image, plain) = (run(&reference, &call), run(&SETUP.in_call, &call));
        let limits = [Status::WallLimit, Status::MemoryLimit];
        if [&image, &plain].iter().any(|one| limits.contains(&one.status())) {
            continue;
        }
        let text = |outcome: &Outcome| {
            outcome
                .result
                .as_ref()
                .map(|output| String::from_utf8_lossy(output).into_owned())
                .map_err(|why| why.to_string())
        };
        assert_eq!(text(&image), text(&plain), "{call}");
        assert!(image.result.is_ok(), "{call}: {:?}", image.result);
    }
    SETUP.manager.forget(&reference);
    SETUP.artifacts.remove(&reference);
    Corpus::Keep
});

/// Where an op's bytecode stands: it is the one data segment.
fn bytecode(op: &[u8]) -> Range<usize> {
    let segments = wasmparser::Parser::new(0).parse_all(op).find_map(|payload| match payload {
        Ok(wasmparser::Payload::DataSection(segments)) => Some(segments),
        _ => None,
    });
    let segment = segments.and_then(|segments| segments.into_iter().next()?.ok());
    let segment = segment.expect("an op has its bytecode as data");
    segment.range.end - segment.data.len()..segment.range.end
}

/// A seed, and a number of steps.
fn numbers(input: &mut Unstructured<'_>) -> arbitrary::Result<(u32, u32)> {
    if input.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    Ok((input.arbitrary()?, input.int_in_range(0..=STEPS)?))
}

/// The op whose heap is made from these at its top level.
fn made_from(seed: u32, steps: u32) -> Artifact {
    let mut wasm = SETUP.before.clone();
    let text = format!("seed={seed:010} steps={steps:010}");
    wasm[SETUP.place..SETUP.place + PLACE.len()].copy_from_slice(text.as_bytes());
    artifact(wasm)
}

fn run(reference: &Ref, call: &serde_json::Value) -> Outcome {
    let options = RunOptions::with_limits(LIMITS);
    SETUP
        .manager
        .run_blocking(reference, call.to_string().as_bytes(), &options)
        .unwrap_or_else(|error| panic!("{}", compute::with_causes(&error)))
}
