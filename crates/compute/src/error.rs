//! Why a compute could not be run. What a guest does wrong is no error: see [`crate::Failure`].

use std::error::Error as StdError;
use std::sync::Arc;

use crate::Ref;

/// The host could not run a compute.
///
/// Cloning is cheap: callers who waited for the same load share its error.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The resolver knows no artifact of this ref.
    #[error("there is no artifact {reference}")]
    NotFound {
        /// What was asked for.
        reference: Ref,
    },
    /// The resolver could not say, or what it has is broken.
    #[error("could not resolve {reference}")]
    Unresolved {
        /// What was asked for.
        reference: Ref,
        /// What went wrong.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// A manager without a resolver was asked to run a ref.
    #[error(
        "cannot run {reference}: this manager has no resolver; give it one with `Manager::builder().resolver(…)`"
    )]
    NoResolver {
        /// What was asked for.
        reference: Ref,
    },
    /// A ref was reached where no runner is set.
    #[error("cannot run {reference}: no runner is set")]
    NoRunner {
        /// What was asked for.
        reference: Ref,
    },
    /// No engine of this name is linked in.
    #[error("there is no engine `{name}`; the engines here are: {}", .known.join(", "))]
    UnknownEngine {
        /// The name asked for.
        name: String,
        /// The names there are, sorted.
        known: Vec<String>,
    },
    /// An engine cannot be opened with this configuration.
    #[error("cannot open the engine `{engine}`")]
    EngineConfig {
        /// The engine's name.
        engine: String,
        /// What it does not accept.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// The ref's digest algorithm is not one of [`crate::Algorithm`].
    #[error("{reference} has an unsupported digest algorithm; use sha256 or blake3")]
    UnsupportedAlgorithm {
        /// The ref.
        reference: Ref,
    },
    /// The bytes are not the ones that the ref means.
    #[error("the bytes of {reference} have another digest: {got}")]
    DigestMismatch {
        /// What was asked for.
        reference: Ref,
        /// The digest of the bytes there are.
        got: String,
    },
    /// The engine will never run this artifact.
    #[error("{reference} cannot run")]
    Refused {
        /// The artifact.
        reference: Ref,
        /// What the engine found.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// A limit asks for more than the engine was opened for.
    #[error("the {limit} limit of {asked} is above this engine's cap of {cap}")]
    LimitAboveCap {
        /// Which limit.
        limit: &'static str,
        /// What the call asked for.
        asked: u64,
        /// What the engine was opened for.
        cap: u64,
    },
    /// The input cannot be given to this compute.
    #[error("the input is not JSON")]
    InvalidInput {
        /// Where it stops being JSON.
        source: Arc<dyn StdError + Send + Sync>,
    },
    /// So much waits to be loaded already that this is not taken, too.
    #[error("{reference} waits to be loaded behind {waiting} others, which is the most")]
    Busy {
        /// What was asked for.
        reference: Ref,
        /// How many wait.
        waiting: usize,
    },
    /// The engine or the machine under it failed.
    #[error("the engine `{engine}` failed")]
    Engine {
        /// The engine's name.
        engine: String,
        /// What went wrong.
        source: Arc<dyn StdError + Send + Sync>,
    },
}

/// What a caller does about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Nothing is there: ask for something else, or put it there first.
    NotFound,
    /// The artifact itself is wrong and stays so: build it anew.
    Artifact,
    /// The call was wrong: correct it.
    Caller,
    /// The host is set up wrongly: its operator must act.
    Setup,
    /// Something broke that may work again: retry.
    Unavailable,
}

impl Error {
    /// What a caller does about it.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::DigestMismatch { .. } | Self::Refused { .. } => ErrorKind::Artifact,
            Self::UnsupportedAlgorithm { .. }
            | Self::LimitAboveCap { .. }
            | Self::InvalidInput { .. } => ErrorKind::Caller,
            Self::NoResolver { .. }
            | Self::NoRunner { .. }
            | Self::UnknownEngine { .. }
            | Self::EngineConfig { .. } => ErrorKind::Setup,
            Self::Unresolved { .. } | Self::Busy { .. } | Self::Engine { .. } => {
                ErrorKind::Unavailable
            }
        }
    }

    /// An engine's own failure.
    #[must_use]
    pub fn engine(
        name: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Engine { engine: name.into(), source: source.into().into() }
    }

    /// An artifact that the engine will never run.
    #[must_use]
    pub fn refused(reference: Ref, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Refused { reference, source: source.into().into() }
    }

    /// A resolver's failure that is not an absence.
    #[must_use]
    pub fn unresolved(reference: Ref, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Unresolved { reference, source: source.into().into() }
    }
}

/// An error with its causes, in one line: messages here do not repeat what their source says.
///
/// ```
/// let reference = compute::Ref::parse("compute://sha256/1")?;
/// let error = compute::Error::refused(reference, "it is empty");
/// assert_eq!(compute::with_causes(&error), "compute://sha256/1 cannot run: it is empty");
/// # Ok::<(), compute::RefError>(())
/// ```
#[must_use]
pub fn with_causes(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
