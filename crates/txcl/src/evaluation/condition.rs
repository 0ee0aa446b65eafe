//! Conditions made ready: a test that never fails, whatever the document holds.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::io;

use serde_json::Value;

use super::expression::CompiledExpr;
use super::pattern::{MAX_HAYSTACK, Pattern, RegexBudget};
use crate::context::Context;
use crate::function::convert;
use crate::{Comparator, Comparison, Condition, Expr, Literal, Operand, Path};

/// A condition with its regular expressions compiled.
#[derive(Clone, Debug)]
pub(crate) enum Test {
    Always,
    /// A regular expression that does not compile.
    Never,
    Any(Vec<Self>),
    All(Vec<Self>),
    Not(Box<Self>),
    /// A path, and what is on the right.
    Compare(Path, Comparator, CompiledExpr),
    Null(Path, bool),
    Match(Path, Pattern, bool),
}

impl Test {
    /// What regular expressions take is taken from the budget.
    pub(crate) fn new(condition: &Condition, budget: &mut RegexBudget) -> Self {
        let mut each =
            |parts: &[Condition]| parts.iter().map(|part| Self::new(part, budget)).collect();
        match condition {
            Condition::Always => Self::Always,
            Condition::Any(parts) => Self::Any(each(parts)),
            Condition::All(parts) => Self::All(each(parts)),
            Condition::Not(inner) => Self::Not(Box::new(Self::new(inner, budget))),
            Condition::Compare(comparison) => Self::comparison(comparison, budget),
        }
    }

    fn comparison(comparison: &Comparison, budget: &mut RegexBudget) -> Self {
        let path = comparison.path.node.clone();
        let comparator = comparison.comparator.node;
        let mut pattern = |pattern: &str| match Pattern::new(pattern, budget) {
            Ok(pattern) => Self::Match(path.clone(), pattern, comparator == Comparator::Matches),
            Err(_) => Self::Never,
        };
        match &comparison.operand.node {
            Operand::Regex(text) => pattern(text),
            Operand::Expr(Expr::Literal(Literal::String(text))) if comparator.is_match() => {
                pattern(text)
            }
            Operand::Expr(Expr::Literal(Literal::Null)) => {
                Self::Null(path, comparator == Comparator::Equal)
            }
            Operand::Expr(expr) => {
                Self::Compare(path, comparator, CompiledExpr::new(expr, comparison.operand.span))
            }
        }
    }

    /// A comparison with a written value that must hold for the whole to hold, if there is one.
    pub(crate) fn required(&self) -> Option<(&Path, &Value)> {
        match self {
            Self::Compare(path, Comparator::Equal, CompiledExpr::Value(value)) => {
                Some((path, value))
            }
            Self::All(parts) => parts.iter().find_map(Self::required),
            _ => None,
        }
    }

    /// Whether it holds. One that meets the end of its time does not.
    pub(crate) fn holds(&self, document: &Value, context: &mut Context) -> bool {
        if context.step(0).is_err() {
            return false;
        }
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Any(parts) => parts.iter().any(|part| part.holds(document, context)),
            Self::All(parts) => parts.iter().all(|part| part.holds(document, context)),
            Self::Not(inner) => !inner.holds(document, context),
            Self::Null(path, wanted) => is_null(path.get(document)) == *wanted,
            Self::Match(path, pattern, wanted) => {
                let Some(text) = text_of(path.get(document)) else { return false };
                if context.step(text.len()).is_err() {
                    return false;
                }
                let mut go_on = |done| context.step(done).is_ok();
                pattern.is_match(&text, &mut go_on) == Some(*wanted)
            }
            Self::Compare(path, comparator, CompiledExpr::Value(value)) => {
                compare(path.get(document), *comparator, value, context)
            }
            // Of a function, which gives a scalar, or matches nothing.
            Self::Compare(path, comparator, ready) => match ready.value(&[], context) {
                Ok(value) if !value.is_array() && !value.is_object() => {
                    compare(path.get(document), *comparator, &value, context)
                }
                _ => false,
            },
        }
    }
}

/// What a regular expression is matched with, and a text compared: the value as a text, a list or an object as JSON; none
/// if that is too long.
fn text_of(value: Option<&Value>) -> Option<Cow<'_, str>> {
    struct Bounded(Vec<u8>);
    impl io::Write for Bounded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.0.len() + bytes.len() > MAX_HAYSTACK {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let value = value.unwrap_or(&Value::Null);
    convert::text_of(value).or_else(|| {
        let mut text = Bounded(Vec::new());
        serde_json::to_writer(&mut text, value).ok()?;
        String::from_utf8(text.0).ok().map(Cow::from)
    })
}

fn is_null(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// Compares what a document holds, or nothing, with a value by that value's type: what is there is read as a number, a text
/// or a bool. Lists and objects are equal or not; null matches nothing. Where there is no time to read it, neither holds.
fn compare(
    left: Option<&Value>,
    comparator: Comparator,
    right: &Value,
    context: &mut Context,
) -> bool {
    if context.step(cost(left, right)).is_err() {
        return false;
    }
    let ordering = match right {
        Value::Null => return false,
        Value::String(right) => match left {
            Some(Value::String(left)) => Some(left.as_str().cmp(right)),
            left => {
                // The text of a list or an object that is too long to be written is none that a rule can write.
                let text = text_of(left);
                if context.step(text.as_ref().map_or(MAX_HAYSTACK, |text| text.len())).is_err() {
                    return false;
                }
                text.map(|left| (*left).cmp(right))
            }
        },
        Value::Number(_) => match left {
            Some(left @ Value::Number(_)) => order(left, right),
            left => left.map_or(0.0, convert::number_of).partial_cmp(&convert::number_of(right)),
        },
        Value::Bool(right) => {
            let same = left.is_some_and(convert::bool_of) == *right;
            return match comparator {
                Comparator::Equal => same,
                Comparator::NotEqual => !same,
                _ => false,
            };
        }
        Value::Array(_) | Value::Object(_) => {
            left.is_some_and(|left| same(left, right)).then_some(Ordering::Equal)
        }
    };
    match comparator {
        Comparator::Equal => ordering == Some(Ordering::Equal),
        Comparator::NotEqual => ordering != Some(Ordering::Equal),
        Comparator::Less => ordering.is_some_and(Ordering::is_lt),
        Comparator::LessOrEqual => ordering.is_some_and(Ordering::is_le),
        Comparator::Greater => ordering.is_some_and(Ordering::is_gt),
        Comparator::GreaterOrEqual => ordering.is_some_and(Ordering::is_ge),
        Comparator::Matches | Comparator::MatchesNot => false,
    }
}

/// How many bytes are read to compare a value with a written one: all digits of a number, of a text as well if it is read as
/// one; else no more than were written.
fn cost(left: Option<&Value>, right: &Value) -> usize {
    match (left, right) {
        (Some(Value::String(left)), Value::Number(_)) => left.len(),
        (Some(left @ Value::Number(_)), _) => compute::json_size(left, 0).unwrap_or(MAX_HAYSTACK),
        _ => 0,
    }
}

/// How two values are ordered; none if they are of different types, or lists or objects that differ.
fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            _ => match (left.as_u64(), right.as_u64()) {
                (Some(left), Some(right)) => Some(left.cmp(&right)),
                _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
            },
        },
        _ => same(left, right).then_some(Ordering::Equal),
    }
}

/// Whether two values are the same; 1 and 1.0 are one number.
///
/// ```
/// use serde_json::json;
///
/// assert!(txcl::same(&json!({"a": [1]}), &json!({"a": [1.0]})));
/// ```
#[must_use]
pub fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, a)| right.get(key).is_some_and(|b| same(a, b)))
        }
        (Value::Number(_), Value::Number(_)) => order(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use compute::Account;
    use serde_json::{Value, json};

    use crate::{Budget, Context, Program, parse};

    #[test]
    fn comparisons_with_large_values_see_the_end_of_their_time() {
        let digits: Value = serde_json::from_str(&format!("0.{}", "1".repeat(4 << 20))).unwrap();
        let document = json!({
            "text": "1".repeat(4 << 20),
            "number": digits,
            "list": vec![0; 300_000],
            "texts": vec!["\"".repeat(3000); 150],
        });
        for comparison in
            [".text == 1", ".text < 1", ".number == 7", ".list == \"x\"", ".texts < \"!\""]
        {
            let rule = format!("WHEN {} EMIT .a = 1", vec![comparison; 3000].join(" || "));
            let program = Program::new(&parse(&rule).rule);
            let deadline = Instant::now() + Duration::from_millis(100);
            let budget = Budget::new(&Account::unlimited(), Some(deadline), None);
            let mut context = Context::default().within(&budget);
            assert!(!program.matches(&document, &mut context));
            assert!(
                deadline.elapsed() < Duration::from_secs(2),
                "{comparison}: {:?}",
                deadline.elapsed()
            );
        }
    }
}
