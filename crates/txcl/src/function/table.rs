//! The functions of the language.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compute::JsonError;
use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use sha2::Digest as _;

use super::{Arguments, Function, Run, wrong};
use crate::context::Context;

/// What `urlencode` leaves as it is: the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The longest text that `repeat` and `pad` make: 1 MiB.
const MAX_REPEATED: usize = 1 << 20;
/// The whole numbers that a float holds exactly: ±2^53.
const EXACT: f64 = 9_007_199_254_740_992.0;

type Result<T = Value> = std::result::Result<T, String>;

const fn function(
    name: &'static str,
    parameters: &'static str,
    summary: &'static str,
    run: Run,
) -> Function {
    Function { name, parameters, summary, words: &[], run }
}

pub(crate) static FUNCTIONS: [Function; 32] = [
    function("uuid", "", "a UUID of version 7", |c, _| Ok(uuid(c).into())),
    Function {
        words: &["unix", "millis", "nanos", "rfc3339", "iso8601"],
        ..function(
            "now",
            "[format]",
            "the time: unix, millis, nanos, rfc3339 (if not said) or iso8601",
            now,
        )
    },
    function(
        "tz",
        "zone[, time]",
        "the time, or the one given, in a time zone such as Europe/Berlin",
        tz,
    ),
    function("b64encode", "text", "the text's base64", |_, a| Ok(base64_of(&a.text(0)?).into())),
    function("b64decode", "text", "the text whose base64 this is", b64decode),
    function("urlencode", "text", "the text, safe in a URL", |_, a| {
        Ok(utf8_percent_encode(&a.text(0)?, RESERVED).to_string().into())
    }),
    function("urldecode", "text", "the text that is written so in a URL", urldecode),
    function("json", "text", "the value that this JSON is", json),
    function("to_json", "value", "the value as JSON", |_, a| Ok(a.value(0).to_string().into())),
    function("get", "value, path", "what the value holds there, or null", get),
    function("set", "value, path, new", "the value with something new there", set),
    function("has", "value, path", "whether the value holds anything there", |_, a| {
        Ok(a.path(1)?.get(a.value(0)).is_some().into())
    }),
    function("object", "[key, value, …]", "an object of these keys and values", object),
    function("array", "[value, …]", "a list of these values", |context, a| {
        a.0.iter().map(|value| context.copy(value)).collect()
    }),
    function("concat", "part, …", "the texts in one, or the lists in one", concat),
    function(
        "len",
        "value",
        "the bytes of a text, the items of a list, the keys of an object",
        len,
    ),
    function("split", "text, separator", "the parts of a text, as a list", split),
    function("join", "list, separator", "the items of a list, as a text", join),
    function(
        "substr",
        "text, start[, length]",
        "a part of a text, counted in bytes from 0",
        substr,
    ),
    function("repeat", "text, count", "the text as many times; at most 1 MiB", repeat),
    function(
        "pad",
        "text, width[, with]",
        "the text, filled up on the left, or on the right if the width is negative",
        pad,
    ),
    function("sha256", "text", "the text's SHA-256, in hex", |_, a| {
        Ok(hex::encode(sha2::Sha256::digest(a.text(0)?.as_bytes())).into())
    }),
    function("add", "a, b, …", "the sum", |_, a| fold(a, |x, y| x + y)),
    function("sub", "a, b", "a less b", |_, a| fold(a, |x, y| x - y)),
    function("mul", "a, b, …", "the product", |_, a| fold(a, |x, y| x * y)),
    function("div", "a, b", "a by b", |_, a| fold(a, |x, y| x / y)),
    function("mod", "a, b", "what is left of a by b, with the sign of a", |_, a| {
        fold(a, |x, y| x % y)
    }),
    function("try_json", "text", "as `json`, and null where that fails", |c, a| {
        or_null(json(c, a))
    }),
    function("try_b64decode", "text", "as `b64decode`, and null where that fails", |c, a| {
        or_null(b64decode(c, a))
    }),
    function("try_urldecode", "text", "as `urldecode`, and null where that fails", |c, a| {
        or_null(urldecode(c, a))
    }),
    function("try_get", "value, path", "as `get`, and null where that fails", |c, a| {
        or_null(get(c, a))
    }),
    function(
        "try_substr",
        "text, start[, length]",
        "as `substr`, and null where that fails",
        |c, a| or_null(substr(c, a)),
    ),
];

fn or_null(result: Result) -> Result {
    Ok(result.unwrap_or(Value::Null))
}

pub(crate) fn base64_of(text: &str) -> String {
    STANDARD.encode(text)
}

/// A UUID of version 7, from a context's clock and random numbers; what `&uuid()` gives.
///
/// ```
/// let id = txcl::uuid(&mut txcl::Context::default());
/// assert_eq!(id, txcl::uuid(&mut txcl::Context::default()));
/// ```
#[must_use]
pub fn uuid(context: &mut Context) -> String {
    let millis = u64::try_from(context.now().as_millisecond()).unwrap_or(0);
    let uuid = ::uuid::Builder::from_unix_timestamp_millis(millis, &context.random()).into_uuid();
    uuid.to_string()
}

fn now(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let now = context.now();
    let format = if arguments.given(0) { arguments.text(0)? } else { "rfc3339".into() };
    match &*format {
        "unix" => Ok(now.as_second().into()),
        "millis" => Ok(now.as_millisecond().into()),
        "nanos" => i64::try_from(now.as_nanosecond())
            .map(Value::from)
            .map_err(|_| "the time is out of range".to_owned()),
        "rfc3339" => Ok(now.to_string().into()),
        "iso8601" => Ok(now.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string().into()),
        other => Err(format!(
            "there is no format `{other}`: use unix, millis, nanos, rfc3339 or iso8601"
        )),
    }
}

fn tz(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let zone = arguments.text(0)?;
    // The zones of this program, and not of the machine it runs on.
    let zone = TimeZoneDatabase::bundled()
        .get(&zone)
        .map_err(|_| format!("there is no time zone `{zone}`"))?;
    let time = match arguments.value(1) {
        _ if !arguments.given(1) => context.now(),
        Value::Number(seconds) => seconds
            .as_i64()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| wrong(1, arguments.value(1), "a time in seconds"))?,
        value => value
            .as_str()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| wrong(1, value, "a time such as 2026-01-31T12:00:00Z"))?,
    };
    let zoned = time.to_zoned_datetime(zone);
    Ok(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string().into())
}

fn b64decode(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    let bytes = STANDARD
        .decode(&*arguments.text(0)?)
        .map_err(|error| format!("this is not base64: {error}"))?;
    String::from_utf8(bytes).map(Value::from).map_err(|_| "the bytes are not text in UTF-8".into())
}

fn urldecode(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = arguments.text(0)?;
    let complete =
        |part: &str| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.split('%').skip(1).all(complete) {
        return Err("two hex digits must follow each `%`".into());
    }
    let spaces = text.replace('+', " ");
    let decoded = percent_decode_str(&spaces).decode_utf8();
    Ok(decoded.map_err(|_| "the bytes are not text in UTF-8")?.into_owned().into())
}

fn json(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = match arguments.value(0) {
        Value::String(text) => text,
        other => return Err(wrong(0, other, "a string")),
    };
    context.charge(text.len())?;
    let mut charge = context.rest().empty();
    compute::parse_json(text.as_bytes(), &mut charge).map_err(|error| match error {
        JsonError::OverLimit(over) => over.to_string(),
        error => format!("this is not JSON: {error}"),
    })
}

fn get(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    arguments.path(1)?.get(arguments.value(0)).map_or(Ok(Value::Null), |found| context.copy(found))
}

fn set(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let path = arguments.path(1)?;
    let mut value = context.copy(arguments.value(0))?;
    let new = context.copy(arguments.value(2))?;
    path.set(&mut value, new).map_err(|error| error.to_string())?;
    Ok(value)
}

fn object(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    if arguments.count() % 2 == 1 {
        return Err("each key needs a value: the number of arguments is odd".into());
    }
    let mut map = Map::new();
    for at in (0..arguments.count()).step_by(2) {
        let Value::String(key) = arguments.value(at) else {
            return Err(wrong(at, arguments.value(at), "a string, for it is a key"));
        };
        map.insert(key.clone(), context.copy(arguments.value(at + 1))?);
    }
    Ok(map.into())
}

fn concat(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    if arguments.value(0).is_array() {
        let mut all = Vec::new();
        for at in 0..arguments.count() {
            for item in arguments.list(at)? {
                all.push(context.copy(item)?);
            }
        }
        return Ok(all.into());
    }
    let mut all = String::new();
    for at in 0..arguments.count() {
        if !arguments.value(at).is_null() {
            let text = arguments.text(at)?;
            context.charge(text.len())?;
            all.push_str(&text);
        }
    }
    Ok(all.into())
}

fn len(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    match arguments.value(0) {
        Value::Null => Ok(0.into()),
        Value::String(text) => Ok(text.len().into()),
        Value::Array(items) => Ok(items.len().into()),
        Value::Object(map) => Ok(map.len().into()),
        other => Err(wrong(0, other, "a string, a list or an object")),
    }
}

fn split(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let (text, separator) = (arguments.text(0)?, arguments.text(1)?);
    // Each part is a value, however short.
    let mut part = |part: &str| {
        context.charge(size_of::<Value>() + part.len())?;
        Ok(Value::from(part))
    };
    if separator.is_empty() {
        return text.chars().map(|char| part(char.encode_utf8(&mut [0; 4]))).collect();
    }
    text.split(&*separator).map(part).collect()
}

fn join(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let separator = arguments.text(1)?;
    let mut text = String::new();
    for (at, item) in arguments.list(0)?.iter().enumerate() {
        if at > 0 {
            text.push_str(&separator);
        }
        let before = text.len();
        match item {
            Value::String(item) => text.push_str(item),
            Value::Number(_) | Value::Bool(_) => text.push_str(&item.to_string()),
            other => {
                return Err(format!("item {at} of the list cannot be joined: {other} is no text"));
            }
        }
        context.charge(separator.len() + text.len() - before)?;
    }
    Ok(text.into())
}

fn substr(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = arguments.text(0)?;
    let start = arguments.index(1)?;
    let rest = text.len().saturating_sub(start);
    let length = if arguments.given(2) { arguments.index(2)? } else { rest };
    let end = start.checked_add(length).filter(|_| start <= text.len() && length <= rest);
    let part = end.and_then(|end| text.get(start..end));
    part.map(Value::from).ok_or_else(|| {
        format!("{length} bytes from {start} are not a part of a text of {} bytes", text.len())
    })
}

fn repeat(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let (text, count) = (arguments.text(0)?, arguments.index(1)?);
    match text.len().checked_mul(count) {
        Some(length) if length <= MAX_REPEATED => {
            context.charge(length)?;
            Ok(text.repeat(count).into())
        }
        _ => Err(format!("{count} times {} bytes is more than {MAX_REPEATED}", text.len())),
    }
}

fn pad(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = arguments.text(0)?;
    let width = arguments.value(1).as_i64();
    let width = width.ok_or_else(|| wrong(1, arguments.value(1), "a whole number"))?;
    let with = if arguments.given(2) { arguments.text(2)? } else { " ".into() };
    let wanted = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted > MAX_REPEATED {
        return Err(format!("a width of {wanted} is more than {MAX_REPEATED}"));
    }
    if with.is_empty() {
        return Err("there is nothing to fill up with".into());
    }
    context.charge(wanted)?;
    let missing = wanted.saturating_sub(text.len());
    // Whole fillings only, so that no character is cut.
    let filling = with.repeat(missing / with.len());
    Ok(if width < 0 { format!("{text}{filling}") } else { format!("{filling}{text}") }.into())
}

fn fold(arguments: &Arguments<'_>, join: fn(f64, f64) -> f64) -> Result {
    let mut result = arguments.number(0)?;
    for at in 1..arguments.count() {
        result = join(result, arguments.number(at)?);
    }
    if !result.is_finite() {
        return Err("the result is not a finite number".into());
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within ±2^53")]
    let number = if result.fract() == 0.0 && result.abs() <= EXACT {
        Value::from(result as i64)
    } else {
        Value::from(result)
    };
    Ok(number)
}
