//! The SDK's helper modules.

use serde_json::{Value, json};

use crate::{HEAD, run};

fn with(import: &str, body: &str) -> Value {
    run(&format!("{HEAD}{import}\nexport default op(async () => {{ {body} }});"))
}

#[test]
fn envelope_gets_sets_and_picks() {
    let import = "import { get, set, pick } from \"@compute/op/envelope\";";
    let cases = [
        (
            "return [get({ a: { b: [{ c: 7 }] } }, 'a.b[0].c'), get({}, 'x.y', 'none'), get({ a: null }, 'a.b') ?? 'nothing']",
            json!([7, "none", "nothing"]),
        ),
        (
            "const d = { a: { b: 1 } }; return [set(d, 'a.c[1]', 2), d]",
            json!([{ "a": { "b": 1, "c": [null, 2] } }, { "a": { "b": 1, "c": [null, 2] } }]),
        ),
        (
            "return pick({ a: 1, b: { c: 2, d: 3 } }, ['b.c', 'missing'])",
            json!({ "b": { "c": 2 } }),
        ),
        (
            "return [pick({ a: { b: 1 }, 'a.b': 3, c: 4 }, ['a.b', 'c']), pick({ a: { b: 1 }, c: 4, d: 5 }, 'a.b', 'c')]",
            json!([{ "a.b": 3, "c": 4 }, { "a": { "b": 1 }, "c": 4 }]),
        ),
        (
            "const wrong: string[] = []; for (const path of ['__proto__.x', 'a.constructor', 'a[', '', 'a..b']) { try { set({}, path, 1); wrong.push(path); } catch {} } return [wrong, ({} as any).x ?? 'clean']",
            json!([[], "clean"]),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(with(import, body), expected, "{body}");
    }
}

#[test]
fn schema_says_all_that_is_wrong() {
    let import = "import { s, type Infer } from \"@compute/op/schema\";\nconst Order = s.object({ id: s.string().min(2), items: s.array(s.object({ sku: s.string(), price: s.number().positive() })).nonempty(), kind: s.enum([\"a\", \"b\"]).default(\"a\"), note: s.string().nullable().optional() });\ntype Order = Infer<typeof Order>;";
    let cases = [
        (
            "return Order.parse({ id: 'x1', items: [{ sku: 'p', price: 2, extra: 1 }], more: 1 })",
            json!({ "id": "x1", "items": [{ "sku": "p", "price": 2 }], "kind": "a" }),
        ),
        (
            "try { Order.parse({ id: 'x', items: [{ sku: 3, price: -1 }], kind: 'c' }) } catch (e: any) { return [e.name, e.message] }",
            json!([
                "SchemaError",
                "id must have at least 2 characters; items[0].sku must be a text, and is 3; items[0].price must be more than 0; kind must be one of \"a\", \"b\", and is \"c\""
            ]),
        ),
        (
            "return [s.union([s.string(), s.number()]).safeParse(true).success, s.tuple([s.literal(1), s.boolean()]).parse([1, true]), s.record(s.number()).is({ a: 1 })]",
            json!([false, [1, true], true]),
        ),
        (
            "return [s.record(s.string().max(1), s.number()).is({ ab: 1 }), s.coerce.number().min(2).parse('3'), s.number().nullish().parse(null), s.number().catch(7).parse('x'), s.string().or(s.number()).parse(5), s.discriminatedUnion('k', [s.object({ k: s.literal('a') }), s.object({ k: s.literal('b'), n: s.number() })]).safeParse({ k: 'b' }).error?.message, s.object({ a: s.number(), b: s.number() }).pick({ a: true }).parse({ a: 1, b: 2 })]",
            json!([false, 3, null, 7, 5, "n is missing; it must be a number", { "a": 1 }]),
        ),
        ("return s.string().trim().transform((t) => t.length).parse('  abc ')", json!(3)),
        (
            "return s.object({ a: s.number() }).strict().safeParse({ a: 1, b: 2 }).error.message",
            json!("b is not expected"),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(with(import, body), expected, "{body}");
    }
}

#[test]
fn crypto_and_codec_agree_with_the_standards() {
    let import = "import { sha256, hmac, b64, equal } from \"@txco/op/crypto\";\nimport { toHex, fromHex, toBase64Url, bytes, text, json } from \"@txco/op/codec\";";
    let cases = [
        // FIPS 180-4, "abc".
        (
            "return sha256('abc')",
            json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        // RFC 4231, test case 2.
        (
            "return hmac('Jefe', 'what do ya want for nothing?')",
            json!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ),
        // RFC 4231, test case 6: a key longer than a block.
        (
            "return hmac(new Uint8Array(131).fill(0xaa), 'Test Using Larger Than Block-Size Key - Hash Key First')",
            json!("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        ),
        (
            "return [b64.encode('hi'), text(b64.decode('aGk')), toHex(fromHex('00ff')), toBase64Url(bytes('>>?')), equal('a', 'a'), equal('a', 'ab')]",
            json!(["aGk=", "hi", "00ff", "Pj4_", true, false]),
        ),
        (
            "return [json('[1]'), json.decode(json.encode({ a: 1 })), text.decode(text.encode('ä')), json.stringify([2])]",
            json!([[1], { "a": 1 }, "ä", "[2]"]),
        ),
        // At once, so that a forgotten `await` is none; and as the platform's own.
        ("return typeof sha256('abc') + typeof hmac('a', 'b')", json!("stringstring")),
        (
            "for (const n of [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000]) { const data = new Uint8Array(n).fill(97); const own = sha256(data, 'bytes'); const other = new Uint8Array(await crypto.subtle.digest('SHA-256', data)); if (own.length !== 32 || own.some((byte, at) => byte !== other[at])) return n; } return 'same'",
            json!("same"),
        ),
    ];
    for (body, expected) in cases {
        assert_eq!(with(import, body), expected, "{body}");
    }
}
