//! Refs, the addresses of computes, and the digests inside them.
//!
//! The one place where a ref is parsed and where its key in a store is derived.

mod scan;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

pub use scan::scan_refs;

const SCHEME: &str = "compute://";

/// The address of a compute: `compute://<alg>/<digest>`.
///
/// A ref says which bytes are meant; whether bytes match is checked with [`Ref::verify`]. Cloning one
/// is cheap. It prints back to exactly the text it was parsed from.
///
/// ```
/// use compute::Ref;
///
/// let reference = Ref::parse("compute://sha256/abc123")?;
/// assert_eq!(reference.alg(), "sha256");
/// assert_eq!(reference.digest(), "abc123");
/// assert_eq!(reference.store_key(), "computes/sha256/abc123");
/// assert_eq!(reference.to_string(), "compute://sha256/abc123");
/// # Ok::<(), compute::RefError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ref {
    text: Arc<str>,
    /// Where the algorithm's name ends in `text`.
    alg_end: usize,
}

impl Ref {
    /// Parses `compute://<alg>/<digest>`, with `alg` of `[a-z0-9]+` and `digest` of `[A-Za-z0-9_-]+`.
    ///
    /// Neither the algorithm nor the digest's length is checked here: content is checked when it is
    /// loaded.
    ///
    /// # Errors
    /// A [`RefError`] that says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, RefError> {
        let refuse = |problem| RefError { text: shorten(text), problem };
        let rest = text.strip_prefix(SCHEME).ok_or_else(|| refuse(Problem::Scheme))?;
        let (alg, digest) = rest.split_once('/').ok_or_else(|| refuse(Problem::NoDigest))?;
        if alg.is_empty() {
            return Err(refuse(Problem::NoAlgorithm));
        }
        if !alg.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(refuse(Problem::Algorithm));
        }
        if digest.is_empty() {
            return Err(refuse(Problem::NoDigest));
        }
        if !digest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
            return Err(refuse(Problem::Digest));
        }
        Ok(Self { text: text.into(), alg_end: SCHEME.len() + alg.len() })
    }

    /// The ref of these bytes.
    #[must_use]
    pub fn of(alg: Algorithm, bytes: &[u8]) -> Self {
        let text = format!("{SCHEME}{}/{}", alg.name(), alg.hex_digest(bytes));
        Self { text: text.into(), alg_end: SCHEME.len() + alg.name().len() }
    }

    /// The digest algorithm's name, as written in the ref.
    #[must_use]
    pub fn alg(&self) -> &str {
        &self.text[SCHEME.len()..self.alg_end]
    }

    /// The digest, as written in the ref.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.text[self.alg_end + 1..]
    }

    /// The whole ref as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The key of the artifact's bytes in a store: `computes/<alg>/<digest>`.
    ///
    /// Upload, resolve and activation derive the key here and nowhere else.
    #[must_use]
    pub fn store_key(&self) -> String {
        format!("computes/{}/{}", self.alg(), self.digest())
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ref({})", self.text)
    }
}

impl FromStr for Ref {
    type Err = RefError;

    fn from_str(text: &str) -> Result<Self, RefError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Ref {
    type Error = RefError;

    fn try_from(text: String) -> Result<Self, RefError> {
        Self::parse(&text)
    }
}

impl From<Ref> for String {
    fn from(reference: Ref) -> Self {
        reference.text.as_ref().into()
    }
}

/// A digest algorithm that artifacts can be addressed by. Digests are written in lower-case hex.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256 (FIPS 180-4), the default: 64 hex digits.
    #[default]
    Sha256,
    /// BLAKE3, unkeyed, 32 bytes of output: 64 hex digits.
    Blake3,
}

impl Algorithm {
    /// Every algorithm there is.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Blake3];

    /// The name used in refs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
        }
    }

    /// The algorithm of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|alg| alg.name() == name)
    }

    /// The digest of these bytes, in lower-case hex.
    #[must_use]
    pub fn hex_digest(self, bytes: &[u8]) -> String {
        match self {
            Self::Sha256 => hex::encode(sha2::Sha256::digest(bytes)),
            Self::Blake3 => blake3::hash(bytes).to_hex().to_string(),
        }
    }
}

/// A text that is not a ref, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a compute ref: {problem}; a ref looks like compute://sha256/<digest>")]
pub struct RefError {
    text: String,
    problem: Problem,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("it does not start with `compute://`")]
    Scheme,
    #[error("the algorithm is missing")]
    NoAlgorithm,
    #[error("the algorithm may hold only a-z and 0-9")]
    Algorithm,
    #[error("the digest is missing")]
    NoDigest,
    #[error("the digest may hold only letters, digits, `_` and `-`")]
    Digest,
}

/// At most 100 characters of a text that somebody sent.
fn shorten(text: &str) -> String {
    match text.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
