//! Modules that are refused before they are compiled, each with the reason that a person needs.

use std::fmt::Write as _;

use compute::Limits;

use crate::{chain, try_run};

/// Why this module is refused, without the ref that the message starts with.
fn refusal(wasm: Vec<u8>) -> String {
    let error = try_run(wasm, b"{}", Limits::default()).expect_err("it is refused");
    assert_eq!(error.kind(), compute::ErrorKind::Artifact);
    let text = chain(&error);
    text.split_once(" cannot run: ").expect("the message says so").1.to_owned()
}

fn refusal_of(text: &str) -> String {
    refusal(compute_guests::wasm(text))
}

#[test]
fn what_is_not_webassembly() {
    assert_eq!(
        refusal(b"#!/bin/sh".to_vec()),
        "this is not a WebAssembly module: it starts with \"#!/bin/s\", not with \\0asm"
    );
    assert_eq!(
        refusal(vec![0x7f, b'E', b'L', b'F', 2]),
        "this is not a WebAssembly module: it starts with 7f 45 4c 46 02, not with \\0asm"
    );
    assert_eq!(
        refusal(Vec::new()),
        "this is not a WebAssembly module: it starts with nothing at all, not with \\0asm"
    );
    assert_eq!(
        refusal_of("(component)"),
        "this is a WebAssembly component, and the engine runs modules; build for wasm32-wasip1 (WASI preview 1)"
    );
}

#[test]
fn truncated_and_random_bytes() {
    let whole = compute_guests::transform_wasm("c");
    for end in [8, 9, 100, 1000, whole.len() / 2, whole.len() - 1] {
        let why = refusal(whole[..end].to_vec());
        assert!(why.starts_with("the module "), "cut at {end}: {why}");
    }
    // A cheap, fixed stream of bytes after a right header.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..200 {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        for _ in 0..64 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            bytes.push((state >> 56) as u8);
        }
        refusal(bytes);
    }
    // One flipped bit in a real module either makes it another valid module or is refused; both are
    // fine, a crash is not.
    for at in (8..whole.len()).step_by(997) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x40;
        let _ = try_run(flipped, b"{}", Limits::default());
    }
}

#[test]
fn what_the_sandbox_does_not_have() {
    let import = |module: &str, name: &str| {
        refusal_of(&format!(
            "(module (import \"{module}\" \"{name}\" (func)) (memory (export \"memory\") 1) (func (export \"_start\")))"
        ))
    };
    assert_eq!(
        import("wasi_unstable", "fd_write"),
        "the module imports `wasi_unstable.fd_write`, which the sandbox does not have: that is the \
         snapshot before preview 1; build with a newer toolchain, for wasm32-wasip1"
    );
    assert_eq!(
        import("wasi_snapshot_preview1", "fd_wirte"),
        "the module imports `wasi_snapshot_preview1.fd_wirte`, which the sandbox does not have: \
         preview 1 has no function of that name"
    );
    assert!(import("env", "emscripten_resize_heap").contains("`env.emscripten_resize_heap`"));
    assert_eq!(
        import("wasi_snapshot_preview1", "fd_close"),
        "the module imports `wasi_snapshot_preview1.fd_close` as (), but it is (i32) -> i32"
    );
}

#[test]
fn what_is_no_command() {
    assert_eq!(
        refusal_of("(module (func (export \"main\")))"),
        "the module exports no function `_start`: build a command for wasm32-wasip1, with a main function"
    );
    assert!(
        refusal_of("(module (func (export \"_initialize\")))").contains("a library (a reactor)")
    );
    assert!(
        refusal_of("(module (import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32))) (func (export \"_start\")))")
            .contains("exports no memory `memory`")
    );
}

#[test]
fn what_is_above_a_cap() {
    let functions = "(func)".repeat(200_000);
    assert_eq!(
        refusal_of(&format!("(module {functions} (func (export \"_start\")))")),
        "the module has 200001 functions; the cap is 50000"
    );
    let mut locals = String::new();
    for _ in 0..50_000 {
        locals.push_str("i64 ");
    }
    assert_eq!(
        refusal_of(&format!("(module (func (export \"_start\") (local {locals})))")),
        "the module has 50000 locals in function 0; the cap is 20000"
    );
    assert_eq!(
        refusal_of("(module (table 100000000 funcref) (func (export \"_start\")))"),
        "the module has 100000000 table elements to start with; the cap is 100000"
    );
    assert_eq!(
        refusal_of("(module (memory 20000) (func (export \"_start\")))"),
        "the module has 1310720000 bytes of memory to start with; the cap is 1073741824"
    );
    let mut imports = String::new();
    for _ in 0..1001 {
        imports.push_str("(import \"wasi_snapshot_preview1\" \"sched_yield\" (func (result i32)))");
    }
    assert_eq!(
        refusal_of(&format!(
            "(module {imports} (memory (export \"memory\") 1) (func (export \"_start\")))"
        )),
        "the module has 1001 imports; the cap is 1000"
    );
    let mut large = compute_guests::wasm("(module (func (export \"_start\")))");
    large.resize(33 << 20, 0);
    assert_eq!(refusal(large), "the module has 34603008 bytes; the cap is 33554432");
}

#[test]
fn proposals_that_are_switched_off() {
    for text in [
        "(module (memory 1 1 shared) (func (export \"_start\")))",
        "(module (memory i64 1) (func (export \"_start\")))",
        "(module (type (struct)) (func (export \"_start\")))",
        // Each of these ended the process in wasmtime 47 to 48.0.8, which is built without its collector and left
        // its proposal on.
        "(module (type $a (sub (func))) (type $b (sub (func (param i32)))) (table 1 1 funcref) (elem (i32.const 0) $f)
            (func $f (type $b)) (func (export \"_start\") (call_indirect (type $a) (i32.const 0))))",
        "(module (type $a (sub (func))) (table 1 1 funcref) (elem (i32.const 0) $f) (func $f (type $a))
            (func (export \"_start\") (drop (ref.test (ref $a) (table.get (i32.const 0))))))",
        "(module (type $a (sub (func))) (table 1 1 funcref) (elem (i32.const 0) $f) (func $f (type $a))
            (func (export \"_start\") (drop (ref.cast (ref $a) (table.get (i32.const 0))))))",
        "(module (type $a (sub (func))) (type $b (sub $a (func))) (elem declare func $f) (func $f (type $b))
            (func (export \"_start\") (call_ref $a (ref.func $f))))",
    ] {
        let why = refusal_of(text);
        assert!(why.starts_with("the module is not valid: "), "{text}: {why}");
    }
    assert_eq!(
        refusal_of("(module (memory 1) (memory 1) (func (export \"_start\")))"),
        "the module has 2 memories; the cap is 1"
    );
}

#[test]
fn inspection_says_the_same_without_running() {
    let inspect = |wasm: &[u8]| compute_wasm::inspect(wasm, &compute_wasm::Caps::DEFAULT);
    let inspection = inspect(&compute_guests::echo(18));
    assert_eq!(inspection.refused, None);
    assert_eq!(inspection.memory_minimum, 18 * 65536);
    assert_eq!(inspection.imports[0], "wasi_snapshot_preview1.fd_read (i32, i32, i32, i32) -> i32");
    assert_eq!(inspection.exports, ["memory memory", "function _start"]);
    assert!(!inspection.takes_envelope);

    let mut text = String::from("(module (func (export \"_start\") (drop (i32.const 1))");
    write!(text, "(i32.add)))").unwrap();
    assert!(
        inspect(&compute_guests::wasm(&text))
            .refused
            .unwrap()
            .starts_with("the module is not valid")
    );
    assert!(inspect(b"nonsense").refused.unwrap().starts_with("this is not a WebAssembly module"));
}
