//! Plugins of reactors at their boundary: what is put around a reactor, and what an op has it execute. CPython itself is tried by
//! `cargo xtask python`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use compute::{Algorithm, Artifact, ArtifactMap, Limits, Manager, RunOptions, Runner as _};
use compute_wasm::{NAME, Settings};

/// A reactor with what CPython's has. What it executes leaves the address of a text behind the memory that it starts with, as what
/// a call is to call; calling that says the text on stdout.
const REACTOR: &str = r#"(module
  (import "host" "call" (func $call (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (global $next (mut i32) (i32.const 65536))
  (data (i32.const 64) "l1it was executed")
  (func (export "_initialize"))
  (func (export "host_alloc") (param $size i32) (result i32)
    ;; Where a text was in an image is forgotten: globals are not kept.
    (global.get $next)
    (global.set $next (i32.add (global.get $next) (local.get $size))))
  (func (export "turn") (param $at i32) (param $size i32) (result i32)
    (i32.store (i32.const 262144) (local.get $at))
    (i32.store (i32.const 0) (local.get $size))
    (i32.const 0))
  (func $PyObject_CallNoArgs (param $object i32) (result i32)
    (i32.store (i32.const 4) (i32.load (i32.const 0)))
    (i32.store (i32.const 0) (local.get $object))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
    (drop (call $call (i32.const 64) (i32.const 17) (i32.const 16) (i32.const 20)))
    (local.get $object)))"#;

#[test]
fn a_reactor_becomes_a_plugin_whose_calls_call_what_was_loaded() {
    let plugin = compute_python::plugin(&wat::parse_str(REACTOR).unwrap(), b"library").unwrap();
    let again = compute_python::plugin(&wat::parse_str(REACTOR).unwrap(), b"library").unwrap();
    assert_eq!(plugin.reference(), again.reference(), "the same package makes the same plugin");
    let op = compute_wasm::link(b"load me", plugin.reference());
    let op = Artifact::new(Algorithm::Sha256, NAME, op);
    let called = op.reference().clone();
    let settings =
        Settings { admitted: [plugin.reference().clone()].into(), ..Settings::default() };
    let limits = Limits { wall: Some(std::time::Duration::from_secs(60)), ..Limits::default() };
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([plugin, op]))
        .engine(NAME, settings.into())
        .limits(limits)
        .build();
    let options = RunOptions { raw: true, ..RunOptions::default() };
    let outcome = manager.run_blocking(&called, b"{}", &options).unwrap();
    let output = outcome.result.unwrap();
    assert_eq!(String::from_utf8_lossy(&output), "load me");
    assert_eq!(outcome.log.lines[0].text, "it was executed");
    assert_eq!(outcome.bounds.memory, 256 << 20);
}

#[test]
fn what_is_no_reactor_is_refused_and_says_what_it_lacks() {
    let lacking = |text: &str| {
        compute_python::plugin(&wat::parse_str(text).unwrap(), b"").unwrap_err().to_string()
    };
    let nothing = lacking("(module (memory (export \"memory\") 1))");
    assert!(nothing.ends_with("it exports no function `_initialize`"), "{nothing}");
    let without_memory = REACTOR.replace("(export \"memory\") ", "");
    assert!(lacking(&without_memory).ends_with("it exports no memory"));
    let without_call = REACTOR.replace("$PyObject_CallNoArgs", "$another");
    let said = lacking(&without_call);
    assert!(said.ends_with("it has no function that is called `PyObject_CallNoArgs`"), "{said}");
    assert!(lacking("(module)").ends_with("it exports no memory"));
    assert!(compute_python::plugin(b"PK", b"").is_err());
}
