//! Paths into a document: `.order.items.0`, `."a b".c`, `@goto`.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

/// Where something is in a document: keys of objects, indices of lists. `@x.y` is `._txc.x.y`.
///
/// ```
/// use serde_json::json;
/// use txcl::Path;
///
/// let path = Path::parse(".items.0.name").unwrap();
/// assert_eq!(path.get(&json!({"items": [{"name": "tea"}]})), Some(&json!("tea")));
/// assert_eq!(Path::parse("@goto").unwrap().to_string(), "@goto");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Arc<[String]>);

/// The key under which a document keeps what the processor reads and writes.
pub const TXC: &str = "_txc";

/// The segment that is the place after a list's last one.
const NEXT: &str = "-1";
/// How many places a list may have by being written to beyond its end.
const MAX_PADDED: usize = 10_000;
/// The least that a text takes of an allocator, in bytes.
const LEAST_TEXT: usize = 16;

impl Path {
    /// The most segments that a path may have.
    pub const MAX_SEGMENTS: usize = 64;

    /// A path of these segments, of which there must be at least one and at most [`Path::MAX_SEGMENTS`].
    #[must_use]
    pub fn new(segments: Vec<String>) -> Option<Self> {
        (1..=Self::MAX_SEGMENTS).contains(&segments.len()).then(|| Self(segments.into()))
    }

    /// About how many bytes of memory it takes: each part is a text of its own.
    #[must_use]
    pub fn size(&self) -> usize {
        let part = |part: &String| size_of::<String>() + part.capacity().max(LEAST_TEXT);
        size_of::<Self>() + self.segments().iter().map(part).sum::<usize>()
    }

    /// The keys and indices.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.0
    }

    /// What a value holds there.
    #[must_use]
    pub fn get<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(value, |value, segment| child(value, segment))
    }

    /// Puts a value there. What is not there on the way is made, a list where the path has a number, and a scalar that is
    /// in the way is replaced. A place beyond a list's end is made with null before it, and `-1` is the next one.
    ///
    /// # Errors
    /// A [`PathError`] if a list would have more than 10,000 places so, or has no such key.
    pub fn set(&self, value: &mut Value, new: Value) -> Result<(), PathError> {
        let mut at = value;
        for segment in &*self.0 {
            at = self.enter(at, segment)?;
        }
        *at = new;
        Ok(())
    }

    fn enter<'a>(&self, at: &'a mut Value, segment: &str) -> Result<&'a mut Value, PathError> {
        match at {
            Value::Object(_) | Value::Array(_) => {}
            _ if segment == NEXT || index(segment).is_some() => *at = Value::Array(Vec::new()),
            _ => *at = Value::Object(Map::new()),
        }
        match at {
            Value::Array(items) => {
                let refuse = || PathError { path: self.to_string(), length: items.len() };
                let index = if segment == NEXT { Some(items.len()) } else { index(segment) };
                let index = index.ok_or_else(refuse)?;
                if index >= items.len() {
                    if index > MAX_PADDED && index > items.len() {
                        return Err(refuse());
                    }
                    items.resize(index + 1, Value::Null);
                }
                Ok(&mut items[index])
            }
            Value::Object(map) => Ok(map.entry(segment).or_insert(Value::Null)),
            // Made an object or a list above.
            other => Ok(other),
        }
    }

    /// The most bytes that writing there may add besides the value, for places of lists that are not there yet.
    pub(crate) fn padding(&self) -> usize {
        let places = |segment: &String| index(segment).map_or(0, |index| index.min(MAX_PADDED) + 1);
        self.0.iter().map(places).sum::<usize>() * size_of::<Value>()
    }

    /// All segments but the last.
    pub(crate) fn parent(&self) -> &[String] {
        self.0.split_last().map_or(&[], |(_, parents)| parents)
    }

    /// The last segment.
    pub(crate) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// What a value holds where the last segment is looked for.
    pub(crate) fn parent_in<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        self.parent().iter().try_fold(value, |value, segment| match value {
            Value::Object(map) => map.get_mut(segment),
            Value::Array(items) => items.get_mut(segment.parse::<usize>().ok()?),
            _ => None,
        })
    }

    /// Takes away what is there, and gives it back. What follows in a list moves up.
    pub fn remove(&self, value: &mut Value) -> Option<Value> {
        let last = self.last();
        match self.parent_in(value)? {
            // What remains keeps its order.
            Value::Object(map) => map.shift_remove(last),
            Value::Array(items) => {
                let index: usize = last.parse().ok()?;
                (index < items.len()).then(|| items.remove(index))
            }
            _ => None,
        }
    }
}

fn child<'a>(value: &'a Value, segment: &str) -> Option<&'a Value> {
    match value {
        Value::Object(map) => map.get(segment),
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        _ => None,
    }
}

/// A place of a list, as a segment writes it.
fn index(segment: &str) -> Option<usize> {
    segment.bytes().all(|byte| byte.is_ascii_digit()).then(|| segment.parse().ok())?
}

/// A place that a list does not have, and does not get.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "cannot write `{path}`: on its way is a list of {length} items, which has no such place, and gets at most {MAX_PADDED}"
)]
pub struct PathError {
    path: String,
    length: usize,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut segments = &self.0[..];
        if let [first, name, rest @ ..] = segments
            && first == TXC
            && is_plain(name)
            && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        {
            write!(f, "@{name}")?;
            segments = rest;
        }
        for segment in segments {
            if is_plain(segment) {
                write!(f, ".{segment}")?;
            } else {
                write!(f, ".{}", quoted(segment))?;
            }
        }
        Ok(())
    }
}

/// Whether a segment needs no quotes.
fn is_plain(segment: &str) -> bool {
    !segment.is_empty() && segment.chars().all(is_segment)
}

/// Whether a character may stand in a path's segment without quotes.
pub(crate) fn is_segment(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '-'
}

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
