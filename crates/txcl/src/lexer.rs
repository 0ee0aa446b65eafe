//! From text to tokens. What is no token is a diagnostic and an [`Kind::Broken`] token, so that the parser
//! knows that it has been told.

use crate::path::{TXC, is_segment};
use crate::{Code, Diagnostic, Keyword, Path, Span};

/// A part of a rule's text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
    /// Whether it is the first of its line.
    pub(crate) leads: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// A keyword, a key, `true`, or something misspelt.
    Word(String),
    Path(Path),
    String(String),
    Base64(String),
    /// The digits as they are written.
    Number(String),
    Regex(String),
    /// The name after `&`.
    Function(String),
    /// A sign: `(`, `==`, `&&`.
    Sign(&'static str),
    /// What a diagnostic was made for.
    Broken,
    End,
}

/// The signs, the longer before those that they start with.
const SIGNS: [&str; 18] = [
    "&&", "||", "==", "!=", "<=", ">=", "=~", "!~", "(", ")", "[", "]", ",", "=", "<", ">", "!",
    "*",
];

#[derive(Debug, Default)]
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) comments: Vec<Span>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// The tokens of a text; the last is always [`Kind::End`].
pub(crate) fn lex(source: &str) -> Lexed {
    let mut escaped = false;
    let quotes = source.bytes().filter(|&byte| {
        let counts = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        counts
    });
    let odd_quotes = quotes.count() % 2 == 1;
    let mut lexer = Lexer { source, at: 0, odd_quotes, out: Lexed::default() };
    while lexer.next_token() {}
    lexer.out
}

impl Path {
    /// A path as a rule writes it; the leading `.` may be missing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let dotted;
        let text = if text.starts_with(['.', '@']) {
            text
        } else {
            dotted = format!(".{text}");
            &dotted
        };
        let lexed = lex(text);
        match (&lexed.tokens[..], lexed.diagnostics.is_empty()) {
            ([Token { kind: Kind::Path(path), span, .. }, _], true) if span.end == text.len() => {
                Some(path.clone())
            }
            _ => None,
        }
    }
}

fn is_word_start(char: char) -> bool {
    char.is_alphabetic() || char == '_'
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Whether one of the text's strings has no end.
    odd_quotes: bool,
    out: Lexed,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Reads one token; false at the end.
    fn next_token(&mut self) -> bool {
        self.skip_blanks();
        let start = self.at;
        let Some(char) = self.peek() else {
            self.push(Kind::End, start);
            return false;
        };
        let after_match =
            matches!(self.out.tokens.last(), Some(Token { kind: Kind::Sign("=~" | "!~"), .. }));
        let kind = match char {
            '/' if after_match => self.regex(),
            '"' => self.string(),
            'b' if self.rest().starts_with("b64\"") => {
                self.at += 3;
                match self.string() {
                    Kind::String(text) => Kind::Base64(text),
                    other => other,
                }
            }
            '.' => self.path(Vec::new()),
            '@' => self.reserved_path(),
            '-' | '0'..='9' => self.number(),
            '&' if !self.rest().starts_with("&&") => self.function(),
            char if is_word_start(char) => Kind::Word(self.take_while(is_segment)),
            _ => self.sign(char),
        };
        self.push(kind, start);
        true
    }

    fn push(&mut self, kind: Kind, start: usize) {
        let before = self.out.tokens.last().map_or(0, |token| token.span.end);
        let leads = before == 0 || self.source[before..start].contains('\n');
        self.out.tokens.push(Token { kind, span: Span::new(start, self.at), leads });
    }

    fn broken(&mut self, diagnostic: Diagnostic) -> Kind {
        self.out.diagnostics.push(diagnostic);
        Kind::Broken
    }

    fn skip_blanks(&mut self) {
        loop {
            // Some editors begin a file with a byte order mark.
            self.take_while(|char| char.is_whitespace() || char == '\u{feff}');
            if self.peek() != Some('#') {
                return;
            }
            let start = self.at;
            self.take_while(|char| char != '\n');
            self.out.comments.push(Span::new(start, self.at));
        }
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let rest = self.rest();
        let end = rest.find(|char| !wanted(char)).unwrap_or(rest.len());
        let taken = rest[..end].to_owned();
        self.at += end;
        taken
    }

    /// Where the line ends that starts or goes on at a place.
    fn line_end(&self, from: usize) -> usize {
        let line = &self.source[from..];
        from + line.find('\n').unwrap_or(line.len())
    }

    fn string(&mut self) -> Kind {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        while let Some(char) = self.peek() {
            self.at += char.len_utf8();
            match char {
                '"' if self.swallows_clause(start) => break,
                '"' => return Kind::String(text),
                '\\' => {
                    let Some(escaped) = self.peek() else { break };
                    self.at += escaped.len_utf8();
                    match escaped {
                        '"' | '\\' => text.push(escaped),
                        'n' => text.push('\n'),
                        'r' => text.push('\r'),
                        't' => text.push('\t'),
                        other => text.extend(['\\', other]),
                    }
                }
                other => text.push(other),
            }
        }
        // What follows on later lines is most likely not meant to be in the string.
        self.at = self.line_end(start);
        let span = Span::new(start, self.at);
        self.broken(
            Diagnostic::error(Code::Unterminated, span, "this string has no end")
                .help("close it with `\"`; a `\"` inside it is written `\\\"`"),
        )
    }

    /// Whether the string from a place to here most likely lacks its quote on an earlier line: the text
    /// has an odd number of them, and a line in the string begins with a keyword.
    fn swallows_clause(&self, start: usize) -> bool {
        let keyword = |line: &str| {
            line.split_whitespace().next().is_some_and(|word| Keyword::from_word(word).is_some())
        };
        self.source[start..self.at].lines().skip(1).any(keyword) && self.odd_quotes
    }

    fn regex(&mut self) -> Kind {
        let start = self.at;
        let line_end = self.line_end(start);
        self.at += 1;
        let mut pattern = String::new();
        while self.at < line_end {
            let Some(char) = self.peek() else { break };
            self.at += char.len_utf8();
            match char {
                '/' => return Kind::Regex(pattern),
                '\\' if self.rest().starts_with('/') => {
                    self.at += 1;
                    pattern.push('/');
                }
                '\\' => {
                    pattern.push('\\');
                    if let Some(escaped) = self.peek().filter(|_| self.at < line_end) {
                        self.at += escaped.len_utf8();
                        pattern.push(escaped);
                    }
                }
                other => pattern.push(other),
            }
        }
        let span = Span::new(start, self.at);
        self.broken(
            Diagnostic::error(Code::Unterminated, span, "this regular expression has no end")
                .help("close it with `/` on the same line; a `/` inside it is written `\\/`"),
        )
    }

    /// The segments after these, each with its dot.
    fn path(&mut self, mut segments: Vec<String>) -> Kind {
        let start = self.at;
        // What follows a key of WITH is not the path's first.
        let is_first = segments.is_empty() && !self.source[..start].ends_with(is_segment);
        let begins_quoted = is_first && self.rest().starts_with(".\"");
        while self.peek() == Some('.') {
            self.at += 1;
            let segment_start = self.at;
            if self.peek() == Some('"') {
                match self.string() {
                    Kind::String(segment) => segments.push(segment),
                    other => return other,
                }
                continue;
            }
            let segment = self.take_while(is_segment);
            if segment.is_empty() {
                self.take_while(|char| char == '.' || is_segment(char));
                let span = Span::new(segment_start - 1, self.at.max(segment_start));
                let (message, help) = if segment_start - 1 == start && segments.is_empty() {
                    ("a path needs a name after its dot", "write `.name`")
                } else {
                    ("a path needs a name between and after its dots", "write `.a.b`")
                };
                return self.broken(Diagnostic::error(Code::BadPath, span, message).help(help));
            }
            segments.push(segment);
        }
        let span = Span::new(start, self.at);
        if begins_quoted {
            let message = "the first name of a path is not quoted";
            let help = "those after it may be: `.a.\"b c\"`";
            return self.broken(Diagnostic::error(Code::BadPath, span, message).help(help));
        }
        Path::new(segments).map_or_else(
            || {
                let message = format!("a path has at most {} parts", Path::MAX_SEGMENTS);
                self.broken(Diagnostic::error(Code::BadPath, span, message))
            },
            Kind::Path,
        )
    }

    fn reserved_path(&mut self) -> Kind {
        let start = self.at;
        self.at += 1;
        if self.peek().is_some_and(is_word_start) {
            let first = self.take_while(is_segment);
            return self.path(vec![TXC.to_owned(), first]);
        }
        self.take_while(|char| char == '@' || char == '.' || is_segment(char));
        let span = Span::new(start, self.at);
        self.broken(
            Diagnostic::error(Code::BadPath, span, "a name must follow `@`")
                .help("`@goto` means `._txc.goto`; a name starts with a letter or `_`"),
        )
    }

    fn number(&mut self) -> Kind {
        let start = self.at;
        let mut text = String::new();
        if self.peek() == Some('-') {
            self.at += 1;
            text.push('-');
        }
        let digits = self.take_while(|char| char.is_ascii_digit());
        let mut whole = !digits.is_empty();
        text += &digits;
        if self.peek() == Some('.') {
            self.at += 1;
            let fraction = self.take_while(|char| char.is_ascii_digit());
            whole &= !fraction.is_empty();
            text.push('.');
            text += &fraction;
        }
        let trailing = self.take_while(|char| char == '.' || is_segment(char));
        if whole && trailing.is_empty() {
            return Kind::Number(text);
        }
        let span = Span::new(start, self.at);
        self.broken(
            Diagnostic::error(Code::BadNumber, span, "this is not a number")
                .help("numbers are written `12`, `-3` or `0.5`; text is written in quotes"),
        )
    }

    fn function(&mut self) -> Kind {
        let start = self.at;
        self.at += 1;
        if self.peek().is_some_and(is_word_start) {
            return Kind::Function(self.take_while(is_segment));
        }
        let span = Span::new(start, self.at);
        self.broken(
            Diagnostic::error(Code::UnexpectedCharacter, span, "a function's name must follow `&`")
                .help("write `&&` for \"and\", `&name(…)` for a function"),
        )
    }

    fn sign(&mut self, char: char) -> Kind {
        if let Some(sign) = SIGNS.iter().find(|sign| self.rest().starts_with(**sign)) {
            self.at += sign.len();
            return Kind::Sign(sign);
        }
        let start = self.at;
        self.at += char.len_utf8();
        let span = Span::new(start, self.at);
        let help = match char {
            '|' => "write `||` for \"or\"",
            '\'' | '“' | '”' | '‘' | '’' | '`' => {
                "strings are written in straight double quotes: \"…\""
            }
            '/' if self.source[self.at..].starts_with('/') => "a comment begins with `#`",
            '/' => "a regular expression stands after `=~` or `!~` only",
            '~' => "write `=~` for \"matches\"",
            '{' | '}' => "there are no objects here; use `&object(\"key\", value)`",
            ';' => "clauses need nothing between them",
            '$' => "a path into the document begins with a dot: `.name`",
            ':' => "to write a value, write `=`",
            '%' | '+' | '^' => {
                "there are no such operators; use a function: `&add(.a, 1)`, `&mod(.a, 2)`"
            }
            _ => "delete it, or put it in quotes",
        };
        // One report for a run of the same stranger, and for a text in the wrong quotes.
        if matches!(char, '\'' | '`' | '“' | '‘') {
            let closing = match char {
                '“' => '”',
                '‘' => '’',
                other => other,
            };
            let line = &self.source[self.at..self.line_end(self.at)];
            if let Some(end) = line.find(closing) {
                self.at += end + closing.len_utf8();
            }
        } else {
            self.take_while(|next| next == char);
        }
        let span = Span::new(span.start, self.at);
        let text = &self.source[span.range()];
        let message = match char {
            '\'' | '`' | '“' | '‘' => format!("{text} is not a string"),
            _ => format!("`{text}` has no meaning here"),
        };
        self.broken(Diagnostic::error(Code::UnexpectedCharacter, span, message).help(help))
    }
}
