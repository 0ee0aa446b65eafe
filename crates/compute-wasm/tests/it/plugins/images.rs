//! Images and plugins in the engine: what their making may take, what of it is kept, and what goes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{
    Algorithm, Artifact, ArtifactMap, Cancel, Engine as _, EngineConfig, Error, Instance, Limits,
    Load, Manager, Profile, Reason, RunOptions, Runner as _,
};
use compute_wasm::{Settings, WasmEngine};

use crate::chain;

const PLUGIN: &str = r#"(module
    (import "compute" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "call") (result i32) (i32.load (i32.const 0))))"#;
const SPIN: &str = r#"(module (import "PLUGIN" "memory" (memory 1))
    (func (export "_initialize") (loop $l (br $l))))"#;

fn artifact(wasm: Vec<u8>) -> Artifact {
    Artifact::new(Algorithm::Sha256, "wasm", wasm)
}

/// A plugin, another one for each number, and what is linked to it.
fn pair(number: u32, module: &str) -> [Artifact; 2] {
    let text = PLUGIN.trim_end().strip_suffix(')').unwrap();
    let plugin = artifact(compute_guests::wasm(&format!("{text}(@custom \"n\" \"{number}\"))")));
    let module = module.replace("PLUGIN", &plugin.reference().to_string());
    [plugin, artifact(compute_guests::wasm(&module))]
}

fn engine() -> WasmEngine {
    WasmEngine::open(&EngineConfig::default()).unwrap()
}

fn invoke(instance: &dyn Instance, limits: Limits) -> compute::Outcome {
    let bounds = limits.bounds();
    instance.invoke(b"{}", &compute::Call::new(&bounds, Instant::now())).unwrap()
}

#[test]
fn an_image_that_is_never_made_ends_at_its_fuel_in_an_engine_where_nothing_runs() {
    // Numbers that are dropped cost fuel and no time.
    let burn = format!("(loop $l {}", "(drop (i32.const 0))".repeat(1000));
    let [plugin, op] = pair(0, &SPIN.replace("(loop $l", &burn));
    let manager = Manager::builder().resolver(ArtifactMap::from([plugin, op.clone()])).build();
    let options = RunOptions::with_limits(Limits {
        wall: Some(Duration::from_secs(120)),
        ..Limits::default()
    });
    let outcome = manager.run_blocking(op.reference(), b"{}", &options).unwrap();
    let failure = outcome.result.unwrap_err();
    assert!(matches!(failure.reason, Reason::FuelLimit { limit: 40_000_000_000 }), "{failure}");
    // It is kept: the next call fails at once.
    let begun = Instant::now();
    manager.run_blocking(op.reference(), b"{}", &options).unwrap().result.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
}

#[test]
fn what_time_ended_is_an_error_and_is_tried_anew() {
    let [plugin, op] = pair(1, SPIN);
    let resolver = ArtifactMap::from([plugin, op.clone()]);
    let engine = engine();
    let mut load = Load::new(Profile::default(), &resolver);
    load.deadline = Some(Instant::now() + Duration::from_millis(300));
    let begun = Instant::now();
    let error = engine.load(&op, &load).err().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(error.kind(), compute::ErrorKind::Unavailable);
    assert!(chain(&error).contains("tried anew"), "{}", chain(&error));
    // Whoever wants it no longer ends it, too.
    let cancel = Cancel::new();
    let mut load = Load::new(Profile::default(), &resolver);
    load.cancel = Some(&cancel);
    std::thread::scope(|scope| {
        let loading = scope.spawn(|| engine.load(&op, &load).err().unwrap());
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel();
        assert_eq!(loading.join().unwrap().kind(), compute::ErrorKind::Unavailable);
    });
}

#[test]
fn an_image_does_not_depend_on_whether_calls_are_metered() {
    let op = r#"(module (import "PLUGIN" "memory" (memory 1)) (func (export "_initialize")
        (i32.store (i32.const 64) (i32.const 12345))))"#;
    let [plugin, op] = pair(2, op);
    let resolver = ArtifactMap::from([plugin, op.clone()]);
    let engine = engine();
    let images = [false, true].map(|metered| {
        engine.op_modules(&op, &Load::new(Profile::new(metered, 1 << 20), &resolver)).unwrap().image
    });
    assert_eq!(images[0], images[1]);
}

#[test]
fn another_binding_of_a_name_makes_another_image() {
    let folder = tempfile::tempdir().unwrap();
    let op = artifact(compute_guests::wasm(
        r#"(module (import "mine" "memory" (memory 1)) (import "mine" "set" (func $set)) (func (export "_initialize") (call $set)))"#,
    ));
    let run = |number: u32| {
        let text = PLUGIN.trim_end().strip_suffix(')').unwrap();
        let set =
            format!(r#"(func (export "set") (i32.store (i32.const 0) (i32.const {number}))))"#);
        let plugin = artifact(compute_guests::wasm(&format!("{text}{set}")));
        let mut settings =
            Settings { code_cache: Some(folder.path().join("code")), ..Settings::default() };
        settings.plugins.insert("mine".into(), plugin.reference().clone());
        let engine = WasmEngine::open(&EngineConfig::from(settings)).unwrap();
        let resolver = ArtifactMap::from([plugin]);
        let instance = engine.load(&op, &Load::new(Profile::default(), &resolver)).unwrap();
        invoke(&*instance, Limits::COMMAND_LINE).result.is_ok()
    };
    // A call that gives 0 has worked.
    assert_eq!([run(0), run(1), run(0)], [true, false, true]);
}

#[test]
fn a_plugin_that_another_has_loaded_must_be_there_all_the_same() {
    let op = r#"(module (import "PLUGIN" "memory" (memory 1)) (func (export "_initialize")))"#;
    let [plugin, op] = pair(3, op);
    let engine = engine();
    let (with, without) = (ArtifactMap::from([plugin]), ArtifactMap::default());
    let load = |resolver: &ArtifactMap| engine.load(&op, &Load::new(Profile::default(), resolver));
    assert!(matches!(load(&without), Err(Error::NotFound { .. })));
    let _kept = load(&with).unwrap();
    assert!(matches!(load(&without), Err(Error::NotFound { .. })));
}

#[test]
fn plugins_are_charged_once_and_go_with_what_uses_them() {
    let op = r#"(module (import "PLUGIN" "memory" (memory 1)) (func (export "_initialize")))"#;
    let engine = engine();
    let load = |number| -> Arc<dyn Instance> {
        let [plugin, op] = pair(number, op);
        engine.load(&op, &Load::new(Profile::default(), &ArtifactMap::from([plugin]))).unwrap()
    };
    let [first, again, other] = [load(10), load(10), load(11)];
    let part = first.shared().unwrap();
    assert_eq!(Some(part), again.shared());
    assert_ne!(part.id, other.shared().unwrap().id);
    assert!(part.size > 1000 && first.size() > 0);
    drop((first, again, other));
    // Files stay open for those few that were used last, however many there were.
    let files = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let open = |range: std::ops::Range<u32>| {
        range.map(load).for_each(drop);
        files()
    };
    open(20..30);
    let before = files();
    open(30..60);
    // Other tests open files, too, but not two for each of these.
    assert!(files() < before + 60, "{before} files were open, and now {}", files());
}
