//! Builds the example guests from source into `target/guests/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use compute_toolchains::{QuickJs, Tools};

use crate::{root, run, target, tools};

/// A guest's language, its source and how to build it.
struct Guest {
    language: &'static str,
    source: &'static str,
    build: fn(source: &Path, output: &Path) -> Result<()>,
}

const TRANSFORM: [Guest; 6] = [
    Guest { language: "assemblyscript", source: "transform.ts", build: assemblyscript },
    Guest { language: "c", source: "transform.c", build: c },
    Guest { language: "go", source: "transform.go", build: go },
    Guest { language: "rust", source: "transform.rs", build: rust },
    Guest { language: "wat", source: "transform.wat", build: wat },
    Guest { language: "zig", source: "transform.zig", build: zig },
];

/// Builds every guest that is older than its source.
pub(crate) fn build() -> Result<()> {
    for guest in &TRANSFORM {
        build_one(guest)?;
    }
    build_as("javy-plugin.wasm", &root().join("guests/javy/plugin.c"), quickjs)?;
    build_example()
}

/// The compute of the example workspaces that is not built by `compute apply`: it must stand beside its rule.
fn build_example() -> Result<()> {
    let source = root().join("examples/cleaning/OPS/cleaning/200_NORMALISE/normalise.go");
    let built = build_as("normalise.wasm", &source, go)?;
    fs::copy(built, source.with_extension("wasm"))?;
    Ok(())
}

/// A plugin of Javy's interface, on QuickJS.
fn quickjs(source: &Path, output: &Path) -> Result<()> {
    let manifest = root().join("crates/compute-js-plugin/Cargo.toml");
    QuickJs::find(&manifest)?.build(&Tools::under(&target()), source, None, output)
}

/// Builds one language's transform job, and says where it is.
pub(crate) fn build_transform(language: &str) -> Result<PathBuf> {
    let guest = TRANSFORM.iter().find(|guest| guest.language == language);
    build_one(guest.context("no such language")?)
}

fn build_one(guest: &Guest) -> Result<PathBuf> {
    let source = root().join("guests/transform").join(guest.source);
    build_as(&format!("transform-{}.wasm", guest.language), &source, guest.build)
}

fn build_as(
    name: &str,
    source: &Path,
    build: fn(source: &Path, output: &Path) -> Result<()>,
) -> Result<PathBuf> {
    let folder = target().join("guests");
    fs::create_dir_all(&folder)?;
    let output = folder.join(name);
    // How it is built counts as its source.
    let newest = changed(source).max(changed(&std::env::current_exe()?));
    if changed(&output).is_some_and(|built| Some(built) > newest) {
        return Ok(output);
    }
    eprintln!("building {}", output.strip_prefix(root()).unwrap_or(&output).display());
    let scratch = folder.join(format!("new-{name}"));
    build(source, &scratch).with_context(|| format!("cannot build {}", source.display()))?;
    fs::rename(&scratch, &output)?;
    Ok(output)
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

fn assemblyscript(source: &Path, output: &Path) -> Result<()> {
    let package = source.parent().context("no folder")?;
    // The compiler takes paths as relative to its base.
    run(tools::assemblyscript(package)?
        .arg("transform.ts")
        .args(["--runtime", "stub", "--use", "abort=", "-Ospeed", "--outFile"])
        .arg(output)
        .current_dir(package))
}

fn c(source: &Path, output: &Path) -> Result<()> {
    run(tools::zig()?
        .args(["cc", "-target", "wasm32-wasi", "-Os", "-s", "-o"])
        .args([output, source]))
}

fn zig(source: &Path, output: &Path) -> Result<()> {
    run(tools::zig()?
        .arg("build-exe")
        .arg(source)
        .args(["-target", "wasm32-wasi", "-O", "ReleaseSmall", "-fstrip"])
        .arg(format!("-femit-bin={}", output.display())))
}

fn go(source: &Path, output: &Path) -> Result<()> {
    run(tools::go()?.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).args([output, source]))
}

fn rust(source: &Path, output: &Path) -> Result<()> {
    run(tools::wasi_rustc()?
        .args(["--edition", "2021", "-O", "-C", "strip=symbols", "-o"])
        .args([output, source]))
}

fn wat(source: &Path, output: &Path) -> Result<()> {
    Ok(fs::write(output, wat::parse_file(source)?)?)
}
