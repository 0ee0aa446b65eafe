//! Plugins that the operator vouches for: what they may, and what everybody else may not.

use std::collections::BTreeSet;
use std::time::Duration;

use compute::{
    Algorithm, Artifact, ArtifactMap, Error, Limits, Manager, Outcome, RunOptions, Runner as _,
};
use compute_wasm::{NAME, Settings};

use crate::{failure, output};

/// A plugin whose calls open a file, by this path and in this way, and answer with what is in it, or with the errno. Before that, they
/// throw an exception and catch it, if they are to.
fn plugin(path: &str, how: u32, throws: bool) -> Artifact {
    let (tag, thrown) = if throws {
        (
            "(tag $thrown (param i32))",
            "(drop (block $caught (result i32)
               (try_table (catch $thrown $caught) (throw $thrown (i32.const 7))) (unreachable)))",
        )
    } else {
        ("", "")
    };
    let size = path.len();
    let text = format!(
        r#"(module
          (import "wasi_snapshot_preview1" "path_open"
            (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
          {tag}
          (memory (export "memory") 2)
          (data (i32.const 0) "{path}")
          ;; A buffer of 64 bytes at 1024.
          (data (i32.const 512) "\00\04\00\00\40\00\00\00")
          (func (export "alloc") (param i32) (result i32) (i32.const 65536))
          (func (export "load") (param i32 i32) (result i32) (i32.const 0))
          (func $say (param i32)
            (i32.store (i32.const 516) (local.get 0))
            (drop (call $write (i32.const 1) (i32.const 512) (i32.const 1) (i32.const 768))))
          (func (export "call") (result i32)
            (local $errno i32)
            {thrown}
            (local.set $errno (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const {size})
              (i32.const {how}) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 768)))
            (if (local.get $errno)
              (then
                (i32.store8 (i32.const 1024) (i32.const 34))
                (i32.store8 (i32.const 1025) (i32.add (i32.const 48) (i32.div_u (local.get $errno) (i32.const 10))))
                (i32.store8 (i32.const 1026) (i32.add (i32.const 48) (i32.rem_u (local.get $errno) (i32.const 10))))
                (i32.store8 (i32.const 1027) (i32.const 34))
                (call $say (i32.const 4)))
              (else
                (drop (call $read (i32.load (i32.const 768)) (i32.const 512) (i32.const 1) (i32.const 768)))
                (call $say (i32.load (i32.const 768)))))
            (i32.const 0))
          (@custom "compute:init" "")
          (@custom "compute:memory" "50331648")
          (@custom "compute:file" "folder/file.json\00{{\"it\":\"is there\"}}"))"#
    );
    Artifact::new(Algorithm::Sha256, NAME, compute_guests::wasm(&text))
}

/// What links to a plugin and does nothing.
fn op(plugin: &Artifact) -> Artifact {
    Artifact::new(Algorithm::Sha256, NAME, compute_wasm::link(b"nothing", plugin.reference()))
}

/// Runs an op of this plugin once, within these limits.
fn run_op(
    (plugin, op): (Artifact, Artifact),
    is_admitted: bool,
    limits: Limits,
) -> Result<Outcome, Error> {
    let admitted = if is_admitted { [plugin.reference().clone()].into() } else { BTreeSet::new() };
    let settings = Settings { admitted, ..Settings::default() };
    let called = op.reference().clone();
    let standard = Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() };
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([plugin, op]))
        .engine(NAME, settings.into())
        .limits(standard)
        .build();
    manager.run_blocking(&called, b"{}", &RunOptions::with_limits(limits))
}

fn run(plugin: Artifact, is_admitted: bool) -> Result<Outcome, Error> {
    let op = op(&plugin);
    run_op((plugin, op), is_admitted, Limits::default())
}

/// Why an op of an admitted plugin is refused.
fn refused(parts: (Artifact, Artifact), limits: Limits) -> String {
    compute::with_causes(&run_op(parts, true, limits).unwrap_err())
}

#[test]
fn it_reads_the_files_that_come_with_it_and_catches_what_it_throws() {
    for path in ["folder/file.json", "/folder/./file.json", "folder/../folder/file.json"] {
        let outcome = run(plugin(path, 0, true), true).unwrap();
        assert_eq!(output(&outcome), r#"{"it":"is there"}"#, "{path}");
        assert_eq!(outcome.bounds.memory, 48 << 20, "what it says that its calls may use");
    }
}

#[test]
fn it_writes_nothing_and_does_not_leave_its_root() {
    let [create, as_folder, empty] = [1, 2, 8];
    for (path, how, errno) in [
        ("folder/none", 0, "44"),
        ("../folder/file.json", 0, "44"),
        ("folder/../../etc/passwd", 0, "44"),
        ("folder/file.json", create, "69"),
        ("folder/new", create, "69"),
        ("folder/file.json", empty, "69"),
        ("folder/file.json", as_folder, "54"),
        ("folder/file.json/below", 0, "44"),
    ] {
        let outcome = run(plugin(path, how, true), true).unwrap();
        assert_eq!(output(&outcome), format!("\"{errno}\""), "{path} {how}");
    }
}

#[test]
fn nobody_elses_plugin_has_files_or_exceptions_or_more_memory() {
    let outcome = run(plugin("folder/file.json", 0, false), false).unwrap();
    assert_eq!(output(&outcome), r#""08""#, "no such descriptor");
    assert_eq!(outcome.bounds.memory, 32 << 20);

    let error = run(plugin("folder/file.json", 0, true), false).unwrap_err();
    let refused = compute::with_causes(&error);
    assert!(refused.contains("exceptions"), "{refused}");
}

#[test]
fn what_links_to_it_may_be_no_larger_than_anybodys() {
    let plugin = plugin("folder/file.json", 0, true);
    let op = compute_wasm::link(&vec![b' '; 33 << 20], plugin.reference());
    let op = Artifact::new(Algorithm::Sha256, NAME, op);
    let refused = refused((plugin, op), Limits::default());
    assert!(refused.contains("the cap is 33554432"), "{refused}");
}

#[test]
fn what_links_to_it_has_no_exceptions_of_its_own() {
    let plugin = plugin("folder/file.json", 0, true);
    let text = format!(
        r#"(module
          (import "{}" "memory" (memory 0))
          (tag $thrown)
          (func (export "_initialize") (try_table (throw $thrown))))"#,
        plugin.reference()
    );
    let op = Artifact::new(Algorithm::Sha256, NAME, compute_guests::wasm(&text));
    let refused = refused((plugin, op), Limits::default());
    assert!(refused.contains("exceptions proposal not enabled"), "{refused}");
}

/// An op that brings a file at a path, and says how much memory its calls need.
fn op_with(plugin: &Artifact, path: &str, memory: Option<u64>) -> Artifact {
    let files = [(path.to_owned(), br#"{"it":"is the op's"}"#.to_vec())];
    let op = compute_wasm::link_with_files(b"nothing", plugin.reference(), &files, memory);
    Artifact::new(Algorithm::Sha256, NAME, op)
}

#[test]
fn an_op_brings_files_of_its_own_and_none_in_the_place_of_the_plugins() {
    for (path, answer) in [
        ("/op/file.json", r#"{"it":"is the op's"}"#),
        ("folder/file.json", r#"{"it":"is there"}"#),
        ("../op/file.json", r#""44""#),
    ] {
        let plugin = plugin(path, 0, true);
        let op = op_with(&plugin, path, None);
        let outcome = run_op((plugin, op), true, Limits::default()).unwrap();
        assert_eq!(output(&outcome), answer, "{path}");
    }
    // Of nobody else's plugin: there are no files.
    let plugin = plugin("/op/file.json", 0, false);
    let op = op_with(&plugin, "/op/file.json", Some(64 << 20));
    let outcome = run_op((plugin, op), false, Limits::default()).unwrap();
    assert_eq!((output(&outcome), outcome.bounds.memory), (r#""08""#, 32 << 20));
}

#[test]
fn an_op_says_what_its_calls_need_up_to_what_the_operator_lets_it() {
    for (says, has) in [(None, 48), (Some(64), 64), (Some(16), 32), (Some(4096), 512)] {
        let plugin = plugin("folder/file.json", 0, true);
        let op = op_with(&plugin, "/op/a", says.map(|mebibytes: u64| mebibytes << 20));
        let outcome = run_op((plugin, op), true, Limits::default()).unwrap();
        assert_eq!(outcome.bounds.memory, has << 20, "{says:?}");
    }
}

#[test]
fn the_paths_of_an_ops_files_are_bounded() {
    let plugin = plugin("folder/file.json", 0, true);
    let files: Vec<_> =
        (0..100).map(|number| (format!("{}{number}", "a/".repeat(1000)), Vec::new())).collect();
    let op = compute_wasm::link_with_files(b"nothing", plugin.reference(), &files, None);
    let op = Artifact::new(Algorithm::Sha256, NAME, op);
    let refused = refused((plugin, op), Limits::default());
    assert!(refused.contains("bytes of memory for the paths of its files"), "{refused}");
}

#[test]
fn nobody_has_a_runtime_compiled_for_runs_of_another_kind() {
    for limits in [
        Limits { fuel: Some(1 << 40), ..Limits::default() },
        Limits { stack: Some(1 << 20), ..Limits::default() },
    ] {
        let plugin = plugin("folder/file.json", 0, true);
        let op = op(&plugin);
        let refused = refused((plugin, op), limits);
        assert!(refused.contains("compiled for runs without fuel"), "{refused}");
    }
}

#[test]
fn whom_the_operator_lets_has_it_compiled_for_runs_with_fuel_and_everybody_then_runs_so() {
    let cache = tempfile::tempdir().unwrap();
    let plugin = plugin("folder/file.json", 0, true);
    let op = op(&plugin);
    let run = |compile_metered: bool| {
        let settings = Settings {
            admitted: [plugin.reference().clone()].into(),
            code_cache: Some(cache.path().to_owned()),
            compile_metered,
            ..Settings::default()
        };
        let standard = Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() };
        let manager = Manager::builder()
            .resolver(ArtifactMap::from([plugin.clone(), op.clone()]))
            .engine(NAME, settings.into())
            .limits(standard)
            .build();
        let limits = Limits { fuel: Some(1 << 40), ..Limits::default() };
        manager.run_blocking(op.reference(), b"{}", &RunOptions::with_limits(limits))
    };
    assert!(run(false).is_err());
    let fuel = |outcome: &Outcome| outcome.metrics.fuel.unwrap();
    let first = run(true).unwrap();
    assert_eq!(output(&first), r#"{"it":"is there"}"#);
    let second = run(false).unwrap();
    assert!(fuel(&first) > 0 && fuel(&first) == fuel(&second));
}

#[test]
fn a_call_that_says_how_much_memory_it_may_use_has_no_more() {
    let plugin = plugin("folder/file.json", 0, true);
    let op = op(&plugin);
    let limits = Limits { memory: Some(64 << 10), ..Limits::default() };
    let outcome = run_op((plugin, op), true, limits).unwrap();
    assert!(failure(&outcome).contains("memory-limit"), "{}", failure(&outcome));
}
