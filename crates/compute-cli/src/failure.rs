//! What ends a command early, whose failure it is, and how it is told.

use std::error::Error;
use std::fmt;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use compute::{ErrorKind, Printable, Ref, with_causes};
use compute_client::{Error as ServerError, ErrorKind as ServerErrorKind};
use compute_js::{BuildError, Diagnostic};
use compute_state::{
    SchedulesError, SecretError, StacksError, StateError, TokensError, TracesError, VaultError,
};
use compute_store::StoreError;

/// The exit code of a wrong command.
pub(crate) const USAGE: u8 = 2;

/// The variable that has the key which seals secrets.
pub(crate) const SECRET_KEY: &str = "COMPUTE_SECRET_KEY";

/// Why a command ended early; each has its exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The guest failed.
    Guest(String),
    /// The guest's source does not build.
    Source(Vec<Diagnostic>),
    /// The person at the keyboard can mend it.
    Usage(String),
    /// The host failed.
    Host(String),
}

impl Failure {
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Guest(_) | Self::Source(_) => 1,
            Self::Usage(_) => USAGE,
            Self::Host(_) => 3,
        }
    }

    /// A failure of the same kind that says this.
    pub(crate) fn with_message(self, message: String) -> Self {
        match self {
            Self::Guest(_) | Self::Source(_) => Self::Guest(message),
            Self::Usage(_) => Self::Usage(message),
            Self::Host(_) => Self::Host(message),
        }
    }

    pub(crate) fn usage(message: impl fmt::Display) -> Self {
        Self::Usage(message.to_string())
    }

    /// An error of which the person at the keyboard can mend the cause.
    pub(crate) fn usage_of(error: &(dyn Error + 'static)) -> Self {
        Self::Usage(with_causes(error))
    }

    pub(crate) fn host(error: &(dyn Error + 'static)) -> Self {
        Self::Host(with_causes(error))
    }

    /// This failure in the words of the person who named a file: where it speaks of the file's ref, it
    /// now speaks of the file.
    pub(crate) fn about(self, target: &str, reference: &Ref) -> Self {
        let named = |message: String| message.replace(reference.as_str(), target);
        match self {
            Self::Guest(_) | Self::Source(_) => self,
            Self::Usage(message) => Self::Usage(named(message)),
            Self::Host(message) => Self::Host(named(message)),
        }
    }

    pub(crate) fn print(&self) {
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        match self {
            Self::Source(diagnostics) => {
                for diagnostic in diagnostics {
                    let diagnostic = diagnostic.to_string();
                    let shown = Printable::lines(&diagnostic);
                    drop(writeln!(anstream::stderr(), "{red}error:{red:#} {shown}"));
                }
            }
            // What a guest, a file or a server put into it moves no cursor here.
            Self::Guest(message) | Self::Usage(message) | Self::Host(message) => {
                drop(writeln!(
                    anstream::stderr(),
                    "{red}error:{red:#} {}",
                    Printable::lines(message)
                ));
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(diagnostics) => {
                let lines: Vec<_> = diagnostics.iter().map(Diagnostic::to_string).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::Guest(message) | Self::Usage(message) | Self::Host(message) => {
                f.write_str(message)
            }
        }
    }
}

impl From<compute::Error> for Failure {
    fn from(error: compute::Error) -> Self {
        let message = with_causes(&error);
        match error.kind() {
            ErrorKind::Caller => Self::Usage(message),
            ErrorKind::NotFound => {
                Self::Host(format!("{message}; `compute ls` lists what is stored"))
            }
            _ => Self::Host(message),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::Source(diagnostics) => Self::Source(diagnostics),
            BuildError::Unfit(_) => Self::usage_of(&error),
            _ => Self::host(&error),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let (StateError::Failed { source, .. } | StateError::Unavailable { source, .. }) = &error
        else {
            return Self::host(&error);
        };
        // A server's own words are better than that it did not do it.
        source.downcast_ref::<ServerError>().map_or_else(|| Self::host(&error), Self::from)
    }
}

impl From<StacksError> for Failure {
    fn from(error: StacksError) -> Self {
        match error {
            StacksError::NoStack(_)
            | StacksError::NoVersion { .. }
            | StacksError::NotBeside { .. }
            | StacksError::NoRollout { .. } => Self::usage_of(&error),
            StacksError::State(error) => error.into(),
            _ => Self::host(&error),
        }
    }
}

impl From<SchedulesError> for Failure {
    fn from(error: SchedulesError) -> Self {
        match error {
            SchedulesError::State(error) => error.into(),
            SchedulesError::Released(_) => Self::host(&error),
            _ => Self::usage_of(&error),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::State(error) => error.into(),
            SecretError::Vault(error) => error.into(),
            _ => Self::usage_of(&error),
        }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        let key = std::env::var(SECRET_KEY).ok().filter(|key| !key.is_empty());
        match (&error, key) {
            (VaultError::Key(_), Some(_)) => Self::usage(format!("{SECRET_KEY}: {error}")),
            (VaultError::NoKey(_), _) => Self::usage(format!(
                "{error}: put it into {SECRET_KEY} (64 hex digits; `openssl rand -hex 32` draws some for a new one), or name its file with --secret-key-file"
            )),
            (VaultError::OtherKey { tenant: None, .. }, _) => Self::usage(format!(
                "{error}: put that one into {SECRET_KEY}, or name its file with --secret-key-file; for this one instead, stop all servers and set a secret with it first, where the state is: there are none (`compute secret set NAME`)"
            )),
            (VaultError::OtherKey { tenant: Some(tenant), .. }, _) => Self::usage(format!(
                "{error}: put the one of those secrets into {SECRET_KEY}, or name its file with --secret-key-file; for a new one, or where it is lost, forget all secrets first, which takes no key (`compute secret ls --tenant {tenant}`, `compute secret rm NAME --tenant {tenant}`)"
            )),
            _ => Self::host(&error),
        }
    }
}

impl From<TokensError> for Failure {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::NoScope | TokensError::Name | TokensError::NoToken(_) => {
                Self::usage_of(&error)
            }
            TokensError::State(error) => error.into(),
            _ => Self::host(&error),
        }
    }
}

impl From<TracesError> for Failure {
    fn from(error: TracesError) -> Self {
        match error {
            TracesError::State(error) => error.into(),
            _ => Self::host(&error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = with_causes(&error);
        match error {
            StoreError::Url { .. } => Self::Usage(message),
            // A token is for the person at the keyboard to bring.
            StoreError::Storage { ref source, .. }
                if source.downcast_ref().is_some_and(is_of_the_token) =>
            {
                Self::Usage(message)
            }
            StoreError::NotFound { .. } => {
                Self::Host(format!("{message}; `compute ls` lists what is stored"))
            }
            _ => Self::Host(message),
        }
    }
}

/// Whether a token is missing, or does not allow it.
fn is_of_the_token(error: &compute_client::Error) -> bool {
    [ServerErrorKind::Unauthorized, ServerErrorKind::Forbidden].contains(&error.kind())
}

/// The codes of what a rule or a compute did.
const GUESTS: [&str; 10] = [
    "compute_failed",
    "expression_failed",
    "output_not_object",
    "missing_secret",
    "invalid_control",
    "scope_ttl_exhausted",
    "fuel_exhausted",
    "document_too_large",
    "deadline_exceeded",
    "cancelled",
];

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::from(&error)
    }
}

impl From<&ServerError> for Failure {
    fn from(error: &ServerError) -> Self {
        let Some(problem) = error.problem() else {
            return match error.kind() {
                ServerErrorKind::Invalid => Self::usage_of(error),
                _ => Self::host(error),
            };
        };
        let message = match problem.code.as_str() {
            // What the same commands say of what is on this machine.
            "missing_compute_artifact" => format!("{error}; `compute ls` lists what is stored"),
            code if GUESTS.contains(&code) => error.to_string(),
            _ => with_causes(error),
        };
        Self::of_problem(problem.status, &problem.code, message)
    }
}

impl Failure {
    /// What a problem of this status and code is to whoever gave the command.
    pub(crate) fn of_problem(status: u16, code: &str, message: String) -> Self {
        match code {
            "missing_compute_artifact" | "invalid_module" | "busy" => Self::Host(message),
            code if GUESTS.contains(&code) => Self::Guest(message),
            _ if (400..500).contains(&status) => Self::Usage(message),
            _ => Self::Host(message),
        }
    }
}
