//! Modules that mean no good.

use anyhow::Result;

const WRITE: &str = r#"(import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))"#;
const LOG: &str = r#"(import "compute" "log" (func $log (param i32 i32 i32)))"#;

fn wat(text: &str) -> Result<Vec<u8>> {
    Ok(wat::parse_str(text)?)
}

/// Answers this JSON, whatever it is asked.
pub(crate) fn says(json: &str) -> Result<Vec<u8>> {
    let size: String =
        (json.len() as u32).to_le_bytes().iter().map(|byte| format!("\\{byte:02x}")).collect();
    let json = json.replace('"', "\\22");
    wat(&format!(
        r#"(module {WRITE} (memory (export "memory") 70) (data (i32.const 0) "\10\00\00\00{size}") (data (i32.const 16) "{json}")
        (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#
    ))
}

/// Gives back its input, and logs it if `logs`.
pub(crate) fn echo(logs: bool) -> Result<Vec<u8>> {
    let (import, log) = if logs {
        (LOG, "(call $log (i32.const 1) (i32.const 64) (i32.load (i32.const 8)))")
    } else {
        ("", "")
    };
    wat(&format!(
        r#"(module (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32))) {WRITE} {import}
        (memory (export "memory") 100)
        (func (export "_start")
          (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 6000000))
          (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
          {log}
          (i32.store (i32.const 4) (i32.load (i32.const 8)))
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))"#
    ))
}

/// Never ends.
pub(crate) fn spin() -> Result<Vec<u8>> {
    wat(r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#)
}

/// Logs lines without text, for ever.
pub(crate) fn log_flood() -> Result<Vec<u8>> {
    wat(&format!(
        r#"(module {LOG} (memory (export "memory") 1)
        (func (export "_start") (loop (call $log (i32.const 1) (i32.const 0) (i32.const 0)) (br 0))))"#
    ))
}

/// Logs a line that looks like one of the server's own, and a terminal's escape sequence.
pub(crate) fn forger() -> Result<Vec<u8>> {
    wat(&format!(
        r#"(module {LOG} (memory (export "memory") 1) (data (i32.const 0) "hello\0a2026-01-01T00:00:00.000000Z ERROR request: forged\1b[31m")
        (func (export "_start") (call $log (i32.const 1) (i32.const 0) (i32.const 58))))"#
    ))
}

/// Emits one event of about 4 MiB that as values takes a hundred times as much.
pub(crate) fn emitter() -> Result<Vec<u8>> {
    wat(r#"(module (import "compute" "emit" (func $emit (param i32 i32 i32 i32)))
        (memory (export "memory") 128) (data (i32.const 0) "x") (data (i32.const 16) "{\"\":0},")
        (func (export "_start") (local $i i32)
          (i32.store8 (i32.const 65536) (i32.const 0x5b)) (local.set $i (i32.const 65537))
          (loop $l (memory.copy (local.get $i) (i32.const 16) (i32.const 7))
            (local.set $i (i32.add (local.get $i) (i32.const 7)))
            (br_if $l (i32.lt_u (local.get $i) (i32.const 4250000))))
          (i32.store8 (i32.sub (local.get $i) (i32.const 1)) (i32.const 0x5d))
          (call $emit (i32.const 0) (i32.const 1) (i32.const 65536) (i32.sub (local.get $i) (i32.const 65536)))))"#)
}

/// Calls a host function with what it must not be called with.
pub(crate) fn bad_call(import: &str, call: &str) -> Result<Vec<u8>> {
    wat(&format!(
        r#"(module (import "compute" {import}) (memory (export "memory") 1) (data (i32.const 0) "nope")
        (func (export "_start") {call}))"#
    ))
}

/// A plugin. Each number gives another one, with as many bytes of image.
pub(crate) fn plugin(number: usize, pages: usize) -> Result<Vec<u8>> {
    let end = pages * 65536 - 400;
    let fill = format!(
        r#"(func (export "_initialize") (local $i i32) (loop $l
          (i32.store (local.get $i) (i32.add (local.get $i) (i32.const 12345)))
          (local.set $i (i32.add (local.get $i) (i32.const 64)))
          (br_if $l (i32.lt_u (local.get $i) (i32.const {end})))))"#
    );
    wat(&format!(
        r#"(module {WRITE} (memory (export "memory") {pages}) {fill} (func (export "_start"))
        (func (export "alloc") (param i32) (result i32) (i32.const {number}))
        (func (export "load") (param i32 i32) (result i32) (i32.const 0))
        (func (export "call") (result i32) (i32.const 0)))"#
    ))
}

/// An op of this plugin, with this as its `_initialize`.
pub(crate) fn op(plugin: &str, body: &str) -> Result<Vec<u8>> {
    wat(&format!(
        r#"(module (import "compute://{plugin}" "memory" (memory 1)) (func (export "_initialize") {body}))"#
    ))
}

/// Loops in one another, and locals that all of them change: what this makes a compiler do grows with the
/// product of both.
pub(crate) fn bomb(loops: usize, locals: usize) -> Result<Vec<u8>> {
    let names: String = (0..locals).map(|_| " i32").collect();
    let set: String = (0..locals)
        .map(|at| format!("(local.set {at} (i32.add (local.get {at}) (i32.const 1)))"))
        .collect();
    let (open, close) = ("(loop ".repeat(loops), "(br_if 0 (local.get 0)))".repeat(loops));
    wat(&format!(
        r#"(module (memory (export "memory") 1) (func (export "_start") (local{names}) {open} {set} {close}))"#
    ))
}

/// As many functions as are allowed: they pass the caps, and take long to compile.
pub(crate) fn slow(functions: usize, salt: usize) -> Result<Vec<u8>> {
    let body =
        "(local.set 0 (i32.add (i32.mul (local.get 0) (i32.const 7)) (i32.load (local.get 0))))"
            .repeat(60);
    let one = format!("(func (param i32) (result i32) {body} (local.get 0))");
    wat(&format!(
        r#"(module (memory (export "memory") 1) {} (func (export "_start")) (func (result i32) (i32.const {salt})))"#,
        one.repeat(functions)
    ))
}

/// One type with a thousand parameters, and as many imports and exports of it as there can be in 140 KB.
pub(crate) fn shape() -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let mut types = vec![1, 0x60];
    leb(&mut types, 1000);
    types.extend([0x7b; 1000]);
    leb(&mut types, 1000);
    types.extend([0x7b; 1000]);
    section(&mut module, 1, types);
    let mut imports = Vec::new();
    leb(&mut imports, 20_000);
    imports.extend([0, 0, 0, 0].repeat(20_000));
    section(&mut module, 2, imports);
    let mut exports = Vec::new();
    leb(&mut exports, 20_000);
    exports.extend([0, 0, 0].repeat(20_000));
    section(&mut module, 7, exports);
    module
}

fn section(module: &mut Vec<u8>, id: u8, bytes: Vec<u8>) {
    module.push(id);
    leb(module, bytes.len());
    module.extend(bytes);
}

fn leb(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// A table's function called as a subtype: it ended the whole process in builds of wasmtime without its
/// garbage collector (GHSA-rc4p-x33f-vpr2).
pub(crate) fn subtype() -> Result<Vec<u8>> {
    wat(r#"(module (type $a (sub (func))) (type $b (sub (func (param i32))))
        (memory (export "memory") 1) (table 1 1 funcref) (elem (i32.const 0) $f) (func $f (type $b))
        (func (export "_start") (call_indirect (type $a) (i32.const 0))))"#)
}
