//! What fuzz targets begin with: `cargo xtask fuzz` prepares it, and says in `COMPUTE_FUZZ_SEEDS` where it is.

use std::path::PathBuf;

use compute::{Algorithm, Artifact, Resolver as _};

/// The folder of what is prepared; none where a target is started by hand and needs none.
#[must_use]
pub fn seeds() -> Option<PathBuf> {
    std::env::var_os("COMPUTE_FUZZ_SEEDS").map(PathBuf::from)
}

/// A module as an artifact.
#[must_use]
pub fn artifact(wasm: Vec<u8>) -> Artifact {
    Artifact::new(Algorithm::Sha256, "wasm", wasm)
}

/// What an op links to, from the store that ops were put in as they were built.
///
/// # Panics
/// If it is not there.
#[must_use]
pub fn plugin_of(op: &[u8]) -> Artifact {
    let plugin = compute_wasm::linked_plugin(op).expect("an op links to its plugin");
    let store = seeds().expect("`cargo xtask fuzz` says where it is").join("store");
    let store = compute_store::open(&format!("file://{}", store.display())).expect("it was made");
    let store = compute_store::StoreResolver::new(store);
    pollster::block_on(store.resolve(&plugin)).expect("the plugin was put there with the op")
}
