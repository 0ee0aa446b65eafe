//! Ops from source to outcome: built, run in the sandbox, and told about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod builds;
mod depth;
mod errors;
mod globals;
mod hostile;
mod images;
mod intl;
mod json;
mod lower;
mod npm;
mod sdk;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use compute::{
    ArtifactMap, EngineConfig, Failure, Limits, Manager, OpCall, Outcome, RunOptions, Runner as _,
};
use compute_js::{BuildError, BuildOptions, Built, Diagnostic};
use compute_js_plugin::{SourceMap, Trace};
use serde_json::Value;

/// What all tests share: the plugin is compiled once, and kept on disk between runs of the tests.
struct Bench {
    manager: Manager,
    artifacts: Arc<ArtifactMap>,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let settings = compute_wasm::Settings {
            code_cache: Some(compute_guests::root().join("target/test-code")),
            ..Default::default()
        };
        let artifacts = Arc::new(ArtifactMap::from([compute_js_plugin::plugin()]));
        let manager = Manager::builder()
            .shared_resolver(Arc::clone(&artifacts) as _)
            .engine(compute_wasm::NAME, EngineConfig::from(settings))
            .limits(LIMITS)
            .build();
        Bench { manager, artifacts }
    })
}

/// Time enough for a slow machine to make images; a fixed seed and clock.
const LIMITS: Limits =
    Limits { memory: Some(64 << 20), wall: Some(Duration::from_secs(60)), ..Limits::DEFAULT };

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn try_build(file: &Path) -> Result<Built, BuildError> {
    compute_js::build(file, &BuildOptions::default(), &bench().manager)
}

fn build_file(file: &Path) -> Built {
    let built = try_build(file).unwrap_or_else(|error| match error {
        BuildError::Source(errors) => panic!("{}", join(&errors)),
        error => panic!("{error}: {:?}", std::error::Error::source(&error)),
    });
    bench().artifacts.insert(built.artifact.clone());
    built
}

fn build(source: &str) -> Built {
    let folder = folder(&[("op.ts", source)]);
    build_file(&folder.path().join("op.ts"))
}

/// What is wrong with a source.
fn mistakes(files: &[(&str, &str)]) -> Vec<Diagnostic> {
    let folder = folder(files);
    match try_build(&folder.path().join(files[0].0)) {
        Err(BuildError::Source(errors)) => errors,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it builds"),
    }
}

fn join(errors: &[Diagnostic]) -> String {
    errors.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n")
}

fn call(built: &Built, input: &str, limits: Limits) -> Outcome {
    let options = RunOptions {
        limits: limits.or(LIMITS),
        op: Some(OpCall::default()),
        ..RunOptions::default()
    };
    bench().manager.run_blocking(built.artifact.reference(), input.as_bytes(), &options).unwrap()
}

/// Loads the op first, so that a short wall limit is spent by the guest.
fn call_loaded(built: &Built, input: &str, limits: Limits) -> Outcome {
    let long = RunOptions::with_limits(Limits { wall: LIMITS.wall, ..limits.or(LIMITS) });
    let loaded = bench().manager.load(&built.artifact, &long).unwrap().unwrap();
    bench().manager.keep(loaded);
    call(built, input, limits)
}

/// What an op gives for `{}`.
fn run(source: &str) -> Value {
    value(&call(&build(source), "{}", Limits::default()))
}

/// What the body of a handler gives.
fn eval(body: &str) -> Value {
    run(&format!("{HEAD}export default op(async ({{ input }}) => {{ {body} }});"))
}

const HEAD: &str = "import { op } from \"@compute/op\";\n";

fn value(outcome: &Outcome) -> Value {
    match &outcome.result {
        Ok(output) => serde_json::from_slice(output).unwrap(),
        Err(failure) => panic!("{failure} {:?}", failure.stack),
    }
}

fn failure(outcome: &Outcome) -> &Failure {
    outcome.result.as_ref().expect_err("the op fails")
}

fn trace(built: &Built, failure: &Failure) -> Trace {
    SourceMap::read(&built.source_map).unwrap().trace(&failure.stack)
}

/// A failure as its author reads it: the message, and `file:line:column`.
fn told(built: &Built, outcome: &Outcome) -> String {
    let failure = failure(outcome);
    let place = trace(built, failure).place;
    let place = place.map_or("nowhere".into(), |p| format!("{}:{}:{}", p.file, p.line, p.column));
    format!("{failure} [{}] at {place}", failure.status())
}

fn npm() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/npm")
}
