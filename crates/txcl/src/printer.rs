//! Rules as text, in the one style: a clause a line, long ones an item a line.

use std::fmt::{self, Write as _};

use serde_json::Number;

use crate::path::{is_segment, quoted};
use crate::{
    Assignment, Call, Clause, ClauseKind, Comparison, Condition, Diagnostic, Expr, Literal,
    Operand, Rule, Select, Selection, Severity, Span,
};

/// How long a line may be before its clause is written an item a line.
const WIDTH: usize = 100;

/// A rule's text in the one style, with its comments.
///
/// What the text means stays as it is, and formatting a formatted text changes nothing.
///
/// # Errors
/// The diagnostics, if there are errors among them: what cannot be read is not rewritten.
pub fn format(source: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = crate::parse(source);
    if parsed.diagnostics.iter().any(|one| one.severity == Severity::Error) {
        return Err(parsed.diagnostics);
    }
    let mut printer = Printer {
        out: String::new(),
        comments: Some(Comments::new(source, &parsed.comments)),
        open_line: false,
    };
    printer.rule(&parsed.rule);
    Ok(printer.out)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut printer = Printer { out: String::new(), comments: None, open_line: false };
        printer.rule(self);
        f.write_str(&printer.out)
    }
}

struct Printer<'a> {
    out: String,
    comments: Option<Comments<'a>>,
    /// Whether the last line can take a comment at its end.
    open_line: bool,
}

/// The comments that are not printed yet.
struct Comments<'a> {
    source: &'a str,
    left: std::slice::Iter<'a, Span>,
}

impl<'a> Comments<'a> {
    fn new(source: &'a str, spans: &'a [Span]) -> Self {
        Self { source, left: spans.iter() }
    }

    /// The next comment, if it stands before a place.
    fn next_before(&mut self, place: usize) -> Option<Span> {
        let next = *self.left.as_slice().first()?;
        (next.start < place).then(|| {
            self.left.next();
            next
        })
    }

    /// Whether a comment stands between two places.
    fn any_in(&self, span: Span) -> bool {
        self.left.as_slice().iter().any(|one| span.start <= one.start && one.start < span.end)
    }

    fn text(&self, span: Span) -> &'a str {
        self.source[span.range()].trim_end()
    }

    /// Whether only blanks stand before a comment on its line.
    fn has_own_line(&self, span: Span) -> bool {
        let before = &self.source[..span.start];
        before[before.rfind('\n').map_or(0, |end| end + 1)..].trim().is_empty()
    }

    /// Whether a line without anything stands before a comment or a clause.
    fn after_blank_line(&self, start: usize) -> bool {
        let before = self.source[..start].trim_end_matches([' ', '\t', '\r']);
        let Some(before) = before.strip_suffix('\n') else { return false };
        before.trim_end_matches([' ', '\t', '\r']).ends_with('\n')
    }
}

impl Printer<'_> {
    fn rule(&mut self, rule: &Rule) {
        for clause in &rule.clauses {
            self.comments_before(clause.span.start, "");
            self.blank_line_before(clause.span.start);
            self.clause(clause);
        }
        self.comments_before(usize::MAX, "");
    }

    /// A blank line, where the author has one or more.
    fn blank_line_before(&mut self, start: usize) {
        let wanted = self.comments.as_ref().is_some_and(|one| one.after_blank_line(start));
        if wanted && !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// The comments that stand before a place: at the end of the line before, or on lines of their own.
    fn comments_before(&mut self, place: usize, indent: &str) {
        while let Some(span) = self.comments.as_mut().and_then(|one| one.next_before(place)) {
            let Some(comments) = &self.comments else { return };
            let text = comments.text(span);
            let beside = !comments.has_own_line(span) && self.open_line;
            if beside {
                self.out.pop();
                self.out.push_str("  ");
            } else {
                self.blank_line_before(span.start);
                self.out.push_str(indent);
            }
            self.out.push_str(text);
            self.out.push('\n');
            // A comment ends its line.
            self.open_line = false;
        }
    }

    fn clause(&mut self, clause: &Clause) {
        let keyword = clause.kind.keyword();
        match &clause.kind {
            ClauseKind::When(condition) => self.when(condition),
            ClauseKind::Priority(priority) => self.line(format_args!("{keyword} {priority}")),
            ClauseKind::Exec(target) => {
                self.line(format_args!("{keyword} {}", quoted(&target.node)));
            }
            ClauseKind::Select(Select::All) => self.line(format_args!("{keyword} *")),
            ClauseKind::Select(Select::Parts(parts)) => {
                let items: Vec<_> =
                    parts.iter().map(|one| (one.source.span.start, selection(one))).collect();
                self.items(keyword.name(), &items, clause.span);
            }
            ClauseKind::Set(items) | ClauseKind::Emit(items) => {
                let items: Vec<_> =
                    items.iter().map(|one| (one.path.span.start, assignment(one))).collect();
                self.items(keyword.name(), &items, clause.span);
            }
            ClauseKind::With(items) => {
                let items: Vec<_> =
                    items.iter().map(|one| (one.path.span.start, with(one))).collect();
                self.items(keyword.name(), &items, clause.span);
            }
        }
    }

    fn line(&mut self, text: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, "{text}");
        self.open_line = true;
    }

    /// A clause's items: on one line if they fit and no comment stands between them.
    fn items(&mut self, keyword: &str, items: &[(usize, String)], span: Span) {
        let texts: Vec<_> = items.iter().map(|(_, text)| &**text).collect();
        let one_line = format!("{keyword} {}", texts.join(", "));
        // A comment in the last item comes after the clause, and needs no lines of its own.
        let last = items.last().map_or(span.start, |(start, _)| *start);
        let between = Span::new(span.start, last);
        let commented = self.comments.as_ref().is_some_and(|one| one.any_in(between));
        if !commented && one_line.chars().count() <= WIDTH {
            return self.line(format_args!("{one_line}"));
        }
        self.line(format_args!("{keyword}"));
        for (at, (start, text)) in items.iter().enumerate() {
            self.comments_before(*start, "  ");
            let comma = if at + 1 < items.len() { "," } else { "" };
            self.line(format_args!("  {text}{comma}"));
        }
    }

    fn when(&mut self, when: &Condition) {
        let one_line = format!("WHEN {}", condition(when, Level::Any));
        let parts = match when {
            Condition::Any(parts) => Some((parts, "||", Level::All)),
            Condition::All(parts) => Some((parts, "&&", Level::Not)),
            _ => None,
        };
        match parts {
            Some((parts, sign, level)) if one_line.chars().count() > WIDTH => {
                let parts: Vec<_> = parts.iter().map(|one| condition(one, level)).collect();
                self.line(format_args!("WHEN {}", parts.join(&format!("\n  {sign} "))));
            }
            _ => self.line(format_args!("{one_line}")),
        }
    }
}

/// What stands around a condition: it needs parentheses where that binds tighter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Any,
    All,
    Not,
}

fn condition(it: &Condition, around: Level) -> String {
    let (text, level) = match it {
        Condition::Always => ("*".to_owned(), Level::Any),
        Condition::Any(parts) => (joined(parts, " || ", Level::All), Level::Any),
        Condition::All(parts) => (joined(parts, " && ", Level::Not), Level::All),
        Condition::Not(inner) => (format!("!{}", condition(inner, Level::Not)), Level::Not),
        Condition::Compare(it) => (comparison(it), Level::Not),
    };
    if level < around { format!("({text})") } else { text }
}

fn joined(parts: &[Condition], sign: &str, level: Level) -> String {
    let parts: Vec<_> = parts.iter().map(|one| condition(one, level)).collect();
    parts.join(sign)
}

fn comparison(it: &Comparison) -> String {
    let operand = match &it.operand.node {
        Operand::Expr(it) => expr(it),
        Operand::Regex(pattern) => format!("/{}/", escape_slashes(pattern)),
    };
    format!("{} {} {operand}", it.path.node, it.comparator.node.sign())
}

/// A pattern as it stands between slashes.
fn escape_slashes(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '/' => text.push_str("\\/"),
            '\\' => {
                text.push('\\');
                text.extend(chars.next());
            }
            other => text.push(other),
        }
    }
    text
}

fn assignment(it: &Assignment) -> String {
    format!("{} = {}", it.path.node, expr(&it.value.node))
}

fn with(it: &Assignment) -> String {
    let key = it.path.node.segments();
    let mut text = key[0].clone();
    for segment in &key[1..] {
        let plain = !segment.is_empty() && segment.chars().all(is_segment);
        text += &if plain { format!(".{segment}") } else { format!(".{}", quoted(segment)) };
    }
    format!("{text} = {}", expr(&it.value.node))
}

fn selection(it: &Selection) -> String {
    let mut text = it.source.node.to_string();
    if let Some(destination) = &it.destination {
        let _ = write!(text, " AS {}", destination.node);
    }
    if let Some(default) = &it.default {
        let _ = write!(text, " DEFAULT {}", expr(&default.node));
    }
    text
}

fn expr(it: &Expr) -> String {
    match it {
        Expr::Literal(it) => literal(it),
        Expr::Path(path) => path.to_string(),
        Expr::Call(Call { function, arguments }) => {
            let arguments: Vec<_> = arguments.iter().map(|one| expr(&one.node)).collect();
            format!("&{}({})", function.name, arguments.join(", "))
        }
    }
}

fn literal(it: &Literal) -> String {
    match it {
        Literal::Null => "null".into(),
        Literal::Bool(bool) => bool.to_string(),
        Literal::Number(it) => number(it),
        Literal::String(text) => quoted(text),
        Literal::Base64(text) => format!("b64{}", quoted(text)),
        Literal::Word(word) => word.clone(),
        Literal::List(items) => {
            let items: Vec<_> = items.iter().map(literal).collect();
            format!("[{}]", items.join(", "))
        }
    }
}

/// A number in digits: the language has no exponents.
fn number(it: &Number) -> String {
    match it.as_f64() {
        Some(float) if it.is_f64() => {
            let text = format!("{float}");
            // A whole number beyond 64 bits is a float, and must be read as one again.
            if text.contains('.') { text } else { format!("{text}.0") }
        }
        _ => it.to_string(),
    }
}
