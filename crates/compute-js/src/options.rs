//! How a build is to be made.

use std::path::PathBuf;

/// How a build is to be made.
#[derive(Clone, Debug, Default)]
pub struct BuildOptions {
    /// Make names and spaces short. Bytecode holds neither spaces nor comments, so this mostly saves names.
    pub minify: bool,
    /// Where bytecode is kept between builds, by the digest of what it was compiled from; nowhere unless
    /// set.
    pub cache: Option<PathBuf>,
}
