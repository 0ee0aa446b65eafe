//! The first call of a process: what a cold start costs with and without compiled code on disk.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// About 1 MB of WebAssembly: an echo among functions that are compiled and never called.
fn large_module() -> Vec<u8> {
    let mut functions = String::new();
    for number in 0..1630 {
        functions.push_str(&format!(
            "(func (export \"f{number}\") (param i64) (result i64) (local i64)"
        ));
        for step in 0..40 {
            functions.push_str(&format!(
                "(local.set 1 (i64.rotl (i64.xor (local.get 0) (i64.const {})) (local.get 1)))",
                0x1234_5678_u64.wrapping_mul(number * 40 + step + 1) >> 8
            ));
        }
        functions.push_str("(local.get 1))\n");
    }
    let text = include_str!("../../guests/echo.wat").replace("PAGES", "2");
    let end = text.rfind(')').unwrap_or_default();
    compute_guests::wasm(&format!("{}{functions})", &text[..end]))
}

/// Prints what the first call of the command line takes, in processes of their own.
pub fn print() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let module = folder.path().join("module.wasm");
    let wasm = large_module();
    std::fs::write(&module, &wasm)?;
    println!("first call of a process: `compute run` of a module of {} KB\n", wasm.len() / 1000);

    let cache = folder.path().join("cache");
    let cold = (0..3).map(|_| {
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        run(&module, &cache)
    });
    let cold = cold.collect::<Result<Vec<_>>>()?;
    let cached = (0..51).map(|_| run(&module, &cache)).collect::<Result<Vec<_>>>()?;
    for (name, times) in [("compiled anew", cold), ("compiled code from disk", cached)] {
        let median = |of: fn(&(Duration, Duration)) -> Duration| {
            let mut times: Vec<_> = times.iter().map(of).collect();
            times.sort_unstable();
            times[times.len() / 2]
        };
        println!(
            "{name:<34} {:>9.2?} the call, {:>9.2?} from the start of the process",
            median(|times| times.0),
            median(|times| times.1)
        );
    }
    Ok(())
}

/// The time of the call, from acceptance to answer, and that from the start of the process to its answer.
fn run(module: &Path, cache: &Path) -> Result<(Duration, Duration)> {
    let compute = std::env::var_os("COMPUTE").context("COMPUTE names no binary")?;
    let start = Instant::now();
    let mut child = Command::new(compute)
        .args(["run", "--metrics", "--wall", "60s", "--input", "[1]"])
        .arg(module)
        .env("XDG_CACHE_HOME", cache)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start a process")?;
    let mut answer = [0; 4];
    child.stdout.as_mut().context("no stdout")?.read_exact(&mut answer)?;
    let answered = start.elapsed();
    let output = child.wait_with_output()?;
    ensure!(&answer == b"[1]\n", "{}", String::from_utf8_lossy(&output.stderr));
    let metrics: serde_json::Value = serde_json::from_slice(&output.stderr)?;
    let call = metrics["wall_ns"].as_u64().context("no time")?;
    Ok((Duration::from_nanos(call), answered))
}
