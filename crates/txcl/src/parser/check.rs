//! What a rule that can be read says, and cannot mean.

use std::collections::HashMap;

use crate::diagnostic::nearest;
use crate::evaluation::{Pattern, PatternError};
use crate::{
    Assignment, ClauseKind, Code, Comparison, Condition, Diagnostic, Exec, Expr, Literal, Operand,
    Path, RegexBudget, Rule, Span,
};

pub(super) fn check(rule: &Rule, source: &str, out: &mut Vec<Diagnostic>) {
    if rule.clauses.is_empty() {
        let diagnostic = Diagnostic::warning(
            Code::EmptyRule,
            Span::new(0, source.trim_end().len()),
            "this rule has no clauses, and does nothing",
        );
        out.push(
            diagnostic
                .help("delete the file, or write `EXEC \"op://name\"` or `EMIT .path = value`"),
        );
        return;
    }
    if let Some(when) = rule.when() {
        patterns(when, &mut RegexBudget::rule(), out);
        types(when, &mut HashMap::new(), out);
    }
    if let Some(exec) = rule.exec()
        && let Err(problem) = Exec::parse(&exec.node)
    {
        let (code, help) = match Exec::service(&exec.node) {
            None => (
                Code::BadExec,
                "write `EXEC \"op://name\"` for an op of this workspace, or a ref: `compute://sha256/<digest>`",
            ),
            Some("txco") => {
                (Code::RefusedService, "write an op that does it from what the document has")
            }
            Some("http" | "https" | "ws" | "wss") => (
                Code::RefusedService,
                "let whoever sends the document fetch it, and send what came with the document; or make it an op",
            ),
            Some(_) => (
                Code::RefusedService,
                "a model or a tool is called outside, between two documents: answer what to call, and send what it says to another stack",
            ),
        };
        out.push(Diagnostic::error(code, exec.span, problem).help(help));
    }
    for item in rule.with() {
        with(item, out);
        almost_known(item, out);
    }
    without_effect(rule, out);
}

/// A path that is compared with values of two types: each comparison reads the document in its own, so that most likely one
/// of them is not meant.
fn types<'a>(
    condition: &'a Condition,
    seen: &mut HashMap<&'a Path, (&'static str, Span)>,
    out: &mut Vec<Diagnostic>,
) {
    match condition {
        Condition::Always => {}
        Condition::Any(parts) | Condition::All(parts) => {
            parts.iter().for_each(|part| types(part, seen, out));
        }
        Condition::Not(inner) => types(inner, seen, out),
        Condition::Compare(Comparison { path, comparator, operand }) => {
            let kind = match &operand.node {
                Operand::Expr(Expr::Literal(Literal::String(text)))
                    if !comparator.node.is_match() && !text.is_empty() =>
                {
                    "a text"
                }
                Operand::Expr(Expr::Literal(literal)) if literal.value().is_number() => "a number",
                Operand::Expr(Expr::Literal(Literal::Bool(_))) => "true or false",
                _ => return,
            };
            let (first, span) = *seen.entry(&path.node).or_insert((kind, operand.span));
            if first != kind {
                let message = format!("`{}` is compared with {first} and with {kind}", path.node);
                let diagnostic = Diagnostic::warning(Code::BadComparison, operand.span, message);
                out.push(diagnostic.related(span, "the other is here").help(
                    "the document is read in the type of what is written: \"5\" and 5 are both 5 for `== 5`",
                ));
            }
        }
    }
}

/// Regular expressions that do not compile: a condition never fails, so this is no error. Those that take too
/// much memory are one.
fn patterns(condition: &Condition, budget: &mut RegexBudget, out: &mut Vec<Diagnostic>) {
    match condition {
        Condition::Always => {}
        Condition::Any(parts) | Condition::All(parts) => {
            parts.iter().for_each(|part| patterns(part, budget, out));
        }
        Condition::Not(inner) => patterns(inner, budget, out),
        Condition::Compare(Comparison { comparator, operand, .. }) => {
            let text = match &operand.node {
                Operand::Regex(pattern) => pattern,
                Operand::Expr(Expr::Literal(Literal::String(text)))
                    if comparator.node.is_match() =>
                {
                    text
                }
                Operand::Expr(_) => return,
            };
            if let Err(error) = Pattern::new(text, budget) {
                pattern(error, operand.span, out);
            }
        }
    }
}

fn pattern(error: PatternError, span: Span, out: &mut Vec<Diagnostic>) {
    let diagnostic = match error {
        PatternError::Syntax(why) => {
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("this regular expression does not compile: {why}");
            Diagnostic::warning(Code::BadRegex, span, message)
                .help("the comparison is false for every document")
        }
        PatternError::TooLarge(why) => {
            let message = format!("this regular expression is too large: {why}");
            Diagnostic::error(Code::RegexTooLarge, span, message)
                .help("repeat less often, or match classes of ASCII alone: `[0-9]`, `(?-u:\\w)`")
        }
        // Reported once: the others are not even compiled.
        PatternError::Budget(_) if out.iter().any(|one| one.message.contains(TOGETHER)) => return,
        PatternError::Budget(limit) => {
            let message = format!("compiled, {TOGETHER} take more than {limit} bytes");
            Diagnostic::error(Code::RegexTooLarge, span, message)
                .help("put some of them into another rule, or write them smaller")
        }
    };
    out.push(diagnostic);
}

/// What is told once for a rule.
const TOGETHER: &str = "the rule's regular expressions";

/// The values of `WITH` that the processor reads, where they are written down.
fn with(item: &Assignment, out: &mut Vec<Diagnostic>) {
    let Expr::Literal(literal) = &item.value.node else {
        // What a compute may see is said when the rule is applied, and is nothing that a document chooses.
        if item.path.node.segments().first().is_some_and(|key| key == "secrets") {
            let problem = "which secrets a compute sees is written down in its rule";
            let diagnostic = Diagnostic::error(Code::BadWith, item.value.span, problem);
            out.push(diagnostic.help("write the name in quotes: `WITH secrets = \"API_KEY\"`"));
        }
        return;
    };
    let [key] = item.path.node.segments() else { return };
    let value = literal.value();
    let problem = match &**key {
        "timeout" => crate::evaluation::timeout(&value).err(),
        "redact" | "omit" => crate::evaluation::paths(key, &value).err(),
        "secrets" => crate::evaluation::secrets(&value).err(),
        _ => None,
    };
    if let Some((problem, help)) = problem {
        out.push(Diagnostic::error(Code::BadWith, item.value.span, problem).help(help));
    }
}

/// A key that is almost one of those that the processor reads: most likely it is meant.
fn almost_known(item: &Assignment, out: &mut Vec<Diagnostic>) {
    let [key] = item.path.node.segments() else { return };
    if READ.contains(&&**key) {
        return;
    }
    if let Some(meant) = nearest(key, READ) {
        let message =
            format!("`{key}` is a value for the compute, and nothing that the processor reads");
        let diagnostic = Diagnostic::warning(Code::BadWith, item.path.span, message);
        out.push(diagnostic.help(format!("did you mean `{meant}`?")));
    }
}

/// The keys of `WITH` that the processor reads.
const READ: [&str; 5] = ["timeout", "secrets", "redact", "omit", "cache"];

/// Clauses that change nothing without `EXEC`.
fn without_effect(rule: &Rule, out: &mut Vec<Diagnostic>) {
    if rule.exec().is_some() {
        return;
    }
    let mut selected = false;
    for clause in &rule.clauses {
        let (message, help) = match &clause.kind {
            ClauseKind::Select(_) => {
                selected = true;
                continue;
            }
            ClauseKind::With(_) => {
                ("WITH is for a compute, and this rule runs none", "add EXEC, or delete this")
            }
            ClauseKind::Set(_)
                if !selected && rule.select().is_none() && rule.emit().is_empty() =>
            {
                (
                    "SET before SELECT changes what a compute receives, and this rule runs none",
                    "to write into the document, use EMIT, or `SELECT *` before SET",
                )
            }
            _ => continue,
        };
        out.push(Diagnostic::warning(Code::NoEffect, clause.keyword, message).help(help));
    }
}
