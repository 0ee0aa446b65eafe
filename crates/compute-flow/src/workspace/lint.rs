//! What rules say together that no rule says alone: documents that go round for ever.

use std::collections::{BTreeMap, BTreeSet};

use compute_state::StackName;
use serde_json::Value;
use txcl::{Code, Condition, Diagnostic, Expr, Path, Rule, Span};

use super::WorkspaceRule;
use crate::rules::Stage;

type Scopes<'a> = BTreeMap<StackName, BTreeMap<u32, Vec<&'a WorkspaceRule>>>;

/// Rules that send every document back to where it was, with nothing on the way that could stop it. A compute
/// may stop it, which is not seen here; so this is a warning.
#[must_use]
pub fn loops(rules: &[WorkspaceRule]) -> Vec<(&WorkspaceRule, Diagnostic)> {
    let mut scopes: Scopes<'_> = BTreeMap::new();
    for rule in rules {
        let stack = scopes.entry(rule.stack.clone()).or_default();
        stack.entry(rule.scope).or_default().push(rule);
    }
    let mut told = Vec::new();
    for (stack, numbers) in &scopes {
        for number in numbers.keys() {
            let start = Stage::new(stack.clone(), *number);
            let Some((rule, span, _)) = jump(&scopes, &start) else { continue };
            if let Some(way) = way_back(&scopes, &start) {
                let way: Vec<_> = way.iter().map(Stage::to_string).collect();
                let message = format!("every document goes round here: {}", way.join(" → "));
                let diagnostic = Diagnostic::warning(Code::UnconditionalLoop, span, message);
                told.push((
                    rule,
                    diagnostic
                        .help("give the rule a WHEN, or stop with `EMIT @halt = true` on the way"),
                ));
            }
        }
    }
    told
}

/// The way from a scope back to itself, if every document takes it.
fn way_back(scopes: &Scopes<'_>, start: &Stage) -> Option<Vec<Stage>> {
    let mut way = vec![start.clone()];
    let mut seen = BTreeSet::new();
    let mut at = start.clone();
    loop {
        if can_leave(&scopes[&at.stack][&at.scope]) {
            return None;
        }
        let next = match jump(scopes, &at) {
            Some((_, _, to)) => to,
            None => Stage::new(at.stack.clone(), at.scope.checked_add(1)?),
        };
        at = find(scopes, &next)?;
        way.push(at.clone());
        if at == *start {
            return Some(way);
        }
        if !seen.insert(at.clone()) {
            return None;
        }
    }
}

/// The scope that a stage means, as the processor finds it.
fn find(scopes: &Scopes<'_>, stage: &Stage) -> Option<Stage> {
    stage.stack.overlay().find_map(|name| {
        let (number, _) = scopes.get(&name)?.range(stage.scope..).next()?;
        Some(Stage::new(name, *number))
    })
}

/// Where every document goes from a scope, because a rule without a condition says so.
fn jump<'a>(scopes: &Scopes<'a>, at: &Stage) -> Option<(&'a WorkspaceRule, Span, Stage)> {
    let rules = &scopes[&at.stack][&at.scope];
    let mut jumps =
        rules.iter().filter(|rule| is_unconditional(&rule.parsed.rule)).filter_map(|rule| {
            let (span, value) = emitted(&rule.parsed.rule, "goto")?;
            let text = match value? {
                Value::String(text) => text,
                Value::Number(number) => number.to_string(),
                _ => return None,
            };
            Some((*rule, span, Stage::relative(&text, &at.stack).ok()?))
        });
    // Of several, the last one's answer stands.
    jumps.next_back()
}

/// Whether a rule of the scope may stop a document, or send it elsewhere.
fn can_leave(rules: &[&WorkspaceRule]) -> bool {
    rules.iter().any(|rule| {
        let rule = &rule.parsed.rule;
        let halts =
            emitted(rule, "halt").is_some_and(|(_, value)| value != Some(Value::Bool(false)));
        let may_jump = emitted(rule, "goto")
            .is_some_and(|(_, value)| value.is_none() || !is_unconditional(rule));
        halts || may_jump
    })
}

fn is_unconditional(rule: &Rule) -> bool {
    matches!(rule.when(), None | Some(Condition::Always))
}

/// What a rule emits below `_txc` under this key, if it is written down.
fn emitted(rule: &Rule, key: &str) -> Option<(Span, Option<Value>)> {
    let wanted = Path::parse(&format!("@{key}"))?;
    let item = rule.emit().iter().rev().find(|item| item.path.node == wanted)?;
    let value = match &item.value.node {
        Expr::Literal(literal) => Some(literal.value()),
        _ => None,
    };
    Some((item.path.span.to(item.value.span), value))
}
