//! Ops that go for the host or for themselves. Each ends with a clear error of its own, and the next call
//! works.

use std::time::Duration;

use compute::{Limits, Reason, Status};

use crate::{HEAD, build, call, call_loaded, failure, value};

const SHORT: Limits = Limits { wall: Some(Duration::from_millis(200)), ..EMPTY };
const EMPTY: Limits = Limits {
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

/// Runs a handler that misbehaves unless its input is 1, then sees that the next call works.
fn misbehave(body: &str, limits: Limits) -> (Status, String) {
    let built = build(&format!(
        "{HEAD}export default op(({{ input }}): any => {{ if (input === 1) return \"fine\"; {body} }});"
    ));
    let outcome = call_loaded(&built, "{}", limits);
    let told = (outcome.status(), failure(&outcome).to_string());
    assert_eq!(value(&call(&built, "1", EMPTY)), "fine");
    told
}

#[test]
fn each_misdeed_has_its_own_error() {
    let cases: [(&str, Limits, Status, &str); 11] = [
        (
            "const deep = (n: number): number => n === 0 ? 0 : 1 + deep(n - 1); return deep(1e6);",
            EMPTY,
            Status::Trapped,
            "Maximum call stack size exceeded",
        ),
        ("while (1);", SHORT, Status::WallLimit, "the wall limit of 200ms was reached"),
        (
            "return new Array(1e9).fill(0).length;",
            EMPTY,
            Status::MemoryLimit,
            "beyond its limit of 67108864 bytes",
        ),
        (
            "return /^(a+)+$/.test('a'.repeat(40) + 'b');",
            SHORT,
            Status::WallLimit,
            "the wall limit of 200ms was reached",
        ),
        (
            "return eval('['.repeat(100000));",
            EMPTY,
            Status::Trapped,
            "Maximum call stack size exceeded",
        ),
        (
            "return { get a() { throw new Error('from a getter'); } };",
            EMPTY,
            Status::Trapped,
            "Error: from a getter",
        ),
        ("const a: any = {}; a.a = a; return a;", EMPTY, Status::Trapped, "circular reference"),
        ("return 10n;", EMPTY, Status::Trapped, "BigInt"),
        (
            "return 'x'.repeat(10 << 20);",
            EMPTY,
            Status::OutputLimit,
            "the guest wrote more than its output limit of 4194304 bytes",
        ),
        (
            "setInterval(() => {}, 1); return new Promise(() => {});",
            SHORT,
            Status::WallLimit,
            "200ms",
        ),
        ("for (;;) console.log('x'.repeat(1000));", SHORT, Status::WallLimit, "200ms"),
    ];
    for (body, limits, status, message) in cases {
        let (got, told) = misbehave(body, limits);
        assert_eq!(got, status, "{body}: {told}");
        assert!(told.contains(message), "{body}: {told}");
    }
}

#[test]
fn a_deep_json_parse_is_a_clean_failure() {
    let (status, told) = misbehave("return JSON.parse('['.repeat(1e6));", EMPTY);
    assert_eq!(status, Status::Trapped);
    assert!(told.contains("stack"), "{told}");
}

#[test]
fn deep_input_is_a_clean_failure() {
    let built = build(&format!("{HEAD}export default op(({{ input }}) => typeof input);"));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(value(&call(&built, &deep, EMPTY)), "object");
}

#[test]
fn a_top_level_that_loops_is_stopped_and_says_so() {
    let built =
        build(&format!("{HEAD}for (;;) (globalThis as any).n = 1;\nexport default op(() => 1);"));
    let outcome = call(&built, "{}", EMPTY);
    let reason = &failure(&outcome).reason;
    assert!(matches!(reason, Reason::FuelLimit { .. }), "{reason}");
}

#[test]
fn a_top_level_that_takes_long_ends_on_a_busy_machine_too() {
    let built = build(&format!(
        "{HEAD}let t = 0; for (let i = 0; i < 25000003; i++) t = (t * 31 + i) | 0;\nexport default op(() => ({{ t }}));"
    ));
    let spinning = std::sync::atomic::AtomicBool::new(true);
    let load = || {
        while spinning.load(std::sync::atomic::Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    };
    let outcome = std::thread::scope(|scope| {
        (0..6).for_each(|_| drop(scope.spawn(load)));
        let outcome = call(&built, "{}", EMPTY);
        spinning.store(false, std::sync::atomic::Ordering::Relaxed);
        outcome
    });
    assert!(value(&outcome)["t"].is_i64());
}

/// Tops that take all memory, and what becomes of calls then.
#[test]
fn a_full_heap_fails_the_load_and_hangs_no_call() {
    let op = |fill: &str| {
        build(&format!(
            "{HEAD}const keep: unknown[] = []; const o = {{ a: 1 }};\nfunction fill(size: number, most = Infinity) {{ try {{ for (let n = 0; n < most; n++) keep.push(new Uint8Array(size).fill(1)); }} catch {{}} }}\n{fill}\nexport default op(({{ input }}: any) => {{ const all: unknown[] = [o]; for (let i = 0; i < input.n; i++) all.push({{ i }}); return [all.length, keep.length > 0]; }});"
        ))
    };
    let limits = Limits { wall: Some(Duration::from_secs(10)), ..EMPTY };
    for full in [
        "fill(200000);",
        "fill(200000); keep.length -= 5;",
        "fill(200000); fill(40000); fill(33000);",
        "fill(100000); fill(33000); fill(30000); fill(1000); fill(100);",
    ] {
        let built = op(full);
        for n in ["0", "1", "100000"] {
            let outcome = call_loaded(&built, &format!("{{\"n\":{n}}}"), limits);
            let failure = failure(&outcome);
            assert_eq!(failure.status(), Status::MemoryLimit, "{full}: {failure}");
            let told = failure.to_string();
            let full = told.contains("calls need as much") || told.contains("out of memory");
            assert!(full, "{told}");
            assert!(
                failure.to_string().contains("beyond its limit of 67108864 bytes"),
                "{failure}"
            );
        }
    }
    // Whatever is left, calls end.
    for left in 228..=242 {
        let built = op(&format!("fill(200000, {left});"));
        for n in [0, 1, 1_000_000] {
            let outcome = call_loaded(&built, &format!("{{\"n\":{n}}}"), limits);
            assert!(
                matches!(outcome.status(), Status::Ok | Status::MemoryLimit),
                "{left}, {n}: {:?}",
                outcome.result
            );
        }
    }
    let outcome = call_loaded(&op("fill(200000, 225);"), "{\"n\":1000}", limits);
    assert_eq!(value(&outcome), serde_json::json!([1001, true]));
}

#[test]
fn one_call_leaves_nothing_to_the_next() {
    let built = build(&format!(
        "{HEAD}let calls = 0; (globalThis as any).seen = [];\nexport default op(() => {{ calls++; (globalThis as any).seen.push(1); setTimeout(() => calls++, 1); return [calls, (globalThis as any).seen.length]; }});"
    ));
    for _ in 0..3 {
        assert_eq!(value(&call(&built, "{}", EMPTY)), serde_json::json!([1, 1]));
    }
}

#[test]
fn a_flood_of_events_is_an_output_limit() {
    let (status, told) = misbehave("for (;;) (globalThis as any).x ?? 1; ", SHORT);
    assert_eq!(status, Status::WallLimit, "{told}");
    let built = build(&format!(
        "{HEAD}export default op(({{ emit }}) => {{ for (;;) emit('e', 'x'.repeat(1000)); }});"
    ));
    let outcome = call_loaded(&built, "{}", EMPTY);
    assert_eq!(outcome.status(), Status::OutputLimit);
}
