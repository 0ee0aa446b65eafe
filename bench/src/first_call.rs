//! The first call of a process: what a cold start costs with and without compiled code on disk.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use compute::{Algorithm, Artifact, ArtifactMap, Limits, Manager, RunOptions, Runner as _};
use compute_wasm::Settings;

/// About 1 MB of WebAssembly: an echo among functions that are compiled and never called.
fn large_module() -> Vec<u8> {
    let mut functions = String::new();
    for number in 0..2600 {
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

/// Prints what the first call takes in processes of their own, as the process itself saw it.
pub fn print() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let module = folder.path().join("module.wasm");
    let wasm = large_module();
    std::fs::write(&module, &wasm)?;
    println!(
        "first call of a process, a module of {} KB (from its start to the answer)\n",
        wasm.len() / 1000
    );

    let cache = folder.path().join("cache");
    let cold = (0..3).map(|_| {
        if cache.exists() {
            std::fs::remove_dir_all(&cache)?;
        }
        run_child(&module, &cache)
    });
    let cold = cold.collect::<Result<Vec<_>>>()?;
    let cached = (0..31).map(|_| run_child(&module, &cache)).collect::<Result<Vec<_>>>()?;
    for (name, mut times) in [("compiled anew", cold), ("compiled code from disk", cached)] {
        times.sort();
        let median = times[times.len() / 2];
        println!("{name:<34} {:>9.2?} first call {:>9.2?} second call", median.0, median.1);
    }
    Ok(())
}

fn run_child(module: &Path, cache: &Path) -> Result<(Duration, Duration)> {
    let output = Command::new(std::env::current_exe()?)
        .arg("first-call")
        .args([module, cache])
        .output()
        .context("cannot start a process")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let mut times = text.split_whitespace().map(str::parse::<u64>);
    let mut next =
        || -> Result<Duration> { Ok(Duration::from_nanos(times.next().context("no time")??)) };
    Ok((next()?, next()?))
}

/// What the process for one measurement does.
pub fn child() -> Result<()> {
    let start = Instant::now();
    let module = std::env::args().nth(2).context("no module")?;
    let cache = std::env::args().nth(3).context("no cache")?;
    let artifact = Artifact::new(Algorithm::Sha256, "wasm", std::fs::read(module)?);
    let reference = artifact.reference().clone();
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([artifact]))
        .engine("wasm", Settings { code_cache: Some(cache.into()), ..Settings::default() }.into())
        .limits(Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() })
        .build();
    manager.run_blocking(&reference, &crate::input(), &RunOptions::default())?.result?;
    let first = start.elapsed();
    let start = Instant::now();
    manager.run_blocking(&reference, &crate::input(), &RunOptions::default())?.result?;
    println!("{} {}", first.as_nanos(), start.elapsed().as_nanos());
    Ok(())
}
