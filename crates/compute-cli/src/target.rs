//! What a command works on: a file, or a ref into the store.

use std::path::Path;

use compute::{Algorithm, Artifact, Ref};

use crate::args::Cli;
use crate::context::open_store;
use crate::failure::Failure;

/// The artifact that this argument names: a ref, or else a file.
pub(crate) fn load(cli: &Cli, target: &str) -> Result<Artifact, Failure> {
    if !target.contains("://") {
        return from_file(Path::new(target), compute_wasm::NAME);
    }
    let reference = Ref::parse(target).map_err(Failure::usage)?;
    let store = open_store(cli)?;
    Ok(pollster::block_on(store.get(&reference))?.artifact)
}

/// The artifact in this file. WebAssembly text is made binary, by its name's ending.
pub(crate) fn from_file(path: &Path, engine: &str) -> Result<Artifact, Failure> {
    let bytes = read(path)?;
    let is_text = path.extension().is_some_and(|ending| ending == "wat");
    let wasm = if is_text {
        let text = wat::Parser::new().parse_bytes(Some(path), &bytes);
        text.map_err(|error| Failure::usage(error.to_string().trim_end()))?.into_owned()
    } else {
        bytes
    };
    Ok(Artifact::new(Algorithm::Sha256, engine, wasm))
}

/// A file's bytes; if there is no such file, the error names one like it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let shown = path.display();
        if error.kind() != std::io::ErrorKind::NotFound {
            return Failure::usage(format!("cannot read {shown}: {error}"));
        }
        let similar = similar(path).map(|name| path.with_file_name(name));
        let meant = similar
            .map_or_else(String::new, |path| format!("; did you mean `{}`?", path.display()));
        Failure::usage(format!("there is no file {shown}{meant}"))
    })
}

/// The name in the same folder that is most like this one, if any is.
fn similar(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .map(|name| (strsim::jaro_winkler(wanted, &name), name))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
