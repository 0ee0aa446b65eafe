//! Guests that go for the host. Each is stopped by its own limit, the message names the limit and its
//! value, and the next call works.

use std::fmt::Write as _;
use std::time::Duration;

use compute::{Limits, Reason, RunOptions, Runner as _, Status};

use crate::{chain, command, failure, manager, output, preload, run, try_run};

const SHORT: Limits = Limits { wall: Some(Duration::from_millis(50)), ..NONE };
const NONE: Limits = Limits {
    memory: None,
    wall: None,
    fuel: None,
    stack: None,
    table_elements: None,
    output: None,
    log: None,
    now: None,
    seed: None,
};

/// Loads the module first, so that a short wall limit is spent by the guest.
fn run_loaded(text: &str, limits: Limits) -> compute::Outcome {
    let wasm = compute_guests::wasm(text);
    let (manager, reference) = manager(wasm.clone());
    preload(&manager, &compute::Artifact::new(compute::Algorithm::Sha256, "wasm", wasm), limits);
    let outcome =
        manager.run_blocking(&reference, b"{}", &RunOptions::with_limits(limits)).unwrap();
    // Whatever happened, an honest call works.
    let (honest, echo) = manager_of_echo();
    let next = honest.run_blocking(&echo, b"[1]", &RunOptions::default()).unwrap();
    assert_eq!(output(&next), "[1]");
    outcome
}

fn manager_of_echo() -> (compute::Manager, compute::Ref) {
    manager(compute_guests::echo(2))
}

#[test]
fn an_infinite_loop_reaches_the_wall_limit() {
    let outcome = run_loaded(include_str!("../../../../guests/spin.wat"), SHORT);
    assert_eq!(
        failure(&outcome),
        "the wall limit of 50ms was reached while the guest ran [wall-limit]"
    );
    assert!(outcome.metrics.wall >= Duration::from_millis(50));
}

#[test]
fn a_loop_in_a_start_function_reaches_the_wall_limit() {
    let text = r#"(module (func $spin (loop $again (br $again))) (start $spin)
                   (func (export "_start")))"#;
    let outcome = run_loaded(text, SHORT);
    assert_eq!(
        failure(&outcome),
        "the wall limit of 50ms was reached while the sandbox was made [wall-limit]"
    );
}

#[test]
fn endless_fuel_is_not_given() {
    let limits = Limits { fuel: Some(1_000_000), ..NONE };
    let first = run_loaded(include_str!("../../../../guests/spin.wat"), limits);
    assert_eq!(failure(&first), "the guest used up its fuel limit of 1000000 [fuel-limit]");
    assert_eq!(first.metrics.fuel, Some(1_000_000));
}

#[test]
fn deep_recursion_reaches_the_stack_limit() {
    let text = r#"(module (func $dive (param i64) (result i64)
                     (i64.add (call $dive (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
                   (func (export "_start") (drop (call $dive (i64.const 0)))))"#;
    let outcome = run_loaded(text, NONE);
    let message = failure(&outcome);
    assert!(
        message.contains("deeper than its stack limit of 16777216 bytes (in dive < dive"),
        "{message}"
    );
    assert_eq!(outcome.status(), Status::Trapped);

    let outcome = run_loaded(text, Limits { stack: Some(100_000), ..NONE });
    assert!(failure(&outcome).contains("stack limit of 65536 bytes"), "{}", failure(&outcome));
}

#[test]
fn a_memory_storm_is_refused_and_the_guest_may_live_with_it() {
    // Grows until it is refused, and prints how many pages it got.
    let text = command(
        r#"(func (export "_start")
             (block $done (loop $more (br_if $done (i32.eq (memory.grow (i32.const 16)) (i32.const -1))) (br $more)))
             (call $print (i64.extend_i32_u (memory.size))))"#,
    );
    let outcome = run_loaded(&text, Limits { memory: Some(8 << 20), ..NONE });
    assert_eq!(output(&outcome), "\"0000000000000072\"");
    assert_eq!(outcome.metrics.peak_memory, 0x72 * 65536);

    // The limit is the call's own.
    let outcome = run_loaded(&text, Limits { memory: Some(16 << 20), ..NONE });
    assert_eq!(output(&outcome), "\"00000000000000f2\"");
}

#[test]
fn a_memory_storm_that_gives_up_names_the_limit() {
    let text = command(
        r#"(func $grow (export "_start")
             (loop $more (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable)) (br $more)))"#,
    );
    let outcome = run_loaded(&text, Limits { memory: Some(8 << 20), ..NONE });
    assert_eq!(
        failure(&outcome),
        "the guest was refused memory beyond its limit of 8388608 bytes, and then the guest trapped: \
         wasm `unreachable` instruction executed (in grow) [memory-limit]"
    );
}

#[test]
fn memory_returns_to_its_base() {
    let text = command(
        r#"(func (export "_start") (local $at i32)
             (drop (memory.grow (i32.const 900)))
             (loop $touch
               (i32.store (local.get $at) (i32.const 1))
               (br_if $touch (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 4096))) (i32.const 58720256)))))"#,
    );
    let (manager, reference) = manager(compute_guests::wasm(&text));
    let options = RunOptions::with_limits(Limits { memory: Some(64 << 20), ..NONE });
    let call = || {
        let outcome = manager.run_blocking(&reference, b"{}", &options).unwrap();
        assert_eq!(output(&outcome), "{}");
    };
    call();
    let before = resident();
    (0..40).for_each(|_| call());
    let grown = resident().saturating_sub(before);
    // Other tests run beside this one; 40 calls that left their memory would leave 2.3 GB.
    assert!(grown < 512 << 20, "40 calls of 58 MB each left {grown} bytes behind");
}

/// This process's resident memory, in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn a_minimum_above_the_limit_of_the_call_is_refused() {
    let text = r#"(module (memory (export "memory") 1000) (func (export "_start")))"#;
    let outcome = run_loaded(text, Limits { memory: Some(1 << 20), ..NONE });
    assert_eq!(
        failure(&outcome),
        "the guest was refused memory beyond its limit of 1048576 bytes, and then was not begun: what it begins with is more than that. \
         An op in Python says what it needs, such as @op(memory=\"512MiB\") [memory-limit]"
    );
    let text = r#"(module (table 5000 funcref) (func (export "_start")))"#;
    let outcome = run_loaded(text, Limits { table_elements: Some(100), ..NONE });
    assert_eq!(
        failure(&outcome),
        "the guest was refused table elements beyond its limit of 100 [memory-limit]"
    );
}

#[test]
fn a_table_that_grows_without_end_is_refused() {
    let text = r#"(module (table $t 1 funcref) (func (export "_start")
        (loop $more (br_if $more (i32.ne (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1))))
        unreachable))"#;
    let message = failure(&run_loaded(text, NONE));
    assert!(
        message.starts_with(
            "the guest was refused table elements beyond its limit of 100000, and then"
        ),
        "{message}"
    );
}

#[test]
fn a_limit_above_the_cap_is_the_callers_mistake() {
    let limits = Limits { memory: Some(2 << 30), ..NONE };
    let error = try_run(compute_guests::echo(2), b"{}", limits).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the memory limit of 2147483648 is above this engine's cap of 1073741824"
    );
}

#[test]
fn a_flood_of_output_reaches_the_output_limit() {
    let text = command(
        r#"(func (export "_start") (loop $more (call $write (i32.const 1) (i32.const 1024) (i32.const 60000)) (br $more)))"#,
    );
    let outcome = run_loaded(&text, NONE);
    assert_eq!(
        failure(&outcome),
        "the guest wrote more than its output limit of 4194304 bytes [output-limit]"
    );
}

#[test]
fn a_flood_of_log_is_kept_up_to_its_limit() {
    let text = command(
        r#"(data (i32.const 1024) "all work and no play ")
           (func (export "_start") (local $n i32)
             (loop $more (call $write (i32.const 2) (i32.const 1024) (i32.const 21))
               (br_if $more (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 10000)))))"#,
    );
    let outcome = run_loaded(&text, NONE);
    assert_eq!(output(&outcome), "{}");
    assert_eq!(outcome.log.bytes.len(), 64 << 10);
    assert_eq!(outcome.log.dropped, 210_000 - (64 << 10));
}

#[test]
fn reading_a_clock_for_ever_reaches_the_wall_limit() {
    let text = command(
        r#"(func (export "_start") (loop $more (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64))) (br $more)))"#,
    );
    assert_eq!(run_loaded(&text, SHORT).status(), Status::WallLimit);
}

#[test]
fn sleeping_for_an_hour_takes_no_time() {
    // Sleeps, and prints the monotonic clock.
    let text = command(
        r#"(func (export "_start")
             (i32.store (i32.const 2064) (i32.const 1))
             (i64.store (i32.const 2072) (i64.const 3600000000000))
             (drop (call $poll_oneoff (i32.const 2048) (i32.const 4096) (i32.const 1) (i32.const 8)))
             (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64)))
             (call $print (i64.load (i32.const 64))))"#,
    );
    let outcome = run_loaded(&text, Limits { wall: Some(Duration::from_secs(20)), ..NONE });
    assert_eq!(output(&outcome), format!("\"{:016x}\"", 3_600_000_000_000_u64));
}

#[test]
fn random_bytes_by_the_gigabyte_reach_the_wall_limit() {
    let text = command(
        r#"(func (export "_start")
             (drop (memory.grow (i32.const 400)))
             (loop $more (drop (call $random_get (i32.const 0) (i32.const 26000000))) (br $more)))"#,
    );
    assert_eq!(run_loaded(&text, SHORT).status(), Status::WallLimit);
}

#[test]
fn a_list_of_a_billion_buffers_is_an_error_and_not_a_pause() {
    let text = command(
        r#"(func (export "_start")
             (call $print (i64.extend_i32_u
               (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1000000000) (i32.const 8)))))"#,
    );
    assert_eq!(output(&run_loaded(&text, NONE)), "\"000000000000001c\"");
}

#[test]
fn pointers_out_of_memory_are_an_errno() {
    for call in [
        "(call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8))",
        "(call $fd_write (i32.const 1) (i32.const 131070) (i32.const 1) (i32.const 8))",
        "(call $fd_read (i32.const 0) (i32.const 131071) (i32.const 1) (i32.const 8))",
        "(call $random_get (i32.const 131071) (i32.const 2))",
        "(call $random_get (i32.const -1) (i32.const -1))",
        "(call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 131070))",
        "(call $poll_oneoff (i32.const 131000) (i32.const 0) (i32.const 4) (i32.const 8))",
    ] {
        let text =
            command(&format!("(func (export \"_start\") (call $print (i64.extend_i32_u {call})))"));
        // 21, EFAULT.
        assert_eq!(output(&run(&text, NONE)), "\"0000000000000015\"", "{call}");
    }
}

#[test]
fn a_trap_names_the_guests_functions() {
    let text = r#"(module (func $inner unreachable) (func $outer (call $inner))
                   (func $main (export "_start") (call $outer)))"#;
    let outcome = run(text, NONE);
    assert_eq!(
        failure(&outcome),
        "the guest trapped: wasm `unreachable` instruction executed (in inner < outer < main) [trapped]"
    );
}

#[test]
fn an_exit_code_carries_the_start_of_stderr_and_drops_the_output() {
    let text = command(
        r#"(data (i32.const 1024) "no such order\n")
           (func (export "_start")
             (call $write (i32.const 1) (i32.const 1024) (i32.const 14))
             (call $write (i32.const 2) (i32.const 1024) (i32.const 14))
             (call $proc_exit (i32.const 7)))"#,
    );
    let outcome = run(&text, NONE);
    let failed = outcome.result.as_ref().unwrap_err();
    assert_eq!(failed.reason, Reason::Exit { code: 7 });
    assert_eq!(failed.stderr, "no such order\n");
    assert_eq!(outcome.log.bytes, b"no such order\n");
}

#[test]
fn output_must_be_one_json_value() {
    let print = |text: &str| {
        let length = text.len();
        command(&format!(
            r#"(data (i32.const 1024) "{}")
               (func (export "_start") (call $write (i32.const 1) (i32.const 1024) (i32.const {length})))"#,
            text.bytes().map(|b| format!("\\{b:02x}")).collect::<String>()
        ))
    };
    assert_eq!(output(&run(&print(" \n {\"a\": 1}\t\n"), NONE)), "{\"a\": 1}");
    assert_eq!(output(&run(&print("  \n"), NONE)), "{}");
    for not_json in ["{} {}", "{", "hello", "\u{1}"] {
        let outcome = run(&print(not_json), NONE);
        assert!(failure(&outcome).starts_with("the output is not JSON: "), "{not_json}");
    }
    let (manager, reference) = manager(compute_guests::wasm(&print(" hello ")));
    let raw = RunOptions { raw: true, ..RunOptions::default() };
    let outcome = manager.run_blocking(&reference, b"", &raw).unwrap();
    assert_eq!(output(&outcome), " hello ");
}

#[test]
fn deep_output_is_no_trouble() {
    let depth = 1_000_000;
    let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let wasm = compute_guests::wasm(&deep_echo());
    let limits = Limits { wall: Some(Duration::from_secs(60)), ..NONE };
    let outcome = try_run(wasm, text.as_bytes(), limits).unwrap();
    assert_eq!(outcome.result.unwrap().len(), 2 * depth);
}

/// Copies an input of any size.
fn deep_echo() -> String {
    command(
        r#"(func (export "_start")
             (loop $more
               (i32.store (i32.const 0) (i32.const 1024))
               (i32.store (i32.const 4) (i32.const 65536))
               (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
               (if (i32.load (i32.const 8)) (then
                 (call $write (i32.const 1) (i32.const 1024) (i32.load (i32.const 8)))
                 (br $more)))))"#,
    )
}

#[test]
fn a_slow_compile_does_not_outlast_the_deadline_of_its_caller() {
    // 49,000 functions are under the cap, and take seconds to compile.
    let mut functions = String::new();
    for number in 0..49_000 {
        write!(
            functions,
            "(func (param i32) (result i32) (i32.add (local.get 0) (i32.const {number})))"
        )
        .unwrap();
    }
    let wasm = compute_guests::wasm(&format!("(module {functions} (func (export \"_start\")))"));
    let outcome = try_run(wasm, b"{}", SHORT).unwrap();
    assert_eq!(
        failure(&outcome),
        "the wall limit of 50ms was reached while the artifact was compiled [wall-limit]"
    );
}

#[test]
fn bytes_of_another_digest_do_not_run() {
    let right = compute::Artifact::new(compute::Algorithm::Sha256, "wasm", compute_guests::echo(2));
    let reference = right.reference().clone();
    let wrong = compute::Artifact::unverified(reference.clone(), "wasm", compute_guests::echo(3));
    let manager = compute::Manager::builder().resolver(compute::ArtifactMap::from([wrong])).build();
    let error = manager.run_blocking(&reference, b"{}", &RunOptions::default()).unwrap_err();
    assert!(chain(&error).contains("have another digest"), "{}", chain(&error));
}
