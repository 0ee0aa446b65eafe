//! JSON read into values within a depth and a memory account, and what values cost.
//!
//! A value takes 9 to 65 times the bytes of its text. So what is charged is what is allocated: the size of
//! each node, the capacity of each list, the table of each object.

use std::fmt::{self, Write as _};

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Number, Value};

use crate::{Charge, OverLimit};

/// How deep what is read may be nested: what JSON's readers take is 128.
pub const MAX_JSON_DEPTH: usize = 100;

const NODE: usize = size_of::<Value>();
/// An entry of an object: its hash, its key, its value.
const ENTRY: usize = size_of::<(u64, String, Value)>();
/// Whether numbers keep their text, as serde_json has them where its feature `arbitrary_precision` is on: any crate of
/// a program may switch it on for all.
const KEEPS_NUMBERS: bool = size_of::<Number>() > 16;
/// The key under which serde_json's reader gives such a number's text.
const NUMBER: &str = "$serde_json::private::Number";
/// What the text of a number of the machine's takes.
const NUMBER_TEXT: usize = 24;
/// The least that the allocator gives for a text.
const LEAST_TEXT: usize = 8;

/// JSON that was not read into a value.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// It is not JSON.
    #[error("{0}")]
    Syntax(#[source] serde_json::Error),
    /// It is nested too deep.
    #[error("it is nested deeper than {0} levels")]
    TooDeep(usize),
    /// It takes more memory than there is for it.
    #[error(transparent)]
    OverLimit(#[from] OverLimit),
}

/// Reads one JSON value. What it takes in memory is charged while it is read.
///
/// ```
/// use compute::{Account, JsonError, parse_json};
///
/// let account = Account::new("the document's memory", 1000);
/// let mut charge = account.empty();
/// assert_eq!(parse_json(b"[1,2]", &mut charge)?, serde_json::json!([1, 2]));
/// let many = format!("[{}1]", "1,".repeat(1000));
/// assert!(matches!(parse_json(many.as_bytes(), &mut charge), Err(JsonError::OverLimit(_))));
/// # Ok::<(), JsonError>(())
/// ```
///
/// # Errors
/// As [`JsonError`] says.
pub fn parse_json(text: &[u8], charge: &mut Charge) -> Result<Value, JsonError> {
    let mut over = None;
    let mut reader = serde_json::Deserializer::from_slice(text);
    let seed = Counted { charge, over: &mut over, depth: MAX_JSON_DEPTH };
    let read = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match (read, over) {
        (Ok(value), _) => Ok(value),
        (Err(_), Some(Stop::Over(over))) => Err(over.into()),
        (Err(_), Some(Stop::TooDeep)) => Err(JsonError::TooDeep(MAX_JSON_DEPTH)),
        (Err(error), None) => Err(JsonError::Syntax(error)),
    }
}

/// The bytes of memory that a value takes; none if it is nested deeper than so many levels.
///
/// ```
/// use serde_json::json;
///
/// assert!(compute::json_size(&json!({"a": ["b"]}), 2).is_some());
/// assert!(compute::json_size(&json!({"a": ["b"]}), 1).is_none());
/// ```
#[must_use]
pub fn json_size(value: &Value, depth: usize) -> Option<usize> {
    Some(NODE + heap_size(value, depth)?)
}

/// What a value holds besides its own node.
fn heap_size(value: &Value, depth: usize) -> Option<usize> {
    let inner = |value| heap_size(value, depth.checked_sub(1)?);
    match value {
        Value::String(text) => Some(text_size(text.capacity())),
        Value::Array(items) => {
            let held = items.iter().map(inner).sum::<Option<usize>>()?;
            Some(items.capacity() * NODE + held)
        }
        Value::Object(map) => {
            let held =
                map.iter().map(|(key, value)| Some(text_size(key.capacity()) + inner(value)?));
            Some(object_size(map.len()) + held.sum::<Option<usize>>()?)
        }
        Value::Number(number) if KEEPS_NUMBERS => {
            let mut length = Length(0);
            // Counting never fails.
            let _ = write!(length, "{number}");
            Some(text_size(length.0))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(0),
    }
}

/// Counts what is written to it.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

const fn text_size(capacity: usize) -> usize {
    if capacity == 0 {
        0
    } else if capacity < LEAST_TEXT {
        LEAST_TEXT
    } else {
        capacity
    }
}

/// The table and the entries of an object with so many keys: both grow by doubling, the table to an eighth
/// more than the entries.
const fn object_size(keys: usize) -> usize {
    if keys == 0 {
        return 0;
    }
    let slots = if keys <= 3 {
        4
    } else if keys <= 7 {
        8
    } else {
        (keys * 8 / 7).next_power_of_two()
    };
    let entries = if slots <= 4 { 3 } else { slots / 8 * 7 };
    slots * (size_of::<usize>() + 1) + 16 + entries * ENTRY
}

enum Stop {
    Over(OverLimit),
    TooDeep,
}

/// Reads a value and charges for it.
struct Counted<'a> {
    charge: &'a mut Charge,
    /// Why it stopped, if it was not for the text: what a reader of serde's can say is only words.
    over: &'a mut Option<Stop>,
    depth: usize,
}

impl Counted<'_> {
    fn take<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.charge.grow(bytes).map_err(|over| {
            *self.over = Some(Stop::Over(over));
            E::custom("over the limit")
        })
    }

    fn inner<E: serde::de::Error>(&mut self) -> Result<Counted<'_>, E> {
        let Some(depth) = self.depth.checked_sub(1) else {
            *self.over = Some(Stop::TooDeep);
            return Err(E::custom("too deep"));
        };
        Ok(Counted { charge: &mut *self.charge, over: &mut *self.over, depth })
    }

    /// What a number of the machine's takes besides its node.
    fn number<E: serde::de::Error>(&mut self) -> Result<(), E> {
        if KEEPS_NUMBERS { self.take(NUMBER_TEXT) } else { Ok(()) }
    }

    fn text<E: serde::de::Error>(&mut self, text: String) -> Result<String, E> {
        self.take(text_size(text.capacity()))?;
        Ok(text)
    }
}

impl<'de> DeserializeSeed<'de> for Counted<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Counted<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(mut self, value: i64) -> Result<Value, E> {
        self.number()?;
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(mut self, value: u64) -> Result<Value, E> {
        self.number()?;
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(mut self, value: f64) -> Result<Value, E> {
        self.number()?;
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: serde::de::Error>(mut self, text: &str) -> Result<Value, E> {
        // Before it is copied.
        self.take(text_size(text.len()))?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(mut self, text: String) -> Result<Value, E> {
        self.text(text).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        self.inner()?;
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            if list.len() == list.capacity() {
                let more = list.capacity().max(4);
                self.take(more * NODE)?;
                list.reserve_exact(more);
            }
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut entries: A) -> Result<Value, A::Error> {
        let mut next = entries.next_key::<String>()?;
        if next.as_deref() == Some(NUMBER) {
            let text = self.text(entries.next_value::<String>()?)?;
            let number = text.parse().map_err(A::Error::custom)?;
            return match entries.next_key::<IgnoredAny>()? {
                None => Ok(Value::Number(number)),
                Some(_) => Err(A::Error::custom("a number has nothing besides its text")),
            };
        }
        let mut map = Map::new();
        self.inner()?;
        while let Some(key) = next {
            let key = self.text(key)?;
            let (before, after) = (object_size(map.len()), object_size(map.len() + 1));
            self.take(after - before)?;
            let value = entries.next_value_seed(self.inner()?)?;
            map.insert(key, value);
            next = entries.next_key()?;
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{JsonError, json_size, parse_json};
    use crate::Account;

    #[test]
    fn what_is_read_is_charged_as_it_is_measured() {
        let texts = [
            "null".to_owned(),
            "[]".into(),
            r#"{"a":[1,2.5,"x",{"":0}],"b":"a longer text with a \n in it"}"#.into(),
            format!("[{}0]", r#"{"":0},"#.repeat(1000)),
            format!(
                "{{{}\"z\":0}}",
                (0..1000).map(|n| format!("\"k{n}\":{n},")).collect::<String>()
            ),
        ];
        for text in texts {
            let account = Account::unlimited();
            let mut charge = account.empty();
            let value = parse_json(text.as_bytes(), &mut charge).unwrap();
            assert_eq!(value, serde_json::from_str::<Value>(&text).unwrap());
            let (charged, size) = (charge.bytes() as usize, json_size(&value, 100).unwrap());
            assert!(
                charged + 200 >= size && charged <= size * 2 + 200,
                "{charged} {size}: {text:.80}"
            );
        }
    }

    #[test]
    fn what_is_too_large_or_too_deep_is_told_apart() {
        let account = Account::new("a small account", 100_000);
        let mut charge = account.empty();
        let many = format!("[{}0]", r#"{"":0},"#.repeat(1000));
        let error = parse_json(many.as_bytes(), &mut charge).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a small account has a limit of 100000 bytes, which this would pass"
        );
        drop(charge);
        let mut charge = account.empty();
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(parse_json(deep(100).as_bytes(), &mut charge).is_ok());
        let error = parse_json(deep(101).as_bytes(), &mut charge).unwrap_err();
        assert!(matches!(error, JsonError::TooDeep(100)), "{error}");
        let error = parse_json(b"[1,", &mut charge).unwrap_err();
        assert!(matches!(error, JsonError::Syntax(_)), "{error}");
        assert!(parse_json(b"1 2", &mut charge).is_err());
        assert_eq!(parse_json(b" 1 ", &mut charge).unwrap(), json!(1));
        // Who writes serde_json's own word for a number gets one, or is told that it is none.
        let own = br#"{"$serde_json::private::Number":"12"}"#;
        assert_eq!(parse_json(own, &mut charge).unwrap(), json!(12));
        for wrong in [r#""x""#, "[1]", r#""1","b":2"#] {
            let text = format!(r#"{{"$serde_json::private::Number":{wrong}}}"#);
            assert!(parse_json(text.as_bytes(), &mut charge).is_err(), "{text}");
        }
    }
}
