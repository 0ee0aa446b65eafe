//! Where a document is: a stack and the number of a scope.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

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

impl FromStr for StackName {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, StageError> {
        let part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if text.len() <= Self::MAX && text.split('/').all(part) {
            Ok(Self(text.into()))
        } else {
            Err(StageError { text: text.chars().take(150).collect(), what: What::Stack })
        }
    }
}

impl TryFrom<String> for StackName {
    type Error = StageError;

    fn try_from(text: String) -> Result<Self, StageError> {
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

/// `stack/N`: the lowest scope of a stack whose number is at least N.
///
/// ```
/// use compute_flow::Stage;
///
/// let stage: Stage = "support/vip/100".parse()?;
/// assert_eq!((stage.stack.as_str(), stage.scope), ("support/vip", 100));
/// # Ok::<(), compute_flow::StageError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stage {
    /// The stack.
    pub stack: StackName,
    /// The scope's number, at least.
    pub scope: u32,
}

impl Stage {
    /// A stage.
    #[must_use]
    pub const fn new(stack: StackName, scope: u32) -> Self {
        Self { stack, scope }
    }

    /// Reads `stack/N`, or `stack`, which begins at its first scope.
    ///
    /// # Errors
    /// A [`StageError`] if the text is neither.
    pub fn start(text: &str) -> Result<Self, StageError> {
        text.parse().or_else(|_| Ok(Self::new(text.parse()?, 0)))
    }

    /// Reads `stack/N`, or `N`, which stays in this stack.
    ///
    /// # Errors
    /// A [`StageError`] if the text is neither.
    pub fn relative(text: &str, stack: &StackName) -> Result<Self, StageError> {
        match text.parse() {
            Ok(scope) => Ok(Self::new(stack.clone(), scope)),
            Err(_) => text.parse(),
        }
    }
}

impl FromStr for Stage {
    type Err = StageError;

    fn from_str(text: &str) -> Result<Self, StageError> {
        let wrong = || StageError { text: text.chars().take(150).collect(), what: What::Stage };
        let (stack, scope) = text.rsplit_once('/').ok_or_else(wrong)?;
        let scope = scope.bytes().all(|b| b.is_ascii_digit()).then(|| scope.parse().ok());
        Ok(Self { stack: stack.parse()?, scope: scope.flatten().ok_or_else(wrong)? })
    }
}

impl TryFrom<String> for Stage {
    type Error = StageError;

    fn try_from(text: String) -> Result<Self, StageError> {
        text.parse()
    }
}

impl From<Stage> for String {
    fn from(stage: Stage) -> Self {
        stage.to_string()
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.stack, self.scope)
    }
}

/// A text that names no stage, or no stack.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}")]
pub struct StageError {
    text: String,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum What {
    #[error(
        "the name of a stack: it has letters, digits, `_` and `-`, `/` between its parts, and at most {} characters",
        StackName::MAX
    )]
    Stack,
    #[error("a stage: write `stack/100`")]
    Stage,
}
