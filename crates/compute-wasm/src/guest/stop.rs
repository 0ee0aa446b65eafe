//! The host's own ways to end a run.

/// The host's own ways to end a run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stop {
    #[error("exit code {0}")]
    Exit(i32),
    #[error("output limit")]
    Output,
    #[error("wall limit")]
    Wall,
    #[error("cancelled")]
    Cancelled,
    /// The guest says that it failed; how is kept in the state.
    #[error("the guest failed")]
    Failed,
    /// The guest called a host function as it must not.
    #[error("`{function}` was called wrongly: {problem}")]
    BadCall { function: String, problem: String },
    /// The guest called a host function and has no memory that it could work on.
    #[error("a function of the host was called, and no memory is exported")]
    NoMemory,
    /// The guest's parts do not fit together: the message says which.
    #[error("it does not link: {0}")]
    Unlinked(String),
}

impl Stop {
    /// A function of the host's was called as it must not be.
    pub(crate) fn bad_call(namespace: &str, name: &str, problem: impl Into<String>) -> Self {
        Self::BadCall { function: format!("{namespace}.{name}"), problem: problem.into() }
    }
}
