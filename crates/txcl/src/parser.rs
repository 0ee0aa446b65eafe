//! From text to a rule. Parsing never stops at the first mistake: what can be read is read, each mistake
//! gives one diagnostic, and what only follows from a mistake gives none.

mod check;
mod value;

use crate::diagnostic::nearest;
use crate::lexer::{self, Kind, Token};
use crate::{
    Assignment, Clause, ClauseKind, Code, Comparator, Comparison, Condition, Diagnostic, Expr,
    Keyword, Literal, Operand, Path, Rule, Select, Selection, Span, Spanned,
};

/// The longest rule, in bytes: 64 KiB.
pub const MAX_SOURCE: usize = 64 << 10;
/// How deep parentheses, lists and functions may be in one another.
const MAX_DEPTH: usize = 32;
/// How many diagnostics one rule gives.
const MAX_DIAGNOSTICS: usize = 50;
/// How many bytes one message has.
const MAX_MESSAGE: usize = 600;

/// What became of a rule's text.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Parsed {
    /// The rule, as far as it could be read. It can run if no diagnostic is an error.
    pub rule: Rule,
    /// What is wrong, in the order of the text.
    pub diagnostics: Vec<Diagnostic>,
    /// Where the comments stand.
    pub comments: Vec<Span>,
}

impl Parsed {
    /// Whether the rule can run.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.diagnostics.iter().all(|one| one.severity < crate::Severity::Error)
    }
}

/// Reads a rule.
///
/// ```
/// let parsed = txcl::parse("WHEN .n > 3\nEXEC \"op://count\"");
/// assert!(parsed.is_ok());
/// assert_eq!(parsed.rule.exec().unwrap().node, "op://count");
/// ```
#[must_use]
pub fn parse(source: &str) -> Parsed {
    if source.len() > MAX_SOURCE {
        let message = format!("this rule has {} bytes; the most is {MAX_SOURCE}", source.len());
        let diagnostic = Diagnostic::error(Code::TooLong, Span::new(0, 0), message)
            .help("put what is large into a compute, or into several rules");
        return Parsed { diagnostics: vec![diagnostic], ..Parsed::default() };
    }
    let lexed = lexer::lex(source);
    let mut parser =
        Parser { tokens: &lexed.tokens, at: 0, depth: 0, diagnostics: lexed.diagnostics };
    let rule = parser.rule();
    let mut diagnostics = parser.diagnostics;
    if diagnostics.iter().all(|one| one.severity < crate::Severity::Error) {
        check::check(&rule, source, &mut diagnostics);
    }
    diagnostics.sort_by_key(|one| one.span);
    without_followers(&mut diagnostics, source);
    diagnostics.truncate(MAX_DIAGNOSTICS);
    diagnostics.iter_mut().for_each(|one| one.cut(MAX_MESSAGE));
    Parsed { rule, diagnostics, comments: lexed.comments }
}

/// Leaves out strange characters that follow a mistake on its line: most likely they belong to it.
fn without_followers(diagnostics: &mut Vec<Diagnostic>, source: &str) {
    let mut last: Option<usize> = None;
    diagnostics.retain(|one| {
        let follows = last.is_some_and(|end| {
            end <= one.span.start && !source[end..one.span.start].contains('\n')
        });
        last = Some(one.span.end);
        !(follows && one.code == Code::UnexpectedCharacter)
    });
}

/// That a mistake was found, and a diagnostic made of it.
struct Reported;

type Parse<T> = Result<T, Reported>;

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    diagnostics: Vec<Diagnostic>,
}

impl Parser<'_> {
    fn rule(&mut self) -> Rule {
        let mut rule = Rule::default();
        loop {
            match &self.peek().kind {
                Kind::End => return rule,
                Kind::Word(word) => match Keyword::from_word(word) {
                    Some(keyword) => self.clause_of(keyword, &mut rule),
                    None => {
                        self.unknown_clause();
                        self.recover();
                    }
                },
                Kind::Broken => self.recover(),
                _ => {
                    self.stray();
                    self.recover();
                }
            }
        }
    }

    fn clause_of(&mut self, keyword: Keyword, rule: &mut Rule) {
        let start = self.next().span;
        let clause = match self.clause(keyword) {
            Ok(kind) => Clause { kind, keyword: start, span: start.to(self.last_span()) },
            Err(Reported) => return self.recover(),
        };
        let is = |one: &&Clause| one.kind.keyword() == keyword;
        match rule.clauses.iter().find(is) {
            Some(first) if keyword == Keyword::Emit => {
                let message = "there is a second EMIT in this rule, and the last one counts";
                let diagnostic = Diagnostic::warning(Code::DuplicateClause, start, message)
                    .related(first.keyword, "the first is here")
                    .help("put everything into one, with commas between");
                self.diagnostics.push(diagnostic);
                rule.clauses.push(clause);
            }
            Some(first) if keyword != Keyword::Set => {
                let help = match keyword {
                    Keyword::When => "join the conditions with `&&` or `||`",
                    Keyword::Priority | Keyword::Exec => {
                        "keep one of them; a rule runs one compute"
                    }
                    _ => "put everything into one, with commas between",
                };
                let diagnostic = Diagnostic::error(
                    Code::DuplicateClause,
                    start,
                    format!("there is a second {keyword} in this rule"),
                );
                let diagnostic = diagnostic.related(first.keyword, "the first is here").help(help);
                self.diagnostics.push(diagnostic);
            }
            _ => rule.clauses.push(clause),
        }
    }

    fn clause(&mut self, keyword: Keyword) -> Parse<ClauseKind> {
        match keyword {
            Keyword::When => self.when().map(ClauseKind::When),
            Keyword::Set => self.assignments(keyword).map(ClauseKind::Set),
            Keyword::Emit => self.assignments(keyword).map(ClauseKind::Emit),
            Keyword::Select => self.select().map(ClauseKind::Select),
            Keyword::With => self.with().map(ClauseKind::With),
            Keyword::Priority => self.priority().map(ClauseKind::Priority),
            Keyword::Exec => self.exec().map(ClauseKind::Exec),
        }
    }

    fn unknown_clause(&mut self) {
        let Token { kind: Kind::Word(word), span, .. } = self.peek().clone() else { return };
        let names = Keyword::ALL.map(Keyword::name);
        let help = match nearest(&word, names) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("a clause begins with one of {}", names.join(", ")),
        };
        let message = format!("there is no clause `{word}`");
        self.diagnostics.push(Diagnostic::error(Code::UnknownClause, span, message).help(help));
    }

    /// Something stands where only a clause may begin.
    fn stray(&mut self) {
        let token = self.peek().clone();
        let after = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let help = match (&token.kind, after.map(|token| &token.kind)) {
            (Kind::Sign(","), _) => "a comma stands between the items of a clause only".to_owned(),
            (Kind::Sign(")"), _) => "no `(` is open here".to_owned(),
            (Kind::Sign("]"), _) => "no `[` is open here".to_owned(),
            (Kind::Path(_), None) => {
                "a condition begins with WHEN, what is written with SET or EMIT".to_owned()
            }
            (Kind::Function(_), _) => "a function stands on the right of `=` only".to_owned(),
            _ => format!(
                "a clause begins with one of {}",
                Keyword::ALL.map(Keyword::name).join(", ")
            ),
        };
        let message = format!("expected a clause, found {}", described(&token.kind));
        let diagnostic = Diagnostic::error(Code::UnexpectedToken, token.span, message);
        self.diagnostics.push(diagnostic.help(help));
    }

    /// Goes on to where the next clause begins.
    fn recover(&mut self) {
        self.at += usize::from(!self.at_clause());
        while !self.at_clause() && !self.at_misspelt_clause() && self.peek().kind != Kind::End {
            self.at += 1;
        }
        self.depth = 0;
    }

    /// Whether a line begins here with a word that is almost a keyword.
    fn at_misspelt_clause(&self) -> bool {
        let Token { kind: Kind::Word(word), leads: true, .. } = self.peek() else { return false };
        nearest(word, Keyword::ALL.map(Keyword::name)).is_some()
    }

    /// Whether a clause begins here. `priority = 1` is a key in `WITH`, and not a clause.
    fn at_clause(&self) -> bool {
        let is_keyword =
            matches!(&self.peek().kind, Kind::Word(word) if Keyword::from_word(word).is_some());
        is_keyword && !self.peek_after().is_some_and(|next| next.kind == Kind::Sign("="))
    }

    fn peek(&self) -> &Token {
        // The last token is the end, and stays.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn peek_after(&self) -> Option<&Token> {
        self.tokens.get(self.at + 1)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn last_span(&self) -> Span {
        self.tokens[self.at.saturating_sub(1).min(self.tokens.len() - 1)].span
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek().kind, Kind::Sign(it) if it == sign)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let is = self.is_sign(sign);
        self.at += usize::from(is);
        is
    }

    fn is_word(&self, wanted: &str) -> bool {
        matches!(&self.peek().kind, Kind::Word(word) if word.eq_ignore_ascii_case(wanted))
    }

    /// Tells that something else is needed here, unless the lexer has told already.
    fn expected(&mut self, what: &str, help: &str) -> Reported {
        let token = self.peek();
        let (kind, span) = (token.kind.clone(), token.span);
        if kind == Kind::Broken {
            return Reported;
        }
        // What is missing is missing after what was read, and not at the start of the next line.
        let missing = kind == Kind::End || self.at_clause();
        let (span, found) = if missing && self.at > 0 {
            let end = self.last_span().end;
            let found = match kind {
                Kind::End => "the rule ends".to_owned(),
                kind => format!("found {}", described(&kind)),
            };
            (Span::new(end, end), found)
        } else {
            (span, format!("found {}", described(&kind)))
        };
        self.tell(
            Diagnostic::error(Code::UnexpectedToken, span, format!("expected {what}, {found}"))
                .help(help),
        )
    }

    fn tell(&mut self, diagnostic: Diagnostic) -> Reported {
        self.diagnostics.push(diagnostic);
        Reported
    }

    /// Reads something that may hold itself, to a bounded depth.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Parse<T>) -> Parse<T> {
        if self.depth == MAX_DEPTH {
            let message = format!("this is nested deeper than {MAX_DEPTH} levels");
            let diagnostic = Diagnostic::error(Code::TooDeep, self.peek().span, message)
                .help("split the rule, or do this in a compute");
            return Err(self.tell(diagnostic));
        }
        self.depth += 1;
        let read = read(self);
        self.depth = self.depth.saturating_sub(1);
        read
    }

    fn when(&mut self) -> Parse<Condition> {
        if self.at_clause() || self.peek().kind == Kind::End || self.eat("*") {
            return Ok(Condition::Always);
        }
        self.any()
    }

    fn any(&mut self) -> Parse<Condition> {
        let mut parts = vec![self.all()?];
        loop {
            if self.is_word("or") {
                return Err(self.word_for_sign("or", "||"));
            }
            if !self.eat("||") {
                break;
            }
            parts.push(self.all()?);
        }
        Ok(single(parts, Condition::Any))
    }

    fn all(&mut self) -> Parse<Condition> {
        let mut parts = vec![self.not()?];
        loop {
            if self.is_word("and") {
                return Err(self.word_for_sign("and", "&&"));
            }
            if !self.eat("&&") && !self.eat(",") {
                break;
            }
            parts.push(self.not()?);
        }
        Ok(single(parts, Condition::All))
    }

    fn word_for_sign(&mut self, word: &str, sign: &str) -> Reported {
        let message = format!("`{word}` is written as `{sign}` here");
        let diagnostic =
            Diagnostic::error(Code::UnexpectedToken, self.peek().span, message).help(match sign {
                "!" => "write `!(.a == 1)`".to_owned(),
                _ => format!("write `.a == 1 {sign} .b == 2`"),
            });
        self.tell(diagnostic)
    }

    fn not(&mut self) -> Parse<Condition> {
        if self.is_word("not") {
            return Err(self.word_for_sign("not", "!"));
        }
        if self.eat("!") {
            return self.deeper(|parser| Ok(Condition::Not(Box::new(parser.not()?))));
        }
        if self.is_sign("(") {
            let open = self.next().span;
            let inner = self.deeper(Self::any)?;
            if !self.eat(")") {
                if self.peek().kind == Kind::Broken {
                    return Err(Reported);
                }
                let message = "this `(` is not closed";
                let diagnostic = Diagnostic::error(Code::UnexpectedToken, open, message)
                    .help("add a `)` where the group ends");
                return Err(self.tell(diagnostic));
            }
            return Ok(inner);
        }
        self.comparison().map(Condition::Compare)
    }

    fn comparison(&mut self) -> Parse<Comparison> {
        let path = self.path(
            "a condition's path",
            "a condition is written `.path == value`; the path stands on the left",
        )?;
        let comparator = self.comparator(&path)?;
        if comparator.node.is_match() {
            let operand = self.pattern(comparator.node)?;
            return Ok(Comparison { path, comparator, operand });
        }
        let value = self.deeper(|parser| parser.comparison_value(comparator.node))?;
        let operand = Spanned::new(Operand::Expr(value.node), value.span);
        Ok(Comparison { path, comparator, operand })
    }

    fn comparator(&mut self, path: &Spanned<Path>) -> Parse<Spanned<Comparator>> {
        let token = self.peek().clone();
        if let Kind::Sign(sign) = token.kind {
            if sign == "=" {
                self.at += 1;
                let diagnostic = Diagnostic::error(
                    Code::UnexpectedToken,
                    token.span,
                    "`=` writes a value; it does not compare",
                );
                self.diagnostics.push(diagnostic.help("to compare, write `==`"));
                return Ok(Spanned::new(Comparator::Equal, token.span));
            }
            let found = Comparator::ALL.into_iter().find(|one| one.sign() == sign);
            if let Some(comparator) = found {
                self.at += 1;
                return Ok(Spanned::new(comparator, token.span));
            }
        }
        if token.kind == Kind::Broken {
            return Err(Reported);
        }
        let message = format!("`{}` is compared with nothing", path.node);
        let help =
            format!("write `{0} == true`, or `{0} != null` to ask whether it is there", path.node);
        let help = match &token.kind {
            Kind::Word(word) if word.eq_ignore_ascii_case("is") => "to compare, write `==`".into(),
            Kind::Word(word) if word.eq_ignore_ascii_case("contains") => {
                "to look for a text in another, write `=~ /text/`".into()
            }
            _ => help,
        };
        Err(self.tell(Diagnostic::error(Code::BadComparison, path.span, message).help(help)))
    }

    /// What stands after `=~` and `!~`.
    fn pattern(&mut self, comparator: Comparator) -> Parse<Spanned<Operand>> {
        let token = self.peek().clone();
        let operand = match token.kind {
            Kind::Regex(pattern) => Operand::Regex(pattern),
            Kind::String(text) => Operand::Expr(Expr::Literal(Literal::String(text))),
            _ => {
                let what = format!("a regular expression after `{}`", comparator.sign());
                return Err(self.expected(&what, "write it between slashes: `=~ /^a.*z$/`"));
            }
        };
        self.at += 1;
        Ok(Spanned::new(operand, token.span))
    }

    fn path(&mut self, what: &str, help: &str) -> Parse<Spanned<Path>> {
        match self.peek().clone() {
            Token { kind: Kind::Path(path), span, .. } => {
                self.at += 1;
                Ok(Spanned::new(path, span))
            }
            Token { kind: Kind::Word(word), span, .. } if !self.at_clause() => {
                let message = format!("`{word}` is not a path");
                let diagnostic = Diagnostic::error(Code::BadPath, span, message);
                Err(self.tell(diagnostic.help(format!("a path begins with a dot: `.{word}`"))))
            }
            _ => Err(self.expected(what, help)),
        }
    }

    /// `PATH = value`, once or more. The commas between are optional.
    fn assignments(&mut self, keyword: Keyword) -> Parse<Vec<Assignment>> {
        let mut items = Vec::new();
        loop {
            let help = format!("write `{keyword} .path = value`");
            let path = self.path("a path", &help)?;
            self.equals(&path.node.to_string())?;
            let value = self.value()?;
            items.push(Assignment { path, value });
            if !self.eat(",") && !matches!(self.peek().kind, Kind::Path(_)) {
                return Ok(items);
            }
        }
    }

    fn equals(&mut self, left: &str) -> Parse<()> {
        if self.eat("=") {
            return Ok(());
        }
        if self.is_sign("==") {
            let diagnostic = Diagnostic::error(
                Code::UnexpectedToken,
                self.peek().span,
                "`==` compares; it does not write a value",
            );
            self.at += 1;
            self.diagnostics.push(diagnostic.help("to write a value, write `=`"));
            return Ok(());
        }
        let help = match &self.peek().kind {
            Kind::Word(word) if !self.at_clause() => {
                format!(
                    "write `{left} = value`; a name with a space in it is quoted: `.\"… {word}\"`"
                )
            }
            _ => format!("write `{left} = value`"),
        };
        Err(self.expected(&format!("`= value` after `{left}`"), &help))
    }

    /// `key = value`, once or more. The commas between are optional.
    fn with(&mut self) -> Parse<Vec<Assignment>> {
        let mut items: Vec<Assignment> = Vec::new();
        loop {
            let path = self.key()?;
            self.equals(&path.node.segments().join("."))?;
            let value = self.value()?;
            let clash = |one: &&Assignment| {
                let (a, b) = (one.path.node.segments(), path.node.segments());
                // A list of secrets, and one under another name, are both given.
                let [short, long] = if a.len() < b.len() { [a, b] } else { [b, a] };
                long.starts_with(short) && (short.len() == long.len() || *short != ["secrets"])
            };
            if let Some(first) = items.iter().find(clash) {
                let [key, other] = [&path, &first.path].map(|path| path.node.segments().join("."));
                let message = if key == other {
                    format!("`{key}` stands twice")
                } else {
                    format!("`{other}` and `{key}` cannot both hold a value")
                };
                let diagnostic = Diagnostic::error(Code::DuplicateKey, path.span, message)
                    .related(first.path.span, "the first is here")
                    .help("each key holds one value; keep one of them");
                self.diagnostics.push(diagnostic);
            } else {
                items.push(Assignment { path, value });
            }
            let key_follows = matches!(self.peek().kind, Kind::Word(_)) && !self.at_clause();
            if !self.eat(",") && !key_follows {
                return Ok(items);
            }
        }
    }

    /// A key of `WITH`: a word, and what follows it after dots.
    fn key(&mut self) -> Parse<Spanned<Path>> {
        let Token { kind: Kind::Word(word), span, .. } = self.peek().clone() else {
            if let Token { kind: Kind::Path(path), span, .. } = self.peek().clone() {
                let message = format!("`{path}` is a path; WITH takes keys");
                let help = format!("leave the dot away: `{}`", path.segments().join("."));
                return Err(self.tell(Diagnostic::error(Code::BadPath, span, message).help(help)));
            }
            return Err(self.expected("a key", "write `WITH key = value`"));
        };
        if self.at_clause() {
            return Err(self.expected("a key", "write `WITH key = value`"));
        }
        self.at += 1;
        let mut segments = vec![word];
        let mut end = span;
        if let Token { kind: Kind::Path(rest), span: rest_span, .. } = self.peek().clone()
            && rest_span.start == span.end
        {
            self.at += 1;
            segments.extend_from_slice(rest.segments());
            end = rest_span;
        }
        let span = span.to(end);
        match Path::new(segments) {
            Some(path) => Ok(Spanned::new(path, span)),
            None => Err(self.tell(Diagnostic::error(
                Code::BadPath,
                span,
                "this key has too many parts",
            ))),
        }
    }

    fn select(&mut self) -> Parse<Select> {
        let mut parts = Vec::new();
        let mut star = None;
        loop {
            if self.is_sign("*") {
                star = Some(self.next().span);
            } else {
                parts.push(self.selection()?);
            }
            let path_follows = matches!(self.peek().kind, Kind::Path(_));
            if self.eat(",") {
                continue;
            }
            if path_follows {
                let help = "SELECT has commas between its parts";
                return Err(self.expected("a comma or the next clause", help));
            }
            break;
        }
        match star {
            None => Ok(Select::Parts(parts)),
            Some(_) if parts.is_empty() => Ok(Select::All),
            Some(span) => Err(self.tell(
                Diagnostic::error(Code::StarNotAlone, span, "`*` stands together with other parts")
                    .help("`SELECT *` is everything, and stands alone"),
            )),
        }
    }

    fn selection(&mut self) -> Parse<Selection> {
        let help = "write `SELECT .path AS .other DEFAULT value`, or `SELECT *`";
        let source = self.path("a path or `*`", help)?;
        let mut selection = Selection { source, destination: None, default: None };
        if self.is_word("as") {
            self.at += 1;
            selection.destination = Some(self.path("a path", help)?);
        }
        if self.is_word("default") {
            self.at += 1;
            selection.default = Some(self.value()?);
        }
        Ok(selection)
    }

    fn priority(&mut self) -> Parse<i64> {
        let token = self.peek().clone();
        let help = "write a whole number: `PRIORITY 10`; the highest wins";
        if self.is_sign("=") {
            return Err(self.expected("a whole number", help));
        }
        let Kind::Number(digits) = &token.kind else {
            return Err(self.expected("a whole number", help));
        };
        match digits.parse() {
            Ok(priority) => {
                self.at += 1;
                Ok(priority)
            }
            Err(_) => {
                let message = format!("`{digits}` is not a whole number of 64 bits");
                Err(self.tell(Diagnostic::error(Code::BadNumber, token.span, message).help(help)))
            }
        }
    }

    fn exec(&mut self) -> Parse<Spanned<String>> {
        match self.peek().clone() {
            Token { kind: Kind::String(text), span, .. } => {
                self.at += 1;
                Ok(Spanned::new(text, span))
            }
            _ => Err(self.expected("the name of a compute", "write `EXEC \"op://name\"`")),
        }
    }
}

fn single(mut parts: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}

/// A token, in a person's words.
fn described(kind: &Kind) -> String {
    match kind {
        Kind::Word(word) => format!("`{word}`"),
        Kind::Path(path) => format!("the path `{path}`"),
        Kind::String(_) | Kind::Base64(_) => "a string".into(),
        Kind::Number(digits) => format!("the number {digits}"),
        Kind::Regex(_) => "a regular expression".into(),
        Kind::Function(name) => format!("the function `&{name}`"),
        Kind::Sign(sign) => format!("`{sign}`"),
        Kind::Broken => "this".into(),
        Kind::End => "the end of the rule".into(),
    }
}
