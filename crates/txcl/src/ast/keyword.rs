//! The words that clauses begin with.

use std::fmt;

/// The words that clauses begin with. Case does not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keyword {
    /// `WHEN`
    When,
    /// `SET`
    Set,
    /// `EMIT`
    Emit,
    /// `SELECT`
    Select,
    /// `WITH`
    With,
    /// `PRIORITY`
    Priority,
    /// `EXEC`
    Exec,
}

impl Keyword {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::When, Self::Priority, Self::Set, Self::Select, Self::With, Self::Exec, Self::Emit];

    /// The word, in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::When => "WHEN",
            Self::Set => "SET",
            Self::Emit => "EMIT",
            Self::Select => "SELECT",
            Self::With => "WITH",
            Self::Priority => "PRIORITY",
            Self::Exec => "EXEC",
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|keyword| keyword.name().eq_ignore_ascii_case(word))
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
