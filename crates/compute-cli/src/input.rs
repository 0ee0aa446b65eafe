//! The input argument: JSON, `@file` or `-`.

use std::io::Read as _;
use std::path::Path;

use crate::failure::Failure;
use crate::work::target;

/// How much of a line is shown around a mistake, in characters.
const SHOWN: usize = 60;

/// The input's bytes: one JSON value.
pub(crate) fn read(argument: Option<&str>) -> Result<Vec<u8>, Failure> {
    bytes(argument).and_then(checked)
}

/// The same, for a command that may take any bytes: whether it does.
pub(crate) fn read_for_run(argument: Option<&str>, raw: bool) -> Result<Vec<u8>, Failure> {
    let input = bytes(argument)?;
    if raw {
        return Ok(input.bytes);
    }
    checked(input).map_err(|failure| {
        let message = format!("{failure}; --raw takes any bytes");
        failure.with_message(message)
    })
}

/// What an input argument has, and what it is called.
#[derive(Default)]
struct Input {
    source: String,
    bytes: Vec<u8>,
}

fn bytes(argument: Option<&str>) -> Result<Input, Failure> {
    let (source, bytes) = match argument {
        None => return Ok(Input::default()),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .read_to_end(&mut bytes)
                .map_err(|error| Failure::usage(format!("cannot read stdin: {error}")))?;
            ("the input on stdin".to_owned(), bytes)
        }
        Some(text) => match text.strip_prefix('@') {
            Some(file) => (format!("the input in {file}"), target::read(Path::new(file))?),
            None => ("the input".to_owned(), text.as_bytes().to_vec()),
        },
    };
    Ok(Input { source, bytes })
}

fn checked(Input { source, bytes }: Input) -> Result<Vec<u8>, Failure> {
    // Editors of other systems begin a file with it.
    let bytes = match bytes.strip_prefix("\u{feff}".as_bytes()) {
        Some(rest) => rest.to_vec(),
        None => bytes,
    };
    if !bytes.iter().all(u8::is_ascii_whitespace) {
        check(&source, &bytes)?;
    }
    Ok(bytes)
}

fn check(source: &str, bytes: &[u8]) -> Result<(), Failure> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        Failure::usage(format!(
            "{source} is not JSON: it is not UTF-8 from byte {}",
            error.valid_up_to()
        ))
    })?;
    let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) else { return Ok(()) };
    let (number, column) = (error.line(), error.column());
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    let line = text.lines().nth(number.saturating_sub(1)).unwrap_or_default();
    // The column counts bytes.
    let at = line.char_indices().take_while(|(byte, _)| *byte + 1 < column).count();
    let start = at.saturating_sub(SHOWN / 2);
    let shown: String = line.chars().skip(start).take(SHOWN).collect();
    let caret = " ".repeat(at - start);
    Err(Failure::usage(format!(
        "{source} is not JSON: {message}\n  --> line {number}, column {column}\n  | {shown}\n  | {caret}^\n\
         give JSON such as '{{\"name\":\"Ada\"}}', @file, or - for stdin"
    )))
}
