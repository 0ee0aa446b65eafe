//! Names of stacks and tenants, which are part of paths and keys: what is no name is refused where it comes in.

mod bindings;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use bindings::Bindings;

/// The name of a stack: parts of letters, digits, `_` and `-`, with `/` between them; at most 128
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct StackName(Arc<str>);

impl StackName {
    /// The longest name, in bytes.
    pub const MAX: usize = 128;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This stack, the one that it lies over (the name without its last part), and so on.
    pub fn overlay(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), |name| {
            name.0.rsplit_once('/').map(|(below, _)| Self(below.into()))
        })
    }
}

/// A text that is not the name of a stack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the name of a stack: it has letters, digits, `_` and `-`, `/` between its parts, and at most {} characters",
    StackName::MAX
)]
pub struct StackNameError {
    text: String,
}

impl FromStr for StackName {
    type Err = StackNameError;

    fn from_str(text: &str) -> Result<Self, StackNameError> {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if text.len() <= Self::MAX && text.split('/').all(part) {
            Ok(Self(text.into()))
        } else {
            Err(StackNameError { text: text.chars().take(150).collect() })
        }
    }
}

impl TryFrom<String> for StackName {
    type Error = StackNameError;

    fn try_from(text: String) -> Result<Self, StackNameError> {
        text.parse()
    }
}

impl From<StackName> for String {
    fn from(name: StackName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for StackName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The name of a tenant: 1 to 63 lower-case letters, digits and `-`, neither first nor last a `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TenantName(Arc<str>);

impl TenantName {
    /// The longest name, in bytes.
    pub const MAX: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the tenant of those who name none.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TenantName {
    fn default() -> Self {
        Self("default".into())
    }
}

/// A text that is not the name of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a tenant's name: 1 to 63 lower-case letters, digits and `-` inside")]
pub struct TenantError {
    text: String,
}

impl FromStr for TenantName {
    type Err = TenantError;

    fn from_str(text: &str) -> Result<Self, TenantError> {
        let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends = |b: Option<&u8>| b.is_some_and(|b| letter(*b));
        let bytes = text.as_bytes();
        if bytes.len() <= Self::MAX
            && ends(bytes.first())
            && ends(bytes.last())
            && bytes.iter().all(|b| letter(*b) || *b == b'-')
        {
            Ok(Self(text.into()))
        } else {
            Err(TenantError { text: text.chars().take(80).collect() })
        }
    }
}

impl TryFrom<String> for TenantName {
    type Error = TenantError;

    fn try_from(text: String) -> Result<Self, TenantError> {
        text.parse()
    }
}

impl From<TenantName> for String {
    fn from(name: TenantName) -> Self {
        name.0.as_ref().into()
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
