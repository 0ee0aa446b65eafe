//! The JS plugin and its prelude: what is made from source and recorded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::{cargo, root, run, tools};

fn folder() -> PathBuf {
    root().join("crates/compute-js-plugin")
}

/// Builds the plugin; its build script records the digest.
pub(crate) fn record() -> Result<()> {
    run(cargo(&["build", "-p", "compute-js-plugin"]).env("COMPUTE_PLUGIN_RECORD", "1"))
}

/// Bundles what is JavaScript of others: the prelude, and the modules of Node.js. With `check`, only says whether what is in
/// the repository is the same.
pub(crate) fn prelude(check: bool) -> Result<()> {
    let prelude = folder().join("prelude");
    let scripts = ["prelude.js", "url.js", "web.js", "keys.js", "intl.js", "encodings.js"]
        .map(|script| folder().join("src").join(script));
    bundled(&prelude, "rolldown.config.js", &scripts, check)?;
    pieces(&prelude.join("data"), &folder().join("src/pieces.data"), check)?;
    let node = root().join("crates/compute-js/node");
    let modules: Vec<_> = fs::read_dir(node.join("src"))?
        .map(|entry| Ok(node.join("built").join(entry?.file_name())))
        .collect::<Result<_>>()?;
    bundled(&node, "rolldown.config.mjs", &modules, check)
}

/// Packs the data that the scripts need.
fn pieces(sources: &Path, kept: &Path, check: bool) -> Result<()> {
    tools::node_modules(sources)?;
    let before = fs::read(kept).unwrap_or_default();
    let mut node = tools::node()?;
    bundle(node.arg("pack.mjs").current_dir(sources))?;
    unchanged(kept, before, check)
}

/// With `check`, that a file is what it was.
fn unchanged(kept: &Path, before: Vec<u8>, check: bool) -> Result<()> {
    if check && fs::read(kept)? != before {
        fs::write(kept, before)?;
        bail!("{} is not what its sources give: `cargo xtask prelude` makes it", kept.display());
    }
    Ok(())
}

/// Bundles what a folder's configuration says.
fn bundled(sources: &Path, config: &str, kept: &[PathBuf], check: bool) -> Result<()> {
    tools::node_modules(sources)?;
    // One that is new was not there.
    let before: Vec<_> = kept.iter().map(|script| fs::read(script).unwrap_or_default()).collect();
    let mut rolldown = tools::node()?;
    bundle(
        rolldown.arg("node_modules/rolldown/bin/cli.mjs").args(["-c", config]).current_dir(sources),
    )?;
    for (script, before) in kept.iter().zip(before) {
        unchanged(script, before, check)?;
    }
    Ok(())
}

fn bundle(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "it cannot be bundled: {words}");
    Ok(())
}
