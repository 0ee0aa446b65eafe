//! Values: literals, lists, paths and functions.

use serde_json::Number;

use super::{Parse, Parser, Reported, described};
use crate::diagnostic::nearest;
use crate::lexer::{Kind, Token};
use crate::{Call, Code, Comparator, Diagnostic, Expr, Function, Literal, Span, Spanned};

const VALUE_HELP: &str = "a value is a string, a number, true, false, a list, a path, or a function such as `&now(unix)`";

impl Parser<'_> {
    /// A value, as `SET`, `EMIT`, `WITH`, `DEFAULT` and functions take it.
    pub(super) fn value(&mut self) -> Parse<Spanned<Expr>> {
        self.deeper(Self::shallow_value)
    }

    fn shallow_value(&mut self) -> Parse<Spanned<Expr>> {
        if self.is_word("null") {
            let span = self.peek().span;
            let diagnostic =
                Diagnostic::error(Code::UnexpectedToken, span, "`null` stands in comparisons only")
                    .help("leave the assignment out, or write `\"\"`");
            return Err(self.tell(diagnostic));
        }
        if let Token { kind: Kind::Path(path), span, .. } = self.peek().clone() {
            self.at += 1;
            return Ok(Spanned::new(Expr::Path(path), span));
        }
        if let Token { kind: Kind::Function(name), span, .. } = self.peek().clone() {
            self.at += 1;
            return self.call(&name, span);
        }
        let literal = self.literal()?;
        Ok(Spanned::new(Expr::Literal(literal.node), literal.span))
    }

    /// What stands on the right of a comparison.
    pub(super) fn comparison_value(&mut self, comparator: Comparator) -> Parse<Spanned<Expr>> {
        let value = if self.is_word("null") {
            Spanned::new(Expr::Literal(Literal::Null), self.next().span)
        } else {
            self.shallow_value()?
        };
        let only_equal = match &value.node {
            Expr::Literal(Literal::Null) => Some("null"),
            Expr::Literal(Literal::Bool(_)) => Some("true and false"),
            Expr::Literal(Literal::List(_)) => Some("a list"),
            _ => None,
        };
        if let Some(what) = only_equal.filter(|_| comparator.is_order()) {
            let message = format!("{what} cannot be compared with `{}`", comparator.sign());
            let diagnostic = Diagnostic::error(Code::BadComparison, value.span, message)
                .help("use `==` or `!=` here; `<` and `>` take numbers and strings");
            self.diagnostics.push(diagnostic);
        }
        let from_document = match &value.node {
            Expr::Path(_) => Some((
                value.span,
                "a path is compared with a written value, and not with another path",
            )),
            Expr::Call(call) => not_written(call).map(|span| {
                (span, "a function in WHEN takes written values and functions of them only")
            }),
            Expr::Literal(_) => None,
        };
        if let Some((span, message)) = from_document {
            let diagnostic = Diagnostic::error(Code::BadComparison, span, message).help(
                "whoever sends the document would choose both sides; compare in a compute, which EMITs what follows from it",
            );
            self.diagnostics.push(diagnostic);
        }
        Ok(value)
    }

    fn literal(&mut self) -> Parse<Spanned<Literal>> {
        let token = self.peek().clone();
        let node = match &token.kind {
            Kind::String(text) => Literal::String(text.clone()),
            Kind::Base64(text) => Literal::Base64(text.clone()),
            Kind::Number(digits) => Literal::Number(self.number(digits, token.span)?),
            Kind::Sign("[") => return self.list(),
            Kind::Word(word) if word.eq_ignore_ascii_case("true") => Literal::Bool(true),
            Kind::Word(word) if word.eq_ignore_ascii_case("false") => Literal::Bool(false),
            Kind::Word(word) if !self.at_clause() => {
                let message = format!("`{word}` is not a value");
                let help = match nearest(word, ["true", "false"]) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!(
                        "text is written in quotes, `\"{word}\"`, a path with a dot, `.{word}`"
                    ),
                };
                let diagnostic = Diagnostic::error(Code::UnexpectedToken, token.span, message);
                return Err(self.tell(diagnostic.help(help)));
            }
            _ => return Err(self.expected("a value", VALUE_HELP)),
        };
        self.at += 1;
        Ok(Spanned::new(node, token.span))
    }

    fn number(&mut self, digits: &str, span: Span) -> Parse<Number> {
        let whole = digits.parse::<i64>().map(Number::from);
        let whole = whole.or_else(|_| digits.parse::<u64>().map(Number::from));
        let number = whole.ok().or_else(|| Number::from_f64(digits.parse().ok()?));
        number.ok_or_else(|| {
            let diagnostic = Diagnostic::error(Code::BadNumber, span, "this number is too large");
            self.tell(diagnostic.help("numbers are at most 1.8e308, in 64 bits"))
        })
    }

    fn list(&mut self) -> Parse<Spanned<Literal>> {
        let open = self.next().span;
        let mut items = Vec::new();
        loop {
            if self.is_sign("]") {
                return Ok(Spanned::new(Literal::List(items), open.to(self.next().span)));
            }
            if let Kind::Path(_) | Kind::Function(_) = self.peek().kind {
                let what = described(&self.peek().kind);
                let diagnostic = Diagnostic::error(
                    Code::UnexpectedToken,
                    self.peek().span,
                    format!("a list in brackets holds written values only, and not {what}"),
                );
                return Err(self
                    .tell(diagnostic.help("use `&array(.a, .b)` for a list of what is computed")));
            }
            items.push(self.deeper(Self::literal)?.node);
            if !self.eat(",") && !self.is_sign("]") {
                return Err(self.unclosed(open, "[", "]"));
            }
        }
    }

    fn call(&mut self, name: &str, span: Span) -> Parse<Spanned<Expr>> {
        let function = Function::named(name);
        if function.is_none() {
            let help = match nearest(name, crate::functions().iter().map(|one| one.name)) {
                Some(meant) => format!("did you mean `&{meant}`?"),
                None => "docs/txcl.md lists the functions".to_owned(),
            };
            let message = format!("there is no function `&{name}`");
            let diagnostic = Diagnostic::error(Code::UnknownFunction, span, message);
            self.diagnostics.push(diagnostic.help(help));
        }
        if !self.is_sign("(") {
            if function.is_none() {
                return Err(Reported);
            }
            return Err(self.expected(
                &format!("`(` after `&{name}`"),
                "a function is called with parentheses, even without arguments: `&uuid()`",
            ));
        }
        let open = self.next().span;
        let arguments = self.arguments(function, open)?;
        let Some(function) = function else { return Err(Reported) };
        let span = span.to(self.last_span());
        if let Err(problem) = function.check(arguments.len()) {
            let help = format!("it is called `{}`: {}", function.signature(), function.summary);
            let problem = format!("{problem}: it fails whenever it is called");
            let diagnostic = Diagnostic::warning(Code::BadArguments, span, problem).help(help);
            self.diagnostics.push(diagnostic);
        }
        Ok(Spanned::new(Expr::Call(Call { function, arguments }), span))
    }

    fn arguments(
        &mut self,
        function: Option<&'static Function>,
        open: Span,
    ) -> Parse<Vec<Spanned<Expr>>> {
        let mut arguments = Vec::new();
        loop {
            if self.eat(")") {
                return Ok(arguments);
            }
            arguments.push(self.argument(function)?);
            if !self.eat(",") && !self.is_sign(")") {
                return Err(self.unclosed(open, "(", ")"));
            }
        }
    }

    /// An argument; words are taken by functions that know some.
    fn argument(&mut self, function: Option<&'static Function>) -> Parse<Spanned<Expr>> {
        let words = function.map_or(&[][..], |function| function.words);
        if let Token { kind: Kind::Word(word), span, .. } = self.peek().clone()
            && !words.is_empty()
        {
            self.at += 1;
            if let Some(known) = words.iter().find(|known| known.eq_ignore_ascii_case(&word)) {
                return Ok(Spanned::new(Expr::Literal(Literal::Word((*known).to_owned())), span));
            }
            let help = match nearest(&word, words.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("it takes one of {}", words.join(", ")),
            };
            let name = function.map_or("", |function| function.name);
            let message = format!("`&{name}` knows no `{word}`");
            let diagnostic = Diagnostic::error(Code::BadArguments, span, message);
            self.diagnostics.push(diagnostic.help(help));
            return Ok(Spanned::new(Expr::Literal(Literal::Word(words[0].to_owned())), span));
        }
        self.value()
    }

    fn unclosed(&mut self, open: Span, sign: &str, closing: &str) -> Reported {
        if self.peek().kind == Kind::Broken {
            return Reported;
        }
        if self.at_clause() || self.peek().kind == Kind::End {
            let message = format!("this `{sign}` is not closed");
            let help = format!("add a `{closing}` where it ends");
            let diagnostic = Diagnostic::error(Code::UnexpectedToken, open, message).help(help);
            return self.tell(diagnostic);
        }
        self.expected(&format!("`,` or `{closing}`"), "commas stand between the items")
    }
}

/// An argument that is not written down, in a call or in those within it.
fn not_written(call: &Call) -> Option<Span> {
    call.arguments.iter().find_map(|argument| match &argument.node {
        Expr::Literal(_) => None,
        Expr::Path(_) => Some(argument.span),
        Expr::Call(inner) => not_written(inner),
    })
}
