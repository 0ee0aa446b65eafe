//! What a guest may take together: of its log, of memory in all its parts; and what reading a module may take.

use std::fmt::Write as _;

use compute::{
    Algorithm, Artifact, ArtifactMap, Error, Level, Limits, Manager, Outcome, RunOptions,
    Runner as _,
};
use wasm_encoder as enc;

use crate::{chain, failure, run};

const PLUGIN: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1) (table (export "table") 10 funcref)
    (global (export "fixed") i32 (i32.const 7)) (global (export "moving") (mut i32) (i32.const 7))
    (func (export "_start"))
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "load") (param i32 i32) (result i32) (i32.const 0))
    (func (export "call") (result i32) (i32.const 0)))"#;

/// Runs a module that is linked to this plugin; `PLUGIN` in its text is the plugin's ref.
pub(crate) fn run_linked(plugin: &str, module: &str, limits: Limits) -> Result<Outcome, Error> {
    let artifact = |wasm| Artifact::new(Algorithm::Sha256, "wasm", wasm);
    let plugin = artifact(compute_guests::wasm(plugin));
    let module = module.replace("PLUGIN", &plugin.reference().to_string());
    let module = artifact(compute_guests::wasm(&module));
    let reference = module.reference().clone();
    let manager = Manager::builder().resolver(ArtifactMap::from([plugin, module])).build();
    let wall = Some(std::time::Duration::from_secs(60));
    let options = RunOptions::with_limits(Limits { wall, ..limits });
    manager.run_blocking(&reference, b"{}", &options)
}

#[test]
fn lines_without_text_fill_the_log_too() {
    let text = r#"(module (import "compute" "log" (func $log (param i32 i32 i32))) (memory (export "memory") 1)
        (func (export "_start") (local $i i32) (loop $l (call $log (i32.const 1) (i32.const 0) (i32.const 0))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000))))))"#;
    let outcome = run(text, Limits::default());
    let kept = outcome.log.lines.len();
    assert!((1000..=(64 << 10) / size_of::<compute::LogLine>()).contains(&kept), "{kept}");
    assert_eq!(outcome.log.dropped, 100_000 - kept as u64);
    assert_eq!(outcome.log.lines[0].level, Level::Info);
}

#[test]
fn lines_and_stderr_share_one_limit_and_count_what_they_take() {
    // Bytes that are no UTF-8: each takes three in memory.
    let text = crate::command(
        r#"(import "compute" "log" (func $log (param i32 i32 i32)))
           (func (export "_start") (local $i i32)
             (memory.fill (i32.const 1024) (i32.const 255) (i32.const 1000))
             (call $write (i32.const 2) (i32.const 1024) (i32.const 30000))
             (loop $l (call $log (i32.const 3) (i32.const 1024) (i32.const 1000))
               (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100)))))"#,
    );
    // Imports stand first.
    let import = r#"(import "compute" "log" (func $log (param i32 i32 i32)))"#;
    let text = text.replacen(import, "", 1).replacen("(module", &format!("(module {import}"), 1);
    let outcome = run(&text, Limits::default());
    let lines: usize =
        outcome.log.lines.iter().map(|line| size_of_val(line) + line.text.capacity()).sum();
    assert_eq!(outcome.log.bytes.len(), 30_000);
    assert!(lines > 30_000 && outcome.log.bytes.len() + lines <= 64 << 10, "{lines}");
    assert!(outcome.log.dropped > 85_000);
}

#[test]
fn the_memories_of_a_sandbox_have_one_limit_together() {
    let own = r#"(module (import "PLUGIN" "alloc" (func (param i32) (result i32))) (memory PAGES)
        (func (export "_start") (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536))))"#;
    let outcome = run_linked(PLUGIN, &own.replace("PAGES", "511"), Limits::default()).unwrap();
    assert_eq!(outcome.result.as_deref(), Ok(b"{}".as_slice()));
    assert_eq!(outcome.metrics.peak_memory, 32 << 20);
    let outcome = run_linked(PLUGIN, &own.replace("PAGES", "512"), Limits::default()).unwrap();
    assert_eq!(
        failure(&outcome),
        "the guest was refused memory beyond its limit of 33554432 bytes [memory-limit]"
    );
    // What was refused, and what is beyond a memory's own maximum, is not counted.
    let grows = r#"(module (import "PLUGIN" "alloc" (func (param i32) (result i32))) (memory 1 5)
        (func (export "_start") (drop (memory.grow (i32.const 600))) (drop (memory.grow (i32.const 9)))
          (if (i32.ne (memory.grow (i32.const 4)) (i32.const 1)) (then unreachable))))"#;
    let outcome = run_linked(PLUGIN, grows, Limits::default()).unwrap();
    assert_eq!(outcome.metrics.peak_memory, 6 << 16);
    let tables = r#"(module (import "PLUGIN" "alloc" (func (param i32) (result i32))) (table 95 funcref) (func (export "_start")))"#;
    let limits = Limits { table_elements: Some(100), ..Limits::default() };
    let outcome = run_linked(PLUGIN, tables, limits).unwrap();
    assert!(failure(&outcome).contains("table elements beyond its limit of 100"));
}

#[test]
fn what_does_not_link_is_refused_or_a_guests_failure() {
    for (import, told) in [
        (
            r#""PLUGIN" "memory" (memory 500)"#,
            "as a memory from 32768000 bytes, but it is a memory from 65536 bytes",
        ),
        (
            r#""PLUGIN" "memory" (memory 1 1)"#,
            "as a memory from 65536 to 65536 bytes, but it is a memory from 65536 bytes",
        ),
        (
            r#""PLUGIN" "table" (table 11 funcref)"#,
            "as a table from 11 elements, but it is a table from 10",
        ),
        (r#""PLUGIN" "table" (table 1 externref)"#, "but it is a table from 10 elements"),
        (
            r#""PLUGIN" "fixed" (global (mut i32))"#,
            "as a mutable global i32, but it is a global i32",
        ),
        (r#""PLUGIN" "fixed" (global i64)"#, "as a global i64, but it is a global i32"),
        (r#""PLUGIN" "moving" (global i32)"#, "but it is a mutable global i32"),
        (r#""PLUGIN" "alloc" (func (param i64))"#, "as (i64), but it is (i32) -> i32"),
        (r#""PLUGIN" "none" (func)"#, "the plugin of that name exports no such thing"),
        (r#""compute" "x" (global i32)"#, "`compute.x`, which the sandbox does not have"),
        (r#""compute" "log" (memory 1)"#, "but it is (i32, i32, i32)"),
    ] {
        for name in ["_start", "_initialize"] {
            let module = format!(
                r#"(module (import "PLUGIN" "load" (func (param i32 i32) (result i32))) (import {import}) (func (export "{name}")))"#
            );
            let error = run_linked(PLUGIN, &module, Limits::default()).unwrap_err();
            assert_eq!(error.kind(), compute::ErrorKind::Artifact, "{import}: {}", chain(&error));
            assert!(chain(&error).contains(told), "{import}: {}", chain(&error));
        }
    }
}

#[test]
fn what_goes_wrong_while_parts_are_joined_is_a_guests_failure() {
    for (plugin, module, told) in [
        (
            PLUGIN.to_owned(),
            r#"(module (import "PLUGIN" "table" (table 1 funcref)) (func $f) (elem (i32.const 10) $f) (func (export "_start")))"#,
            "out of bounds table access",
        ),
        (
            PLUGIN.to_owned(),
            r#"(module (import "PLUGIN" "memory" (memory 1)) (data (i32.const 65536) "x") (func (export "_initialize")))"#,
            "out of bounds memory access",
        ),
        (
            PLUGIN.to_owned(),
            r#"(module (import "PLUGIN" "memory" (memory 1)) (func $f unreachable) (start $f) (func (export "_initialize")))"#,
            "unreachable",
        ),
    ] {
        let outcome = run_linked(&plugin, module, Limits::default()).unwrap();
        assert!(failure(&outcome).contains(told), "{module}: {}", failure(&outcome));
    }
    // A plugin that is wrong by itself is refused under its own ref.
    let module = r#"(module (import "PLUGIN" "memory" (memory 1)) (func (export "_start")))"#;
    for (change, told) in [
        (r#"(data (i32.const 65536) "x")"#, "out of bounds memory access"),
        (r#"(func (export "_initialize") unreachable)"#, "the plugin cannot initialise itself"),
        (
            r#"(func (export "_initialize") (param i32))"#,
            "`_initialize` as (i32), but it is called as ()",
        ),
    ] {
        let plugin = format!("{} {change})", PLUGIN.trim_end().strip_suffix(')').unwrap());
        let error = run_linked(&plugin, module, Limits::default()).unwrap_err();
        assert_eq!(error.kind(), compute::ErrorKind::Artifact, "{change}: {}", chain(&error));
        assert!(chain(&error).contains(told), "{change}: {}", chain(&error));
    }
    let no_call = PLUGIN.replace(r#"(export "call")"#, "");
    let op = r#"(module (import "PLUGIN" "memory" (memory 1)) (func (export "_initialize")))"#;
    let error = run_linked(&no_call, op, Limits::default()).unwrap_err();
    assert!(chain(&error).contains("exports no function `call`"), "{}", chain(&error));
}

/// A module of many types that say nothing, each in a list of so many others.
fn many_types(groups: u32, each: usize, parameters: usize) -> Vec<u8> {
    let mut types = enc::TypeSection::new();
    for _ in 0..groups {
        let ty = enc::FuncType::new(vec![enc::ValType::I32; parameters], []);
        let ty = enc::SubType {
            is_final: true,
            supertype_idx: None,
            composite_type: enc::CompositeType {
                inner: enc::CompositeInnerType::Func(ty),
                shared: false,
                descriptor: None,
                describes: None,
            },
        };
        types.ty().rec(vec![ty; each]);
    }
    let mut module = enc::Module::new();
    module.section(&types);
    module.finish()
}

#[test]
fn counts_are_checked_before_anything_is_kept() {
    let refused = |wasm: &[u8]| {
        let inspection = compute_wasm::inspect(wasm, &compute_wasm::Caps::DEFAULT);
        inspection.refused.unwrap()
    };
    assert_eq!(refused(&many_types(1, 10_001, 0)), "the module has 10001 types; the cap is 10000");
    assert_eq!(refused(&many_types(2, 5001, 0)), "the module has 10002 types; the cap is 10000");
    assert_eq!(
        refused(&many_types(1, 1, 1001)),
        "the module is truncated or damaged at byte 15: function params size is out of bounds"
    );
    // One type with many parameters, exported and imported many times.
    let parameters = "i32 ".repeat(1000);
    let mut text = format!("(module (type $t (func (param {parameters})))");
    (0..1001).for_each(|_| write!(text, r#"(import "a" "b" (func (type $t)))"#).unwrap());
    assert_eq!(
        refused(&compute_guests::wasm(&(text + ")"))),
        "the module has 1001 imports; the cap is 1000"
    );
    let mut text = format!("(module (type $t (func (param {parameters}))) (func $f (type $t))");
    (0..10_000).for_each(|at| write!(text, r#"(export "{at}" (func $f))"#).unwrap());
    let wasm = compute_guests::wasm(&(text + ")"));
    assert!(refused(&wasm).contains("exports no function `_start`"));
    // Names and types are shown as far as a message goes.
    let name = "n".repeat(90_000);
    let text = format!(r#"(module (import "{name}" "{name}" (func (param {parameters}))))"#);
    assert!(refused(&compute_guests::wasm(&text)).len() < 1000);
}

#[test]
fn locals_beyond_all_numbers_are_too_many() {
    let mut code = enc::CodeSection::new();
    let mut function = enc::Function::new(vec![(u32::MAX, enc::ValType::I32); 40]);
    function.instruction(&enc::Instruction::End);
    code.function(&function);
    let mut functions = enc::FunctionSection::new();
    functions.function(0);
    let mut types = enc::TypeSection::new();
    types.ty().function([], []);
    let mut module = enc::Module::new();
    module.section(&types).section(&functions).section(&code);
    let refused = compute_wasm::inspect(&module.finish(), &compute_wasm::Caps::DEFAULT).refused;
    assert!(refused.as_ref().unwrap().contains("locals"), "{refused:?}");
}

#[test]
fn as_many_data_segments_as_gos_linker_writes_pass() {
    let mut text =
        String::from(r#"(module (memory (export "memory") 20) (func (export "_start"))"#);
    (0..100_000).for_each(|at| write!(text, r#"(data (i32.const {}) "x")"#, at * 12).unwrap());
    let outcome = run(&(text + ")"), Limits::default());
    assert_eq!(crate::output(&outcome), "{}");
}
