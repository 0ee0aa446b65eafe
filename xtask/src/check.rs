//! The tests, and all that must hold before a change lands.

mod cpython;
mod determinism;
mod fleet;
mod python;

use std::fs;

use anyhow::Result;

use crate::{api, cargo, fuzz, guests, plugin, root, run, tidy, tools};
pub(crate) use cpython::cpython;
pub(crate) use determinism::determinism;
pub(crate) use fleet::fleet;
pub(crate) use python::python;

/// Runs all tests.
pub(crate) fn test(args: &[String]) -> Result<()> {
    guests::build()?;
    tools::moto()?;
    tools::postgres()?;
    for folder in ["examples", "crates/compute-js/tests/npm"] {
        tools::node_modules(&root().join(folder))?;
    }
    run(cargo(&["test"]).args(args))
}

/// Runs what the original answered, and prints how many are the same.
pub(crate) fn original() -> Result<()> {
    let test = ["--test", "it", "--", "original::", "--nocapture"];
    run(cargo(&["test", "--quiet", "-p", "compute-flow"]).args(test))
}

/// Everything that must hold before a change lands.
pub(crate) fn ci() -> Result<()> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::tidy(false)?;
    deny()?;
    deploy()?;
    plugin::prelude(true)?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))?;
    test(&[])?;
    determinism()?;
    python()?;
    api::check()?;
    // The workspace, as clippy has checked it: what it depends on is not checked again.
    run(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    fuzz::check()
}

/// What is deployed says what its schema knows: no name that nobody reads.
pub(crate) fn deploy() -> Result<()> {
    let folder = root().join("deploy");
    let compose = folder.join("compose.yaml");
    let schema = ["--quiet", "--builtin-schema", "vendor.compose-spec"];
    run(tools::check_jsonschema()?.args(schema).arg(compose))?;
    for below in ["kubernetes", "kubernetes/jobs"] {
        for entry in fs::read_dir(folder.join(below))? {
            let path = entry?.path();
            // That of kustomize is none of Kubernetes'.
            if path.is_file() && path.file_name().is_some_and(|name| name != "kustomization.yaml") {
                run(tools::kubernetes_validate()?.arg(path))?;
            }
        }
    }
    Ok(())
}

/// What the lock file names: its licenses and where it comes from. Known vulnerabilities are in a git repository that no
/// package registry has: CONTRIBUTING.md has the command.
fn deny() -> Result<()> {
    let checks = ["--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
    run(tools::cargo_deny()?.args(checks))
}
