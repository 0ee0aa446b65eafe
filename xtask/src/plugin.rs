//! The JS plugin and its prelude: what is made from source and recorded.

use std::fs;
use std::path::PathBuf;
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

/// Bundles the prelude; with `check`, only says whether the one in the repository is the same.
pub(crate) fn prelude(check: bool) -> Result<()> {
    let sources = folder().join("prelude");
    let kept = ["prelude.js", "url.js"].map(|script| folder().join("src").join(script));
    tools::node_modules(&sources)?;
    let before = kept.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    let mut rolldown = tools::node()?;
    bundle(rolldown.arg("node_modules/rolldown/bin/cli.mjs").arg("-c").current_dir(&sources))?;
    for (script, before) in kept.iter().zip(before) {
        if check && fs::read(script)? != before {
            fs::write(script, before)?;
            bail!(
                "{} is not what its sources give: `cargo xtask prelude` makes it",
                script.display()
            );
        }
    }
    Ok(())
}

fn bundle(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    let words = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the prelude cannot be bundled: {words}");
    Ok(())
}
