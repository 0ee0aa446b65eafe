//! What is told to others when a job has ended. Whoever keeps the jobs submits that as a job of its own, in the moment of the end.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, JobState};
use crate::check_secret_name;

/// Where to tell that a job has ended, and the secret that signs what is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    url: String,
    secret: String,
}

/// A webhook that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WebhookError(String);

impl Webhook {
    /// The longest address, in bytes.
    pub const MAX_URL: usize = 2000;
    /// How often it is tried to tell: for about an hour.
    pub const ATTEMPTS: u32 = 20;

    /// A webhook of this address, signed with the secret of this name.
    ///
    /// # Errors
    /// [`WebhookError`] if the address is none of HTTP, or no secret is called so.
    pub fn new(url: &str, secret: &str) -> Result<Self, WebhookError> {
        let is_http = url.starts_with("https://") || url.starts_with("http://");
        // Whoever reads addresses for the web takes a backslash for a slash, and any number of them for two.
        let authority = url.split(['/', '?', '#']).nth(2).unwrap_or_default();
        let is_odd = |byte: u8| byte <= b' ' || byte >= 127 || byte == b'\\';
        if !is_http || authority.is_empty() || url.bytes().any(is_odd) {
            let why = "the address of a webhook begins with `https://` (or `http://`) and a host, and has ASCII without spaces and backslashes only";
            return Err(WebhookError(why.to_owned()));
        }
        if authority.contains('@') {
            let why = "the address of a webhook has no user and no password: others see it, and the secret says who asks";
            return Err(WebhookError(why.to_owned()));
        }
        if url.len() > Self::MAX_URL {
            let why = format!("the address of a webhook has at most {} bytes", Self::MAX_URL);
            return Err(WebhookError(why));
        }
        check_secret_name(secret).map_err(|error| WebhookError(error.to_string()))?;
        Ok(Self { url: url.to_owned(), secret: secret.to_owned() })
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its address without what only its owner is to see: up to the query.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }

    /// The name of the secret that signs.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.secret
    }

    /// The webhook that this is the text of, as it is kept.
    #[must_use]
    pub fn kept(text: &str) -> Option<Self> {
        let (secret, url) = text.split_once(' ')?;
        Self::new(url, secret).ok()
    }
}

/// As it is kept: the secret's name and the address.
impl fmt::Display for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.secret, self.url)
    }
}

/// What the job that tells has as its input: which job has ended, how, and when, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndNotice {
    /// The job.
    pub job: JobId,
    state: u8,
    ended: i64,
}

impl EndNotice {
    /// That a job has ended so.
    #[must_use]
    pub fn new(job: JobId, state: JobState, ended: Timestamp) -> Self {
        Self { job, state: state.number(), ended: ended.as_millisecond() }
    }

    /// How it has ended.
    #[must_use]
    pub fn state(&self) -> Option<JobState> {
        JobState::from_number(self.state)
    }

    /// When.
    #[must_use]
    pub fn ended(&self) -> Timestamp {
        Timestamp::from_millisecond(self.ended).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use super::Webhook;

    #[test]
    fn webhooks_are_of_http_and_have_a_secret() {
        let right = Webhook::new("https://hooks.example.com/a?b=c", "hook_key").unwrap();
        assert_eq!(Webhook::kept(&right.to_string()), Some(right));
        let long = format!("https://a/{}", "b".repeat(2000));
        for (url, secret) in [
            ("ftp://a", "k"),
            ("https://a b", "k"),
            ("https://a\n", "k"),
            ("https://ü", "k"),
            ("https://u:p@a", "k"),
            ("https:///u:p@a/b", "k"),
            ("https://\\u:p@a/b", "k"),
            ("https://", "k"),
            ("https://a", "k k"),
            ("https://a", ""),
            (&*long, "k"),
        ] {
            Webhook::new(url, secret).unwrap_err();
        }
    }
}
