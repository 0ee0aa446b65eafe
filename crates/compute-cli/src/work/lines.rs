//! A batch of a command: lines of JSON are read, and for each of them one is printed, as a server answers it.

use std::fs::File;
use std::io::{self, Cursor, IsTerminal as _, Read};
use std::iter;
use std::ops::ControlFlow;

use compute_client::BatchAnswer;
use compute_client::api::{JobRequest, Line, LineAnswer, Lines, end_line};
use compute_server::Problem;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::target;
use crate::failure::Failure;
use crate::parallel;
use crate::show::{print_bytes, stdout_is_gone};

/// How much is read at once.
const PIECE: usize = 64 << 10;

/// What an input argument has, as it comes: JSON, `@file`, or `-` for stdin, which it is if it is not said.
pub(crate) fn open(argument: Option<&str>) -> Result<Box<dyn Read + Send>, Failure> {
    let Some(text) = argument.filter(|text| *text != "-") else {
        if argument.is_none() && io::stdin().is_terminal() {
            return Err(Failure::usage(
                "--lines reads its lines from stdin, which is a terminal: give a file with `< FILE` or --input @FILE, or --input - to type them",
            ));
        }
        return Ok(Box::new(io::stdin()));
    };
    let Some(path) = text.strip_prefix('@') else {
        return Ok(Box::new(Cursor::new(text.to_owned())));
    };
    Ok(Box::new(File::open(path).map_err(|error| target::unread(path.as_ref(), &error))?))
}

/// The lines of an input argument as a list.
pub(crate) fn list(argument: Option<&str>) -> Result<Box<RawValue>, Failure> {
    let mut list = "[".to_owned();
    for line in lines(open(argument)?) {
        let Line { at, bytes, .. } = line?;
        let text = json(bytes).map_err(|wrong| {
            Failure::usage(format!("line {at} of the input {wrong}: no job was submitted"))
        })?;
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&text);
        if list.len() > JobRequest::MAX_BATCH {
            let limit = JobRequest::MAX_BATCH;
            return Err(Failure::usage(format!(
                "the lines of a job have at most {limit} bytes together: submit several, or `compute fire --lines`"
            )));
        }
    }
    list.push(']');
    RawValue::from_string(list).map_err(|error| Failure::usage_of(&error))
}

/// A line that is JSON, or what is wrong with it.
fn json(line: Option<Vec<u8>>) -> Result<String, String> {
    let bytes = line.ok_or_else(|| "has more than 4 MiB".to_owned())?;
    let text = String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let column = error.column();
            let message = error.to_string();
            let what = message.rsplit_once(" at line ").map_or(&*message, |(what, _)| what);
            Err(format!("is no JSON: {what} at column {column}"))
        }
    }
}

/// Prints what each line of a batch gave, of a list of them.
pub(crate) fn print_list(list: &RawValue) -> Result<(), Failure> {
    let list: Vec<&RawValue> =
        serde_json::from_str(list.get()).map_err(|error| Failure::host(&error))?;
    let mut printed = Printed::default();
    let mut ended = ControlFlow::Continue(());
    for one in list {
        ended = printed.print(Made::kept(one));
        if ended.is_break() {
            break;
        }
    }
    printed.end(ended)
}

/// What is read of a problem that a job has.
#[derive(Deserialize)]
pub(crate) struct ShortProblem {
    pub(crate) code: String,
    pub(crate) detail: String,
    #[serde(default)]
    pub(crate) status: u16,
}

/// A line that came of one.
pub(crate) struct Made {
    line: Vec<u8>,
    failure: Option<Failure>,
}

impl Made {
    /// This answer.
    pub(crate) fn of(answer: &impl Serialize) -> Result<Self, Failure> {
        let mut line = serde_json::to_vec(answer).map_err(|error| Failure::host(&error))?;
        end_line(&mut line);
        Ok(Self { line, failure: None })
    }

    /// An answer of a server.
    pub(crate) fn answered(answer: BatchAnswer) -> Self {
        let failure = answer
            .output
            .err()
            .map(|problem| Failure::of_problem(problem.status, &problem.code, problem.detail));
        let mut line = Vec::from(answer.line);
        end_line(&mut line);
        Self { line, failure }
    }

    /// An answer of a job.
    fn kept(answer: &RawValue) -> Self {
        #[derive(Deserialize)]
        struct Short {
            error: Option<ShortProblem>,
        }
        let error = serde_json::from_str::<Short>(answer.get()).ok().and_then(|one| one.error);
        let failure =
            error.map(|problem| Failure::of_problem(problem.status, &problem.code, problem.detail));
        let mut line = answer.get().as_bytes().to_vec();
        end_line(&mut line);
        Self { line, failure }
    }

    /// That this line failed.
    pub(crate) fn failed(
        number: u64,
        problem: Problem,
        rid: Option<String>,
    ) -> Result<Self, Failure> {
        let (status, detail) = (problem.status.as_u16(), problem.detail.clone());
        let failure = Failure::of_problem(status, problem.code, detail);
        let answer = LineAnswer::<()>::failed(number, problem.members());
        Ok(Self { failure: Some(failure), ..Self::of(&LineAnswer { rid, ..answer })? })
    }
}

/// What is printed of a batch, and what becomes of the command.
#[derive(Default)]
pub(crate) struct Printed {
    lines: u64,
    failed: u64,
    /// The worst of their failures, by its exit code.
    worst: Option<Failure>,
}

impl Printed {
    /// Prints a line. Nobody reads any more, if it breaks off without a failure.
    pub(crate) fn print(&mut self, made: Made) -> ControlFlow<Option<Failure>> {
        let Made { line, failure } = made;
        self.lines += 1;
        if let Some(failure) = failure {
            self.failed += 1;
            let code = |failure: &Option<Failure>| failure.as_ref().map_or(0, Failure::exit_code);
            let failure = Some(failure);
            if code(&failure) > code(&self.worst) {
                self.worst = failure;
            }
        }
        match print_bytes(&line) {
            Ok(()) if stdout_is_gone() => ControlFlow::Break(None),
            Ok(()) => ControlFlow::Continue(()),
            Err(failure) => ControlFlow::Break(Some(failure)),
        }
    }

    /// The end of the command, after this end of its lines: its exit code is that of the worst of them.
    pub(crate) fn end(self, ended: ControlFlow<Option<Failure>>) -> Result<(), Failure> {
        match (ended, self.worst) {
            (ControlFlow::Break(Some(failure)), _) => Err(failure),
            (ControlFlow::Continue(()), Some(worst)) => {
                let (failed, lines) = (self.failed, self.lines);
                Err(worst.with_message(format!("{failed} of {lines} lines failed")))
            }
            _ => Ok(()),
        }
    }
}

/// Does this with each line of a text, on all processors, and prints what comes of them in their order, after it was told. A line
/// that is too long is not held.
pub(crate) fn each<T: Send>(
    text: impl Read + Send,
    work: impl Fn(u64, Vec<u8>) -> Result<(Made, T), Failure> + Sync,
    tell: impl Fn(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut printed = Printed::default();
    let work = |line: Result<Line, Failure>| {
        let Line { number, bytes, .. } = line?;
        match bytes {
            Some(bytes) => work(number, bytes).map(|(made, told)| (made, Some(told))),
            None => Ok((Made::failed(number, Problem::line_too_large(), None)?, None)),
        }
    };
    let ended = parallel::in_order(lines(text), work, |made| {
        let told = made.and_then(|(made, told)| {
            told.map_or(Ok(()), &tell)?;
            Ok(made)
        });
        match told {
            Ok(made) => printed.print(made),
            Err(failure) => ControlFlow::Break(Some(failure)),
        }
    });
    printed.end(ended)
}

/// The lines of a text, read as they are taken.
fn lines(mut text: impl Read + Send) -> impl Iterator<Item = Result<Line, Failure>> + Send {
    let mut lines = Lines::default();
    let mut buffer = vec![0; PIECE];
    // What was read and is not looked at yet.
    let (mut start, mut end, mut is_over) = (0, 0, false);
    iter::from_fn(move || {
        while !is_over {
            let mut piece = &buffer[start..end];
            let line = lines.take(&mut piece);
            start = end - piece.len();
            if line.is_some() {
                return line.map(Ok);
            }
            match text.read(&mut buffer) {
                Ok(0) => is_over = true,
                Ok(bytes) => (start, end) = (0, bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    is_over = true;
                    return Some(Err(Failure::usage(format!("cannot read the lines: {error}"))));
                }
            }
        }
        lines.finish().map(Ok)
    })
}
