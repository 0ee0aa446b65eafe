//! What running JavaScript computes needs: the plugin that they link to.
//!
//! The plugin is QuickJS-NG and C glue (`src/plugin.c`), with the globals that an op finds (`prelude/`),
//! built for WebAssembly from source by this crate's build script. It is an artifact like any other: an op
//! names it by its digest, so an op built against an older plugin runs on that one. Run by itself, as a
//! command, it is the compiler from source to bytecode.
//!
//! ```
//! let plugin = compute_js_plugin::plugin();
//! assert_eq!(plugin.alg(), "sha256");
//! assert!(plugin.wasm().starts_with(b"\0asm"));
//! ```

mod trace;

use std::sync::LazyLock;

use compute::{Algorithm, Artifact};

pub use trace::{
    BUILT_FILE, SOURCE_MAP, SourceLocation, SourceMap, SourceMapError, Trace, code_frame,
};

/// The plugin's bytes.
pub const WASM: &[u8] = include_bytes!(env!("COMPUTE_PLUGIN"));

/// The plugin's SHA-256, in hex: the one recorded in `plugin.sha256`, which the build checks.
pub const SHA256: &str = env!("COMPUTE_PLUGIN_SHA256");

/// The plugin as an artifact. Its bytes are hashed once a process.
#[must_use]
pub fn plugin() -> Artifact {
    static PLUGIN: LazyLock<Artifact> =
        LazyLock::new(|| Artifact::new(Algorithm::Sha256, "wasm", WASM));
    PLUGIN.clone()
}
