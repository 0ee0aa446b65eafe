//! A rule, as it is written.

mod exec;
mod keyword;

use serde_json::{Number, Value};

use crate::{Function, Path, Span, Spanned};

pub use exec::{Exec, OpName};
pub use keyword::Keyword;

/// One resonator: its clauses in the order in which they are written.
///
/// What is read here is the text and no more; [`crate::Program`] says what it means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// The clauses. Each kind stands at most once, but for `SET`.
    pub clauses: Vec<Clause>,
}

impl Rule {
    /// The condition, if there is a `WHEN`.
    #[must_use]
    pub fn when(&self) -> Option<&Condition> {
        self.find(|kind| if let ClauseKind::When(when) = kind { Some(when) } else { None })
    }

    /// The target of `EXEC`, and where its string stands, quotes included.
    #[must_use]
    pub fn exec(&self) -> Option<&Spanned<String>> {
        self.find(|kind| if let ClauseKind::Exec(exec) = kind { Some(exec) } else { None })
    }

    /// The priority; 0 if there is none.
    #[must_use]
    pub fn priority(&self) -> i64 {
        self.find(|kind| if let ClauseKind::Priority(it) = kind { Some(it) } else { None })
            .copied()
            .unwrap_or(0)
    }

    /// The projection, if there is a `SELECT`.
    #[must_use]
    pub fn select(&self) -> Option<&Select> {
        self.find(|kind| if let ClauseKind::Select(it) = kind { Some(it) } else { None })
    }

    /// The values of `WITH`.
    #[must_use]
    pub fn with(&self) -> &[Assignment] {
        self.find(|kind| if let ClauseKind::With(it) = kind { Some(&**it) } else { None })
            .unwrap_or_default()
    }

    /// What `EMIT` writes: the last one, if there are several.
    #[must_use]
    pub fn emit(&self) -> &[Assignment] {
        let emit = self.clauses.iter().rev().find_map(|clause| match &clause.kind {
            ClauseKind::Emit(items) => Some(&**items),
            _ => None,
        });
        emit.unwrap_or_default()
    }

    fn find<'a, T: ?Sized>(
        &'a self,
        of: impl Fn(&'a ClauseKind) -> Option<&'a T>,
    ) -> Option<&'a T> {
        self.clauses.iter().find_map(|clause| of(&clause.kind))
    }
}

/// One clause and where it stands.
#[derive(Clone, Debug)]
pub struct Clause {
    /// What it says.
    pub kind: ClauseKind,
    /// Where its keyword stands.
    pub keyword: Span,
    /// Where the whole of it stands.
    pub span: Span,
}

impl PartialEq for Clause {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a clause says.
#[derive(Clone, Debug, PartialEq)]
pub enum ClauseKind {
    /// To which documents the rule applies.
    When(Condition),
    /// What is written where nothing is: before `SELECT` into the op's input, after it into the document.
    Set(Vec<Assignment>),
    /// What is written into the op's answer.
    Emit(Vec<Assignment>),
    /// What the op receives of the document.
    Select(Select),
    /// What the op receives besides its input.
    With(Vec<Assignment>),
    /// Among the rules that match, those of the highest priority run.
    Priority(i64),
    /// What is run.
    Exec(Spanned<String>),
}

impl ClauseKind {
    /// The word that the clause begins with.
    #[must_use]
    pub const fn keyword(&self) -> Keyword {
        match self {
            Self::When(_) => Keyword::When,
            Self::Set(_) => Keyword::Set,
            Self::Emit(_) => Keyword::Emit,
            Self::Select(_) => Keyword::Select,
            Self::With(_) => Keyword::With,
            Self::Priority(_) => Keyword::Priority,
            Self::Exec(_) => Keyword::Exec,
        }
    }
}

/// `path = value`, or `key = value` in `WITH`, where the path's segments are the key's parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Where to.
    pub path: Spanned<Path>,
    /// What.
    pub value: Spanned<Expr>,
}

/// What an op receives of the document.
#[derive(Clone, Debug, PartialEq)]
pub enum Select {
    /// `*`: all of it.
    All,
    /// These parts.
    Parts(Vec<Selection>),
}

/// `path AS path DEFAULT value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// Where it comes from.
    pub source: Spanned<Path>,
    /// Where the op receives it; the source if it isn't said.
    pub destination: Option<Spanned<Path>>,
    /// What the op receives if there is nothing, or `""`.
    pub default: Option<Spanned<Expr>>,
}

impl Selection {
    /// Where the op receives it.
    #[must_use]
    pub fn destination(&self) -> &Spanned<Path> {
        self.destination.as_ref().unwrap_or(&self.source)
    }
}

/// To which documents a rule applies.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// `*`, or nothing at all: to every document.
    Always,
    /// If one of them holds.
    Any(Vec<Self>),
    /// If all of them hold.
    All(Vec<Self>),
    /// If it does not hold.
    Not(Box<Self>),
    /// If this comparison holds.
    Compare(Comparison),
}

/// `path comparator value`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// What is compared.
    pub path: Spanned<Path>,
    /// How.
    pub comparator: Spanned<Comparator>,
    /// With what.
    pub operand: Spanned<Operand>,
}

/// What stands on the right of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A value.
    Expr(Expr),
    /// `/…/`, a regular expression.
    Regex(String),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Comparator {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=~`
    Matches,
    /// `!~`
    MatchesNot,
}

impl Comparator {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equal,
        Self::NotEqual,
        Self::Less,
        Self::LessOrEqual,
        Self::Greater,
        Self::GreaterOrEqual,
        Self::Matches,
        Self::MatchesNot,
    ];

    /// The sign.
    #[must_use]
    pub const fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Matches => "=~",
            Self::MatchesNot => "!~",
        }
    }

    /// Whether it asks which of two values is larger.
    #[must_use]
    pub const fn is_order(self) -> bool {
        matches!(self, Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual)
    }

    /// Whether it asks for a regular expression.
    #[must_use]
    pub const fn is_match(self) -> bool {
        matches!(self, Self::Matches | Self::MatchesNot)
    }
}

/// A value, or how one is come by.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// A value that is written down.
    Literal(Literal),
    /// What the document holds there.
    Path(Path),
    /// What a function gives.
    Call(Call),
}

/// `&name(arguments)`.
#[derive(Clone, Debug)]
pub struct Call {
    /// The function.
    pub function: &'static Function,
    /// What it is given.
    pub arguments: Vec<Spanned<Expr>>,
}

impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && self.arguments == other.arguments
    }
}

/// A value that is written down.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number.
    Number(Number),
    /// `"…"`
    String(String),
    /// `b64"…"`: this text's base64.
    Base64(String),
    /// A word that a function takes: `unix` in `&now(unix)`.
    Word(String),
    /// `[…]`
    List(Vec<Self>),
}

impl Literal {
    /// The value as JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(bool) => (*bool).into(),
            Self::Number(number) => Value::Number(number.clone()),
            Self::String(text) | Self::Word(text) => text.as_str().into(),
            Self::Base64(text) => crate::function::base64_of(text).into(),
            Self::List(items) => items.iter().map(Self::value).collect(),
        }
    }
}
