//! The same run gives the same result; a run's record is enough to repeat it.

use std::time::{Duration, SystemTime};

use compute::{Limits, RunOptions, Runner as _, Seed};

use crate::{command, manager, output, run};

/// Prints 8 random bytes as hex.
fn random() -> String {
    command(
        r#"(func (export "_start")
             (drop (call $random_get (i32.const 64) (i32.const 8)))
             (call $print (i64.load (i32.const 64))))"#,
    )
}

#[test]
fn random_bytes_come_from_the_seed() {
    let seeded = |byte| Limits { seed: Some(Seed::new([byte; 32])), ..Limits::default() };
    let first = run(&random(), seeded(1));
    assert_eq!(output(&first), output(&run(&random(), seeded(1))));
    assert_ne!(output(&first), output(&run(&random(), seeded(2))));
}

#[test]
fn the_stream_is_chacha20() {
    // The first 8 bytes of the ChaCha20 key stream for an all-zero key and nonce: RFC 8439, appendix
    // A.1, test vector 1 (76 b8 e0 ad a0 f1 3d 90), read as a little-endian number.
    let limits = Limits { seed: Some(Seed::new([0; 32])), ..Limits::default() };
    assert_eq!(output(&run(&random(), limits)), "\"903df1a0ade0b876\"");
}

#[test]
fn without_a_seed_each_run_has_its_own_and_records_it() {
    let first = run(&random(), Limits::default());
    let second = run(&random(), Limits::default());
    assert_ne!(output(&first), output(&second));
    let again = Limits { seed: Some(first.bounds.seed), ..Limits::default() };
    assert_eq!(output(&first), output(&run(&random(), again)));
}

#[test]
fn clocks_show_now_and_move_a_microsecond_a_reading() {
    let read_twice = |clock: u32| {
        command(&format!(
            r#"(func (export "_start")
                 (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 64)))
                 (drop (call $clock_time_get (i32.const {clock}) (i64.const 0) (i32.const 64)))
                 (call $print (i64.load (i32.const 64))))"#
        ))
    };
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let limits = Limits { now: Some(now), ..Limits::default() };
    let expect = |nanos: u64| format!("\"{nanos:016x}\"");
    assert_eq!(output(&run(&read_twice(0), limits)), expect(1_700_000_000_000_001_000));
    assert_eq!(output(&run(&read_twice(1), limits)), expect(1_000));
    // Without a time, it is the epoch.
    assert_eq!(output(&run(&read_twice(0), Limits::default())), expect(1_000));
}

#[test]
fn nans_have_one_bit_pattern() {
    let text = command(
        r#"(func (export "_start")
             (call $print (i64.reinterpret_f64
               (f64.add (f64.reinterpret_i64 (i64.const 0x7ff8dead0000beef)) (f64.const 1)))))"#,
    );
    assert_eq!(output(&run(&text, Limits::default())), "\"7ff8000000000000\"");
}

#[test]
fn nothing_survives_a_call() {
    // Adds 1 to a number in memory and in a global, and prints the sum.
    let text = command(
        r#"(global $calls (mut i64) (i64.const 0))
           (func (export "_start")
             (global.set $calls (i64.add (global.get $calls) (i64.const 1)))
             (i64.store (i32.const 100000) (i64.add (i64.load (i32.const 100000)) (i64.const 1)))
             (call $print (i64.add (global.get $calls) (i64.load (i32.const 100000)))))"#,
    );
    let (manager, reference) = manager(compute_guests::wasm(&text));
    for _ in 0..100 {
        let outcome = manager.run_blocking(&reference, b"{}", &RunOptions::default()).unwrap();
        assert_eq!(output(&outcome), "\"0000000000000002\"");
    }
}

#[test]
fn fuel_is_the_same_each_time_and_for_each_way_of_compiling() {
    let fuel = || {
        let limits = Limits { fuel: Some(1_000_000_000), ..Limits::default() };
        let outcome = crate::try_run(compute_guests::transform_wasm("c"), b"{\"a\":[1,2]}", limits);
        outcome.unwrap().metrics.fuel.unwrap()
    };
    let first = fuel();
    assert!(first > 1000);
    assert_eq!(first, fuel());
}

#[test]
fn an_unmetered_run_says_nothing_of_fuel() {
    assert_eq!(run(&random(), Limits::default()).metrics.fuel, None);
}
