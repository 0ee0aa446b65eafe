//! A build, from a file to an op.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use compute::{Algorithm, Artifact, ArtifactMap, EngineConfig, Manager, Runner};
use serde::Serialize;

use crate::bundle::{self, Bundle};
use crate::diagnostic::Diagnostic;
use crate::{compile, link};

/// How a build is to be made.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Make names and spaces short. Bytecode holds neither spaces nor comments, so this mostly saves names.
    pub minify: bool,
    /// Where bytecode is kept between builds, by the digest of what it was compiled from; nowhere unless
    /// set.
    pub cache: Option<PathBuf>,
}

/// An op, built.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Built {
    /// The op.
    pub artifact: Artifact,
    /// The plugin that it is linked to.
    pub plugin: Artifact,
    /// The way from its code back to the author's (source map revision 3, with the sources).
    pub source_map: Bytes,
    /// What is in it, largest first.
    pub modules: Vec<BundledModule>,
    /// The files that it was built from.
    pub sources: Vec<PathBuf>,
    /// What the author should look at.
    pub warnings: Vec<Diagnostic>,
}

/// One module of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundledModule {
    /// Its path, relative to the project's folder.
    pub path: String,
    /// How many bytes of source are left of it after tree shaking.
    pub bytes: usize,
}

/// Why there is no op.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The sources are wrong.
    #[error("{} in the sources", count(.0.len()))]
    Source(Vec<Diagnostic>),
    /// The file or its folder cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The host failed.
    #[error("cannot build")]
    Host(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn count(errors: usize) -> String {
    if errors == 1 { "1 error".into() } else { format!("{errors} errors") }
}

impl BuildError {
    pub(crate) fn host(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Host(error.into())
    }
}

/// A manager that can compile: it knows the plugin. The configuration is that of the engine `wasm`.
#[must_use]
pub fn compiler(engine: EngineConfig) -> Manager {
    Manager::builder()
        .resolver(ArtifactMap::from([compute_js_plugin::plugin()]))
        .engine(compute_wasm::NAME, engine)
        .build()
}

/// Builds the op that this file's default export is. The compiler is any runner that has the plugin:
/// [`compiler`] makes one.
///
/// # Errors
/// [`BuildError::Source`] for what its author can mend, with the places.
pub fn build(
    file: &Path,
    options: &BuildOptions,
    compiler: &dyn Runner,
) -> Result<Built, BuildError> {
    let bundle = bundle::bundle(file, options.minify)?;
    let Bundle { code, source_map, modules, sources, warnings } = bundle;
    let plugin = compute_js_plugin::plugin();
    let bytecode = compile::compile(&code, plugin.reference(), options, compiler)?;
    let wasm = link::link(&bytecode, plugin.reference());
    let artifact = Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm);
    Ok(Built { artifact, plugin, source_map: source_map.into(), modules, sources, warnings })
}
