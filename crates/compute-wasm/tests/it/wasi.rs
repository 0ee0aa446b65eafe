//! Preview 1, function by function: all of it can be imported, and what the sandbox lacks answers with
//! its errno.

use compute::{Limits, OpCall, RunOptions, Runner as _};

use crate::{command, manager, output, run};

/// Every function of `wasi_snapshot_preview1.witx` with arguments for a sandbox, and what it answers.
const FUNCTIONS: &[(&str, &str, &str, u32)] = &[
    ("args_get", "i32 i32", "(i32.const 1024) (i32.const 1100)", 0),
    ("args_sizes_get", "i32 i32", "(i32.const 1024) (i32.const 1028)", 0),
    ("environ_get", "i32 i32", "(i32.const 1024) (i32.const 1028)", 0),
    ("environ_sizes_get", "i32 i32", "(i32.const 1024) (i32.const 1028)", 0),
    ("clock_res_get", "i32 i32", "(i32.const 0) (i32.const 1024)", 0),
    ("clock_res_get", "i32 i32", "(i32.const 9) (i32.const 1024)", 28),
    ("fd_advise", "i32 i64 i64 i32", "(i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0)", 70),
    ("fd_allocate", "i32 i64 i64", "(i32.const 1) (i64.const 0) (i64.const 0)", 70),
    ("fd_close", "i32", "(i32.const 0)", 0),
    ("fd_close", "i32", "(i32.const 3)", 8),
    ("fd_datasync", "i32", "(i32.const 1)", 0),
    ("fd_fdstat_get", "i32 i32", "(i32.const 1) (i32.const 1024)", 0),
    ("fd_fdstat_get", "i32 i32", "(i32.const 3) (i32.const 1024)", 8),
    ("fd_fdstat_set_flags", "i32 i32", "(i32.const 0) (i32.const 4)", 0),
    ("fd_fdstat_set_rights", "i32 i64 i64", "(i32.const 0) (i64.const 0) (i64.const 0)", 58),
    ("fd_filestat_get", "i32 i32", "(i32.const 0) (i32.const 1024)", 0),
    ("fd_filestat_set_size", "i32 i64", "(i32.const 0) (i64.const 0)", 28),
    (
        "fd_filestat_set_times",
        "i32 i64 i64 i32",
        "(i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0)",
        58,
    ),
    (
        "fd_pread",
        "i32 i32 i32 i64 i32",
        "(i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)",
        70,
    ),
    ("fd_prestat_dir_name", "i32 i32 i32", "(i32.const 3) (i32.const 0) (i32.const 0)", 8),
    ("fd_prestat_get", "i32 i32", "(i32.const 3) (i32.const 0)", 8),
    (
        "fd_pwrite",
        "i32 i32 i32 i64 i32",
        "(i32.const 1) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)",
        70,
    ),
    (
        "fd_readdir",
        "i32 i32 i32 i64 i32",
        "(i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i32.const 0)",
        54,
    ),
    ("fd_renumber", "i32 i32", "(i32.const 0) (i32.const 1)", 58),
    ("fd_seek", "i32 i64 i32 i32", "(i32.const 0) (i64.const 0) (i32.const 0) (i32.const 0)", 70),
    ("fd_sync", "i32", "(i32.const 1)", 0),
    ("fd_tell", "i32 i32", "(i32.const 1) (i32.const 0)", 70),
    ("path_create_directory", "i32 i32 i32", "(i32.const 3) (i32.const 0) (i32.const 1)", 8),
    (
        "path_filestat_get",
        "i32 i32 i32 i32 i32",
        "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0)",
        8,
    ),
    (
        "path_filestat_set_times",
        "i32 i32 i32 i32 i64 i64 i32",
        "(i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 0)",
        54,
    ),
    (
        "path_link",
        "i32 i32 i32 i32 i32 i32 i32",
        "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)",
        8,
    ),
    (
        "path_open",
        "i32 i32 i32 i32 i32 i64 i64 i32 i32",
        "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)",
        8,
    ),
    (
        "path_readlink",
        "i32 i32 i32 i32 i32 i32",
        "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)",
        8,
    ),
    ("path_remove_directory", "i32 i32 i32", "(i32.const 3) (i32.const 0) (i32.const 1)", 8),
    (
        "path_rename",
        "i32 i32 i32 i32 i32 i32",
        "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 0)",
        8,
    ),
    (
        "path_symlink",
        "i32 i32 i32 i32 i32",
        "(i32.const 0) (i32.const 1) (i32.const 3) (i32.const 0) (i32.const 1)",
        8,
    ),
    ("path_unlink_file", "i32 i32 i32", "(i32.const 0) (i32.const 0) (i32.const 1)", 54),
    ("proc_raise", "i32", "(i32.const 6)", 52),
    ("sched_yield", "", "", 0),
    ("sock_accept", "i32 i32 i32", "(i32.const 0) (i32.const 0) (i32.const 0)", 57),
    (
        "sock_recv",
        "i32 i32 i32 i32 i32 i32",
        "(i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        8,
    ),
    (
        "sock_send",
        "i32 i32 i32 i32 i32",
        "(i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)",
        57,
    ),
    ("sock_shutdown", "i32 i32", "(i32.const 0) (i32.const 0)", 57),
];

#[test]
fn every_function_answers() {
    for (name, params, arguments, errno) in FUNCTIONS {
        let text = command(&format!(
            "(func (export \"_start\") (call $print (i64.extend_i32_u (call $tested {arguments}))))"
        ));
        let import = format!(
            "(module (import \"wasi_snapshot_preview1\" \"{name}\" (func $tested (param {params}) (result i32)))"
        );
        let outcome = run(&text.replacen("(module", &import, 1), Limits::default());
        assert_eq!(output(&outcome), format!("\"{errno:016x}\""), "{name}");
    }
    // With those that every test command imports, that is all of preview 1.
    let mut names: Vec<_> = FUNCTIONS.iter().map(|(name, ..)| *name).collect();
    names.extend([
        "fd_write",
        "fd_read",
        "proc_exit",
        "random_get",
        "clock_time_get",
        "poll_oneoff",
    ]);
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 46);
}

#[test]
fn the_only_argument_is_the_programs_name() {
    let text = command(
        r#"(func (export "_start")
             (drop (call $args_sizes_get (i32.const 64) (i32.const 68)))
             (drop (call $args_get (i32.const 72) (i32.const 80)))
             ;; The count, the size, and the first bytes: "compute\0".
             (call $print (i64.xor
               (i64.shl (i64.load (i32.const 64)) (i64.const 8))
               (i64.load (i32.const 80)))))"#,
    );
    let imports = r#"(module
      (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes_get (param i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "args_get" (func $args_get (param i32 i32) (result i32)))"#;
    let outcome = run(&text.replacen("(module", imports, 1), Limits::default());
    let expected = u64::from_le_bytes(*b"compute\0") ^ ((8_u64 << 32 | 1) << 8);
    assert_eq!(output(&outcome), format!("\"{expected:016x}\""));
}

#[test]
fn empty_input_is_an_empty_object() {
    let (manager, reference) = manager(compute_guests::echo(2));
    let outcome = manager.run_blocking(&reference, b"", &RunOptions::default()).unwrap();
    assert_eq!(output(&outcome), "{}");
}

#[test]
fn a_module_that_declares_the_op_abi_gets_the_envelope() {
    let echo = compute_guests::echo(2);
    let mut op = echo.clone();
    // A custom section: its id, its size, the length of its name, its name, what it says.
    op.extend_from_slice(b"\0\x10\x0bcompute:abiop/2");
    assert!(compute_wasm::takes_envelope(&op));

    let context = OpCall {
        env: [("level".to_owned(), serde_json::json!(3))].into_iter().collect(),
        secrets: [("key".to_owned(), "s3cret".to_owned())].into_iter().collect(),
        ..OpCall::default()
    };
    let call = |wasm: &[u8], op: Option<OpCall>| {
        let (manager, reference) = manager(wasm.to_vec());
        let options = RunOptions { op, ..RunOptions::default() };
        let outcome = manager.run_blocking(&reference, b"{\"env\":1}", &options);
        outcome.map(|outcome| output(&outcome).to_owned())
    };
    assert_eq!(
        call(&op, Some(context.clone())).unwrap(),
        r#"{"input":{"env":1},"meta":{"rid":"","op":"","stack":"","scope":0,"name":""},"env":{"level":3},"secrets":{"key":"s3cret"}}"#
    );
    // Also without a context, and never for a module that does not declare it, unless always sent.
    assert!(call(&op, None).unwrap().starts_with("{\"input\":{\"env\":1},"));
    assert_eq!(call(&echo, Some(context.clone())).unwrap(), "{\"env\":1}");
    let always = OpCall { always: true, ..context };
    assert!(call(&echo, Some(always)).unwrap().starts_with("{\"input\":{\"env\":1},"));
}

#[test]
fn an_input_cannot_break_out_of_the_envelope() {
    let (manager, reference) = manager(compute_guests::echo(2));
    let options = RunOptions {
        op: Some(OpCall { always: true, ..OpCall::default() }),
        ..RunOptions::default()
    };
    let hostile = br#"1},"secrets":{"admin":"yes"}"#;
    let error = manager.run_blocking(&reference, hostile, &options).unwrap_err();
    assert_eq!(error.to_string(), "the input is not JSON");
}
