//! Host functions that guests call wrongly: each ends as an outcome that keeps what the guest said before.

use compute::{Limits, Reason, Status};
use compute_wasm::HostFunction;
use wasmtime::{Engine, Module};

use crate::{failure, run, try_run};

/// Every function that the sandbox offers.
fn offered() -> Vec<HostFunction> {
    let offered = compute_wasm::host_functions();
    // Preview 1 has 46, and the sandbox 4 of its own.
    assert_eq!(offered.len(), 46 + 4);
    offered
}

/// A command that logs, emits, and then calls this function with these arguments.
fn calling(function: &HostFunction, argument: &str) -> String {
    let HostFunction { module, name, signature, .. } = function;
    let (params, result) = match signature.split_once(" -> ") {
        Some((params, result)) => (params, format!("(result {result})")),
        None => (&**signature, String::new()),
    };
    let params: Vec<_> =
        params.trim_matches(['(', ')']).split(", ").filter(|ty| !ty.is_empty()).collect();
    let arguments: String = params.iter().map(|ty| format!("({ty}.const {argument})")).collect();
    let drop = if result.is_empty() { "" } else { "(drop)" };
    format!(
        r#"(module
          (import "{module}" "{name}" (func $called (param {}) {result}))
          (import "compute" "log" (func $say (param i32 i32 i32)))
          (import "compute" "emit" (func $tell (param i32 i32 i32 i32)))
          (memory (export "memory") 1)
          (data (i32.const 16) "before")
          (data (i32.const 32) "[1]")
          (func (export "_start")
            (call $say (i32.const 1) (i32.const 16) (i32.const 6))
            (call $tell (i32.const 16) (i32.const 6) (i32.const 32) (i32.const 3))
            {arguments} call $called {drop}))"#,
        params.join(" ")
    )
}

#[test]
fn no_arguments_of_any_function_are_the_hosts_failure() {
    let arguments = ["-1", "0", "1", "2", "65535", "65536", "-8", "2147483647", "-2147483648"];
    for function in offered() {
        let name = &function.name;
        for argument in arguments {
            let text = calling(&function, argument);
            let outcome = try_run(compute_guests::wasm(&text), b"{}", Limits::default());
            let outcome = outcome.unwrap_or_else(|error| panic!("{name}({argument}): {error:?}"));
            let status = outcome.status();
            assert!(
                matches!(status, Status::Ok | Status::Trapped | Status::OutputLimit),
                "{name}({argument}): {status}"
            );
            assert_eq!(outcome.log.lines[0].text, "before", "{name}({argument})");
            assert_eq!(outcome.events[0].data.get(), "[1]", "{name}({argument})");
            assert_eq!(outcome.metrics.peak_memory, 65536);
        }
    }
}

#[test]
fn functions_may_be_called_while_the_sandbox_is_made() {
    for function in offered() {
        let name = &function.name;
        let text = calling(&function, "-1");
        let text = text.replace(
            r#"(func (export "_start")"#,
            r#"(func (export "_start")) (start $go) (func $go"#,
        );
        let outcome = try_run(compute_guests::wasm(&text), b"{}", Limits::default());
        let outcome = outcome.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(outcome.log.lines[0].text, "before", "{name}");
    }
}

#[test]
fn what_was_wrong_is_told() {
    let cases = [
        (
            "(call $log (i32.const 0) (i32.const -1) (i32.const 4))",
            "`compute.log` wrongly: 4 bytes at address 4294967295 are not within its memory of 65536 bytes",
        ),
        (
            "(call $emit (i32.const 65534) (i32.const 4) (i32.const 0) (i32.const 4))",
            "`compute.emit` wrongly: 4 bytes at address 65534 are not",
        ),
        (
            "(call $emit (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 4))",
            "`compute.emit` wrongly: an event's data is not JSON: expected",
        ),
        (
            "(memory.fill (i32.const 100) (i32.const 91) (i32.const 101)) (memory.fill (i32.const 201) (i32.const 93) (i32.const 101)) \
             (call $emit (i32.const 0) (i32.const 4) (i32.const 100) (i32.const 202))",
            "`compute.emit` wrongly: an event's data is nested deeper than 100 levels",
        ),
        (
            "(i32.store8 (i32.const 0) (i32.const 255)) (call $emit (i32.const 0) (i32.const 4) (i32.const 0) (i32.const 1))",
            "an event's data is not JSON: invalid utf-8",
        ),
    ];
    for (body, told) in cases {
        let text = format!(
            r#"(module (import "compute" "emit" (func $emit (param i32 i32 i32 i32))) (import "compute" "log" (func $log (param i32 i32 i32)))
               (memory (export "memory") 1) (data (i32.const 0) "nope") (func (export "_start") {body}))"#
        );
        let outcome = run(&text, Limits::default());
        let failure = failure(&outcome);
        assert!(failure.contains(told) && failure.ends_with("[trapped]"), "{failure}");
        assert!(matches!(outcome.result.unwrap_err().reason, Reason::BadCall { .. }));
    }
}

#[test]
fn an_events_data_stays_as_it_was_written_and_counts() {
    let text = |count: u32| {
        format!(
            r#"(module (import "compute" "emit" (func $emit (param i32 i32 i32 i32))) (memory (export "memory") 1)
               (data (i32.const 0) "n{{\"b\":1,\"a\":1.0}} ") (func (export "_start") (local $i i32)
                 (loop $more (call $emit (i32.const 0) (i32.const 1) (i32.const 1) (i32.const 16))
                   (br_if $more (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const {count}))))))"#
        )
    };
    let outcome = run(&text(1), Limits::default());
    assert_eq!(outcome.events[0].data.get(), "{\"b\":1,\"a\":1.0}");
    // 17 bytes each, and what an event takes besides: more than 60.
    let limits = Limits { output: Some(10_000), ..Limits::default() };
    let outcome = run(&text(130), limits);
    assert_eq!(outcome.status(), Status::OutputLimit);
    assert!(outcome.events.len() > 50);
}

#[test]
fn functions_that_are_called_as_what_they_are_not_are_refused() {
    let engine = Engine::default();
    for (text, told) in [
        (
            r#"(module (func (export "_start") (param i32)))"#,
            "exports `_start` as (i32), but it is called as ()",
        ),
        (r#"(module (func (export "_start") (result i32) (i32.const 1)))"#, "as () -> i32"),
    ] {
        let wasm = compute_guests::wasm(text);
        Module::new(&engine, &wasm).unwrap();
        let error = try_run(wasm, b"{}", Limits::default()).unwrap_err();
        assert!(crate::chain(&error).contains(told), "{}", crate::chain(&error));
    }
}
