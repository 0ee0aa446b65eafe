//! What an op finds in its global scope, and that time and chance are the call's own.

use std::time::{Duration, SystemTime};

use compute::{Limits, Seed};
use serde_json::{Value, json};

use crate::{HEAD, build, call, eval, value};

#[test]
fn globals_work() {
    let cases = [
        (
            "return [...new TextEncoder().encode('é€😀\\ud800')]",
            json!([195, 169, 226, 130, 172, 240, 159, 152, 128, 239, 191, 189]),
        ),
        (
            "return new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 104, 0xff, 0xe2, 0x82, 105]))",
            json!("h\u{fffd}\u{fffd}i"),
        ),
        (
            "try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff])) } catch (e: any) { return e.name }",
            json!("TypeError"),
        ),
        (
            "const d = new TextDecoder(); return d.decode(new Uint8Array([0xe2, 0x82]), { stream: true }) + d.decode(new Uint8Array([0xac]))",
            json!("€"),
        ),
        (
            "return new TextDecoder('utf-16le').decode(new Uint8Array([0x3d, 0xd8, 0x00, 0xde]))",
            json!("😀"),
        ),
        ("return new TextDecoder('latin1').decode(new Uint8Array([0x80, 0xe9]))", json!("€é")),
        (
            "const u = new URL('../b?x=1&y=é#h', 'https://u:p@ex.com:8080/a/c/'); return [u.href, u.host, u.searchParams.get('y'), URL.canParse('nope')]",
            json!(["https://u:p@ex.com:8080/a/b?x=1&y=%C3%A9#h", "ex.com:8080", "é", false]),
        ),
        (
            "const p = new URLSearchParams('a=1&b=2&a=3'); p.delete('b'); p.append('c', 'x y'); return [p.getAll('a'), String(p), p.size]",
            json!([["1", "3"], "a=1&a=3&c=x+y", 3]),
        ),
        (
            "const o: any = { d: new Date(5), m: new Map([[1, new Set([2])]]), a: [1, , 3] }; o.self = o; const c = structuredClone(o); return [c.d.getTime(), c.m.get(1).has(2), c.self === c, c !== o]",
            json!([5, true, true, true]),
        ),
        (
            "try { structuredClone(() => 1) } catch (e: any) { return e.name }",
            json!("DataCloneError"),
        ),
        ("return [atob('aGk='), btoa('hi')]", json!(["hi", "aGk="])),
        (
            "const order: string[] = []; setTimeout(() => order.push('t2'), 20); setTimeout(() => order.push('t1'), 10); queueMicrotask(() => order.push('m')); order.push('s'); await new Promise((r) => setTimeout(r, 30)); return order",
            json!(["s", "m", "t1", "t2"]),
        ),
        (
            "let n = 0; await new Promise<void>((r) => { const id = setInterval(() => { if (++n === 3) { clearInterval(id); r(); } }, 5); }); return n",
            json!(3),
        ),
        (
            "const id = setTimeout(() => { throw new Error('no') }, 1); clearTimeout(id); await new Promise((r) => setTimeout(r, 5)); return 1",
            json!(1),
        ),
        (
            "const t = performance.now(); await new Promise((r) => setTimeout(r, 3600000)); const d = performance.now() - t; return d >= 3600000 && d < 3600001",
            json!(true),
        ),
        (
            "return [...new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('abc')))].slice(0, 4)",
            json!([186, 120, 22, 191]),
        ),
        (
            "return /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID())",
            json!(true),
        ),
        (
            "const c = new AbortController(); let seen: any; c.signal.addEventListener('abort', () => { seen = c.signal.reason.name }); c.abort(); try { c.signal.throwIfAborted() } catch (e: any) { return [seen, e.name] }",
            json!(["AbortError", "AbortError"]),
        ),
        (
            "const s = AbortSignal.timeout(10); await new Promise((r) => s.addEventListener('abort', r)); return s.reason.name",
            json!("TimeoutError"),
        ),
        (
            "const t = new EventTarget(); let n = 0; t.addEventListener('x', () => n++, { once: true }); t.dispatchEvent(new Event('x')); t.dispatchEvent(new CustomEvent('x', { detail: 1 })); return n",
            json!(1),
        ),
        (
            "return [typeof (globalThis as any).fetch, typeof (globalThis as any).process, typeof (globalThis as any).require, typeof (globalThis as any).Worker]",
            json!(["undefined", "undefined", "undefined", "undefined"]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(eval(body), expected, "{body}");
    }
}

#[test]
fn the_url_library_is_there_for_code_that_does_not_name_it() {
    let cases = [
        ("return new globals[name]('http://a/b?c').pathname", json!("/b")),
        (
            "const [before] = [typeof globals[name]]; return [before, name in globals, Object.keys(globals).includes(name), new globals[name + 'SearchParams']('a=1').get('a')]",
            json!(["function", true, false, "1"]),
        ),
        ("globals[name] = 1; globals[name]++; return globals[name]", json!(2)),
        (
            "globals[name] = 1; return [typeof globals[name + 'SearchParams'], globals[name]]",
            json!(["function", 1]),
        ),
    ];
    for (body, expected) in cases {
        let body =
            format!("const globals = globalThis as any, name = ['U', 'RL'].join(''); {body}");
        assert_eq!(eval(&body), expected, "{body}");
    }
}

#[test]
fn time_and_chance_are_the_calls_own() {
    let built = build(&format!(
        "{HEAD}const baked = [Date.now(), Math.random()];\nexport default op(() => ({{ baked, now: Math.floor(Date.now() / 1000), random: Math.random(), bytes: [...crypto.getRandomValues(new Uint8Array(4))], uuid: crypto.randomUUID() }}));"
    ));
    let at = |seconds: u64, seed: u8| {
        let limits = Limits {
            now: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)),
            seed: Some(Seed::new([seed; 32])),
            ..Limits::default()
        };
        value(&call(&built, "{}", limits))
    };
    let first = at(1_700_000_000, 1);
    assert_eq!(first["now"], 1_700_000_000_u64);
    assert_eq!(first, at(1_700_000_000, 1));
    let other = at(1_700_000_001, 2);
    for field in ["now", "random", "bytes", "uuid"] {
        assert_ne!(first[field], other[field], "{field}");
    }
    // The top level ran once, when the image was made.
    assert_eq!(first["baked"], other["baked"]);
    // Without a seed, calls differ.
    let fresh = || value(&call(&built, "{}", Limits::default()))["uuid"].clone();
    assert_ne!(fresh(), fresh());
}

#[test]
fn the_top_level_may_await_and_its_clock_starts_at_the_epoch() {
    let built = build(&format!(
        "{HEAD}const early = Date.now(); const table: number[] = await new Promise((r) => setTimeout(() => r([1, 2]), 1000));\nexport default op(() => [table, early]);"
    ));
    assert_eq!(value(&call(&built, "{}", Limits::default())), json!([[1, 2], 0]));
}

#[test]
fn handlers_get_what_the_envelope_holds() {
    use compute::{Meta, OpCall, RunOptions, Runner as _};

    let built = build(&format!(
        "{HEAD}export default op(({{ input, meta, env, secrets }}) => ({{ input, meta, env, secrets }}));"
    ));
    let options = RunOptions {
        limits: crate::LIMITS,
        op: Some(OpCall {
            meta: Meta {
                rid: "r1".into(),
                op: "s/100/n".into(),
                stack: "s".into(),
                scope: 100,
                name: "n".into(),
            },
            env: [("level".to_owned(), json!(3))].into_iter().collect(),
            secrets: [("key".to_owned(), "s3cret".to_owned())].into_iter().collect(),
            always: false,
        }),
        ..RunOptions::default()
    };
    let input = br#"{"env":"not the envelope's"}"#;
    let outcome =
        crate::bench().manager.run_blocking(built.artifact.reference(), input, &options).unwrap();
    let expected: Value = json!({
        "input": { "env": "not the envelope's" },
        "meta": { "rid": "r1", "op": "s/100/n", "stack": "s", "scope": 100, "name": "n" },
        "env": { "level": 3 },
        "secrets": { "key": "s3cret" },
    });
    assert_eq!(value(&outcome), expected);
}

#[test]
fn what_was_silently_wrong_is_right_or_said() {
    let cases = [
        (
            "const d = new TextDecoder('utf-16le'); return d.decode(new Uint8Array([0x3d, 0xd8]), { stream: true }) + d.decode(new Uint8Array([0x00, 0xde]))",
            json!("😀"),
        ),
        (
            "const d = new TextDecoder('utf-16be'); return d.decode(new Uint8Array([0xd8]), { stream: true }) + d.decode(new Uint8Array([0x3d, 0xde]), { stream: true }) + d.decode(new Uint8Array([0x00]))",
            json!("😀"),
        ),
        (
            "const wrong = []; for (const bytes of [[0xff], [0xe0, 0x80], [0xed, 0xa0], [0xf4, 0x90], [0xc0]]) { try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(bytes), { stream: true }); wrong.push(bytes) } catch (e: any) { if (e.name !== 'TypeError') wrong.push(e.name) } } return wrong",
            json!([]),
        ),
        (
            "try { return await crypto.subtle.digest('SHA-256', 'abc' as any) } catch (e: any) { return e.name }",
            json!("TypeError"),
        ),
        (
            "const c: any = structuredClone(JSON.parse('{\"__proto__\":{\"admin\":true}}')); return [c.admin ?? null, Object.keys(c)]",
            json!([null, ["__proto__"]]),
        ),
        (
            "const e = structuredClone(new DOMException('far', 'DataError')); return [e instanceof DOMException, e.name, e.message, e.code]",
            json!([true, "DataError", "far", 0]),
        ),
        (
            "class T { a = 1; get [Symbol.toStringTag]() { return 'T' } } return [structuredClone(new T()), structuredClone({ b: 2, [Symbol.toStringTag]: 'x' })]",
            json!([{ "a": 1 }, { "b": 2 }]),
        ),
        (
            "const wrong = []; for (const value of [new Map().entries(), (function* () {})(), Promise.resolve(), new WeakMap(), Object(Symbol()), () => 1]) { try { structuredClone(value); wrong.push(String(value)) } catch (e: any) { if (e.name !== 'DataCloneError') wrong.push(String(e)) } } return wrong",
            json!([]),
        ),
        ("return { ...('ab' as any), ...(7 as any), ...null }", json!({ "0": "a", "1": "b" })),
        ("const e: any = new Error('x'); e.stack = undefined; return 'ok'", json!("ok")),
        (
            "await Promise.all(Array.from({ length: 5000 }, (_, at) => new Promise((r) => setTimeout(r, at % 7)))); return 6",
            json!(6),
        ),
        (
            "const order: number[] = []; const ids = Array.from({ length: 300 }, (_, at) => setTimeout(() => order.push(at), 300 - at)); ids.forEach((id, at) => at % 100 && clearTimeout(id)); await new Promise((r) => setTimeout(r, 400)); return order",
            json!([200, 100, 0]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(eval(body), expected, "{body}");
    }
}

#[test]
fn timers_and_promises_of_the_top_level_go_on_in_each_call() {
    let built = build(&format!(
        "{HEAD}let ticks = 0;\nsetInterval(() => ticks++, 10);\nconst ready = new Promise((r) => setTimeout(r, 25, 'warm'));\nawait new Promise((r) => setTimeout(r, 5));\nexport default op(async () => [await ready, ticks, Math.round(performance.now())]);"
    ));
    for _ in 0..2 {
        // It was 5 ms old when its image was made.
        assert_eq!(value(&call(&built, "{}", Limits::default())), json!(["warm", 2, 20]));
    }
    let warmed = build(&format!(
        "{HEAD}const ready = new Promise((r) => setTimeout(r, 25, 'warm'));\nexport default op(async () => {{ setTimeout(() => {{ throw new Error('of another call') }}, 1); await null; return [await Promise.race([ready, 'not yet']), Math.round(performance.now())]; }}, {{ warmup: {{}} }});"
    ));
    assert_eq!(value(&call(&warmed, "{}", Limits::default())), json!(["not yet", 0]));
}

#[test]
fn logging_never_fails_a_call_and_shows_causes() {
    let built = build(&format!(
        "{HEAD}Promise.reject(new Error('at the top'));\nexport default op(async ({{ log }}) => {{\n  log.info({{ get late() {{ throw new Error('not ready') }}, a: 1 }});\n  log.info(new Proxy({{}}, {{ ownKeys() {{ throw new Error('no') }} }}));\n  log.info('%d %i %s %j', Symbol('s'), 5n, Symbol('t'), {{ n: 1n }});\n  const cyclic: any = {{}}; cyclic.self = cyclic; log.info(cyclic, '%j', cyclic);\n  log.error(new AggregateError([new Error('a'), new TypeError('b')], 'both', {{ cause: new Error('deep', {{ cause: 'text' }}) }}));\n  const handled = Promise.reject(new Error('handled')); Promise.reject(new Error('nobody')); await null; await handled.catch(() => 0);\n  return 1;\n}});"
    ));
    let outcome = call(&built, "{}", Limits::default());
    assert_eq!(value(&outcome), json!(1));
    let lines: Vec<_> = outcome.log.lines.iter().map(|line| &*line.text).collect();
    assert!(lines[0].contains("late: [Getter]") && lines[0].contains("a: 1"), "{lines:?}");
    assert!(lines[2].starts_with("NaN 5n Symbol(t) "), "{lines:?}");
    for part in [
        "AggregateError: both",
        "[cause]: Error: deep",
        "[cause]: text",
        "[error]: Error: a",
        "[error]: TypeError: b",
    ] {
        assert!(lines[4].contains(part), "{part}: {}", lines[4]);
    }
    assert!(!lines[4].contains("<null>"), "{}", lines[4]);
    let unhandled: Vec<_> = lines.iter().filter(|line| line.contains("nobody handled")).collect();
    assert!(unhandled.len() == 2 && unhandled[0].contains("at the top"), "{lines:?}");
    assert!(unhandled[1].contains("Error: nobody"), "{lines:?}");
}
