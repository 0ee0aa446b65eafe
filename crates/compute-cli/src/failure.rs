//! What ends a command early, whose failure it is, and how it is told.

use std::error::Error;
use std::fmt;

use anstyle::{AnsiColor, Style};
use compute::{ErrorKind, Printable, Ref, with_causes};
use compute_client::ErrorKind as ServerErrorKind;
use compute_js::Diagnostic;
use compute_state::{SecretError, StacksError, StateError, TokensError, TracesError};
use compute_store::StoreError;

/// The exit code of a wrong command.
pub(crate) const USAGE: u8 = 2;

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
                    anstream::eprintln!("{red}error:{red:#} {diagnostic}");
                }
            }
            // What a guest, a file or a server put into it moves no cursor here.
            Self::Guest(message) | Self::Usage(message) | Self::Host(message) => {
                anstream::eprintln!("{red}error:{red:#} {}", Printable::lines(message));
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

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::host(&error)
    }
}

impl From<StacksError> for Failure {
    fn from(error: StacksError) -> Self {
        match error {
            StacksError::NoStack(_) | StacksError::NoVersion { .. } => Self::usage_of(&error),
            _ => Self::host(&error),
        }
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Vault(_) | SecretError::State(_) => Self::host(&error),
            _ => Self::usage_of(&error),
        }
    }
}

impl From<TokensError> for Failure {
    fn from(error: TokensError) -> Self {
        match error {
            TokensError::NoScope | TokensError::Name | TokensError::NoToken(_) => {
                Self::usage_of(&error)
            }
            _ => Self::host(&error),
        }
    }
}

impl From<TracesError> for Failure {
    fn from(error: TracesError) -> Self {
        Self::host(&error)
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
