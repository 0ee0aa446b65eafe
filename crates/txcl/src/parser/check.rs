//! What a rule that can be read says, and cannot mean.

use crate::{
    Assignment, ClauseKind, Code, Comparison, Condition, Diagnostic, Exec, Expr, Literal, Operand,
    Rule, Span,
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
        patterns(when, out);
    }
    if let Some(exec) = rule.exec()
        && let Err(problem) = Exec::parse(&exec.node)
    {
        out.push(
            Diagnostic::error(Code::BadExec, exec.span, problem)
                .help("write `EXEC \"op://name\"` for an op of this workspace, or a ref: `compute://sha256/<digest>`"),
        );
    }
    for item in rule.with() {
        with(item, out);
    }
    without_effect(rule, out);
}

/// Regular expressions that do not compile. A condition never fails, so this is no error.
fn patterns(condition: &Condition, out: &mut Vec<Diagnostic>) {
    match condition {
        Condition::Always => {}
        Condition::Any(parts) | Condition::All(parts) => {
            parts.iter().for_each(|part| patterns(part, out));
        }
        Condition::Not(inner) => patterns(inner, out),
        Condition::Compare(Comparison { comparator, operand, .. }) => {
            let pattern = match &operand.node {
                Operand::Regex(pattern) => pattern,
                Operand::Expr(Expr::Literal(Literal::String(text)))
                    if comparator.node.is_match() =>
                {
                    text
                }
                Operand::Expr(_) => return,
            };
            if let Err(error) = crate::condition::regex(pattern) {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ");
                out.push(
                    Diagnostic::warning(
                        Code::BadRegex,
                        operand.span,
                        format!("this regular expression does not compile: {why}"),
                    )
                    .help("the comparison is false for every document"),
                );
            }
        }
    }
}

/// The values of `WITH` that the processor reads, where they are written down.
fn with(item: &Assignment, out: &mut Vec<Diagnostic>) {
    let Expr::Literal(literal) = &item.value.node else { return };
    let [key] = item.path.node.segments() else { return };
    let value = literal.value();
    let problem = match &**key {
        "timeout" => crate::program::timeout(&value).err(),
        "redact" | "omit" => crate::program::paths(key, &value).err(),
        "secrets" => crate::program::names(&value).err(),
        _ => None,
    };
    if let Some((problem, help)) = problem {
        out.push(Diagnostic::error(Code::BadWith, item.value.span, problem).help(help));
    }
}

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
