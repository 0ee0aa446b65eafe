//! Op images: made once, and never what a call left.

mod results;

use compute::Limits;
use serde_json::json;

use crate::{HEAD, build, call, value};

#[test]
fn a_warm_up_runs_before_the_image_is_taken() {
    let built = build(&format!(
        "{HEAD}const seen: unknown[] = []; let compiled = false;\nexport default op(({{ input }}) => {{ const was = compiled; compiled = true; seen.push(input); return [was, seen[0]]; }}, {{ warmup: {{ sample: true }} }});"
    ));
    for _ in 0..2 {
        let outcome = call(&built, "{\"n\":1}", Limits::default());
        assert_eq!(value(&outcome), json!([true, { "sample": true }]));
    }
}

#[test]
fn a_warm_up_that_fails_is_told() {
    let built =
        build(&format!("{HEAD}export default op(({{ input }}) => input.a.b, {{ warmup: {{}} }});"));
    let outcome = call(&built, "{\"a\":{\"b\":1}}", Limits::default());
    assert!(outcome.result.is_err());
}

/// References to what is in an image are not counted, so whatever a call does to it must keep working, and
/// garbage that refers to it must still be collected.
#[test]
fn a_call_may_do_anything_to_what_the_image_holds() {
    let built = build(&format!(
        "{HEAD}{}",
        r#"
const shared: any = { hits: 0 };
shared.self = shared;
let text = "ab".repeat(3);
const list: any[] = [1, 2, 3], table = new Map<any, any>([["a", 1]]), weak = new WeakRef(shared);
const keyed = new WeakMap([[shared, "kept"]]), pattern = /a./g, symbol = Symbol("s");
const record: any = { a: 1, b: 2, c: 3, [symbol]: 4 };
class Counter { #count = 0; next() { return ++this.#count; } }
const counter = new Counter();
function* numbers() { let n = 0; for (;;) yield n++; }
const running = numbers();
running.next();

export default op(async () => {
  const before = JSON.stringify([text, list, [...table], record, counter.next(), running.next().value]);
  // 500 MB in all, in cycles that lead to the image.
  for (let i = 0; i < 300000; i++) {
    const garbage: any = { shared, list: new Array(100).fill(shared), pattern, symbol };
    garbage.self = garbage;
  }
  shared.hits++;
  for (let i = 0; i < 1000; i++) {
    text += i;
    list.push({ i });
    table.set("k" + i, list);
    record["p" + i] = list;
  }
  for (let i = 0; i < 900; i++) {
    list.pop();
    delete record["p" + i];
    table.delete("k" + i);
  }
  delete record.a;
  list.length = 5;
  await null;
  return [before, text.length, list, table.size, Object.keys(record).length, record[symbol],
    weak.deref() === shared, keyed.get(shared), "xaby".match(pattern), shared.self.hits, running.next().value];
});
"#
    ));
    let before = "[\"ababab\",[1,2,3],[[\"a\",1]],{\"a\":1,\"b\":2,\"c\":3},1,1]";
    for _ in 0..2 {
        let outcome = call(&built, "{}", Limits::default());
        assert_eq!(
            value(&outcome),
            json!([before, 2896, [1, 2, 3, { "i": 0 }, { "i": 1 }], 101, 102, 4, true, "kept", ["ab"], 1, 2])
        );
        assert!(outcome.metrics.peak_memory < 48 << 20, "{}", outcome.metrics.peak_memory);
    }
}

#[test]
fn a_metered_run_gives_the_same_and_repeats_its_fuel() {
    let built = build(&format!("{HEAD}export default op(({{ input }}) => input.n * 2);"));
    let metered = Limits { fuel: Some(1_000_000_000), ..Limits::default() };
    let first = call(&built, "{\"n\":21}", metered);
    assert_eq!(value(&first), json!(42));
    let again = call(&built, "{\"n\":21}", metered);
    assert_eq!(first.metrics.fuel, again.metrics.fuel);
    assert!(first.metrics.fuel.unwrap() > 1000);
}

#[test]
fn an_op_stays_with_the_plugin_that_it_was_built_against() {
    use std::sync::Arc;

    use compute::{Algorithm, Artifact, ArtifactMap, Manager, OpCall, RunOptions, Runner as _};

    // Another version of the plugin: the same code, other bytes.
    let own = compute_js_plugin::plugin();
    let mut bytes = own.wasm().to_vec();
    bytes.extend_from_slice(b"\0\x04\x03old");
    let older = Artifact::new(Algorithm::Sha256, "wasm", bytes);
    let built = build(&format!("{HEAD}export default op(() => 1);"));
    let mut wasm = built.artifact.wasm().to_vec();
    let (from, to) = (own.reference().digest().as_bytes(), older.reference().digest().as_bytes());
    let places: Vec<_> =
        (0..wasm.len() - from.len()).filter(|at| wasm[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 3, "the plugin's ref is in each import");
    for at in places {
        wasm[at..at + to.len()].copy_from_slice(to);
    }
    let op = Artifact::new(Algorithm::Sha256, "wasm", wasm);
    let reference = op.reference().clone();
    let run = |artifacts: ArtifactMap| {
        let manager =
            Manager::builder().shared_resolver(Arc::new(artifacts)).limits(crate::LIMITS).build();
        let options = RunOptions { op: Some(OpCall::default()), ..RunOptions::default() };
        manager.run_blocking(&reference, b"{}", &options)
    };
    let outcome = run(ArtifactMap::from([op.clone(), older.clone(), own.clone()])).unwrap();
    assert_eq!(outcome.result.unwrap(), b"1");
    // Without it, the op does not run on another.
    let error = run(ArtifactMap::from([op, own])).unwrap_err();
    assert!(error.to_string().contains(older.reference().digest()), "{error}");
}
