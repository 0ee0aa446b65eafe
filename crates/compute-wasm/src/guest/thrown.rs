//! What a guest threw and did not catch.

use compute::StackFrame;

/// How many frames of its stack are kept.
const KEPT_FRAMES: usize = 64;

/// What a guest threw and did not catch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thrown {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) stack: Vec<StackFrame>,
}

/// The frames of a stack as JavaScript engines print it: `    at name (file:line:column)` a line.
pub(super) fn frames(stack: &str) -> Vec<StackFrame> {
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
