//! What a command works on: a file, or a ref into the store.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use compute::{Algorithm, Artifact, Ref};
use compute_js::{BuildOptions, Built, Diagnostic, Sources};
use compute_js_plugin::{SOURCE_MAP, SourceMap, code_frame};
use compute_python::BuildError as PythonError;

use crate::args::Cli;
use crate::failure::Failure;
use crate::home::open_store;
use crate::host::Host;
use crate::user::{self, bindings};

/// The endings of what is built before it runs.
pub(crate) const SOURCES: [&str; 8] = ["ts", "js", "mts", "mjs", "tsx", "jsx", "cjs", PYTHON];
/// The ending of Python's.
const PYTHON: &str = "py";

/// A compute that a command is to work on.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) artifact: Artifact,
    origin: Origin,
    /// What it was built from, if that is to be stored with it.
    pub(crate) sources_document: Option<Bytes>,
}

#[derive(Debug)]
enum Origin {
    /// Built just now.
    Built(Box<Built>),
    Python(Box<compute_python::Built>),
    File(PathBuf),
    Store,
}

/// The compute that this argument names: a ref, or else a file.
pub(crate) fn load(cli: &Cli, host: &Host, target: &str) -> Result<Target, Failure> {
    if !target.contains("://") {
        return from_file(host, Path::new(target), compute_wasm::NAME);
    }
    let reference = Ref::parse(target).map_err(Failure::usage)?;
    let stored = pollster::block_on(open_store(cli)?.get(&reference));
    let artifact = match stored {
        Ok(stored) => stored.artifact,
        // The plugin that is part of this program need not be stored.
        Err(error) => match compute_js_plugin::plugin() {
            plugin if *plugin.reference() == reference => plugin,
            _ => return Err(error.into()),
        },
    };
    host.at_hand.add(artifact.clone());
    Ok(Target::new(artifact, Origin::Store))
}

/// The compute in this file: a source is built, WebAssembly text is made binary, by the name's ending.
pub(crate) fn from_file(host: &Host, path: &Path, engine: &str) -> Result<Target, Failure> {
    if is_python(path) {
        let built = build_python(host, path)?;
        host.at_hand.add(built.artifact.clone());
        return Ok(Target::new(built.artifact.clone(), Origin::Python(Box::new(built))));
    }
    if is_source(path) {
        let built = build(host, path, &BuildOptions::default())?;
        host.at_hand.add(built.artifact.clone());
        return Ok(Target::new(built.artifact.clone(), Origin::Built(Box::new(built))));
    }
    let bytes = read(path)?;
    let is_text = path.extension().is_some_and(|ending| ending == "wat");
    let wasm = if is_text {
        let text = wat::Parser::new().parse_bytes(Some(path), &bytes);
        text.map_err(|error| Failure::usage(error.to_string().trim_end()))?.into_owned()
    } else {
        bytes
    };
    let artifact = Artifact::new(Algorithm::Sha256, engine, wasm);
    host.at_hand.add(artifact.clone());
    Ok(Target::new(artifact, Origin::File(path.to_owned())))
}

/// Whether a file is a source that is built before it runs.
pub(crate) fn is_source(path: &Path) -> bool {
    path.extension().is_some_and(|ending| SOURCES.iter().any(|source| ending == *source))
}

/// Whether a file is a source in Python.
pub(crate) fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == PYTHON)
}

/// Builds a source in Python, linked to the plugin that this user has.
pub(crate) fn build_python(host: &Host, path: &Path) -> Result<compute_python::Built, Failure> {
    if !path.is_file() {
        return Err(missing(path));
    }
    let plugin = bindings::python()?;
    let reader = compute_python::reader(&plugin);
    host.at_hand.add(reader.clone());
    // Where it was compiled by another program, or what was compiled is gone.
    host.prepare(&reader, compute::Limits::default())?;
    let built = compute_python::build(path, &plugin, &host.manager, &user::cache("python")?);
    built.map_err(|error| match error {
        PythonError::Syntax(wrong) => Failure::Source(vec![syntax_error(*wrong)]),
        error @ (PythonError::Read { .. }
        | PythonError::TooMuch
        | PythonError::TooDeep
        | PythonError::Memory(_)
        | PythonError::Package(_)) => Failure::usage_of(&error),
        error => Failure::host(&error),
    })
}

fn syntax_error(wrong: compute_python::SyntaxError) -> Diagnostic {
    let compute_python::SyntaxError { file, message, line, column, source, .. } = wrong;
    let before = source.split_inclusive('\n').take(line.saturating_sub(1) as usize);
    let start: usize = before.map(str::len).sum();
    let text = source[start..].lines().next().unwrap_or_default();
    let at = text.char_indices().nth(column.saturating_sub(1) as usize);
    let start = start + at.map_or(text.len(), |(at, _)| at);
    let end = start + source[start..].chars().next().map_or(0, char::len_utf8);
    let frame = code_frame(&source, &file, start..end, false);
    Diagnostic {
        code: "SYNTAX_ERROR".to_owned(),
        message,
        file,
        line,
        column,
        frame,
        ..Diagnostic::default()
    }
}

/// Builds a source, with this user's caches.
pub(crate) fn build(host: &Host, path: &Path, options: &BuildOptions) -> Result<Built, Failure> {
    if !path.is_file() {
        return Err(missing(path));
    }
    let options = BuildOptions { cache: Some(user::cache("build")?), ..options.clone() };
    Ok(compute_js::build(path, &options, &host.manager)?)
}

impl Target {
    fn new(artifact: Artifact, origin: Origin) -> Self {
        Self { artifact, origin, sources_document: None }
    }

    /// Has what it was built from stored with it: what a build wrote beside it, or the sources themselves.
    pub(crate) fn attach_sources(&mut self, host: &Host) -> Result<(), Failure> {
        let document = match &self.origin {
            Origin::Built(built) => {
                Sources::of(built, &BuildOptions::default(), &host.manager)?.to_bytes()?
            }
            Origin::Python(_) => {
                return Err(Failure::usage(
                    "the sources of an op in Python are in the op itself: leave --sources out",
                ));
            }
            Origin::File(file) => {
                let beside = sources_file(file);
                if !beside.is_file() {
                    return Err(Failure::usage(format!(
                        "there is no {}: `compute build SOURCE --sources` writes it beside the op",
                        beside.display()
                    )));
                }
                let document = read(&beside)?;
                let of = Sources::read(&document)?.op().clone();
                if of != *self.artifact.reference() {
                    return Err(Failure::usage(format!(
                        "{} has the sources of {of}, and {} is {}: build it again with --sources",
                        beside.display(),
                        file.display(),
                        self.artifact.reference()
                    )));
                }
                document
            }
            // What is stored has what was stored with it.
            Origin::Store => return Ok(()),
        };
        self.sources_document = Some(document.into());
        Ok(())
    }

    /// The files that it was made from.
    pub(crate) fn sources(&self) -> &[PathBuf] {
        match &self.origin {
            Origin::Built(from) => &from.sources,
            Origin::Python(from) => &from.files,
            Origin::File(file) => std::slice::from_ref(file),
            Origin::Store => &[],
        }
    }

    /// What its author should look at.
    pub(crate) fn warnings(&self) -> &[Diagnostic] {
        match &self.origin {
            Origin::Built(from) => &from.warnings,
            Origin::Python(_) | Origin::File(_) | Origin::Store => &[],
        }
    }

    /// The bytes of its source map, if it has one.
    pub(crate) fn source_map_bytes(&self, host: &Host) -> Option<Bytes> {
        match &self.origin {
            Origin::Built(from) => Some(from.source_map.clone()),
            Origin::Python(from) => Some(from.source_map.clone()),
            Origin::File(file) => std::fs::read(map_file(file)).ok().map(Bytes::from),
            Origin::Store => stored_map(host, self.artifact.reference()),
        }
    }

    /// Its source map, if it has one that can be read.
    pub(crate) fn source_map(&self, host: &Host) -> Option<SourceMap> {
        SourceMap::read(&self.source_map_bytes(host)?).ok()
    }
}

/// The source map that is stored with a compute, if there is one that can be read.
pub(crate) fn stored_source_map(host: &Host, reference: &Ref) -> Option<SourceMap> {
    SourceMap::read(&stored_map(host, reference)?).ok()
}

fn stored_map(host: &Host, reference: &Ref) -> Option<Bytes> {
    let store = host.at_hand.open_store().ok()?;
    let manifest = pollster::block_on(store.head(reference)).ok()?;
    pollster::block_on(store.attachment(manifest.attachments.get(SOURCE_MAP)?)).ok()
}

/// Where the source map of a built file is.
pub(crate) fn map_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".map");
    name.into()
}

/// Where the sources of a built file are.
pub(crate) fn sources_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sources");
    name.into()
}

/// A file's bytes; if there is no such file, the error names one like it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| unread(path, &error))
}

/// That a file cannot be read.
pub(crate) fn unread(path: &Path, error: &std::io::Error) -> Failure {
    match error.kind() {
        std::io::ErrorKind::NotFound => missing(path),
        _ => Failure::usage(format!("cannot read {}: {error}", path.display())),
    }
}

/// Writes a file.
pub(crate) fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let was_there = path.exists();
    std::fs::write(path, bytes).map_err(|error| {
        // Half of a file is worse than none.
        if !was_there {
            let _ = std::fs::remove_file(path);
        }
        Failure::usage(format!("cannot write {}: {error}", path.display()))
    })
}

/// Writes a file, and makes the folder that it is in.
pub(crate) fn write_in_folder(path: &Path, bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
    }
    write(path, bytes)
}

/// That there is no such file, and which one may be meant.
pub(crate) fn missing(path: &Path) -> Failure {
    let similar = similar(path).map(|name| path.with_file_name(name));
    let meant =
        similar.map_or_else(String::new, |path| format!("; did you mean `{}`?", path.display()));
    Failure::usage(format!("there is no file {}{meant}", path.display()))
}

/// The name in the same folder that is most like this one, if any is.
fn similar(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_str()?;
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let entries = std::fs::read_dir(folder).ok()?;
    txcl::nearest(wanted, entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()))
}
