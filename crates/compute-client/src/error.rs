//! Why a server did not give what it was asked for.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use compute_api::{ActivationProblem, ProblemBody};
use serde_json::{Map, Value};

/// What something else said of its own failure.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a server did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server said why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// No answer came. Whether the server did what it was asked for is known only if the connection was refused.
    #[error("cannot reach {base}: is a server running there?")]
    Unreachable {
        /// Where the server should be.
        base: String,
        /// What happened.
        source: BoxError,
    },
    /// The whole answer did not come in time. Whether the server did what it was asked for is not known.
    #[error("the server at {base} did not answer within {limit:?}")]
    Deadline {
        /// Where the server is.
        base: String,
        /// What was asked for.
        url: String,
        /// The time that the client was made for.
        limit: Duration,
    },
    /// An answer that is none of this API.
    #[error(
        "the server at {base} answered what this program does not understand: is it one of another version, or something else?"
    )]
    UnexpectedAnswer {
        /// Where the server is.
        base: String,
        /// What was asked for.
        url: String,
        /// The status of the answer.
        status: u16,
        /// What is unexpected.
        source: BoxError,
    },
    /// An answer with more bytes than the client was made for.
    #[error("the answer of {url} has more than {limit} bytes")]
    AnswerTooLarge {
        /// What was asked for.
        url: String,
        /// How many bytes it may have.
        limit: u64,
    },
    /// The bytes that came are not those that the ref means.
    #[error("the server at {base} gave other bytes than were asked for")]
    Digest {
        /// Where the server is.
        base: String,
        /// How they differ.
        source: compute::Error,
    },
    /// Not the URL of a server.
    #[error("`{url}` is not a server's URL: {reason}; give one such as http://127.0.0.1:7700")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was asked for cannot be put into a request; nothing was sent.
    #[error("{what} cannot stand in a request")]
    Request {
        /// What cannot.
        what: String,
    },
    /// The lines of a batch cannot be read.
    #[error("the lines that are to be sent cannot be read")]
    Input {
        /// Why.
        source: std::io::Error,
    },
    /// The client cannot be made, or its thread has ended.
    #[error("the client cannot be set up")]
    Setup {
        /// Why.
        source: BoxError,
    },
}

/// What an error means for whoever asked, as the same work on this machine would tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// There is no such thing.
    NotFound,
    /// The request is wrong, and stays so however often it is sent.
    Invalid,
    /// A version that was active does not change.
    Immutable,
    /// It is in the way of something that is there.
    Conflict,
    /// There is too much already.
    Quota,
    /// What was sent is too large, or what came.
    TooLarge,
    /// What was sent was understood and refused, such as a module or a version that could not run.
    Refused,
    /// A compute or a rule failed; the server did what it was asked for.
    Guest,
    /// A token is missing, or is none.
    Unauthorized,
    /// The token does not allow it.
    Forbidden,
    /// There is no room now; later, the same may succeed.
    Busy,
    /// The server, or what it needs, does not answer now; later, the same may succeed.
    Unavailable,
    /// It took too long.
    Deadline,
    /// The server failed, or is something else.
    Server,
    /// The client itself failed.
    Client,
}

impl Error {
    /// What it means for whoever asked.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Problem(problem) => problem.kind(),
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Deadline { .. } => ErrorKind::Deadline,
            // Something between may answer so, and in words of its own.
            Self::UnexpectedAnswer { status, .. } => match status {
                401 => ErrorKind::Unauthorized,
                403 => ErrorKind::Forbidden,
                429 => ErrorKind::Busy,
                503 => ErrorKind::Unavailable,
                504 => ErrorKind::Deadline,
                _ => ErrorKind::Server,
            },
            Self::AnswerTooLarge { .. } => ErrorKind::TooLarge,
            Self::Digest { .. } => ErrorKind::Server,
            Self::Url { .. } | Self::Request { .. } | Self::Input { .. } => ErrorKind::Invalid,
            Self::Setup { .. } => ErrorKind::Client,
        }
    }

    /// What the server said, if it said why.
    #[must_use]
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }

    /// The code of what the server said; empty, if it did not say why.
    #[must_use]
    pub fn code(&self) -> &str {
        self.problem().map_or("", |problem| &problem.code)
    }

    /// Whether nothing accepted the connection, so that nothing was sent.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        let Self::Unreachable { source, .. } = self else { return false };
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&**source);
        while let Some(error) = cause {
            let io = error.downcast_ref::<std::io::Error>();
            if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// What a server says instead of what it was asked for (RFC 9457).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Problem {
    /// The status.
    pub status: u16,
    /// What it is, in a stable word.
    pub code: String,
    /// What happened, in a line.
    pub detail: String,
    /// The id of the request, where the server gave it one: that of its trace.
    pub rid: Option<String>,
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// All that it says, the above included.
    pub members: Map<String, Value>,
    /// What is added where a token is missing.
    pub(crate) token_hint: Option<Arc<str>>,
}

impl Problem {
    /// The problem that a body tells, if it is one.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice(body).ok()?)
    }

    /// The problem that has these members, if it is one.
    pub(crate) fn of(members: Map<String, Value>) -> Option<Self> {
        let told: ProblemBody = serde_json::from_value(Value::Object(members.clone())).ok()?;
        let ProblemBody { status, code, detail, .. } = told;
        Some(Self { status, code, detail, rid: None, retry_after: None, members, token_hint: None })
    }

    /// What it means for whoever asked.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match (self.status, self.code.as_str()) {
            (_, "version_immutable") => ErrorKind::Immutable,
            (_, "busy") => ErrorKind::Busy,
            (_, "idempotency_key_reused") => ErrorKind::Conflict,
            (_, "quota_exceeded" | "too_many_secrets" | "too_many_attachments") => ErrorKind::Quota,
            (
                _,
                "compute_failed"
                | "expression_failed"
                | "output_not_object"
                | "missing_secret"
                | "invalid_control"
                | "scope_ttl_exhausted"
                | "fuel_exhausted"
                | "document_too_large",
            ) => ErrorKind::Guest,
            (401, _) => ErrorKind::Unauthorized,
            (403, _) => ErrorKind::Forbidden,
            (404, _) => ErrorKind::NotFound,
            (409, _) => ErrorKind::Conflict,
            (413, _) => ErrorKind::TooLarge,
            (422, _) => ErrorKind::Refused,
            (429, _) => ErrorKind::Busy,
            (408 | 504, _) => ErrorKind::Deadline,
            (503, _) => ErrorKind::Unavailable,
            (400..500, _) => ErrorKind::Invalid,
            _ => ErrorKind::Server,
        }
    }

    /// What keeps versions from becoming active, if that is what it is about.
    #[must_use]
    pub fn activation_problems(&self) -> Option<Vec<ActivationProblem>> {
        serde_json::from_value(self.members.get("problems")?.clone()).ok()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)?;
        match &self.token_hint {
            Some(hint) if self.status == 401 => write!(f, "; {hint}"),
            _ => write!(f, " [{}]", self.code),
        }
    }
}
