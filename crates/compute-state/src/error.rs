//! Why what is kept cannot be read or written, or not yet, whoever keeps it.

use std::error::Error;

use jiff::SignedDuration;

/// For how long nothing is kept that names an artifact which goes: longer than a store may take to delete it.
pub const RELEASING: SignedDuration = SignedDuration::from_mins(2);

/// What an implementation says of its own failure.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// What is kept cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// It was written by a later version of this program.
    #[error(
        "{what} has the format {found}; this program knows formats up to {known}: use a newer one"
    )]
    Newer {
        /// What was.
        what: String,
        /// Its format.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// Whoever keeps it does not answer now, or has no room; later, the same may succeed. Whether it was done is not known.
    #[error("{what} cannot be used now")]
    Unavailable {
        /// What cannot.
        what: String,
        /// Why.
        source: BoxError,
    },
    /// It cannot be opened, read or written.
    #[error("{what}")]
    Failed {
        /// What cannot, or what was tried.
        what: String,
        /// Why.
        source: BoxError,
    },
}

impl StateError {
    /// What cannot be opened, read or written, and why.
    pub fn failed(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Failed { what: what.into(), source: source.into() }
    }

    /// What cannot be used now, and why.
    pub fn unavailable(what: impl Into<String>, source: impl Into<BoxError>) -> Self {
        Self::Unavailable { what: what.into(), source: source.into() }
    }
}
