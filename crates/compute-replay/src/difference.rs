//! What is otherwise: in answers by JSON path, in the rest by what it is.

use std::borrow::Cow;
use std::fmt;

use compute::Mask;
use serde::Serialize;
use serde_json::Value;

/// How many changes of one answer are listed.
const MOST: usize = 1000;

/// Something in an answer that is otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// Where: `.items[2].price`, or `.` for the whole.
    pub path: String,
    /// What was there; nothing if it is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is there; nothing if it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// One way in which a run came out otherwise.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Difference {
    /// It ended otherwise.
    Status {
        /// How it ended, and why.
        before: String,
        /// How it ends, and why.
        after: String,
    },
    /// Its answer has other values, and these: at most a thousand are listed.
    Output(Vec<Change>),
    /// Its answer has another digest; what it was is not kept.
    OutputDigest,
    /// It used another amount of fuel.
    Fuel {
        /// What it used.
        before: u64,
        /// What it uses.
        after: u64,
    },
    /// It had another amount of memory at most.
    Memory {
        /// What it had, in bytes.
        before: u64,
        /// What it has, in bytes.
        after: u64,
    },
    /// It logged something else.
    Log,
    /// It emitted something else.
    Events,
    /// A rule ran something else, or came out otherwise.
    Step {
        /// The rule, as `stack/scope/name`.
        rule: String,
        /// What of it is otherwise.
        what: Vec<Self>,
    },
}

impl Difference {
    /// The same of an answer that stands there in a larger one.
    pub(crate) fn below(self, place: &str) -> Self {
        let below = |change: Change| Change {
            path: format!("{place}{}", if change.path == "." { "" } else { &change.path }),
            ..change
        };
        match self {
            Self::Output(changes) => Self::Output(changes.into_iter().map(below).collect()),
            other => other,
        }
    }
}

/// What is otherwise in an answer.
#[must_use]
pub fn changes(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare(&mut String::new(), Some(before), Some(after), &mut changes);
    changes
}

fn compare(
    path: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    if before == after || changes.len() >= MOST {
        return;
    }
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let gone_or_changed =
                one.iter().map(|(name, value)| (name, Some(value), other.get(name)));
            let new = other.iter().filter(|(name, _)| !one.contains_key(*name));
            let new = new.map(|(name, value)| (name, None, Some(value)));
            for (name, before, after) in gone_or_changed.chain(new) {
                below(path, &step(name), before, after, changes);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) => {
            for at in 0..one.len().max(other.len()) {
                below(path, &format!("[{at}]"), one.get(at), other.get(at), changes);
            }
        }
        _ => {
            let path = if path.is_empty() { ".".to_owned() } else { path.clone() };
            changes.push(Change { path, before: before.cloned(), after: after.cloned() });
        }
    }
}

fn below(
    path: &mut String,
    step: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    let length = path.len();
    path.push_str(step);
    compare(path, before, after, changes);
    path.truncate(length);
}

/// A name as a path has it: quoted, unless it is a word.
fn step(name: &str) -> String {
    let is_word =
        !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || char == '_');
    if is_word { format!(".{name}") } else { format!("[{}]", Value::from(name)) }
}

impl Change {
    /// The same without secrets.
    pub(crate) fn masked(self, mask: &Mask) -> Self {
        let hidden = |value: Value| match mask.json(&value.to_string()) {
            Cow::Owned(text) => serde_json::from_str(&text).unwrap_or(Value::Null),
            Cow::Borrowed(_) => value,
        };
        Self {
            path: mask.text(&self.path).into_owned(),
            before: self.before.map(hidden),
            after: self.after.map(hidden),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |value: &Option<Value>, none| value.as_ref().map_or_else(|| String::from(none), short);
        let (before, after) = (shown(&self.before, "(nothing)"), shown(&self.after, "(nothing)"));
        write!(f, "{}: {before} → {after}", self.path)
    }
}

/// A value as a line shows it.
pub(crate) fn short(value: &Value) -> String {
    const LONG: usize = 60;
    let text = value.to_string();
    if text.chars().count() <= LONG {
        return text;
    }
    text.chars().take(LONG).chain(['…']).collect()
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { before, after } => write!(f, "status: {before} → {after}"),
            Self::Output(changes) => {
                let lines: Vec<_> = changes.iter().map(|one| format!("output {one}")).collect();
                f.write_str(&lines.join("\n"))
            }
            Self::OutputDigest => {
                f.write_str("output: other bytes; the record keeps the digest of what it was alone")
            }
            Self::Fuel { before, after } => write!(f, "fuel: {before} → {after}"),
            Self::Memory { before, after } => write!(f, "memory: {before} → {after} bytes"),
            Self::Log => f.write_str("log: other lines"),
            Self::Events => f.write_str("events: other ones"),
            Self::Step { rule, what } => {
                let lines: Vec<_> = what
                    .iter()
                    .flat_map(|one| {
                        one.to_string()
                            .lines()
                            .map(|line| format!("{rule} {line}"))
                            .collect::<Vec<_>>()
                    })
                    .collect();
                f.write_str(&lines.join("\n"))
            }
        }
    }
}
