//! Documents through rules: what the processor takes besides the sandboxes, and what many rules cost.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use compute::{
    Algorithm, Artifact, ArtifactMap, BoxFuture, Error, Limits, Manager, Outcome, Ref, RunOptions,
    Runner,
};
use compute_flow::{Detail, Processor, ProcessorSettings, Request, Snapshot, Stack};
use compute_state::File;

use crate::input;

const DOCUMENTS: usize = 3000;
const RULES: usize = 10_000;

/// Prints both figures.
pub(crate) fn flow() -> Result<()> {
    let ops = PathBuf::from(std::env::var_os("COMPUTE_OPS").context("cargo xtask bench sets it")?);
    let wasm = std::fs::read(ops.join("trivial.wasm"))?;
    overhead(wasm)?;
    many_rules()
}

/// A runner that knows when its runs began and ended.
#[derive(Debug)]
struct Timed {
    manager: Manager,
    spans: Mutex<Vec<(Instant, Instant)>>,
}

impl Timed {
    /// How long any run was under way since this was asked last, in nanoseconds.
    fn take_spent(&self) -> u64 {
        let mut spans =
            std::mem::take(&mut *self.spans.lock().unwrap_or_else(PoisonError::into_inner));
        spans.sort_unstable();
        let mut sum = Duration::ZERO;
        let mut until: Option<Instant> = None;
        for (start, end) in spans {
            sum += end.saturating_duration_since(until.map_or(start, |until| until.max(start)));
            until = until.max(Some(end));
        }
        nanos(sum)
    }
}

impl Runner for Timed {
    fn run<'a>(
        &'a self,
        reference: &'a Ref,
        input: Bytes,
        options: RunOptions,
    ) -> BoxFuture<'a, Result<Outcome, Error>> {
        self.manager.run(reference, input, options)
    }

    fn run_blocking(
        &self,
        reference: &Ref,
        input: &[u8],
        options: &RunOptions,
    ) -> Result<Outcome, Error> {
        let begun = Instant::now();
        let outcome = self.manager.run_blocking(reference, input, options);
        let span = (begun, Instant::now());
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(span);
        outcome
    }
}

/// Three scopes of three JS ops each.
fn overhead(wasm: Vec<u8>) -> Result<()> {
    let op = Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm);
    let reference = op.reference().clone();
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([op, compute_js_plugin::plugin()]))
        .limits(Limits::COMMAND_LINE)
        .build();
    let mut files = Vec::new();
    for scope in [100, 200, 300] {
        for name in ["a", "b", "c"] {
            let text = format!(
                "WHEN .name != null\nSELECT .name, .text\nWITH level = {scope}\nEXEC \"{reference}\"\n\
                 EMIT .out.{name}{scope} = .greeting"
            );
            files.push(File::new(format!("{scope}/{name}.txcl"), text));
        }
    }
    let snapshot = snapshot("bench", &files)?;
    let runner = Arc::new(Timed { manager, spans: Mutex::default() });

    println!("A document through 3 scopes of 3 JS ops each ({DOCUMENTS} documents, p50)");
    let settings = ProcessorSettings { parallel: 1, ..ProcessorSettings::default() };
    let alone = Processor::with_settings(Arc::clone(&runner) as _, settings);
    let (mut totals, mut rests) = (Vec::new(), Vec::new());
    for _ in 0..DOCUMENTS {
        let total = one(&alone, &snapshot, Detail::Off)?;
        totals.push(total);
        rests.push(total - runner.take_spent().min(total));
    }
    print("one op at a time: the document", &mut totals);
    print("one op at a time: besides the sandboxes", &mut rests);

    let parallel = Processor::new(Arc::clone(&runner) as _);
    for (name, detail) in [("ops in parallel", Detail::Off), ("the same, traced", Detail::Summary)]
    {
        let (mut totals, mut rests) = (Vec::new(), Vec::new());
        for _ in 0..DOCUMENTS {
            let total = one(&parallel, &snapshot, detail)?;
            totals.push(total);
            rests.push(total - runner.take_spent().min(total));
        }
        print(&format!("{name}: the document"), &mut totals);
        print(&format!("{name}: besides the sandboxes"), &mut rests);
    }
    Ok(())
}

fn one(processor: &Processor, snapshot: &Snapshot, detail: Detail) -> Result<u64> {
    let mut request = Request::new("bench/0".parse()?, input());
    request.detail = detail;
    let begun = Instant::now();
    let answer = processor.process(snapshot, &request);
    let took = nanos(begun.elapsed());
    answer.result?;
    Ok(took)
}

/// Ten rules of ten thousand match.
fn many_rules() -> Result<()> {
    let rule = |n: usize| {
        format!("WHEN .kind == \"kind-{}\" && .n > 3\nEMIT .hits = [{n}]", n % (RULES / 10))
    };
    println!("\n{RULES} rules, of which 10 match (p50)");
    for (name, per_scope) in [("all in one scope", RULES), ("in a hundred scopes", RULES / 100)] {
        let file = |n: usize| File::new(format!("{}/r{n:05}.txcl", 1 + n / per_scope), rule(n));
        let files: Vec<_> = (0..RULES).map(file).collect();
        let begun = Instant::now();
        let snapshot = snapshot("bench", &files)?;
        let ready = begun.elapsed();
        let processor = Processor::new(Arc::new(compute::NoRunner));
        let mut times = Vec::new();
        for _ in 0..300 {
            let request = Request::new("bench/0".parse()?, br#"{"kind":"kind-7","n":4}"#.to_vec());
            let begun = Instant::now();
            let answer = processor.process(&snapshot, &request);
            times.push(nanos(begun.elapsed()));
            let hits = answer.result?;
            ensure!(hits["hits"].as_array().is_some_and(|hits| hits.len() == 10), "{hits}");
        }
        print(&format!("{name} (made ready in {ready:.0?})"), &mut times);
    }
    Ok(())
}

fn snapshot(name: &str, files: &[File]) -> Result<Snapshot> {
    let stack = Stack::compile(name.parse()?, files);
    let stack = stack.map_err(|wrong| anyhow::anyhow!("{}", wrong[0]))?;
    Ok([stack].into_iter().collect())
}

fn print(what: &str, nanos: &mut [u64]) {
    nanos.sort_unstable();
    let at = |percent: usize| Duration::from_nanos(nanos[(nanos.len() - 1) * percent / 100]);
    println!("  {what:<48} {:>10.1?}   p99 {:>10.1?}", at(50), at(99));
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
