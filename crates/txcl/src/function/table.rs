//! The functions of the language.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use compute::JsonError;
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::{Map, Value};
use sha2::Digest as _;

use super::{Arguments, EXACT, Function, Run, query, wrong};
use crate::context::Context;
use crate::function::convert::{self, lossy};

/// What `urlencode` leaves as it is: the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// The longest text that `repeat` and `pad` make: 1 MiB.
const MAX_REPEATED: usize = 1 << 20;
/// The time without fractions of a second, as RFC 3339 and ISO 8601 write it.
const SECONDS: &str = "%Y-%m-%dT%H:%M:%SZ";

type Result<T = Value> = std::result::Result<T, String>;

const fn function(
    name: &'static str,
    parameters: &'static str,
    summary: &'static str,
    run: Run,
) -> Function {
    Function { name, parameters, summary, words: &[], run }
}

pub(crate) static FUNCTIONS: [Function; 33] = [
    function("uuid", "", "a UUID of version 7", |c, _| Ok(uuid(c).into())),
    Function {
        words: &["unix", "millis", "nanos", "rfc3339", "iso8601"],
        ..function(
            "now",
            "[format]",
            "the time: unix (if not said), millis, nanos, rfc3339 or iso8601",
            now,
        )
    },
    function(
        "tz",
        "zone, \"hour\" or \"minute\", hour[, minute]",
        "the hour or the minute in UTC of a time of today in a time zone such as Europe/Berlin",
        tz,
    ),
    function(
        "local_time",
        "zone[, time]",
        "the time, or the one given, in a time zone such as Europe/Berlin",
        local_time,
    ),
    function("b64encode", "text", "the text's base64", |_, a| Ok(base64_of(a.text(0)?).into())),
    function("b64decode", "text", "the text whose base64 this is", b64decode),
    function("urlencode", "text", "the text, as a form or a URL's query writes it", |_, a| {
        let encoded = utf8_percent_encode(a.text(0)?, RESERVED).to_string();
        Ok(encoded.replace("%20", "+").into())
    }),
    function("urldecode", "text", "the text that is written so in a URL", urldecode),
    function("json", "text", "the value that this JSON is", json),
    function("to_json", "value", "the value as JSON, the keys in order", to_json),
    function("get", "value, path", "what the value holds there, or null", get),
    function("set", "value, path, new", "the value with something new there", set),
    function("has", "value, path", "whether the value holds anything there", has),
    function("object", "[key, value, …]", "an object of these keys and values", object),
    function("array", "[value, …]", "a list of these values", |context, a| {
        a.0.iter().map(|value| context.copy(value)).collect()
    }),
    function("concat", "part, …", "the parts as one text", concat),
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
        "text, start, end",
        "a text's bytes from one place to before another, counted from 0",
        substr,
    ),
    function("repeat", "text, count", "the text as many times; at most 1 MiB", repeat),
    function(
        "pad",
        "text, width, with",
        "the text, filled up on the left, or on the right if the width is negative",
        pad,
    ),
    function("sha256", "text", "the text's SHA-256, in hex", |_, a| {
        Ok(hex::encode(sha2::Sha256::digest(a.text(0)?.as_bytes())).into())
    }),
    function("add", "a, b", "the sum", |_, a| arithmetic(a, |x, y| Ok(x + y))),
    function("sub", "a, b", "a less b", |_, a| arithmetic(a, |x, y| Ok(x - y))),
    function("mul", "a, b", "the product", |_, a| arithmetic(a, |x, y| Ok(x * y))),
    function("div", "a, b", "a by b", |_, a| {
        arithmetic(a, |x, y| if y == 0.0 { Err("division by zero") } else { Ok(x / y) })
    }),
    function("mod", "a, b", "what is left of a by b, with the sign of a", |_, a| {
        arithmetic(a, |x, y| if y == 0.0 { Err("division by zero") } else { Ok(x % y) })
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
    function("try_substr", "text, start, end", "as `substr`, and null where that fails", |c, a| {
        or_null(substr(c, a))
    }),
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
    let format = if arguments.given(0) { arguments.text(0)? } else { "" };
    match format {
        "" | "unix" => Ok(now.as_second().into()),
        "millis" => Ok(now.as_millisecond().into()),
        "nanos" => i64::try_from(now.as_nanosecond())
            .map(Value::from)
            .map_err(|_| "the time is out of range".to_owned()),
        "rfc3339" | "iso8601" => Ok(now.strftime(SECONDS).to_string().into()),
        other => Err(format!(
            "there is no format `{other}`: use unix, millis, nanos, rfc3339 or iso8601"
        )),
    }
}

/// A time zone of this program, and not of the machine it runs on.
fn zone(arguments: &Arguments<'_>) -> Result<TimeZone> {
    let name = arguments.text(0)?;
    // Neither has a machine's own zone, which is another elsewhere.
    if name.is_empty() || name == "Local" {
        return Ok(TimeZone::UTC);
    }
    let zone = TimeZoneDatabase::bundled().get(name).ok();
    // Names are as they are written: `utc` is none.
    let zone = zone.filter(|zone| zone.iana_name() == Some(name));
    zone.ok_or_else(|| format!("there is no time zone `{name}`"))
}

fn tz(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let zone = zone(arguments)?;
    let part = arguments.text(1)?;
    let within = |at: usize, most: i64, what: &str| {
        let value = arguments.whole(at)?;
        let fits = i8::try_from(value).ok().filter(|_| (0..=most).contains(&value));
        fits.ok_or_else(|| format!("the {what} is from 0 to {most}, and not {value}"))
    };
    let hour = within(2, 23, "hour")?;
    let minute = if arguments.given(3) { within(3, 59, "minute")? } else { 0 };
    let today = zone.to_datetime(context.now()).date();
    let there = zone.to_timestamp(today.at(hour, minute, 0, 0));
    let time = TimeZone::UTC.to_datetime(there.map_err(|_| "the time is out of range")?);
    match part {
        "hour" => Ok(time.hour().into()),
        "minute" => Ok(time.minute().into()),
        other => Err(format!("argument 2 is `{other}`, and should be \"hour\" or \"minute\"")),
    }
}

fn local_time(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let zone = zone(arguments)?;
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

/// Base64 as Go reads it: bits that are left over need not be zero.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

fn b64decode(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = arguments.text(0)?.replace(['\r', '\n'], "");
    let bytes = BASE64.decode(text).map_err(|error| format!("this is not base64: {error}"))?;
    Ok(lossy(&bytes).into())
}

fn urldecode(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = arguments.text(0)?;
    let complete =
        |part: &str| part.len() >= 2 && part.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit);
    if !text.split('%').skip(1).all(complete) {
        return Err("two hex digits must follow each `%`".into());
    }
    let spaces = text.replace('+', " ");
    Ok(lossy(&percent_decode_str(&spaces).collect::<Vec<_>>()).into())
}

fn json(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    parse(context, arguments.text(0)?).map_err(|error| format!("this is not JSON: {error}"))
}

/// The value that a text is as JSON.
fn parse(context: &mut Context, text: &str) -> Result {
    context.charge(text.len())?;
    let mut charge = context.rest().empty();
    compute::parse_json(text.as_bytes(), &mut charge).map_err(|error| match error {
        JsonError::OverLimit(over) => over.to_string(),
        error => error.to_string(),
    })
}

fn to_json(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let mut text = String::new();
    write_json(arguments.value(0), &mut text, context)?;
    Ok(text.into())
}

/// Writes a value as JSON that a page of HTML may hold: keys in order, `<`, `>`, `&` and the separators of lines and
/// paragraphs escaped.
fn write_json(value: &Value, out: &mut String, context: &mut Context) -> Result<()> {
    let before = out.len();
    match value {
        Value::Null | Value::Bool(_) => out.push_str(&value.to_string()),
        Value::Number(number) => out.push_str(&json_number(number)),
        Value::String(text) => write_json_text(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_json(item, out, context)?;
            }
            out.push(']');
            return Ok(());
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            context.charge(size_of_val(&*keys))?;
            keys.sort_unstable_by_key(|(key, _)| *key);
            out.push('{');
            for (at, (key, value)) in keys.into_iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                context.charge(key.len())?;
                write_json_text(key, out);
                out.push(':');
                write_json(value, out, context)?;
            }
            out.push('}');
            return Ok(());
        }
    }
    context.charge(out.len() - before)
}

fn write_json_text(text: &str, out: &mut String) {
    for char in Value::from(text).to_string().chars() {
        match char {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            other => out.push(other),
        }
    }
}

/// A number as JSON: in digits alone, unless it is below 1e-6 or from 1e21 on.
fn json_number(number: &serde_json::Number) -> String {
    if number.is_i64() || number.is_u64() {
        return number.to_string();
    }
    let Some(float) = number.as_f64() else { return number.to_string() };
    if float == 0.0 || (1e-6..1e21).contains(&float.abs()) {
        return float.to_string();
    }
    let text = format!("{float:e}");
    text.replace('e', if float.abs() < 1.0 { "e" } else { "e+" })
}

/// What `get` and `has` look into: a value, or what a text is as JSON.
fn walked<'a>(context: &mut Context, value: &'a Value) -> Result<Cow<'a, Value>> {
    let Value::String(text) = value else { return Ok(Cow::Borrowed(value)) };
    parse(context, text)
        .map(Cow::Owned)
        .map_err(|error| format!("argument 1 is a text that is not JSON: {error}"))
}

fn get(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let value = walked(context, arguments.value(0))?;
    Ok(query::get(&value, arguments.text(1)?, context)?.unwrap_or(Value::Null))
}

fn has(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let value = walked(context, arguments.value(0))?;
    Ok(query::get(&value, arguments.text(1)?, context)?.is_some().into())
}

fn set(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let path = query::place(arguments.text(1)?)?;
    let mut value = match walked(context, arguments.value(0))? {
        Cow::Owned(value) => value,
        Cow::Borrowed(value) => context.copy(value)?,
    };
    let new = context.copy(arguments.value(2))?;
    context.charge(path.padding())?;
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
    let mut all = String::new();
    for at in 0..arguments.count() {
        append(arguments.value(at), &mut all, context)?;
    }
    Ok(all.into())
}

/// Writes a value into a text that is made of several.
fn append(value: &Value, text: &mut String, context: &mut Context) -> Result<()> {
    let before = text.len();
    let most = before.saturating_add(usize::try_from(context.rest().limit()).unwrap_or(usize::MAX));
    let written = convert::write(value, text, most);
    context.charge(text.len() - before)?;
    written.map_err(|_| "the text is too long".to_owned())
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
    text.split(separator).map(part).collect()
}

fn join(context: &mut Context, arguments: &Arguments<'_>) -> Result {
    let separator = arguments.text(1)?;
    let mut text = String::new();
    for (at, item) in arguments.list(0)?.iter().enumerate() {
        if at > 0 {
            context.charge(separator.len())?;
            text.push_str(separator);
        }
        append(item, &mut text, context)?;
    }
    Ok(text.into())
}

fn substr(_: &mut Context, arguments: &Arguments<'_>) -> Result {
    let text = arguments.text(0)?;
    let (start, end) = (arguments.index(1)?, arguments.index(2)?);
    match text.as_bytes().get(start..end) {
        Some(part) => Ok(lossy(part).into()),
        None if start > end => Err(format!("the start, {start}, is after the end, {end}")),
        None => {
            Err(format!("{start} to {end} is beyond the end of a text of {} bytes", text.len()))
        }
    }
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
    let (text, width, with) = (arguments.text(0)?, arguments.whole(1)?, arguments.text(2)?);
    let wanted = usize::try_from(width.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted > MAX_REPEATED {
        return Err(format!("a width of {wanted} is more than {MAX_REPEATED}"));
    }
    let missing = wanted.saturating_sub(text.len());
    if missing > 0 && with.is_empty() {
        return Err("there is nothing to fill up with".into());
    }
    context.charge(wanted)?;
    // To the byte, though a character is cut by it.
    let filling: Vec<u8> = with.bytes().cycle().take(missing).collect();
    let parts = if width < 0 { [text.as_bytes(), &filling] } else { [&filling, text.as_bytes()] };
    Ok(lossy(&parts.concat()).into())
}

fn arithmetic(
    arguments: &Arguments<'_>,
    of: fn(f64, f64) -> std::result::Result<f64, &'static str>,
) -> Result {
    let result = of(arguments.number(0)?, arguments.number(1)?)?;
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
