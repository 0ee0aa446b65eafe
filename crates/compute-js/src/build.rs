//! A build, from a file to an op.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bytes::Bytes;
use compute::{Algorithm, Artifact, ArtifactMap, EngineConfig, Manager, Runner};

use crate::bundle::{self, Bundle, BundledModule, Origin};
use crate::compile;
use crate::diagnostic::Diagnostic;
use crate::error::BuildError;
use crate::options::BuildOptions;

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
    /// What it was made of, for [`Sources`](crate::Sources).
    pub(crate) origin: Origin,
}

/// A manager that can compile: it knows the plugin. The configuration is that of the engine `wasm`.
#[must_use]
pub fn compiler(engine: EngineConfig) -> Manager {
    Manager::builder()
        .resolver(ArtifactMap::from([compute_js_plugin::plugin()]))
        .engine(compute_wasm::NAME, engine)
        .build()
}

/// An op that does nothing: whoever loads it has the plugin ready. The compiler is as for [`build`].
///
/// # Errors
/// [`BuildError`] if the compiler cannot run.
pub fn empty(compiler: &dyn Runner) -> Result<Artifact, BuildError> {
    let plugin = compute_js_plugin::plugin();
    let bytecode = compile::compile("", plugin.reference(), &BuildOptions::default(), compiler)?;
    let wasm = compute_wasm::link(&bytecode, plugin.reference());
    Ok(Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm))
}

/// The stack of threads that read sources: parsers and printers call themselves for what stands within something else. No more of
/// it is taken than is used.
const STACK: usize = 1 << 30;

/// Gives the threads that the bundler shares its work with as much stack, unless the program has started them already.
static HELPERS: LazyLock<()> = LazyLock::new(|| {
    let _ = rayon::ThreadPoolBuilder::new().stack_size(STACK).build_global();
});

/// Does this on a thread with much stack.
fn on_large_stack<T: Send>(
    work: impl FnOnce() -> Result<T, BuildError> + Send,
) -> Result<T, BuildError> {
    LazyLock::force(&HELPERS);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let done = thread.map_err(BuildError::host)?.join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
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
    build_from(file, None, options, compiler)
}

/// The same, of nothing but what is in a folder: a build that would read another file is [`BuildError::Refused`].
pub(crate) fn build_within(
    folder: &Path,
    file: &Path,
    options: &BuildOptions,
    compiler: &dyn Runner,
) -> Result<Built, BuildError> {
    build_from(file, Some(folder), options, compiler)
}

fn build_from(
    file: &Path,
    within: Option<&Path>,
    options: &BuildOptions,
    compiler: &dyn Runner,
) -> Result<Built, BuildError> {
    let bundle = on_large_stack(|| bundle::bundle(file, options.minify, within))?;
    let Bundle { code, source_map, modules, sources, warnings, origin } = bundle;
    let plugin = compute_js_plugin::plugin();
    let bytecode = compile::compile(&code, plugin.reference(), options, compiler)?;
    let wasm = compute_wasm::link(&bytecode, plugin.reference());
    let artifact = Artifact::new(Algorithm::Sha256, compute_wasm::NAME, wasm);
    let source_map = source_map.into();
    Ok(Built { artifact, plugin, source_map, modules, sources, warnings, origin })
}
