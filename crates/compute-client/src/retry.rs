//! When a request is sent again, and when not before.

use std::time::Duration;

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

/// How often a request is sent again that the server did not take up, and how long that waits.
///
/// The server did not take it up if it answered 429 or 503, or if nothing accepted the connection. The answer of
/// what ran is never asked for again, whatever its status. What only reads is asked for again also if the connection
/// broke, and so are a job and the bytes of an artifact sent: the server knows the one by its idempotency key and the other by their
/// digest. A token is not asked for again after a 503, which something between could have answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retries {
    /// How often one request is sent again: 4 times.
    pub most: u32,
    /// About how long the first wait is, 200 ms; each further one is twice as long. Each is shortened by a random
    /// part, up to half of it, so that those who were refused together do not come back together.
    pub first_wait: Duration,
    /// The longest wait: 10 s. A server that asks for more with `Retry-After` is not asked again.
    pub longest_wait: Duration,
    /// Whether a server is waited for that accepts no connections: yes.
    pub refused: bool,
}

impl Default for Retries {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Retries {
    /// What a client does that is not told otherwise.
    pub const DEFAULT: Self = Self {
        most: 4,
        first_wait: Duration::from_millis(200),
        longest_wait: Duration::from_secs(10),
        refused: true,
    };
    /// Nothing is sent twice.
    pub const NONE: Self =
        Self { most: 0, first_wait: Duration::ZERO, longest_wait: Duration::ZERO, refused: false };

    /// How long to wait after this many retries, if there is another one. The server may have asked for a wait.
    pub(crate) fn wait(&self, made: u32, asked: Option<Duration>) -> Option<Duration> {
        if made >= self.most {
            return None;
        }
        let half = self.first_wait.saturating_mul(1 << made.min(16)).min(self.longest_wait) / 2;
        match asked {
            Some(asked) if asked > self.longest_wait => None,
            Some(asked) => Some(asked + part_of(half)),
            None => Some(half + part_of(half)),
        }
    }
}

/// A random part of a time.
fn part_of(time: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX);
    time.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// How long a `Retry-After` asks to wait: a number of seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    // A date that has passed asks for no wait.
    Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
}
