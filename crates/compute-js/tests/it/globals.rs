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
            "const say = (label: string, ...bytes: number[]) => new TextDecoder(label).decode(new Uint8Array(bytes)); return [say('Shift_JIS', 0x93, 0xfa), say('cp1251', 0xcf), say('gb2312', 0xc4, 0xe3), say('big5', 0xa4, 0xa4), say('euc-kr', 0xc7, 0xd1), say('iso-8859-2', 0xb3), new TextDecoder('sjis').encoding]",
            json!(["日", "П", "你", "中", "한", "ł", "shift_jis"]),
        ),
        (
            "const tag = (x: unknown) => Object.prototype.toString.call(x); const { signal } = new AbortController(); return [URL.name, Blob.name, Headers.name, signal.constructor.name, tag(signal), tag(new Event('x')), tag(new TextEncoder())]",
            json!([
                "URL",
                "Blob",
                "Headers",
                "AbortSignal",
                "[object AbortSignal]",
                "[object Event]",
                "[object TextEncoder]"
            ]),
        ),
        (
            "const d = new TextDecoder('utf-16le', { fatal: true }); try { d.decode(new Uint8Array([0x3d, 0xd8])) } catch {} return [d.decode(new Uint8Array([0xff, 0xfe, 0x61, 0])), new TextDecoder('utf-16le').decode(new Uint8Array([0x3d, 0xd8, 0x41]))]",
            json!(["a", "\u{fffd}"]),
        ),
        (
            "const d = new TextDecoder('euc-jp', { fatal: true }); const t = d.decode(new Uint8Array([0xc6]), { stream: true }) + d.decode(new Uint8Array([0xfc])); try { d.decode(new Uint8Array([0xff])) } catch (e: any) { return [t, e.name] }",
            json!(["日", "TypeError"]),
        ),
        (
            "const wrong = []; for (const label of ['nope', 'replacement', 'hz-gb-2312', '']) { try { new TextDecoder(label); wrong.push(label) } catch (e: any) { if (e.name !== 'RangeError') wrong.push(e.name) } } return wrong",
            json!([]),
        ),
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
fn the_classes_of_the_web_are_there() {
    let cases = [
        (
            "const h = new Headers({ 'X-A': ' 1 ', b: '2' }); h.append('x-a', '3'); h.append('set-cookie', 'a=1'); h.append('set-cookie', 'b=2'); return [[...h], h.get('X-a'), h.getSetCookie(), h.get('zz')]",
            json!([
                [["b", "2"], ["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x-a", "1, 3"]],
                "1, 3",
                ["a=1", "b=2"],
                null
            ]),
        ),
        (
            "const b = new Blob(['he', new Uint8Array([108, 108]), new Blob(['o'])], { type: 'Text/Plain' }); return [b.size, b.type, await b.text(), await b.slice(-2).text()]",
            json!([5, "text/plain", "hello", "lo"]),
        ),
        (
            "const f = new FormData(); f.append('a', '1\\n2'); f.append('file', new File(['xyz'], 'a\"b.txt', { type: 'text/plain' })); const r = new Response(f); const g = await r.formData(); return [g.get('a'), (g.get('file') as File).name, await (g.get('file') as File).text()]",
            json!(["1\r\n2", "a\"b.txt", "xyz"]),
        ),
        (
            "const r = Response.json({ a: 1 }, { status: 201 }), c = r.clone(); return [r.status, r.ok, await r.json(), r.bodyUsed, await c.text(), r.headers.get('content-type')]",
            json!([201, true, { "a": 1 }, true, "{\"a\":1}", "application/json"]),
        ),
        (
            "const r = new Response('x'); await r.text(); try { await r.text() } catch (e: any) { return e.name }",
            json!("TypeError"),
        ),
        (
            "const q = new Request('http://a/b?c', { method: 'post', body: 'hi', headers: { x: '1' } }), d = new Request(q, { headers: { y: '2' } }); return [d.method, d.url, await d.text(), d.headers.get('x'), d.headers.get('y'), q.bodyUsed]",
            json!(["POST", "http://a/b?c", "hi", null, "2", true]),
        ),
        (
            "const s = new ReadableStream({ start(c) { c.enqueue('a\\ud83d'); c.enqueue('\\ude00b'); c.close() } }).pipeThrough(new TextEncoderStream()).pipeThrough(new TextDecoderStream()); let t = ''; for await (const k of s) t += k; return t",
            json!("a😀b"),
        ),
        (
            "const out: any[] = []; for (const f of ['gzip', 'deflate', 'deflate-raw'] as const) { const s = new Blob(['hello '.repeat(1000)]).stream().pipeThrough(new CompressionStream(f)).pipeThrough(new DecompressionStream(f)); out.push((await new Response(s).text()).length) } return out",
            json!([6000, 6000, 6000]),
        ),
        (
            "const s = new Blob([new Uint8Array([31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 203, 72])]).stream().pipeThrough(new DecompressionStream('gzip')); try { return await new Response(s).text() } catch (e: any) { return e.name }",
            json!("TypeError"),
        ),
        (
            "const c = new MessageChannel(), got = new Promise((r) => { c.port1.onmessage = (e) => r(e.data) }); c.port2.postMessage({ a: [1] }); return await got",
            json!({ "a": [1] }),
        ),
        (
            "return [self === globalThis, global === globalThis, navigator.userAgent, Object.keys(globalThis).length]",
            json!([true, true, "compute", 0]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(eval(body), expected, "{body}");
    }
}

#[test]
fn keys_sign_verify_and_encrypt() {
    let rsa: Value = serde_json::from_str(include_str!("../keys/rsa.json")).unwrap();
    let helpers = format!(
        "const s = crypto.subtle, bytes = (t: string) => new TextEncoder().encode(t), unhex = (t: string) => Uint8Array.from(t.match(/../g) ?? [], (p) => parseInt(p, 16)), hex = (b: ArrayBuffer) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join(''), decode = (t: string) => Uint8Array.from(atob(t), (c) => c.charCodeAt(0)), rsa = {rsa};"
    );
    let fox = "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8";
    let signed = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    let hkdf =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    let cases = [
        // HMAC: RFC 4231's hash on a well-known text.
        (
            "const k = await s.importKey('raw', bytes('key'), { name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']), t = bytes('The quick brown fox jumps over the lazy dog'), m = await s.sign('HMAC', k, t); return [hex(m), await s.verify('HMAC', k, m, t), await s.verify('HMAC', k, m, bytes('x')), (await s.exportKey('jwk', k)).alg]",
            json!([fox, true, false, "HS256"]),
        ),
        // Ed25519: RFC 8032, 7.1, test 1.
        (
            "const open = unhex('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'), secret = unhex('302e020100300506032b6570042204209d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60'), k = await s.importKey('raw', open, 'Ed25519', true, ['verify']), p = await s.importKey('pkcs8', secret, 'Ed25519', false, ['sign']), m = await s.sign('Ed25519', p, bytes('')); return [hex(m), await s.verify('Ed25519', k, m, bytes('')), await s.verify('Ed25519', k, m, bytes('x'))]",
            json!([signed, true, false]),
        ),
        // HKDF: RFC 5869, A.1. PBKDF2: RFC 6070, 1.
        (
            "const k = await s.importKey('raw', new Uint8Array(22).fill(11), 'HKDF', false, ['deriveBits']); return hex(await s.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: unhex('000102030405060708090a0b0c'), info: unhex('f0f1f2f3f4f5f6f7f8f9') }, k, 336))",
            json!(hkdf),
        ),
        (
            "const k = await s.importKey('raw', bytes('password'), 'PBKDF2', false, ['deriveBits']); return hex(await s.deriveBits({ name: 'PBKDF2', hash: 'SHA-1', salt: bytes('salt'), iterations: 1 }, k, 160))",
            json!("0c60c80f961f0e71f3a9b524af6012062fe037a6"),
        ),
        (
            "const k = await s.importKey('pkcs8', decode(rsa.pkcs8), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, false, ['sign']), v = await s.importKey('spki', decode(rsa.spki), { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, true, ['verify']); const m = await s.sign('RSASSA-PKCS1-v1_5', k, bytes('hello')); return [hex(m) === hex(decode(rsa.sig).buffer), await s.verify('RSASSA-PKCS1-v1_5', v, m, bytes('hello')), await s.verify('RSASSA-PKCS1-v1_5', v, m, bytes('hullo'))]",
            json!([true, true, false]),
        ),
        (
            "const out: any[] = []; for (const namedCurve of ['P-256', 'P-384']) { const p = await s.generateKey({ name: 'ECDSA', namedCurve }, true, ['sign', 'verify']), al = { name: 'ECDSA', hash: 'SHA-256' }, m = await s.sign(al, p.privateKey, bytes('x')), k = await s.importKey('jwk', await s.exportKey('jwk', p.publicKey), { name: 'ECDSA', namedCurve }, true, ['verify']); out.push(m.byteLength, await s.verify(al, k, m, bytes('x')), await s.verify(al, k, m, bytes('y'))) } return out",
            json!([64, true, false, 96, true, false]),
        ),
        (
            "const k = await s.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt']), al = { name: 'AES-GCM', iv: new Uint8Array(12) }, m = new Uint8Array(await s.encrypt(al, k, bytes('secret'))), back = new TextDecoder().decode(await s.decrypt(al, k, m)); m[0] ^= 1; try { await s.decrypt(al, k, m) } catch (e: any) { return [back, e.name] }",
            json!(["secret", "OperationError"]),
        ),
        (
            "const k = await s.importKey('raw', bytes('key'), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']); const told = async (f: () => Promise<unknown>) => { try { await f() } catch (e: any) { return e.name } }; return [await told(() => s.exportKey('raw', k)), await told(() => s.sign('HMAC', k, bytes('x'))), await told(() => s.importKey('raw', bytes('x'), 'ROT13', true, ['sign'])), k instanceof CryptoKey, k.type]",
            json!([
                "InvalidAccessError",
                "InvalidAccessError",
                "NotSupportedError",
                true,
                "secret"
            ]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(eval(&format!("{helpers} {body}")), expected, "{body}");
    }
}

#[test]
fn modules_of_node_that_are_computed_are_there() {
    let cases = [
        (
            "EventEmitter from 'node:events'",
            "const e = new EventEmitter(); let n = 0; e.on('x', (v: number) => (n += v)); e.emit('x', 3); return n",
            json!(3),
        ),
        (
            "{ EventEmitter, once } from 'events'",
            "const e = new EventEmitter(), got = once(e, 'x'); e.emit('x', 3); return await got",
            json!([3]),
        ),
        (
            "path from 'path'",
            "return [path.join('/a', '../b', 'c.txt'), path.extname('x.y')]",
            json!(["/b/c.txt", ".y"]),
        ),
        (
            "{ format, promisify, inherits, types } from 'util'",
            "return [format('%s:%d:%j', 'a', 1, { b: 2 }), typeof inherits, types.isDate(new Date()), await promisify((x: any, done: any) => done(null, x + 1))(1)]",
            json!(["a:1:{\"b\":2}", "function", true, 2]),
        ),
        (
            "assert from 'node:assert/strict'",
            "try { assert.deepEqual({ a: 1 }, { a: 2 }) } catch (e: any) { return e.code }",
            json!("ERR_ASSERTION"),
        ),
        (
            "{ StringDecoder } from 'string_decoder'",
            "const d = new StringDecoder('utf8'); return d.write(Buffer.from([0xe2, 0x82])) + d.write(Buffer.from([0xac])) + d.end()",
            json!("€"),
        ),
        (
            "qs from 'querystring'",
            "return [qs.parse('a=1&a=2&b=%20'), qs.stringify({ a: [1, 2] })]",
            json!([{ "a": ["1", "2"], "b": " " }, "a=1&a=2"]),
        ),
        (
            "url from 'url'",
            "return [url.parse('http://a:1/b?c=1#d', true).query, url.resolve('http://a/b/', 'c'), url.format({ protocol: 'http', host: 'a', pathname: '/x', query: { y: 1 } })]",
            json!([{ "c": "1" }, "http://a/b/c", "http://a/x?y=1"]),
        ),
        (
            "{ Readable, pipeline, Transform } from 'stream'",
            "const out: string[] = []; for await (const c of Readable.from(['a', 'b'])) out.push(c); return out",
            json!(["a", "b"]),
        ),
        (
            "* as crypto from 'crypto'",
            "return [crypto.createHash('md5').update('abc').digest('hex'), crypto.createHmac('sha256', 'k').update('x').digest('base64'), crypto.timingSafeEqual(Buffer.from('a'), Buffer.from('b')), crypto.randomBytes(4).length, crypto.pbkdf2Sync('p', 's', 1, 8, 'sha256').toString('hex')]",
            json!([
                "900150983cd24fb0d6963f7d28e17f72",
                "w47ciBXISJ9kc4l49EAI+FljRVRfC6po72/PXFPlcYk=",
                false,
                4,
                "372cc9815244c4a2"
            ]),
        ),
        (
            "zlib from 'zlib'",
            "return [zlib.gunzipSync(zlib.gzipSync('hello')).toString(), zlib.inflateRawSync(zlib.deflateRawSync('x')).toString(), zlib.crc32('hello')]",
            json!(["hello", "x", 907_060_870_u32]),
        ),
        (
            "{ setTimeout as sleep } from 'timers/promises'",
            "return await sleep(5, 'done')",
            json!("done"),
        ),
        (
            "{} from 'buffer'",
            "return [Buffer.from('héllo').toString('base64'), Buffer.concat([Buffer.from([1]), Buffer.alloc(2)]).length, Buffer.isBuffer(new Uint8Array(1)), process.env, typeof (process as any).versions.node, await new Promise((r) => process.nextTick(r, 5))]",
            json!(["aMOpbGxv", 3, false, {}, "undefined", 5]),
        ),
    ];
    for (import, body, expected) in cases {
        let source = format!(
            "import {import};\n{HEAD}declare const Buffer: any, process: any;\nexport default op(async () => {{ {body} }});"
        );
        assert_eq!(value(&call(&build(&source), "{}", Limits::default())), expected, "{import}");
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

/// What a hostile tenant and a demanding author found.
#[test]
fn corners_are_as_they_are_elsewhere() {
    let cases: [(&str, Value); 10] = [
        (
            "return [2 ** -24, 2 ** 89, 2 ** 149, 2 ** 740].map(String)",
            json!([
                "5.960464477539063e-8",
                "6.189700196426902e+26",
                "7.1362384635298e+44",
                "5.78358058743443e+222"
            ]),
        ),
        (
            "const k = await crypto.subtle.importKey('raw', new Uint8Array(32), 'AES-CTR', true, ['encrypt']); const c = new Uint8Array(await crypto.subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16).fill(255), length: 64 }, k, new Uint8Array(48))); return [c[16], c[17], c[18], c[19]]",
            json!([0x9b, 0x58, 0xdb, 0xfd]),
        ),
        (
            "const k = await crypto.subtle.importKey('raw', new Uint8Array(32), 'AES-CTR', true, ['encrypt']); const tried = (length: number, size: number) => crypto.subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length }, k, new Uint8Array(size)).then(() => 'fine', (e: any) => e.name); return [await tried(1, 32), await tried(1, 33), await tried(0, 1), await tried(129, 1)]",
            json!(["fine", "OperationError", "OperationError", "OperationError"]),
        ),
        (
            "const u = new URL('http://a/'); for (let i = 0; i < 2000; i++) u.searchParams.append('k' + i, 'v'); u.searchParams.delete('k1'); const n = u.search.length; u.search = '?z=1'; return [n, u.searchParams.get('z'), u.href]",
            json!([14885, "1", "http://a/?z=1"]),
        ),
        (
            "return [[1.5, new Date(0)].toLocaleString('de', { timeZone: 'UTC' } as any), new Float64Array([1.5]).toLocaleString('de')]",
            json!(["1,5,1.1.1970, 00:00:00", "1,5"]),
        ),
        (
            "const o: string[] = []; setTimeout(() => o.push('b'), 1); setTimeout(() => o.push('c'), 0); const i = setInterval(() => { o.push('i'); if (o.length > 4) clearInterval(i); }, 10); setTimeout(() => o.push('z'), 20); await new Promise((r) => setTimeout(r, 50)); return o.join('')",
            json!("bcizi"),
        ),
        (
            "return [Buffer.from('x?>').toString('base64url'), Buffer.from('eD8-', 'base64url').toString(), Buffer.isEncoding('base64url')]",
            json!(["eD8-", "x?>", true]),
        ),
        (
            "return [(Intl as any).Collator('en').compare('a', 'b'), new Intl.Collator('de') instanceof Intl.Collator]",
            json!([-1, true]),
        ),
        ("return { then(done: any) { done(5); } } as any", json!(5)),
        (
            "const deep = (make: (o: any) => any, key: any) => { const o: any = { get [key]() { return make(o); } }; try { make(o); return 'none'; } catch (e: any) { return e.name; } }; return [deep((o) => new Uint8Array(o), 'length'), deep((o) => new Error('x', o), 'cause'), deep((o) => new Map(o), Symbol.iterator), deep((o) => new ArrayBuffer(8, o), 'maxByteLength')]",
            json!(["RangeError", "RangeError", "RangeError", "RangeError"]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(eval(body), expected, "{body}");
    }
}
