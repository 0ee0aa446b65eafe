//! How a guest's failure and its log are told: at the author's own line, where a source map leads there.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use compute::{Failure, Level, Log, LogLine, StackFrame};
use compute_js_plugin::{BUILT_FILE, SourceMap};

use super::terminal;

/// How many frames of a stack are shown.
const FRAMES: usize = 10;

/// A failure as one text: what happened, the author's line, the stack.
pub(crate) fn failure(failure: &Failure, map: Option<&SourceMap>) -> String {
    failed(&failure.to_string(), failure.status().name(), &failure.stack, map)
}

/// The same, of what a server says.
pub(crate) fn failed(
    message: &str,
    status: &str,
    stack: &[StackFrame],
    map: Option<&SourceMap>,
) -> String {
    // What led to it follows its message.
    let (message, causes) = message.split_once("\n  [").unwrap_or((message, ""));
    let mut text = format!("{message} [{status}]");
    let causes = if causes.is_empty() { String::new() } else { format!("\n  [{causes}") };
    let causes = map.map_or_else(|| causes.clone(), |map| map.text(&causes));
    if stack.is_empty() {
        return text + &causes;
    }
    let trace = match map {
        Some(map) => map.trace(stack),
        None => compute_js_plugin::Trace { stack: stack.to_vec(), place: None },
    };
    if let Some(frame) = trace.place.as_ref().and_then(|place| place.frame(false)) {
        let _ = write!(text, "\n{}", frame.trim_end());
    }
    let stack = trace.to_string();
    for line in stack.lines().take(FRAMES) {
        let _ = write!(text, "\n{line}");
    }
    text + &causes
}

/// The map that these texts need, if there is a stack in them.
pub(crate) fn map_for<'a>(
    mut texts: impl Iterator<Item = &'a str>,
    map: impl FnOnce() -> Option<SourceMap>,
) -> Option<SourceMap> {
    let frame = format!("({BUILT_FILE}:");
    if texts.any(|text| text.contains(&frame)) { map() } else { None }
}

/// Writes a guest's log to stderr. The map is asked for if there is a stack in it.
pub(crate) fn log(log: &Log, map: impl FnOnce() -> Option<SourceMap>) -> std::io::Result<()> {
    let map = map_for(log.lines.iter().map(|line| &*line.text), map);
    if !log.bytes.is_empty() {
        terminal::write_log(&log.bytes)?;
    }
    for LogLine { level, text } in &log.lines {
        let style = Style::new().fg_color(Some(color(*level).into()));
        let name = level.name();
        crate::show::tell_lines!(
            "{style}{name}{style:#}{:1$}",
            "",
            6_usize.saturating_sub(name.len())
        );
        match &map {
            Some(map) => terminal::write_log(map.text(text).as_bytes())?,
            None => terminal::write_log(text.as_bytes())?,
        }
    }
    if log.dropped > 0 {
        let dropped = log.dropped;
        crate::show::tell!("note: {dropped} more bytes of log were dropped at the log limit");
    }
    Ok(())
}

const fn color(level: Level) -> AnsiColor {
    match level {
        Level::Debug => AnsiColor::BrightBlack,
        Level::Info => AnsiColor::Green,
        Level::Warn => AnsiColor::Yellow,
        Level::Error => AnsiColor::Red,
    }
}
