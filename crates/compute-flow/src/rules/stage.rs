//! Where a document is: a stack and the number of a scope.

use std::fmt;
use std::str::FromStr;

use compute_state::{StackName, StackNameError};
use serde::{Deserialize, Serialize};

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
        text.parse().or_else(|_| Ok(Self::new(text.parse::<StackName>()?, 0)))
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
        let wrong = || StageError::Stage(text.chars().take(150).collect());
        let (stack, scope) = text.rsplit_once('/').ok_or_else(wrong)?;
        let scope = scope.bytes().all(|b| b.is_ascii_digit()).then(|| scope.parse().ok());
        Ok(Self { stack: stack.parse::<StackName>()?, scope: scope.flatten().ok_or_else(wrong)? })
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
#[non_exhaustive]
pub enum StageError {
    /// What stands before the number is not the name of a stack.
    #[error(transparent)]
    Stack(#[from] StackNameError),
    /// It is not a stage.
    #[error("`{0}` is not a stage: write `stack/100`")]
    Stage(String),
}
