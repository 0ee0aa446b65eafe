//! What is wrong with a rule's text, where, and what to do about it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// How much alike a word and what it may mean must be, from 0 to 1 (Jaro-Winkler).
const ALIKE: f64 = 0.8;

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Where it starts.
    pub start: usize,
    /// Where it ends.
    pub end: usize,
}

impl Span {
    /// From here to there.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The part from this one's start to the other's end.
    #[must_use]
    pub const fn to(self, end: Self) -> Self {
        Self { start: self.start, end: end.end }
    }

    /// The span as a range.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start..self.end
    }

    /// Where it begins in a text: the line and the column, in characters, both from 1.
    #[must_use]
    pub fn position(self, source: &str) -> (usize, usize) {
        let before = &source[..source.floor_char_boundary(self.start)];
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Something and where it stands. Two are equal if what they hold is, wherever it stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spanned<T> {
    /// What it is.
    pub node: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// Something that stands here.
    pub const fn new(node: T, span: Span) -> Self {
        Self { node, span }
    }
}

impl<T: PartialEq> PartialEq for Spanned<T> {
    fn eq(&self, other: &Self) -> bool {
        self.node == other.node
    }
}

/// Whether a rule with this diagnostic can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It can, but it may not do what its author means.
    Warning,
    /// It cannot.
    Error,
}

impl Severity {
    /// The severity in a word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What kind of mistake it is: a stable name for tools and for the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A character that no part of the language starts with.
    UnexpectedCharacter,
    /// A string, or a regular expression, without an end.
    Unterminated,
    /// A path that is not written as one.
    BadPath,
    /// A number that is not written as one, or is too large.
    BadNumber,
    /// Something else is needed here.
    UnexpectedToken,
    /// A clause begins with none of the keywords.
    UnknownClause,
    /// A clause stands twice.
    DuplicateClause,
    /// A key or a destination stands twice.
    DuplicateKey,
    /// There is no such function.
    UnknownFunction,
    /// A function got too many or too few arguments, or ones it cannot take.
    BadArguments,
    /// A comparison that cannot be made.
    BadComparison,
    /// A regular expression that does not compile: the condition is false.
    BadRegex,
    /// Regular expressions that are too large.
    RegexTooLarge,
    /// `EXEC` names neither an op nor a compute.
    BadExec,
    /// `EXEC` names a service, which is not run here.
    RefusedService,
    /// A value of `WITH` that the processor reads and cannot.
    BadWith,
    /// `SELECT *` together with other selections.
    StarNotAlone,
    /// Parentheses, lists or functions in one another, too deep.
    TooDeep,
    /// The text is too long.
    TooLong,
    /// There is more to tell than is told.
    TooMany,
    /// The rule does nothing.
    EmptyRule,
    /// A clause that has no effect.
    NoEffect,
    /// An op that nothing in the workspace is.
    UnresolvedOp,
    /// A rule that sends every document back.
    UnconditionalLoop,
    /// A value that could not be worked out for one document.
    ExpressionFailed,
}

impl Code {
    /// The name, as it stands in brackets: `error[unknown-function]`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnexpectedCharacter => "unexpected-character",
            Self::Unterminated => "unterminated",
            Self::BadPath => "bad-path",
            Self::BadNumber => "bad-number",
            Self::UnexpectedToken => "unexpected-token",
            Self::UnknownClause => "unknown-clause",
            Self::DuplicateClause => "duplicate-clause",
            Self::DuplicateKey => "duplicate-key",
            Self::UnknownFunction => "unknown-function",
            Self::BadArguments => "bad-arguments",
            Self::BadComparison => "bad-comparison",
            Self::BadRegex => "bad-regex",
            Self::RegexTooLarge => "regex-too-large",
            Self::BadExec => "bad-exec",
            Self::RefusedService => "refused-service",
            Self::BadWith => "bad-with",
            Self::StarNotAlone => "star-not-alone",
            Self::TooDeep => "too-deep",
            Self::TooLong => "too-long",
            Self::TooMany => "too-many",
            Self::EmptyRule => "empty-rule",
            Self::NoEffect => "no-effect",
            Self::UnresolvedOp => "unresolved-op",
            Self::UnconditionalLoop => "unconditional-loop",
            Self::ExpressionFailed => "expression-failed",
        }
    }
}

/// One mistake, or something that may be one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// Whether the rule can run.
    pub severity: Severity,
    /// What kind it is.
    pub code: Code,
    /// What is wrong, in a line.
    pub message: String,
    /// Where.
    pub span: Span,
    /// Another place that matters, and why.
    pub related: Option<(Span, String)>,
    /// What to do.
    pub help: String,
}

impl Diagnostic {
    /// A mistake that keeps the rule from running.
    #[must_use]
    pub fn error(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            message: message.into(),
            span,
            related: None,
            help: String::new(),
        }
    }

    /// Something that may be a mistake.
    #[must_use]
    pub fn warning(code: Code, span: Span, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, span, message) }
    }

    /// This, with no more than so many bytes of each text: it may repeat what an author wrote.
    pub(crate) fn cut(&mut self, most: usize) {
        let label = self.related.as_mut().map(|(_, label)| label);
        for text in [&mut self.message, &mut self.help].into_iter().chain(label) {
            if text.len() > most {
                text.truncate(text.floor_char_boundary(most));
                text.push('…');
            }
        }
    }

    /// This, with what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self { help: help.into(), ..self }
    }

    /// This, with another place that matters.
    #[must_use]
    pub fn related(self, span: Span, label: impl Into<String>) -> Self {
        Self { related: Some((span, label.into())), ..self }
    }

    /// The line and the column, in characters, both from 1.
    #[must_use]
    pub fn position(&self, source: &str) -> (usize, usize) {
        self.span.position(source)
    }

    /// The diagnostic as `rustc` shows one: the message, the place, the line with marks under it, the help.
    ///
    /// ```
    /// let source = "WHEN .a = 1";
    /// let shown = txcl::parse(source).diagnostics[0].render("a.txcl", source, false);
    /// assert!(shown.starts_with("error[unexpected-token]"));
    /// assert!(shown.contains("a.txcl:1:9"));
    /// ```
    #[must_use]
    pub fn render(&self, file: &str, source: &str, color: bool) -> String {
        let level = match self.severity {
            Severity::Warning => Level::WARNING,
            Severity::Error => Level::ERROR,
        };
        let mark = |span: Span| {
            let start = source.floor_char_boundary(span.start);
            start..source.floor_char_boundary(span.end).max(start)
        };
        let primary = AnnotationKind::Primary.span(mark(self.span));
        let mut snippet = Snippet::source(source).path(file).annotation(primary);
        if let Some((span, label)) = &self.related {
            snippet = snippet.annotation(AnnotationKind::Context.span(mark(*span)).label(&**label));
        }
        let title = level.primary_title(&*self.message).id(self.code.name());
        let mut group = Group::with_title(title).element(snippet);
        if !self.help.is_empty() {
            group = group.element(Level::HELP.message(&*self.help));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group])
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity.name(), self.code.name(), self.message)?;
        if self.help.is_empty() { Ok(()) } else { write!(f, "; {}", self.help) }
    }
}

/// The candidate that a misspelt word most likely means, if any is like it. Case does not matter.
///
/// ```
/// assert_eq!(txcl::nearest("SLECT", ["SET", "SELECT"]), Some("SELECT"));
/// assert_eq!(txcl::nearest("FROM", ["SET", "SELECT"]), None);
/// ```
#[must_use]
pub fn nearest<T: AsRef<str>>(word: &str, candidates: impl IntoIterator<Item = T>) -> Option<T> {
    let word = word.to_lowercase();
    let likeness = |one: &T| strsim::jaro_winkler(&word, &one.as_ref().to_lowercase());
    candidates
        .into_iter()
        .map(|one| (likeness(&one), one))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, one)| one)
}
