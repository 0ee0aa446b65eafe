//! The JS plugin and its prelude: what is made from source and recorded.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

use crate::{cargo, root, run, target, tools};

fn folder() -> PathBuf {
    root().join("crates/compute-js-plugin")
}

/// Builds the plugin, and records its digest.
pub(crate) fn record() -> Result<()> {
    run(cargo(&["build", "-p", "compute-js-plugin"]).env("COMPUTE_PLUGIN_RECORD", "1"))?;
    // The newest is the one just built, or found again.
    let kept = fs::read_dir(target().join("js-plugin"))?;
    let mut built = Vec::new();
    for entry in kept {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "wasm") {
            built.push((fs::metadata(&path)?.modified()?, path));
        }
    }
    let (_, plugin) = built.into_iter().max().context("no plugin was built")?;
    let digest = hex::encode(Sha256::digest(fs::read(plugin)?));
    fs::write(folder().join("plugin.sha256"), format!("{digest}\n"))?;
    eprintln!("recorded {digest}");
    Ok(())
}

/// Bundles the prelude; with `check`, only says whether the one in the repository is the same.
pub(crate) fn prelude(check: bool) -> Result<()> {
    let sources = folder().join("prelude");
    let kept = folder().join("src/prelude.js");
    tools::node_modules(&sources)?;
    let before = fs::read(&kept)?;
    let mut rolldown = tools::node()?;
    bundle(rolldown.arg("node_modules/rolldown/bin/cli.mjs").arg("-c").current_dir(&sources))?;
    if check && fs::read(&kept)? != before {
        fs::write(&kept, before)?;
        bail!("src/prelude.js is not what its sources give: `cargo xtask prelude` makes it");
    }
    Ok(())
}

fn bundle(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the prelude cannot be bundled: {words}");
    Ok(())
}
