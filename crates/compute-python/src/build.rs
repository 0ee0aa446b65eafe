//! From a Python file to an op.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use compute::{Algorithm, Artifact, Error, Limits, Ref, RunOptions, Runner};
use serde::Deserialize;
use serde_json::json;

/// What says which modules a file imports: an op like any other.
const READER: &str = include_str!("reader.py");
const READER_FILE: &str = "reader.py";
/// The most that an op's files have together, in bytes, and how many there are.
const MOST_BYTES: usize = 16 << 20;
const MOST_FILES: usize = 2_000;
/// How long reading one file may take, on a machine that compiles CPython first.
const WALL: std::time::Duration = std::time::Duration::from_secs(300);

/// An op, built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Built {
    /// The op.
    pub artifact: Artifact,
    /// The way to its sources, as a source map (revision 3) that has each of them as it is.
    pub source_map: Bytes,
    /// The files that it was built from.
    pub files: Vec<PathBuf>,
}

/// A mistake in a source that Python finds before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyntaxError {
    /// The file, relative to the folder of the op.
    pub file: String,
    /// What is wrong.
    pub message: String,
    /// The line and the column, from 1.
    pub line: u32,
    /// See [`SyntaxError::line`].
    pub column: u32,
    /// The file's text.
    pub source: String,
}

/// Why a file is no op.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A file cannot be read.
    #[error("{path} cannot be read: {problem}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        problem: String,
    },
    /// The files are more than an op may have.
    #[error("the op's files are more than an op may have: {MOST_FILES} files, {} MiB", MOST_BYTES >> 20)]
    TooMuch,
    /// A source is no Python.
    #[error("{}:{}:{}: {}", _0.file, _0.line, _0.column, _0.message)]
    Syntax(Box<SyntaxError>),
    /// What reads sources failed.
    #[error("the sources cannot be read: {0}")]
    Reader(String),
    /// The host failed.
    #[error(transparent)]
    Host(#[from] Error),
}

/// What the reader says of one file.
#[derive(Deserialize)]
#[serde(untagged)]
enum Said {
    Imports { imports: Vec<String> },
    Error { message: String, line: u32, column: u32 },
}

/// The op that tells what Python files import, linked to this plugin. [`build`] runs it: whoever runs it has to find it.
#[must_use]
pub fn reader(plugin: &Ref) -> Artifact {
    link(&[(READER_FILE.to_owned(), READER.to_owned())], plugin)
}

/// Builds the op that a file is, with the modules beside it that it imports, linked to a plugin. The runner is to have the plugin, and
/// [`reader`].
///
/// The same sources give the same bytes in any folder and on any machine.
///
/// # Errors
/// [`BuildError`].
pub fn build(file: &Path, plugin: &Ref, runner: &dyn Runner) -> Result<Built, BuildError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let main = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reader = reader(plugin);
    let mut sources = BTreeMap::new();
    let mut wanted = VecDeque::from([main.clone()]);
    let mut bytes = 0;
    while let Some(name) = wanted.pop_front() {
        if sources.contains_key(&name) {
            continue;
        }
        let text = read(&folder.join(&name))?;
        bytes += text.len();
        if bytes > MOST_BYTES || sources.len() >= MOST_FILES {
            return Err(BuildError::TooMuch);
        }
        for import in imports(&name, &text, reader.reference(), runner)? {
            wanted.extend(modules(folder, &import));
        }
        sources.insert(name, text);
    }
    let first = sources.remove(&main).unwrap_or_default();
    let sources: Vec<_> = std::iter::once((main, first)).chain(sources).collect();
    let names: Vec<_> = sources.iter().map(|(name, _)| name).collect();
    let texts: Vec<_> = sources.iter().map(|(_, text)| text).collect();
    let map = json!({
        "version": 3, "sources": names, "sourcesContent": texts, "names": [], "mappings": "",
    });
    let files = names.iter().map(|name| folder.join(name)).collect();
    Ok(Built { artifact: link(&sources, plugin), source_map: map.to_string().into(), files })
}

/// An op of these sources, of which the first is the op's own.
fn link(sources: &[(String, String)], plugin: &Ref) -> Artifact {
    let list = serde_json::to_string(sources).unwrap_or_default();
    // A text of JSON is one of Python, and the list is within one: nothing in it is code here.
    let quoted = serde_json::Value::String(list).to_string();
    let load = format!("import compute;compute._load({quoted})");
    let wasm = compute_wasm::link(load.as_bytes(), plugin);
    Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm)
}

fn read(path: &Path) -> Result<String, BuildError> {
    let failed = |problem: String| BuildError::Read { path: path.display().to_string(), problem };
    let size = fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MOST_BYTES as u64 {
        return Err(BuildError::TooMuch);
    }
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|_| failed("it is not UTF-8".to_owned()))
}

/// The modules that a source imports.
fn imports(
    file: &str,
    source: &str,
    reader: &Ref,
    runner: &dyn Runner,
) -> Result<Vec<String>, BuildError> {
    let input = json!({"file": file, "source": source}).to_string();
    let limits = Limits { wall: Some(WALL), ..Limits::default() };
    let outcome =
        runner.run_blocking(reader, input.as_bytes(), &RunOptions::with_limits(limits))?;
    let said = outcome.result.map_err(|failure| BuildError::Reader(failure.to_string()))?;
    let said = serde_json::from_slice(&said);
    match said.map_err(|error| BuildError::Reader(error.to_string()))? {
        Said::Imports { imports } => Ok(imports),
        Said::Error { message, line, column } => {
            let (file, source) = (file.to_owned(), source.to_owned());
            Err(BuildError::Syntax(Box::new(SyntaxError { file, message, line, column, source })))
        }
    }
}

/// The files beside the op that an import of this name reads: the packages on its way, and the module.
fn modules(folder: &Path, import: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut path = String::new();
    for part in import.split('.') {
        path = if path.is_empty() { part.to_owned() } else { format!("{path}/{part}") };
        let candidates = [format!("{path}/__init__.py"), format!("{path}.py")];
        found.extend(candidates.into_iter().find(|file| folder.join(file).is_file()));
    }
    found
}
