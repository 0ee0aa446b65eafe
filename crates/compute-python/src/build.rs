//! From a Python file to an op.

mod packages;
mod pip;
mod requirements;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use bytesize::ByteSize;
use compute::{Algorithm, Artifact, Error, Limits, Reason, Ref, RunOptions, Runner};
use serde::Deserialize;
use serde_json::json;

use packages::Packages;
pub use pip::{Pip, PipError};

/// What says which modules a file imports: an op like any other.
const READER: &str = include_str!("reader.py");
const READER_FILE: &str = "reader.py";
/// Where an op's own files are in its sandbox, and those of packages.
const OWN: &str = "op";
const PACKAGES: &str = "packages";
/// The most that an op's files have together, in bytes, and how many there are.
const MOST_BYTES: usize = 24 << 20;
const MOST_FILES: usize = 5_000;
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
    /// A source nests deeper than CPython's compiler can follow.
    #[error(
        "a source of the op nests too deeply to be compiled: take what is long apart, or put it into a file of data"
    )]
    TooDeep,
    /// The files are more than an op may have.
    #[error("the op's files are more than an op may have, those of packages among them: {MOST_FILES} files, {} MiB", MOST_BYTES >> 20)]
    TooMuch,
    /// A source is no Python.
    #[error("{}:{}:{}: {}", _0.file, _0.line, _0.column, _0.message)]
    Syntax(Box<SyntaxError>),
    /// What `@op(memory=…)` says is no size.
    #[error(
        "@op(memory={0:?}): write a size such as \"512MiB\", of at least 1MiB and at most 4GiB"
    )]
    Memory(String),
    /// A package cannot be had.
    #[error("{0}")]
    Package(String),
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
    Imports(Imports),
    Error { message: String, line: u32, column: u32 },
}

#[derive(Deserialize)]
struct Imports {
    imports: Vec<String>,
    /// The first names of those that are not in CPython's own library.
    others: Vec<String>,
    /// The first names of those that neither the library nor a package of the plugin has.
    missing: Vec<String>,
    /// What `@op(memory=…)` says.
    memory: Option<String>,
}

/// What the plugin has beside CPython's own library: packages, with their versions.
type Has = BTreeMap<String, String>;

/// The op that tells what Python files import, linked to this plugin. [`build`] runs it: whoever runs it has to find it.
#[must_use]
pub fn reader(plugin: &Ref) -> Artifact {
    let files = [file(OWN, READER_FILE, READER.as_bytes())];
    link(READER_FILE, &files, plugin, None)
}

/// Builds the op that a file is, with the modules beside it that it imports and the packages that `requirements.txt` or
/// `pyproject.toml` names, linked to a plugin. The runner is to have the plugin, and [`reader`]. Packages are kept in the folder.
///
/// The same sources and the same `pylock.toml` give the same bytes in any folder and on any machine.
///
/// # Errors
/// [`BuildError`].
pub fn build(
    main: &Path,
    plugin: &Ref,
    runner: &dyn Runner,
    kept: &Path,
) -> Result<Built, BuildError> {
    let folder = main.parent().unwrap_or(Path::new(""));
    let main = main.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let reading = Reading { reader: reader(plugin).reference().clone(), runner };
    let mut sources = BTreeMap::new();
    let mut wanted = VecDeque::from([main.clone()]);
    let mut bytes = 0;
    let mut memory = None;
    let (mut missing, mut has_others) = (BTreeSet::new(), false);
    let mut data = BTreeSet::new();
    while let Some(name) = wanted.pop_front() {
        if sources.contains_key(&name) {
            continue;
        }
        let text = read(&folder.join(&name))?;
        bytes += text.len();
        if bytes > MOST_BYTES || sources.len() >= MOST_FILES {
            return Err(BuildError::TooMuch);
        }
        let read = reading.imports(&name, &text)?;
        if name == main {
            memory = read.memory.as_deref().map(bytes_of).transpose()?;
        }
        for import in read.imports {
            wanted.extend(modules(folder, &import));
        }
        for other in read.others {
            if folder.join(&other).is_dir() {
                data.insert(other);
            } else {
                has_others |= !is_beside(folder, &other);
            }
        }
        missing.extend(read.missing.into_iter().filter(|name| !is_beside(folder, name)));
        sources.insert(name, text);
    }

    let mut files: Vec<_> =
        sources.iter().map(|(name, text)| file(OWN, name, text.as_bytes())).collect();
    let mut read: Vec<_> = sources.keys().map(|name| folder.join(name)).collect();
    for path in data_files(folder, data)? {
        let contents = bytes_at(&folder.join(&path))?;
        bytes += contents.len();
        if bytes > MOST_BYTES || files.len() >= MOST_FILES {
            return Err(BuildError::TooMuch);
        }
        read.push(folder.join(&path));
        files.push(file(OWN, &path, &contents));
    }
    // What is named there has to fit what the plugin has, too.
    if has_others && let Some(packages) = Packages::near(folder)? {
        let has = reading.packages()?;
        let misfits = |lines: &[&str], has: &Has| reading.misfits(lines, has);
        packages.check(&misfits(&packages.lines(), &has)?, &has)?;
        read.extend(packages.files());
        for (path, contents) in packages.get(&missing, &has, &misfits, kept)? {
            bytes += contents.len();
            files.push(file(PACKAGES, &path, &contents));
        }
        if bytes > MOST_BYTES || files.len() > MOST_FILES {
            return Err(BuildError::TooMuch);
        }
    }
    let first = sources.remove(&main).unwrap_or_default();
    let (names, texts): (Vec<_>, Vec<_>) =
        std::iter::once((main.clone(), first)).chain(sources).unzip();
    let map = json!({
        "version": 3, "sources": names, "sourcesContent": texts, "names": [], "mappings": "",
    });
    let artifact = link(&main, &files, plugin, memory);
    Ok(Built { artifact, source_map: map.to_string().into(), files: read })
}

/// A file of an op's, by its path in the sandbox.
fn file(folder: &str, path: &str, contents: &[u8]) -> (String, Vec<u8>) {
    (format!("/{folder}/{path}"), contents.to_vec())
}

/// An op of these files, of which one has its function.
fn link(main: &str, files: &[(String, Vec<u8>)], plugin: &Ref, memory: Option<u64>) -> Artifact {
    // A text of JSON is one of Python.
    let load = format!("import compute;compute._load({})", serde_json::Value::from(main));
    let wasm = compute_wasm::link_with_files(load.as_bytes(), plugin, files, memory);
    Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm)
}

/// What `@op(memory=…)` says, in bytes.
fn bytes_of(memory: &str) -> Result<u64, BuildError> {
    let size: Option<ByteSize> = memory.parse().ok();
    let sizes = 1 << 20..=4 << 30;
    let bytes = size.map(|size| size.as_u64()).filter(|bytes| sizes.contains(bytes));
    bytes.ok_or_else(|| BuildError::Memory(memory.to_owned()))
}

fn unread(path: &Path, problem: impl ToString) -> BuildError {
    BuildError::Read { path: path.display().to_string(), problem: problem.to_string() }
}

fn bytes_at(path: &Path) -> Result<Vec<u8>, BuildError> {
    let size = fs::metadata(path).map_err(|error| unread(path, error))?.len();
    if size > MOST_BYTES as u64 {
        return Err(BuildError::TooMuch);
    }
    fs::read(path).map_err(|error| unread(path, error))
}

fn read(path: &Path) -> Result<String, BuildError> {
    let text = String::from_utf8(bytes_at(path)?)
        .map_err(|_| unread(path, "it is not UTF-8, which sources have to be"))?;
    // What some editors begin a file with.
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
}

/// Asks the reader.
struct Reading<'a> {
    reader: Ref,
    runner: &'a dyn Runner,
}

impl Reading<'_> {
    fn ask<T: serde::de::DeserializeOwned>(
        &self,
        input: &serde_json::Value,
    ) -> Result<T, BuildError> {
        let limits = Limits { wall: Some(WALL), ..Limits::default() };
        let options = RunOptions::with_limits(limits);
        let input = input.to_string();
        let outcome = self.runner.run_blocking(&self.reader, input.as_bytes(), &options)?;
        let said = outcome.result.map_err(|failure| match failure.reason {
            Reason::StackLimit { .. } => BuildError::TooDeep,
            _ => BuildError::Reader(failure.to_string()),
        })?;
        serde_json::from_slice(&said).map_err(|error| BuildError::Reader(error.to_string()))
    }

    /// The modules that a source imports.
    fn imports(&self, file: &str, source: &str) -> Result<Imports, BuildError> {
        match self.ask(&json!({"file": file, "source": source}))? {
            Said::Imports(imports) => Ok(imports),
            Said::Error { message, line, column } => {
                let (file, source) = (file.to_owned(), source.to_owned());
                let wrong = SyntaxError { file, message, line, column, source };
                Err(BuildError::Syntax(Box::new(wrong)))
            }
        }
    }

    /// Which lines of requirements these versions of packages don't fit.
    fn misfits(&self, requirements: &[&str], has: &Has) -> Result<Vec<String>, BuildError> {
        self.ask(&json!({"requirements": requirements, "has": has}))
    }

    /// The packages that the plugin has.
    fn packages(&self) -> Result<Has, BuildError> {
        self.ask(&json!({"packages": true}))
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

/// The files in the op's own packages that are no modules, at any depth: what `importlib.resources` finds there. What is hidden is left
/// out, and what CPython makes.
fn data_files(folder: &Path, packages: BTreeSet<String>) -> Result<Vec<String>, BuildError> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = packages.into_iter().collect();
    while let Some(below) = folders.pop() {
        let path = folder.join(&below);
        for entry in fs::read_dir(&path).map_err(|error| unread(&path, error))? {
            let entry = entry.map_err(|error| unread(&path, error))?;
            let kind = entry.file_type().map_err(|error| unread(&path, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name == "__pycache__" {
                continue;
            }
            let path = format!("{below}/{name}");
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() && !name.ends_with(".py") {
                found.push(path);
            }
            if found.len() + folders.len() > MOST_FILES {
                return Err(BuildError::TooMuch);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a module or a package of this name is beside the op.
fn is_beside(folder: &Path, name: &str) -> bool {
    folder.join(name).is_dir() || folder.join(format!("{name}.py")).is_file()
}
