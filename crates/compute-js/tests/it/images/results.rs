//! Which runs give the same whenever they are made, and what is kept of them.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use compute::{Env, Manager, Meta, OpCall, Outcome, RunOptions, Runner as _, Secrets, Seed};
use compute_js::Built;

use crate::{HEAD, LIMITS, bench, build, value};

/// A manager that keeps results, with what was built here.
fn keeping() -> Manager {
    Manager::builder().shared_resolver(bench().artifacts.clone()).results(1 << 20).build()
}

/// The options of a request of its own: another clock, other random numbers, another name.
fn request(number: u64) -> RunOptions {
    let mut limits = LIMITS;
    limits.now = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(number));
    limits.seed = Some(Seed::new([u8::try_from(number).unwrap(); 32]));
    let meta = Meta { rid: format!("r-{number}"), ..Meta::default() };
    RunOptions {
        limits,
        cache: true,
        op: Some(OpCall { meta, ..OpCall::default() }),
        ..RunOptions::default()
    }
}

fn run(manager: &Manager, built: &Built, options: &RunOptions) -> Outcome {
    manager.run_blocking(built.artifact.reference(), b"{\"n\":1}", options).unwrap()
}

#[test]
fn what_looks_at_nothing_of_its_request_is_run_once() {
    let manager = keeping();
    for body in [
        "return { n: input.n + 1 }",
        "const begun = performance.now(); await new Promise((done) => setTimeout(done, 5)); return { took: performance.now() - begun };",
        "log.info(`n is ${input.n}`); emit('seen', { n: input.n }); return { at: new Date(0).getTime(), op: meta.op };",
        "return { env: env.region ?? null, key: secrets.KEY ?? null };",
    ] {
        let built = build(&format!(
            "{HEAD}export default op(async ({{ input, meta, env, secrets, log, emit }}) => {{ {body} }});"
        ));
        let first = run(&manager, &built, &request(1));
        assert!(first.pure && !first.metrics.cached, "{body}");
        let second = run(&manager, &built, &request(2));
        assert!(second.metrics.cached, "{body}");
        assert_eq!(value(&first), value(&second), "{body}");
        assert_eq!((&first.log, &first.events), (&second.log, &second.events), "{body}");
        assert_eq!(first.metrics.peak_memory, second.metrics.peak_memory, "{body}");
        assert_eq!(second.bounds.seed, Seed::new([2; 32]), "{body}");
        // What it could see is otherwise.
        let op = |op: OpCall| RunOptions { op: Some(op), ..request(3) };
        let env = Env::from_iter([("region".to_owned(), "eu".into())]);
        for options in [
            op(OpCall { env, ..OpCall::default() }),
            op(OpCall {
                secrets: Secrets::from_iter([("KEY".to_owned(), "value".to_owned())]),
                ..OpCall::default()
            }),
            op(OpCall {
                meta: Meta { op: "s/1/other".into(), ..Meta::default() },
                ..OpCall::default()
            }),
            RunOptions { limits: compute::Limits { fuel: Some(1 << 40), ..LIMITS }, ..request(3) },
        ] {
            assert!(!run(&manager, &built, &options).metrics.cached, "{body}");
        }
        // Who does not ask for it gets none.
        let plain = RunOptions { cache: false, ..request(4) };
        assert!(!run(&manager, &built, &plain).metrics.cached);
        manager.forget(built.artifact.reference());
        assert!(!run(&manager, &built, &request(5)).metrics.cached, "{body}");
    }
    let stats = manager.results();
    assert!(stats.hits >= 4 && stats.misses > stats.hits && stats.bytes > 0, "{stats:?}");
}

#[test]
fn what_looks_at_its_request_is_run_each_time() {
    let manager = keeping();
    for body in [
        "return Date.now();",
        "return new Date().getTime();",
        "return Date();",
        "return performance.timeOrigin;",
        "return Math.random();",
        "return crypto.randomUUID();",
        "return [...crypto.getRandomValues(new Uint8Array(4))];",
        "return meta.rid;",
        "return meta;",
        "const { rid, ...rest } = meta; return rest;",
        "return JSON.stringify(meta);",
        "return { ...meta };",
        "return structuredClone(meta);",
        "return new File(['a'], 'a').lastModified;",
        "return new Intl.DateTimeFormat('en').format();",
        "return Object.values(meta);",
        "log.info(meta); return 1;",
        "return Math.random() < 2;",
    ] {
        let built =
            build(&format!("{HEAD}export default op(({{ input, meta, log }}) => {{ {body} }});"));
        for number in 1..3 {
            let outcome = run(&manager, &built, &request(number));
            value(&outcome);
            assert!(!outcome.pure && !outcome.metrics.cached, "{body}");
        }
    }
    let built = build(&format!("{HEAD}export default op(() => {{ throw new Error('no'); }});"));
    for number in 1..3 {
        let outcome = run(&manager, &built, &request(number));
        assert!(outcome.result.is_err() && !outcome.metrics.cached);
    }
    // It can still be written to, and is as it was otherwise.
    let built = build(&format!(
        "{HEAD}export default op(({{ meta }}: any) => {{ const seen = Object.keys(meta).includes('rid'); meta.rid = 'mine'; return [seen, meta.rid]; }});"
    ));
    let outcome = run(&manager, &built, &request(1));
    assert_eq!(value(&outcome), serde_json::json!([true, "mine"]));
}

#[test]
fn a_share_of_what_is_found_is_run_all_the_same() {
    let manager = Manager::builder()
        .shared_resolver(bench().artifacts.clone())
        .results(1 << 20)
        .verify_results(NonZeroU32::MIN)
        .build();
    let built = build(&format!("{HEAD}export default op(({{ input }}) => input);"));
    for number in 1..5 {
        assert!(!run(&manager, &built, &request(number)).metrics.cached);
    }
    let stats = manager.results();
    assert_eq!((stats.hits, stats.verified, stats.differed), (3, 3, 0));
}

#[test]
fn tenants_share_no_results_and_all_keep_within_the_bytes() {
    let manager = keeping();
    let built = build(&format!("{HEAD}export default op(({{ input }}) => input);"));
    let other = manager.for_tenant(Some("other"), bench().artifacts.clone());
    run(&manager, &built, &request(1));
    assert!(!run(&other, &built, &request(2)).metrics.cached);
    assert!(run(&other, &built, &request(3)).metrics.cached);
    let text = "x".repeat(10_000);
    for number in 0..500 {
        let input = format!("{{\"n\":{number},\"text\":\"{text}\"}}");
        let manager = if number % 2 == 0 { &manager } else { &other };
        manager.run_blocking(built.artifact.reference(), input.as_bytes(), &request(1)).unwrap();
        let held = manager.results().bytes;
        assert!(held <= 1 << 20, "{held}");
    }
    assert!(manager.results().bytes > 1 << 19);
    // One that is too large for it is not kept.
    let input = format!("\"{}\"", "y".repeat(1 << 18));
    for _ in 0..2 {
        let outcome = manager
            .run_blocking(built.artifact.reference(), input.as_bytes(), &request(1))
            .unwrap();
        assert!(!outcome.metrics.cached);
    }
    drop(other);
    assert!(manager.results().bytes <= 1 << 19);
}
