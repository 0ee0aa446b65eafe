//! How values read as others: what conditions compare, and what functions make of values.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// A value as a number: a string that is one as what it is, true as 1, all else as 0.
///
/// ```
/// assert_eq!(txcl::number_of(&serde_json::json!("1e3")), 1000.0);
/// ```
#[must_use]
pub fn number_of(value: &Value) -> f64 {
    match value {
        Value::Number(number) => number.as_f64().unwrap_or_default(),
        Value::String(text) => parse_number(text).unwrap_or_default(),
        Value::Bool(true) => 1.0,
        _ => 0.0,
    }
}

/// A value as a bool: a number unless it is 0, and a string such as `true`, `T` or `1`.
///
/// ```
/// assert!(txcl::bool_of(&serde_json::json!("True")));
/// ```
#[must_use]
pub fn bool_of(value: &Value) -> bool {
    match value {
        Value::Bool(bool) => *bool,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => ["1", "t", "true"].iter().any(|one| text.eq_ignore_ascii_case(one)),
        _ => false,
    }
}

/// A scalar as a text: a number without an exponent, null as an empty one. None for lists and objects.
///
/// ```
/// assert_eq!(txcl::text_of(&serde_json::json!(200.0)).as_deref(), Some("200"));
/// ```
#[must_use]
pub fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    Some(match value {
        Value::Null => "".into(),
        Value::String(text) => text.into(),
        Value::Bool(bool) => bool.to_string().into(),
        Value::Number(number) => plain(number).into(),
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A number without an exponent.
fn plain(number: &Number) -> String {
    whole(number).unwrap_or_else(|| match number.as_f64() {
        Some(float) => float.to_string(),
        None => number.to_string(),
    })
}

/// A whole number's digits.
fn whole(number: &Number) -> Option<String> {
    let signed = number.as_i64().map(|whole| whole.to_string());
    signed.or_else(|| number.as_u64().map(|whole| whole.to_string()))
}

/// A value in a text that is made of several: a whole number by its digits, another in as few as there are, with an
/// exponent from a million on; `[a b]` for a list, `map[k:v]` for an object, its keys in order, `<nil>` within them for null.
///
/// Gives up once the text has more than `most` bytes.
pub(crate) fn write(value: &Value, out: &mut String, most: usize) -> Result<(), TooLong> {
    match value {
        Value::Null => {}
        Value::String(text) => out.push_str(text),
        Value::Bool(bool) => out.push_str(&bool.to_string()),
        Value::Number(number) => out.push_str(&shortest(number)),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write_inner(item, out, most)?;
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_unstable_by_key(|(key, _)| *key);
            out.push_str("map[");
            for (at, (key, value)) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write_inner(value, out, most)?;
            }
            out.push(']');
        }
    }
    if out.len() > most { Err(TooLong) } else { Ok(()) }
}

/// A text would be longer than it may.
#[derive(Debug)]
pub(crate) struct TooLong;

fn write_inner(value: &Value, out: &mut String, most: usize) -> Result<(), TooLong> {
    if value.is_null() {
        out.push_str("<nil>");
        return Ok(());
    }
    write(value, out, most)
}

/// A number in as few digits as it needs, with an exponent if that is below -4, or above 5 and it is not whole.
fn shortest(number: &Number) -> String {
    if let Some(digits) = whole(number) {
        return digits;
    }
    let Some(float) = number.as_f64() else { return number.to_string() };
    let text = format!("{float:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..6).contains(&exponent) {
        return float.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// The number that a text is: decimal, with an exponent or without, `_` between digits; or hexadecimal with a
/// binary exponent, `0x1p4`; or `Inf` and `NaN`. None if it is none; white space around it makes it none.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let sign = |number: f64| if negative { -number } else { number };
    if ["inf", "infinity"].iter().any(|one| unsigned.eq_ignore_ascii_case(one)) {
        return Some(sign(f64::INFINITY));
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    // One sign is enough.
    let unsigned = Some(unsigned).filter(|text| !text.starts_with(['+', '-']))?;
    let digits = without_underscores(unsigned)?;
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return hexadecimal(hex).map(sign);
    }
    let decimal = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    digits.bytes().all(decimal).then(|| digits.parse().ok().map(sign))?
}

/// A text without the `_` that stand between digits, or after `0x`; none if others do.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(text.into());
    }
    let bytes = text.as_bytes();
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let digit = |at: usize| {
        bytes.get(at).is_some_and(|byte| {
            if hex { byte.is_ascii_hexdigit() || (at == 1) } else { byte.is_ascii_digit() }
        })
    };
    let fits = |at: usize| at > 0 && digit(at - 1) && digit(at + 1);
    let all = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || fits(at));
    all.then(|| text.replace('_', "").into())
}

/// What follows `0x`, with the exponent that it must have.
fn hexadecimal(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent: i32 = exponent.parse().ok()?;
    let mut number = 0.0;
    for digit in whole.chars().chain(fraction.chars()) {
        number = number * 16.0 + f64::from(digit.to_digit(16)?);
    }
    let shift = i32::try_from(fraction.len()).ok()?.checked_mul(4)?;
    let some = !(whole.is_empty() && fraction.is_empty());
    some.then(|| number * f64::from(exponent.saturating_sub(shift)).exp2())
}

/// Bytes as a text: each that is no part of one becomes U+FFFD.
pub(crate) fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(std::iter::repeat_n('\u{fffd}', chunk.invalid().len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_read_as_numbers() {
        let numbers = [
            ("1_000", Some(1000.0)),
            (".5", Some(0.5)),
            ("5.", Some(5.0)),
            ("+1e2", Some(100.0)),
            ("0x1p4", Some(16.0)),
            ("-0x1.8p1", Some(-3.0)),
            ("1e999", Some(f64::INFINITY)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("0x10", None),
            ("_1", None),
            ("1__0", None),
            ("1_", None),
            (" 1", None),
            ("", None),
            ("-", None),
            (".", None),
            ("e5", None),
            ("1e", None),
        ];
        for (text, number) in numbers {
            assert_eq!(parse_number(text), number, "{text}");
        }
        assert_eq!(number_of(&json!("x")), 0.0);
        assert!(bool_of(&json!("TRUE")) && bool_of(&json!(-1)) && !bool_of(&json!("yes")));
    }

    #[test]
    fn values_read_as_texts() {
        let text = |value: Value| {
            let mut text = String::new();
            write(&value, &mut text, 1000).unwrap();
            text
        };
        assert_eq!(text(json!([1, null, {"b": [], "a": "x"}])), "[1 <nil> map[a:x b:[]]]");
        assert_eq!(text(json!(1_234_567.5)), "1.2345675e+06");
        assert_eq!(text(json!(0.000_01)), "1e-05");
        assert_eq!(text(json!(0.000_1)), "0.0001");
        assert_eq!(text(json!(1_000_000)), "1000000");
        assert_eq!(text_of(&json!(1e-7)).unwrap(), "0.0000001");
        assert_eq!(lossy(b"a\xe2\x98b\xff"), "a\u{fffd}\u{fffd}b\u{fffd}");
        assert!(write(&json!(["x".repeat(2000)]), &mut String::new(), 1000).is_err());
    }
}
