//! A server, as commands reach it: where the token is, how long it is waited for, and what its errors are here.

use compute_client::blocking::Client;
use compute_client::{Error, ErrorKind, Retries};

use crate::failure::Failure;

/// The variable that holds the token, unless a target names another.
const TOKEN: &str = "COMPUTE_TOKEN";
/// Somebody waits, and wants to know at once that there is no server.
const RETRIES: Retries = Retries { refused: false, ..Retries::DEFAULT };

/// The server at this URL. The token is in this variable, or in `COMPUTE_TOKEN`.
pub(crate) fn connect(url: &str, variable: Option<&str>) -> Result<Client, Failure> {
    let variable = variable.unwrap_or(TOKEN);
    let hint = format!("put a token into {variable}: `compute token create` makes one");
    let mut builder = Client::builder(url).token_hint(hint).retries(RETRIES);
    if let Some(token) = std::env::var(variable).ok().filter(|token| !token.is_empty()) {
        builder = builder.token(token);
    }
    let client = builder.build()?;
    if client.exposes_token() {
        anstream::eprintln!(
            "warning: {} is not https: whoever is on the way can read the token",
            client.base()
        );
    }
    Ok(client)
}

/// What a server has; nothing, if it says that there is no such thing.
pub(crate) fn found<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let Some(problem) = error.problem() else {
            return match error.kind() {
                ErrorKind::Invalid => Self::usage_of(&error),
                _ => Self::host(&error),
            };
        };
        match problem.code.as_str() {
            // What the same commands say of what is on this machine.
            "missing_compute_artifact" => {
                Self::Host(format!("{error}; `compute ls` lists what is stored"))
            }
            code if GUESTS.contains(&code) => Self::Guest(error.to_string()),
            "invalid_module" | "busy" => Self::host(&error),
            _ if (400..500).contains(&problem.status) => Self::usage_of(&error),
            _ => Self::host(&error),
        }
    }
}
