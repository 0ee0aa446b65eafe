//! What grows in an input: a list, a text or a number.

use serde_json::{Number, Value};

/// The largest integer that JSON's readers take exactly.
const MAX_NUMBER: u64 = 1 << 53;

/// An input of which one part can be made larger.
#[derive(Debug)]
pub(super) struct Growth {
    input: Value,
    /// Nothing if it is all of the input.
    path: Option<txcl::Path>,
    part: Part,
    /// The bytes of the input, and those that each repetition adds.
    fixed: u64,
    added: u64,
}

/// The part that grows.
#[derive(Debug)]
enum Part {
    List(Vec<Value>),
    Text(String),
    Number(Number),
}

impl Growth {
    /// What is at a path of an input, if it can grow.
    pub(super) fn of(input: &Value, grow: &str) -> Result<Self, String> {
        let path = match grow.trim() {
            "." | "" => None,
            path => Some(txcl::Path::parse(path).ok_or_else(|| {
                format!("`{path}` is no path; write one such as .items, .order.items.0.text, or . for all")
            })?),
        };
        let found = path.as_ref().map_or(Some(input), |path| path.get(input));
        let part = match found {
            None => return Err(format!("there is nothing at `{grow}` in its input{}", has(input))),
            Some(Value::Array(items)) if !items.is_empty() => Part::List(items.clone()),
            Some(Value::String(text)) if !text.is_empty() => Part::Text(text.clone()),
            Some(Value::Number(number)) if number.as_f64() != Some(0.0) => {
                Part::Number(number.clone())
            }
            Some(Value::Array(_) | Value::String(_) | Value::Number(_)) => {
                return Err(format!(
                    "what is at `{grow}` is empty or 0, and stays so however often it is taken"
                ));
            }
            Some(Value::Object(_)) => {
                return Err(format!(
                    "what is at `{grow}` is an object, and a list, a text or a number grows{}",
                    has(found.unwrap_or(input))
                ));
            }
            Some(value) => {
                return Err(format!(
                    "what is at `{grow}` is {value}, and a list, a text or a number grows"
                ));
            }
        };
        // Brackets or quotes are there once, and a comma is between elements.
        let added = match &part {
            Part::List(_) => length(found.unwrap_or(input)).saturating_sub(1),
            Part::Text(_) => length(found.unwrap_or(input)).saturating_sub(2),
            Part::Number(_) => 0,
        };
        Ok(Self { path, part, fixed: length(input), added, input: input.clone() })
    }

    /// What its size counts.
    pub(super) const fn unit(&self) -> &'static str {
        match self.part {
            Part::List(_) => "items",
            Part::Text(_) => "characters",
            Part::Number(_) => "value",
        }
    }

    /// Its size when it is taken so many times; nothing if no number is so large.
    pub(super) fn size(&self, times: u64) -> Option<u64> {
        match &self.part {
            Part::List(items) => (items.len() as u64).checked_mul(times),
            Part::Text(text) => (text.chars().count() as u64).checked_mul(times),
            Part::Number(number) => {
                // Of a fraction or a debt, how far it is from 0.
                let size = number.as_f64()?.abs() * times as f64;
                (size <= MAX_NUMBER as f64).then_some(size as u64)
            }
        }
    }

    /// How many bytes the input then has.
    pub(super) fn bytes(&self, times: u64) -> Option<u64> {
        self.added.checked_mul(times.saturating_sub(1))?.checked_add(self.fixed)
    }

    /// The input with it taken so many times; nothing if that is more than there can be.
    pub(super) fn input(&self, times: u64) -> Option<Value> {
        let count = usize::try_from(times).ok()?;
        let grown = match &self.part {
            Part::List(items) => {
                let all = items.iter().cycle().take(items.len().checked_mul(count)?);
                Value::Array(all.cloned().collect())
            }
            Part::Text(text) => Value::String(text.repeat(count)),
            Part::Number(number) => match number.as_i64() {
                Some(integer) => integer.checked_mul(i64::try_from(times).ok()?)?.into(),
                None => Number::from_f64(number.as_f64()? * times as f64)?.into(),
            },
        };
        let Some(path) = &self.path else { return Some(grown) };
        let mut input = self.input.clone();
        path.set(&mut input, grown).ok()?;
        Some(input)
    }
}

/// Which keys an object has, to choose from.
fn has(value: &Value) -> String {
    let keys = value.as_object().map(|object| object.keys().map(|key| format!(".{key}")));
    let keys: Vec<_> = keys.into_iter().flatten().collect();
    if keys.is_empty() { String::new() } else { format!("; it has {}", keys.join(", ")) }
}

fn length(value: &Value) -> u64 {
    value.to_string().len() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inputs_grow_as_was_said_before() {
        let input = json!({ "a": [{ "b": "é\"x", "c": [1, 2, 3], "n": 1.5, "z": [] }] });
        for path in [".a", ".a.0.b", ".a.0.c"] {
            let growth = Growth::of(&input, path).unwrap();
            assert_eq!(growth.input(1).unwrap(), input);
            for times in [1, 2, 7] {
                let grown = growth.input(times).unwrap();
                assert_eq!(growth.bytes(times), Some(length(&grown)), "{path}");
            }
        }
        let of = |path| Growth::of(&input, path).unwrap();
        assert_eq!(of(".a.0.c").size(4), Some(12));
        assert_eq!(of(".a.0.b").size(2), Some(6));
        assert_eq!(of(".a.0.n").input(2).unwrap()["a"][0]["n"], json!(3.0));
        assert_eq!(of(".a.0.c.2").input(4).unwrap()["a"][0]["c"], json!([1, 2, 12]));
        assert_eq!(of(".a.0.c.2").size(1 << 52), None);
        assert_eq!(of(".a").size(u64::MAX), Some(u64::MAX));
        assert_eq!(of(".a").bytes(u64::MAX), None);
        let whole = Growth::of(&json!([1, 2]), ".").unwrap();
        assert_eq!(whole.input(2).unwrap(), json!([1, 2, 1, 2]));
        for (path, expected) in [
            (".x", "there is nothing at `.x` in its input; it has .a"),
            (".a.0", "is an object, and a list, a text or a number grows; it has .b, .c, .n, .z"),
            (".a.0.z", "is empty or 0"),
            (".a[", "is no path"),
        ] {
            let error = Growth::of(&input, path).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
