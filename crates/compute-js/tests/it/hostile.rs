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
            "deeper than its stack limit of 1048576 bytes",
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
    assert!(
        matches!(failure(&outcome).reason, Reason::WallLimit { limit, .. } if limit == Duration::from_secs(5)),
        "{}",
        failure(&outcome)
    );
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
