//! How values are written on the command line.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use bytesize::ByteSize;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

/// `KEY=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write it as KEY=VALUE".into()),
    }
}

/// A number of bytes such as `64MiB`, of something that may be larger than a memory.
pub(crate) fn bytes(text: &str) -> Result<ByteSize, String> {
    text.parse().map_err(|_| "write a size such as 64MiB, 512KiB or 1GiB".to_owned())
}

/// A size such as `64MiB`.
pub(crate) fn size(text: &str) -> Result<ByteSize, String> {
    let size = bytes(text)?;
    match size.as_u64() {
        0 => Err("it must be more than 0".into()),
        bytes if bytes > 4 << 30 => Err("WebAssembly has at most 4GiB".into()),
        _ => Ok(size),
    }
}

/// A number of bytes such as `64MiB`, and not none.
pub(crate) fn some_bytes(text: &str) -> Result<ByteSize, String> {
    let bytes = bytes(text)?;
    if bytes.as_u64() == 0 { Err("it must be more than 0".into()) } else { Ok(bytes) }
}

/// A number, and not none.
pub(crate) fn some(text: &str) -> Result<NonZeroU32, String> {
    text.parse().map_err(|_| "write a whole number from 1 to 4294967295".to_owned())
}

/// A length of time such as `50ms`, and not none.
pub(crate) fn some_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time.is_zero() { Err("it must be more than 0".into()) } else { Ok(time) }
}

/// An amount of fuel, and not none.
pub(crate) fn some_fuel(text: &str) -> Result<u64, String> {
    match text.parse() {
        Ok(0) => Err("it must be more than 0".into()),
        parsed => parsed.map_err(|_| "write a whole number such as 1000000".into()),
    }
}

/// A length of time such as `50ms`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    // A day is one of 24 hours.
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok()) {
        return Ok(Duration::from_hours(24 * u64::from(days)));
    }
    let duration: SignedDuration =
        text.parse().map_err(|_| "write a time such as 50ms, 5s, 1h or 7d".to_owned())?;
    Duration::try_from(duration).map_err(|_| "it must not be negative".into())
}

/// Of so many one: `1/100`.
pub(crate) fn one_of(text: &str) -> Result<NonZeroU32, String> {
    let every = text.strip_prefix("1/").and_then(|every| every.parse().ok());
    every.ok_or_else(|| "write 1/N, such as 1/100".to_owned())
}

/// A moment, or how long from when a server hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(Timestamp),
    In(Duration),
}

/// A moment in RFC 3339, or a length of time such as `10m`.
pub(crate) fn when(text: &str) -> Result<When, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return if at < Timestamp::UNIX_EPOCH {
            Err("it must be after 1970".to_owned())
        } else {
            Ok(When::At(at))
        };
    }
    duration(text).map(When::In).map_err(|_| {
        "write how long from now, such as 10m, 1h or 7d, or a time such as 2026-01-31T12:00:00Z"
            .to_owned()
    })
}

/// A moment in RFC 3339, not before 1970.
pub(crate) fn time(text: &str) -> Result<SystemTime, String> {
    let time: Timestamp =
        text.parse().map_err(|_| "write a time such as 2026-01-31T12:00:00Z".to_owned())?;
    system_time(time)
}

/// A day.
pub(crate) fn day(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write a day such as 2026-01-31".to_owned())
}

/// A moment as a sandbox's clock has it.
pub(crate) fn system_time(time: Timestamp) -> Result<SystemTime, String> {
    let since = u64::try_from(time.as_nanosecond());
    let since = since.map_err(|_| "the guest's clock starts between 1970 and 2554".to_owned())?;
    Ok(SystemTime::UNIX_EPOCH + Duration::from_nanos(since))
}
