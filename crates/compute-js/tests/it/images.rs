//! Op images: made once, and never what a call left.

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
