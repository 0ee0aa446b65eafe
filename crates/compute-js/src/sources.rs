//! What an op was built from, as one document that is kept with it: anybody can build it again and compare digests.
//!
//! The document is the same for the same sources, whenever and wherever it is made: paths are relative, files are in the order of
//! their paths, and there are no times in it. It may come from anybody, so all of it is checked before anything is written.

mod settings;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute::{Ref, Runner};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::build::{Built, build_within};
use crate::bundle::Origin;
use crate::error::BuildError;
use crate::options::BuildOptions;

/// What a document of this kind begins with.
const SCHEMA: &str = "compute-sources/1";
/// The longest path, in bytes.
const MAX_PATH: usize = 512;
/// The longest name in a path, in bytes: what file systems allow.
const MAX_NAME: usize = 255;
/// What marks a project's folder where nothing else does.
const MARK: &str = "compute.toml";
/// What ends the search for a package's description.
const PACKAGE: &str = "package.json";

/// What an op was built from: files, settings, the lock file, options, and by which compute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sources {
    schema: String,
    op: Ref,
    compute: String,
    plugin: Ref,
    options: Options,
    /// The folder that the op's own paths are relative to; empty if that is the root of the files.
    project: String,
    entry: String,
    files: Vec<SourceFile>,
}

/// The options that decide an op's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    minify: bool,
}

/// One of the files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    path: String,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl SourceFile {
    /// Its path below the folder that all files have in common, with `/` between names.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether these are its bytes, by their digest.
    #[must_use]
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.sha256 == digest(bytes)
    }

    fn new(path: String, bytes: Vec<u8>) -> Self {
        let sha256 = digest(&bytes);
        let (text, base64) = match String::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self { path, sha256, text, base64 }
    }

    fn bytes(&self) -> Result<Cow<'_, [u8]>, String> {
        let bytes = match (&self.text, &self.base64) {
            (Some(text), None) => Cow::Borrowed(text.as_bytes()),
            (None, Some(base64)) => {
                let bytes = STANDARD.decode(base64);
                Cow::Owned(bytes.map_err(|error| format!("{} is no base64: {error}", self.path))?)
            }
            _ => return Err(format!("{} must have either a text or base64", self.path)),
        };
        if !self.is(&bytes) {
            return Err(format!("{} has another digest than the one beside it", self.path));
        }
        Ok(bytes)
    }
}

impl Sources {
    /// The name that it is attached to an op by.
    pub const NAME: &'static str = "sources";
    /// The largest document, in bytes: 16 MiB.
    pub const MAX_BYTES: usize = 16 << 20;
    /// The most files.
    pub const MAX_FILES: usize = 4_000;

    /// What this op was built from, with these options. It was tried: building it elsewhere gave the same op.
    ///
    /// # Errors
    /// [`BuildError::Unfit`] if it is too much, or does not give the same op elsewhere; what [`build`](crate::build) says.
    pub fn of(
        built: &Built,
        options: &BuildOptions,
        compiler: &dyn Runner,
    ) -> Result<Self, BuildError> {
        let inputs = inputs(&built.origin);
        let root = common(&inputs, &built.origin.project).ok_or_else(|| {
            BuildError::Unfit("its files have no folder in common but `/`".to_owned())
        })?;
        let mut files = Vec::with_capacity(inputs.len());
        for file in &inputs {
            let path = relative(file, &root)?;
            let bytes = std::fs::read(file)
                .map_err(|source| BuildError::Read { path: file.clone(), source })?;
            files.push(SourceFile::new(path, bytes));
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let sources = Self {
            schema: SCHEMA.to_owned(),
            op: built.artifact.reference().clone(),
            compute: env!("CARGO_PKG_VERSION").to_owned(),
            plugin: built.plugin.reference().clone(),
            options: Options { minify: options.minify },
            project: relative(&built.origin.project, &root)?,
            entry: relative(&built.origin.entry, &root)?,
            files,
        };
        sources.check().map_err(BuildError::Unfit)?;
        if sources.to_bytes()?.len() > Self::MAX_BYTES {
            return Err(BuildError::Unfit(sources.too_large()));
        }
        let again = sources.rebuild(compiler).map_err(|error| match error {
            BuildError::Source(errors) => {
                let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
                BuildError::Unfit(format!(
                    "elsewhere they do not build: {first}; packages that are links to folders, as workspaces and \
                     pnpm have them, cannot be attached"
                ))
            }
            BuildError::Refused(why) => BuildError::Unfit(why),
            error => error,
        })?;
        if again.artifact.reference() != &sources.op {
            let other = again.artifact.reference();
            return Err(BuildError::Unfit(format!(
                "elsewhere they build to {other}, and here to {}",
                sources.op
            )));
        }
        Ok(sources)
    }

    /// Reads a document, which may come from anybody.
    ///
    /// # Errors
    /// [`BuildError::Refused`] if it is damaged, too large, or has paths that lead elsewhere.
    pub fn read(bytes: &[u8]) -> Result<Self, BuildError> {
        if bytes.len() > Self::MAX_BYTES {
            let most = Self::MAX_BYTES >> 20;
            return Err(BuildError::Refused(format!(
                "they have {} bytes, and at most {most} MiB are read",
                bytes.len()
            )));
        }
        let sources: Self = serde_json::from_slice(bytes)
            .map_err(|error| BuildError::Refused(format!("the document is damaged: {error}")))?;
        sources.check().map_err(BuildError::Refused)?;
        Ok(sources)
    }

    /// The document.
    ///
    /// # Errors
    /// [`BuildError::Host`] if it cannot be written as JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BuildError> {
        let mut bytes = serde_json::to_vec(self).map_err(BuildError::host)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The op that they gave.
    #[must_use]
    pub const fn op(&self) -> &Ref {
        &self.op
    }

    /// The version of compute that built it.
    #[must_use]
    pub fn compute(&self) -> &str {
        &self.compute
    }

    /// The version of compute that builds here.
    #[must_use]
    pub const fn compute_here() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// The plugin that it was linked to.
    #[must_use]
    pub const fn plugin(&self) -> &Ref {
        &self.plugin
    }

    /// The options that it was built with.
    #[must_use]
    pub fn options(&self) -> BuildOptions {
        BuildOptions { minify: self.options.minify, ..BuildOptions::default() }
    }

    /// The path of the file whose default export it is.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// The files, in the order of their paths.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }

    /// Builds it in a folder of its own, without what earlier builds kept, from nothing but these files.
    ///
    /// # Errors
    /// [`BuildError::Refused`] if the build would read a file that is not among them, of which nothing is read then; what [`build`](crate::build) says.
    pub fn rebuild(&self, compiler: &dyn Runner) -> Result<Built, BuildError> {
        let folder = tempfile::tempdir().map_err(BuildError::host)?;
        let root = folder.path().canonicalize().map_err(BuildError::host)?;
        self.write(&root)?;
        let entry = root.join(&self.entry);
        let built = build_within(&root, &entry, &self.options(), compiler)?;
        if let Some(file) = self.unknown_input(&built, &root) {
            let path = file.display();
            return Err(BuildError::Refused(format!(
                "the build also reads {path}, which is not among them"
            )));
        }
        Ok(built)
    }

    /// The first file that a build in this folder read and that is not among these.
    #[must_use]
    pub fn unknown_input(&self, built: &Built, root: &Path) -> Option<PathBuf> {
        let known: BTreeSet<_> = self.files.iter().map(|file| root.join(&file.path)).collect();
        // What this wrote to end the search.
        let end = root.join(PACKAGE);
        inputs(&built.origin).into_iter().find(|file| !known.contains(file) && *file != end)
    }

    /// Writes the files below a folder that is empty and this process's own.
    fn write(&self, root: &Path) -> Result<(), BuildError> {
        let put = |path: &str, bytes: &[u8]| {
            let path = root.join(path);
            let folder = path.parent().unwrap_or(root);
            std::fs::create_dir_all(folder)
                .and_then(|()| std::fs::write(&path, bytes))
                .map_err(BuildError::host)
        };
        for file in &self.files {
            put(&file.path, &file.bytes().map_err(BuildError::Refused)?)?;
        }
        let has = |path: &Path| self.files.iter().any(|file| Path::new(&file.path) == path);
        let project = Path::new(&self.project);
        if !has(&project.join(PACKAGE)) && !self.project.is_empty() {
            put(&project.join(MARK).to_string_lossy(), b"")?;
        }
        // Else one that happens to be in a folder above would be read.
        if !has(Path::new(PACKAGE)) {
            put(PACKAGE, b"{}")?;
        }
        Ok(())
    }

    /// What keeps them from being written below any folder.
    fn check(&self) -> Result<(), String> {
        if self.schema != SCHEMA {
            return Err(format!("the document is of the kind `{}`, and not {SCHEMA}", self.schema));
        }
        if self.files.len() > Self::MAX_FILES {
            let (files, most) = (self.files.len(), Self::MAX_FILES);
            return Err(format!("there are {files} files, and there may be {most}"));
        }
        if !self.project.is_empty() {
            check_path(&self.project)?;
        }
        for file in &self.files {
            check_path(&file.path)?;
            file.bytes()?;
        }
        // In order, so that none is there twice.
        let mut pairs = self.files.iter().zip(self.files.iter().skip(1));
        if let Some((_, later)) = pairs.find(|(one, other)| one.path >= other.path) {
            return Err(format!("{} is there twice, or not in its order", later.path));
        }
        let paths: BTreeSet<_> = self.files.iter().map(|file| Path::new(&file.path)).collect();
        let above = paths.iter().flat_map(|path| path.ancestors().skip(1));
        let folders = above.chain(Path::new(&self.project).ancestors());
        if let Some(both) = folders.into_iter().find(|folder| paths.contains(folder)) {
            return Err(format!("{} is a file and a folder", both.display()));
        }
        if !paths.contains(Path::new(&self.entry)) {
            return Err(format!("{:?}, which the op begins with, is not among them", self.entry));
        }
        Ok(())
    }

    fn too_large(&self) -> String {
        let size =
            |file: &SourceFile| file.text.as_ref().or(file.base64.as_ref()).map_or(0, String::len);
        let largest = self.files.iter().max_by_key(|file| size(file));
        let most = Self::MAX_BYTES >> 20;
        let largest = largest.map_or_else(String::new, |file| {
            format!("; the largest file is {} with {} bytes", file.path, size(file))
        });
        format!("they are more than {most} MiB{largest}")
    }
}

/// Every file that a build depends on.
fn inputs(origin: &Origin) -> BTreeSet<PathBuf> {
    let mut inputs = settings::of(origin);
    inputs.extend(origin.read.iter().cloned());
    inputs
}

/// The folder that all of these are in, if it is not that of everything.
fn common(files: &BTreeSet<PathBuf>, project: &Path) -> Option<PathBuf> {
    let mut root = project.to_owned();
    for file in files {
        while !file.starts_with(&root) {
            root = root.parent()?.to_owned();
        }
    }
    root.parent().is_some().then_some(root)
}

fn relative(path: &Path, root: &Path) -> Result<String, BuildError> {
    let below = path.strip_prefix(root).ok().and_then(Path::to_str);
    below
        .map(str::to_owned)
        .ok_or_else(|| BuildError::Unfit(format!("the name of {} is not UTF-8", path.display())))
}

/// Whether a path leads to a file below wherever it begins, and nowhere else.
fn check_path(path: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.len() <= MAX_NAME
            && !name.chars().any(|char| char.is_control() || char == '\\')
    };
    let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let dots = path.split('/').any(|name| name == "." || name == "..");
    if path.len() <= MAX_PATH && plain && !dots && path.split('/').all(is_name) {
        return Ok(());
    }
    let shown: String = path.chars().take(MAX_NAME).collect();
    Err(format!("{shown:?} is no path below a folder"))
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
