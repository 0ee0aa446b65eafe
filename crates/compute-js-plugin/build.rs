//! Builds the plugin where it is missing: QuickJS-NG, `src/plugin.c` and `src/zig/`, for WebAssembly.
//!
//! What is built is kept under `target/js-plugin/` by the digest of all that goes into it, for every profile
//! alike. Its own digest must be the one recorded in `plugin.sha256`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use compute_toolchains::{QuickJs, Tools};
use sha2::{Digest as _, Sha256};
use wasm_encoder::{CustomSection, Section as _};

const SOURCE: &str = "src/plugin.c";
const HEADERS: [&str; 4] = ["src/collate.h", "src/heap.h", "src/json.h", "src/timers.h"];
/// What is in Zig: the first imports the others.
const ZIG: [&str; 4] =
    ["src/zig/zig.zig", "src/zig/curves.zig", "src/zig/hashes.zig", "src/zig/inflate.zig"];
/// What the base image is made with.
const SCRIPTS: [&str; 6] = [
    "src/prelude.js",
    "src/url.js",
    "src/web.js",
    "src/keys.js",
    "src/intl.js",
    "src/encodings.js",
];
/// The data of the libraries, which follows them.
const PIECES: &str = "src/pieces.data";
const RECORD: &str = "plugin.sha256";
/// The custom section that the plugin is given on stdin when it is prepared: the scripts, a NUL after each, and the data.
const INIT_SECTION: &str = "compute:init";

fn main() -> Result<()> {
    for file in [SOURCE, RECORD, PIECES].iter().chain(&HEADERS).chain(&ZIG).chain(&SCRIPTS) {
        println!("cargo:rerun-if-changed={file}");
    }
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    let target = target()?;
    let plugin = build(&folder, &target).context("cannot build the JS plugin")?;
    let digest = hex::encode(Sha256::digest(fs::read(&plugin)?));
    let record = folder.join(RECORD);
    println!("cargo:rerun-if-env-changed=COMPUTE_PLUGIN_RECORD");
    if std::env::var_os("COMPUTE_PLUGIN_RECORD").is_some() {
        fs::write(&record, format!("{digest}\n"))?;
    }
    let recorded = fs::read_to_string(record).unwrap_or_default();
    if recorded.trim() != digest {
        bail!(
            "the JS plugin has the digest {digest}, and {RECORD} records {}: if what it is made from \
             was changed on purpose, `cargo xtask plugin` records the new one",
            recorded.trim()
        );
    }
    println!("cargo:rustc-env=COMPUTE_PLUGIN={}", plugin.display());
    println!("cargo:rustc-env=COMPUTE_PLUGIN_SHA256={digest}");
    Ok(())
}

fn build(folder: &Path, target: &Path) -> Result<PathBuf> {
    let source = folder.join(SOURCE);
    let read = |files: &[&str]| {
        files.iter().map(|file| fs::read(folder.join(file))).collect::<Result<Vec<_>, _>>()
    };
    let (scripts, headers, zig) = (read(&SCRIPTS)?, read(&HEADERS)?, read(&ZIG)?);
    let mut init = scripts.join(&0);
    init.push(0);
    init.extend(fs::read(folder.join(PIECES))?);
    let inputs = Sha256::new()
        .chain_update(QuickJs::recipe())
        .chain_update(fs::read(&source)?)
        .chain_update(headers.join(&0))
        .chain_update(zig.join(&0))
        .chain_update(&init)
        .finalize();
    let kept = target.join("js-plugin");
    let plugin = kept.join(format!("{}.wasm", &hex::encode(inputs)[..16]));
    if plugin.exists() {
        return Ok(plugin);
    }
    fs::create_dir_all(&kept)?;
    let new = kept.join(format!("{}.new.wasm", std::process::id()));
    let tools = Tools::under(target);
    let zig = folder.join(ZIG[0]);
    QuickJs::find(&folder.join("Cargo.toml"))?.build(&tools, &source, Some(&zig), &new)?;
    let mut wasm = fs::read(&new)?;
    CustomSection { name: INIT_SECTION.into(), data: init.into() }.append_to(&mut wasm);
    fs::write(&new, wasm)?;
    fs::rename(new, &plugin)?;
    Ok(plugin)
}

/// Cargo's build folder: the one above this script's own that is marked as one.
fn target() -> Result<PathBuf> {
    let own = PathBuf::from(std::env::var("OUT_DIR")?);
    let marked = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    Ok(marked.unwrap_or(&own).to_owned())
}
