//! From a bundle to bytecode: the plugin, run as a command, is the compiler.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use compute::{Limits, Ref, RunOptions, Runner};
use compute_js_plugin::BUILT_FILE;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::diagnostic::Diagnostic;
use crate::error::BuildError;
use crate::options::BuildOptions;

/// What compiling may use.
const LIMITS: Limits = Limits {
    memory: Some(512 << 20),
    wall: Some(Duration::from_secs(60)),
    output: Some(32 << 20),
    ..Limits::DEFAULT
};

pub(crate) fn compile(
    code: &str,
    plugin: &Ref,
    options: &BuildOptions,
    compiler: &dyn Runner,
) -> Result<Vec<u8>, BuildError> {
    let kept = options.cache.as_ref().map(|folder| folder.join(key(code, plugin)));
    if let Some(bytecode) = kept.as_ref().and_then(|file| std::fs::read(file).ok()) {
        return Ok(bytecode);
    }
    let request = json!({ "name": BUILT_FILE, "source": code }).to_string();
    let run = RunOptions { limits: LIMITS, raw: true, ..RunOptions::default() };
    let outcome =
        compiler.run_blocking(plugin, request.as_bytes(), &run).map_err(BuildError::host)?;
    let bytecode = outcome.result.map_err(|failure| {
        // The bundler parsed it already: only what the engine does not know is left.
        BuildError::Source(vec![Diagnostic::error(format!(
            "the JavaScript engine does not take the bundle: {failure}"
        ))])
    })?;
    if let Some(file) = kept {
        // A build that cannot be kept is only slower next time.
        let _ = keep(file, &bytecode);
    }
    Ok(bytecode)
}

fn key(code: &str, plugin: &Ref) -> String {
    let digest = Sha256::new().chain_update(plugin.as_str()).chain_update(code).finalize();
    format!("{}.bytecode", hex::encode(digest))
}

fn keep(file: PathBuf, bytecode: &[u8]) -> std::io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(bytecode)?;
    new.persist(file)?;
    Ok(())
}
