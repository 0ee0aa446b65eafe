//! The engine through the library's front door: what guests can do, and what they cannot.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod bad_calls;
mod bounded;
mod code_cache;
mod compiler;
mod concurrency;
mod guests;
mod hostile;
mod plugins;
mod refused;
mod repeatable;
mod wasi;

use std::time::Duration;

use compute::{
    Algorithm, Artifact, ArtifactMap, Error, Limits, Manager, Outcome, Ref, RunOptions, Runner as _,
};
use compute_wasm as _;

/// A manager that knows this module, with time enough for a slow machine to compile.
fn manager(wasm: Vec<u8>) -> (Manager, Ref) {
    let artifact = Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm);
    let reference = artifact.reference().clone();
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([artifact]))
        .limits(Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() })
        .build();
    (manager, reference)
}

/// Loads a module and keeps it, so that a short wall limit is spent by the guest.
fn preload(manager: &Manager, artifact: &Artifact, limits: Limits) {
    let limits = Limits { wall: Some(Duration::from_secs(60)), ..limits };
    let loaded = manager.load(artifact, &RunOptions::with_limits(limits)).unwrap().unwrap();
    manager.keep(loaded);
}

/// Runs a module once.
fn try_run(wasm: Vec<u8>, input: &[u8], limits: Limits) -> Result<Outcome, Error> {
    let (manager, reference) = manager(wasm);
    manager.run_blocking(&reference, input, &RunOptions::with_limits(limits))
}

/// Runs WebAssembly text once.
fn run(text: &str, limits: Limits) -> Outcome {
    try_run(compute_guests::wasm(text), b"{}", limits).expect("the host can run it")
}

/// What the guest printed, as text.
fn output(outcome: &Outcome) -> &str {
    let output = outcome.result.as_ref().expect("the guest succeeds");
    std::str::from_utf8(output).expect("JSON is UTF-8")
}

/// Why the guest failed, as a person reads it.
fn failure(outcome: &Outcome) -> String {
    let failure = outcome.result.as_ref().expect_err("the guest fails");
    format!("{failure} [{}]", failure.status())
}

/// The causes of an error, as one text.
fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A command around this code, with the WASI functions that tests use and a helper that prints.
fn command(body: &str) -> String {
    format!(
        r#"(module
          (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))
          (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))
          (import "wasi_snapshot_preview1" "clock_time_get" (func $clock_time_get (param i32 i64 i32) (result i32)))
          (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll_oneoff (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 2)
          (func $write (param $fd i32) (param $from i32) (param $length i32)
            (i32.store (i32.const 0) (local.get $from))
            (i32.store (i32.const 4) (local.get $length))
            (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
          ;; Prints a number of 64 bits as 16 hex digits, in quotes.
          (func $print (param $number i64)
            (local $at i32) (local $digit i32)
            (i32.store8 (i32.const 32) (i32.const 34))
            (i32.store8 (i32.const 49) (i32.const 34))
            (local.set $at (i32.const 48))
            (loop $next
              (local.set $digit (i32.and (i32.wrap_i64 (local.get $number)) (i32.const 15)))
              (i32.store8 (local.get $at)
                (i32.add (local.get $digit)
                  (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
              (local.set $number (i64.shr_u (local.get $number) (i64.const 4)))
              (br_if $next (i32.gt_u (local.tee $at (i32.sub (local.get $at) (i32.const 1))) (i32.const 32))))
            (call $write (i32.const 1) (i32.const 32) (i32.const 18)))
          {body})"#
    )
}
