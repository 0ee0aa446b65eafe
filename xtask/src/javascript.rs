//! What JavaScript of others expects: packages of npm, beside Node.js, the web platform's tests and test262's.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::{cargo, root, run, target, tools};

/// Runs them all; each script prints what differs, and counts.
pub(crate) fn javascript() -> Result<()> {
    run(&mut cargo(&["build", "--release", "-p", "compute-cli"]))?;
    let compute = target().join("release/compute");
    let tests = root().join("crates/compute-js/tests");
    let libraries = tests.join("libraries");
    tools::node_modules(&libraries)?;
    let script = |folder: &Path, name: &str, paths: &[PathBuf]| {
        run(tools::node()?.arg(name).arg(&compute).args(paths).current_dir(folder))
    };
    script(&libraries, "compare.mjs", &[])?;
    let web = tests.join("web");
    script(&web, "intl.mjs", &[])?;
    let firefox = tools::firefox_tests()?;
    script(&web, "platform.mjs", &[firefox.join("testing/web-platform/tests")])?;
    let quickjs = package_folder("rquickjs-sys")?.join("quickjs");
    script(&web, "test262.mjs", &[firefox.join("js/src/tests/test262"), quickjs])
}

/// Where cargo has the sources of a package that the workspace depends on.
fn package_folder(name: &str) -> Result<PathBuf> {
    let metadata = cargo_metadata::MetadataCommand::new().current_dir(root()).exec()?;
    let found = metadata.packages.iter().find(|package| package.name.as_str() == name);
    let package = found.with_context(|| format!("the workspace depends on no package {name}"))?;
    let folder = package.manifest_path.parent().context("a manifest is in a folder")?;
    Ok(folder.into())
}
