//! What a sandbox has beyond WASI, in the namespace `compute`: a log with levels, events, and a way to say
//! how the guest failed.
//!
//! | function | parameters |
//! |---|---|
//! | `log` | level (0 debug, 1 info, 2 warn, 3 error); text: address, bytes |
//! | `emit` | name: address, bytes; data, which is JSON: address, bytes |
//! | `fail` | name, message and stack of what was thrown: address, bytes of each |
//! | `tell` | one of these in one text, for guests that have a single way out: address, bytes; where an answer's address and size go |
//!
//! What `tell` takes begins with a letter: `l`, the level's digit and the text; `e`, the name, a zero byte and the data; `f`, name,
//! message and stack with a zero byte between each; `w`, a word and the addresses in its own memory that it is written to, each of
//! four bytes: what its language does not let it write; `i`, where words are set that ask it to stop when its time is over
//! ([`Interrupt`]). Its answer is empty. It returns 0.

use compute::{Event, Level, MAX_JSON_DEPTH};
use serde_json::value::RawValue;
use wasmtime::{Caller, Linker, Result};

use super::caller::Guest;
use super::state::{Interrupt, State};
use super::stop::Stop;
use super::thrown::{Thrown, frames};
use crate::module::HOST as MODULE;

/// How many bytes of a thrown value's name, message and stack are kept.
const KEPT_NAME: usize = 128;
const KEPT_MESSAGE: usize = 4 << 10;
const KEPT_STACK: usize = 16 << 10;
/// A word, in bytes; how many are written between two looks at the deadline, and how long a list of places is at most.
const WORD: usize = 4;
const LOOK: usize = 64 << 10;
const MOST_PLACES: usize = 1 << 10;
/// How many events one run may emit.
const MAX_EVENTS: usize = 10_000;

pub(super) fn define(linker: &mut Linker<State>) -> Result<()> {
    linker.func_wrap(MODULE, "log", log)?;
    linker.func_wrap(MODULE, "emit", emit)?;
    linker.func_wrap(MODULE, "fail", fail)?;
    linker.func_wrap(MODULE, "tell", tell)?;
    Ok(())
}

fn log(mut caller: Caller<'_, State>, level: i32, at: i32, size: i32) -> Result<()> {
    let function = Function("log");
    let guest = Guest::of(&mut caller)?;
    let text = function.bytes(guest.memory, at, size)?;
    guest.state.log_line(level_of(level), text);
    Ok(())
}

const fn level_of(number: i32) -> Level {
    match number {
        ..=0 => Level::Debug,
        1 => Level::Info,
        2 => Level::Warn,
        3.. => Level::Error,
    }
}

fn emit(
    mut caller: Caller<'_, State>,
    name: i32,
    name_size: i32,
    data: i32,
    data_size: i32,
) -> Result<()> {
    let function = Function("emit");
    let guest = Guest::of(&mut caller)?;
    let name = function.bytes(guest.memory, name, name_size)?;
    let data = function.bytes(guest.memory, data, data_size)?;
    keep_event(guest.state, function, name, data)
}

fn keep_event(state: &mut State, function: Function, name: &[u8], data: &[u8]) -> Result<()> {
    let room = state.count_event(name.len().saturating_add(data.len()));
    if !room || state.events.len() >= MAX_EVENTS {
        return Err(Stop::Output.into());
    }
    let data = raw_json(data)
        .map_err(|problem| function.called_wrongly(format!("an event's data {problem}")))?;
    let name = String::from_utf8_lossy(name).into_owned();
    state.events.push(Event { name, data });
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
    let function = Function("fail");
    let guest = Guest::of(&mut caller)?;
    let text = |at, size| function.bytes(guest.memory, at, size);
    let thrown =
        thrown(text(name, name_size)?, text(message, message_size)?, text(stack, stack_size)?);
    guest.state.thrown = Some(thrown);
    Ok(())
}

fn tell(
    mut caller: Caller<'_, State>,
    at: i32,
    size: i32,
    answer: i32,
    answer_size: i32,
) -> Result<i32> {
    let function = Function("tell");
    let Guest { memory, state } = Guest::of(&mut caller)?;
    let told = function.bytes(memory, at, size)?;
    let Some((kind, told)) = told.split_first() else {
        return Err(function.called_wrongly("there is nothing in it").into());
    };
    match kind {
        b'l' => {
            let (level, text) = told.split_at(told.len().min(1));
            let level = level.first().map_or(1, |digit| i32::from(*digit) - i32::from(b'0'));
            state.log_line(level_of(level), text);
        }
        b'e' => {
            let (name, data) = parted(told);
            keep_event(state, function, name, data)?;
        }
        b'f' => {
            let (name, rest) = parted(told);
            let (message, stack) = parted(rest);
            state.thrown = Some(thrown(name, message, stack));
        }
        b'w' => {
            let start = at.cast_unsigned() as usize + 1;
            let words = told.len() / WORD;
            write_words(function, memory, state, start, words)?;
        }
        b'i' if told.len() <= MOST_PLACES => {
            let words: Vec<u32> =
                told.as_chunks().0.iter().copied().map(u32::from_le_bytes).collect();
            state.interrupts = Interrupt::list(&words)
                .ok_or_else(|| function.called_wrongly("it is no list of places"))?;
        }
        _ => {
            let problem = "it begins with none of `l`, `e`, `f`, `w` and `i`, or is too long";
            return Err(function.called_wrongly(problem).into());
        }
    }
    for place in [answer, answer_size] {
        set_word(memory, place.cast_unsigned() as usize, [0; WORD])
            .ok_or_else(|| function.called_wrongly("the answer's place is not in its memory"))?;
    }
    Ok(0)
}

/// What comes before the first zero byte, and what after it.
fn parted(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(text.len());
    (&text[..end], text.get(end + 1..).unwrap_or_default())
}

/// Writes the first of some words, which stand from here on in a guest's memory, to the addresses that the others are.
fn write_words(
    function: Function,
    memory: &mut [u8],
    state: &State,
    start: usize,
    count: usize,
) -> Result<()> {
    let word_at = |memory: &[u8], number: usize| {
        let bytes = memory.get(start + number * WORD..).and_then(<[u8]>::first_chunk);
        bytes.copied().unwrap_or([0; WORD])
    };
    let written = word_at(memory, 0);
    for number in 1..count {
        if number % LOOK == 0 {
            state.go_on()?;
        }
        let place = u32::from_le_bytes(word_at(memory, number)) as usize;
        set_word(memory, place, written)
            .ok_or_else(|| function.called_wrongly("a word is not in its memory"))?;
    }
    Ok(())
}

fn set_word(memory: &mut [u8], at: usize, word: [u8; WORD]) -> Option<()> {
    *memory.get_mut(at..)?.first_chunk_mut()? = word;
    Some(())
}

/// What was thrown, as far as it is kept.
fn thrown(name: &[u8], message: &[u8], stack: &[u8]) -> Thrown {
    let text = |bytes: &[u8], most: usize| {
        String::from_utf8_lossy(&bytes[..bytes.len().min(most)]).into_owned()
    };
    Thrown {
        name: text(name, KEPT_NAME),
        message: text(message, KEPT_MESSAGE),
        stack: frames(&text(stack, KEPT_STACK)),
    }
}

/// One of these functions, by its name: a guest that calls it wrongly is told so.
#[derive(Clone, Copy)]
struct Function(&'static str);

impl Function {
    fn called_wrongly(self, problem: impl Into<String>) -> Stop {
        Stop::bad_call(MODULE, self.0, problem)
    }

    fn bytes(self, memory: &[u8], at: i32, size: i32) -> std::result::Result<&[u8], Stop> {
        let (start, len) = (at.cast_unsigned() as usize, size.cast_unsigned() as usize);
        let bytes = start.checked_add(len).and_then(|end| memory.get(start..end));
        bytes.ok_or_else(|| {
            let memory = memory.len();
            self.called_wrongly(format!(
                "{len} bytes at address {start} are not within its memory of {memory} bytes"
            ))
        })
    }
}

/// JSON as it stands, once it is known to be JSON that others can read; or what is wrong with it.
fn raw_json(data: &[u8]) -> std::result::Result<Box<RawValue>, String> {
    if is_deeper(data, MAX_JSON_DEPTH) {
        return Err(format!("is nested deeper than {MAX_JSON_DEPTH} levels"));
    }
    let not_json = |error: &dyn std::fmt::Display| format!("is not JSON: {error}");
    let text = String::from_utf8(data.to_vec()).map_err(|error| not_json(&error))?;
    RawValue::from_string(text).map_err(|error| not_json(&error))
}

/// Whether JSON is nested deeper than so many levels. What is no JSON may be told either way.
fn is_deeper(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'[' | b'{' if !in_text => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b']' | b'}' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
