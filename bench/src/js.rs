//! JavaScript, side by side: ours, a bare wasmtime harness of the same design, native QuickJS.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use compute::{
    Algorithm, Artifact, ArtifactMap, EngineConfig, Limits, Load, Manager, OpCall, Profile, Ref,
    RunOptions, Runner as _,
};
use compute_wasm::{Settings, WasmEngine};
use rquickjs::{Context, Ctx, Function, Runtime};

use crate::bare_op::BareOp;
use crate::{Contender, input, plain, race};

/// Long enough that only a failure reaches it.
const LIMITS: Limits =
    Limits { wall: Some(Duration::from_secs(30)), memory: Some(64 << 20), ..Limits::DEFAULT };

struct Op {
    name: &'static str,
    file: &'static str,
    input: Vec<u8>,
    /// The handler's source, for engines that need no bundle.
    handler: Option<&'static str>,
    rounds: usize,
    calls: usize,
}

fn ops() -> Vec<Op> {
    vec![
        Op {
            name: "trivial",
            file: "trivial",
            input: input(),
            handler: Some("({ input }) => ({ ...input, greeting: 'hi ' + input.name })"),
            rounds: 30,
            calls: 300,
        },
        Op {
            name: "zod + lodash-es + semver",
            file: "zod",
            input: input(),
            handler: None,
            rounds: 20,
            calls: 50,
        },
        Op {
            name: "the same, warmed up",
            file: "zod-warm",
            input: input(),
            handler: None,
            rounds: 30,
            calls: 200,
        },
        Op {
            name: "100 KB document",
            file: "document",
            input: document(),
            handler: Some(
                "({ input }) => ({ rows: input.rows.map(({ id, name, tags, price }) => ({ id, name: name.toUpperCase(), tags: [...tags, 'seen'], price: price * 2 })) })",
            ),
            rounds: 10,
            calls: 20,
        },
        Op {
            name: "fib(22)",
            file: "fib",
            input: b"{}".to_vec(),
            handler: Some(
                "(() => { const fib = (n) => (n < 2 ? n : fib(n - 1) + fib(n - 2)); return () => fib(22); })()",
            ),
            rounds: 10,
            calls: 10,
        },
    ]
}

/// A document of about 100 KB.
fn document() -> Vec<u8> {
    let rows: Vec<_> = (0..1100)
        .map(|id| {
            serde_json::json!({
                "id": id,
                "name": format!("product number {id}"),
                "tags": ["red", "large", "sale"],
                "price": id as f64 * 1.25,
            })
        })
        .collect();
    serde_json::json!({ "rows": rows }).to_string().into_bytes()
}

/// Prints the table; with `peers`, also what others do on the trivial op.
pub fn print(peers: bool) -> Result<()> {
    let folder =
        PathBuf::from(std::env::var_os("COMPUTE_OPS").context("COMPUTE_OPS names no folder")?);
    println!("a fresh sandbox for each call, p50\n");
    println!("{:<34} {:>9} {:>9} {:>9} {:>8}", "", "p50", "p90", "p99", "ratio");
    let mut trivial = Duration::ZERO;
    for op in ops() {
        let p50 = print_op(&op, &folder)?;
        if op.file == "trivial" {
            trivial = p50;
        } else if op.file == "zod-warm" {
            println!("{:<34} {:>37.2}x\n", "against the trivial op", ratio(p50, trivial));
        }
    }
    many(&folder, None)?;
    // As the command line and every server have it.
    many(&folder, Some(tempfile::tempdir()?.path()))?;
    if peers {
        print_peers(trivial)?;
    }
    Ok(())
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64()
}

fn print_op(op: &Op, folder: &Path) -> Result<Duration> {
    let wasm = std::fs::read(folder.join(format!("{}.wasm", op.file)))?;
    let size = wasm.len();
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", wasm);
    let reference = artifact.reference().clone();
    let resolver = ArtifactMap::from([artifact.clone(), compute_js_plugin::plugin()]);
    let engine = WasmEngine::open(&compute::EngineConfig::default())?;
    let modules = engine.op_modules(&artifact, &Load::new(Profile::default(), &resolver))?;
    let image = modules.image.len();
    let bare = Arc::new(BareOp::new(&modules).map_err(plain)?);
    let manager = Manager::builder().resolver(resolver).limits(LIMITS).build();
    manager.preload(&reference, LIMITS)?.map_err(|failure| anyhow::anyhow!("{failure}"))?;
    let options = RunOptions { op: Some(OpCall::default()), ..RunOptions::default() };
    let envelope = OpCall::default().envelope(&op.input)?;

    let ours = manager.run_blocking(&reference, &op.input, &options)?.result?;
    ensure!(bare.call(&envelope).map_err(plain)? == ours, "the bare harness gives something else");
    println!("{}: {size} bytes, image {} KB, output {} bytes", op.name, image / 1000, ours.len());

    println!("  {}", BareOp::new(&modules).and_then(|op| op.pages(&envelope)).map_err(plain)?);

    let input = op.input.clone();
    let mut contenders = vec![
        Contender::new("  bare wasmtime, same design", move || {
            bare.call(&envelope).expect("a result");
        }),
        Contender::new("  Manager", move || {
            let outcome = manager.run_blocking(&reference, &input, &options);
            outcome.expect("a run").result.expect("a result");
        }),
    ];
    if let Some(handler) = op.handler {
        let input = op.input.clone();
        contenders.push(Contender::new("  native QuickJS, fresh runtime", move || {
            let context = native().expect("a runtime");
            context.with(|ctx| native_call(&ctx, handler, &input)).expect("a result");
        }));
        let input = op.input.clone();
        contenders.push(Contender::new("  native QuickJS, reused", move || {
            REUSED.with_borrow_mut(|(of, context)| {
                if of != handler {
                    (*of, *context) = (handler.to_owned(), native().ok());
                }
                let context = context.as_ref().expect("a runtime");
                context.with(|ctx| native_call(&ctx, handler, &input)).expect("a result");
            });
        }));
    }
    race(&mut contenders, op.rounds, op.calls);
    let floor = contenders[0].percentile(50);
    for contender in &contenders {
        let [p50, p90, p99] = [50, 90, 99].map(|percent| contender.percentile(percent));
        println!(
            "{:<34} {p50:>9.2?} {p90:>9.2?} {p99:>9.2?} {:>7.2}x",
            contender.name,
            ratio(p50, floor)
        );
    }
    println!();
    Ok(contenders[1].percentile(50))
}

thread_local! {
    /// The context that is reused, for the handler whose source this is.
    static REUSED: RefCell<(String, Option<Context>)> = RefCell::default();
}

fn native() -> Result<Context> {
    Ok(Context::full(&Runtime::new()?)?)
}

/// Evaluates the handler once for a context, parses the input, calls, and makes JSON of the result.
fn native_call(ctx: &Ctx<'_>, handler: &str, input: &[u8]) -> rquickjs::Result<String> {
    let globals = ctx.globals();
    let function: Function<'_> = match globals.get("handler") {
        Ok(function) => function,
        Err(_) => {
            let function: Function<'_> = ctx.eval(handler)?;
            globals.set("handler", function.clone())?;
            function
        }
    };
    let envelope = rquickjs::Object::new(ctx.clone())?;
    envelope.set("input", ctx.json_parse(input)?)?;
    let result: rquickjs::Value<'_> = function.call((envelope,))?;
    let json = ctx.json_stringify(result)?.ok_or(rquickjs::Error::Unknown)?;
    json.to_string()
}

/// Many ops in one process: what adding one costs, and what calling them in turn does.
fn many(folder: &Path, code_cache: Option<&Path>) -> Result<()> {
    const OPS: usize = 1000;
    let wasm = std::fs::read(folder.join("trivial.wasm"))?;
    let artifacts = Arc::new(ArtifactMap::from([compute_js_plugin::plugin()]));
    let manager = Manager::builder()
        .shared_resolver(Arc::clone(&artifacts) as _)
        .limits(LIMITS)
        .engine(
            compute_wasm::NAME,
            EngineConfig::from(Settings {
                code_cache: code_cache.map(Path::to_owned),
                ..Settings::default()
            }),
        )
        .cache_bytes(2 << 30)
        .build();
    let options = RunOptions { op: Some(OpCall::default()), ..RunOptions::default() };
    let add = |number: usize| -> Result<Ref> {
        // Another op as far as anybody can tell: a custom section makes its digest its own.
        let mut wasm = wasm.clone();
        wasm.extend_from_slice(b"\0\x06\x01n");
        wasm.extend_from_slice(&u32::try_from(number)?.to_le_bytes());
        let artifact = Artifact::new(Algorithm::Sha256, "wasm", wasm);
        let reference = artifact.reference().clone();
        artifacts.insert(artifact);
        Ok(reference)
    };
    let call = |reference: &Ref| -> Result<()> {
        manager.run_blocking(reference, &input(), &options)?.result?;
        Ok(())
    };
    call(&add(OPS)?)?;
    let before = resident()?;
    let mut added = Vec::new();
    let mut refs = Vec::new();
    for number in 0..OPS {
        let reference = add(number)?;
        let start = Instant::now();
        call(&reference)?;
        added.push(start.elapsed());
        refs.push(reference);
    }
    let after = resident()?;
    let mut times = Vec::new();
    for _ in 0..10 {
        for reference in &refs {
            let start = Instant::now();
            call(reference)?;
            times.push(start.elapsed());
        }
    }
    added.sort_unstable();
    times.sort_unstable();
    println!(
        "{OPS} ops, images {}: adding one takes {:.2?} (p50), {:.2?} (p99) with its first call, and {} KB resident",
        if code_cache.is_some() { "on disk" } else { "in memory only" },
        added[OPS / 2],
        added[OPS * 99 / 100],
        after.saturating_sub(before) / 1000 / OPS as u64,
    );
    println!(
        "{OPS} ops called in turn: {:.2?} (p50), {:.2?} (p99); they hold {} MB\n",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        manager.loaded().1 / 1_000_000,
    );
    Ok(())
}

/// This process's resident memory, in bytes (proc(5), statm).
fn resident() -> Result<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).context("no resident size")?.parse()?;
    Ok(pages * 4096)
}

fn print_peers(trivial: Duration) -> Result<()> {
    let node = std::env::var_os("COMPUTE_NODE").context("COMPUTE_NODE names no node")?;
    let input = String::from_utf8(input())?;
    let output = Command::new(node)
        .args(["--no-node-snapshot", "peers.mjs", &input])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers"))
        .output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let times: Vec<(String, f64)> = serde_json::from_slice(&output.stdout)?;
    println!("others, the trivial op, p50, and how many times ours that is\n");
    for (name, micros) in times {
        let time = Duration::from_secs_f64(micros / 1e6);
        println!("{name:<44} {time:>9.2?} {:>7.1}x", ratio(time, trivial));
    }
    Ok(())
}
