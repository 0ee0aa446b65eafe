//! Why there is no op.

use std::path::PathBuf;

use crate::diagnostic::Diagnostic;

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
    /// What the op was built from cannot be kept with it: the words say why.
    #[error("the sources cannot be attached: {0}")]
    Unfit(String),
    /// The sources that are kept with an op are not such that they may be built: the words say why.
    #[error("the attached sources are refused: {0}")]
    Refused(String),
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
