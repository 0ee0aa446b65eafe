//! What a sandbox has beyond WASI, in the namespace `compute`: a log with levels, events, and a way to say
//! how the guest failed.
//!
//! | function | parameters |
//! |---|---|
//! | `log` | level (0 debug, 1 info, 2 warn, 3 error); text: address, bytes |
//! | `emit` | name: address, bytes; data, which is JSON: address, bytes |
//! | `fail` | name, message and stack of what was thrown: address, bytes of each |

use compute::{Event, Level, StackFrame};
use wasmtime::{Caller, Linker, Result};

use crate::failure::Stop;
use crate::sandbox::State;
use crate::wasi::Guest;

pub(crate) const MODULE: &str = "compute";

/// How many bytes of a thrown value's name, message and stack are kept.
const KEPT_NAME: usize = 128;
const KEPT_MESSAGE: usize = 4 << 10;
const KEPT_STACK: usize = 16 << 10;
/// How many frames of its stack are kept.
const KEPT_FRAMES: usize = 64;
/// How many events one run may emit.
const MAX_EVENTS: usize = 10_000;

/// What a guest threw and did not catch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thrown {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) stack: Vec<StackFrame>,
}

pub(crate) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(MODULE, "log", log)?;
    linker.func_wrap(MODULE, "emit", emit)?;
    linker.func_wrap(MODULE, "fail", fail)?;
    Ok(())
}

fn log(mut caller: Caller<'_, State>, level: i32, at: i32, size: i32) -> Result<()> {
    let guest = Guest::of(&mut caller)?;
    let text = bytes(guest.memory, at, size)?;
    let level = match level {
        ..=0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        3.. => Level::Error,
    };
    guest.state.log_line(level, text);
    Ok(())
}

fn emit(
    mut caller: Caller<'_, State>,
    name: i32,
    name_size: i32,
    data: i32,
    data_size: i32,
) -> Result<()> {
    let guest = Guest::of(&mut caller)?;
    let name = bytes(guest.memory, name, name_size)?;
    let data = bytes(guest.memory, data, data_size)?;
    let room = guest.state.count_event(name.len() + data.len());
    if !room || guest.state.events.len() >= MAX_EVENTS {
        return Err(Stop::Output.into());
    }
    let data = serde_json::from_slice(data)
        .map_err(|error| wasmtime::format_err!("an event's data is not JSON: {error}"))?;
    let name = String::from_utf8_lossy(name).into_owned();
    guest.state.events.push(Event { name, data });
    Ok(())
}

fn fail(
    mut caller: Caller<'_, State>,
    name: i32,
    name_size: i32,
    message: i32,
    message_size: i32,
    stack: i32,
    stack_size: i32,
) -> Result<()> {
    let guest = Guest::of(&mut caller)?;
    let text = |at, size, most| {
        bytes(guest.memory, at, size).map(|bytes| {
            let kept = &bytes[..bytes.len().min(most)];
            String::from_utf8_lossy(kept).into_owned()
        })
    };
    let thrown = Thrown {
        name: text(name, name_size, KEPT_NAME)?,
        message: text(message, message_size, KEPT_MESSAGE)?,
        stack: frames(&text(stack, stack_size, KEPT_STACK)?),
    };
    guest.state.thrown = Some(thrown);
    Ok(())
}

fn bytes(memory: &[u8], at: i32, size: i32) -> Result<&[u8]> {
    let (at, size) = (at.cast_unsigned() as usize, size.cast_unsigned() as usize);
    let bytes = at.checked_add(size).and_then(|end| memory.get(at..end));
    bytes.ok_or_else(|| wasmtime::format_err!("a host function was given an address out of bounds"))
}

/// The frames of a stack as JavaScript engines print it: `    at name (file:line:column)` a line.
fn frames(stack: &str) -> Vec<StackFrame> {
    let frame = |line: &str| {
        let line = line.trim().strip_prefix("at ")?;
        let (function, place) = match line.rsplit_once(" (") {
            Some((function, place)) => (function, place.strip_suffix(')').unwrap_or(place)),
            None => ("", line),
        };
        let mut parts = place.rsplitn(3, ':');
        let (column, line, file) = (parts.next(), parts.next(), parts.next());
        let number = |part: Option<&str>| part.and_then(|part| part.parse::<u32>().ok());
        let (file, line, column) = match (file, number(line), number(column)) {
            (Some(file), Some(line), Some(column)) => (file, line, column),
            _ => (place, 0, 0),
        };
        let function = if function == "<anonymous>" { "" } else { function };
        Some(StackFrame { function: function.into(), file: file.into(), line, column })
    };
    stack.lines().filter_map(frame).take(KEPT_FRAMES).collect()
}
