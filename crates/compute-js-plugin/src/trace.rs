//! From a failure's stack in built code to the author's own file, line and column, with a code frame.
//!
//! The source map is an attachment of the op ([`SOURCE_MAP`]); nothing reads it before something failed.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use compute::StackFrame;
use serde::Serialize;

/// The name of the attachment that holds an op's source map.
pub const SOURCE_MAP: &str = "source-map";
/// The file name that built code has in stacks.
pub const BUILT_FILE: &str = "op.js";
/// The file names of frames that are nobody's own: what runs ops, which has no names, and built-ins.
const HIDDEN: [&str; 3] = ["<null>", "native", ""];

/// A source map that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the source map cannot be read")]
pub struct SourceMapError(#[from] sourcemap::Error);

/// An op's source map.
#[derive(Debug)]
pub struct SourceMap(sourcemap::SourceMap);

/// A stack in the author's terms.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Trace {
    /// The frames, innermost first.
    pub stack: Vec<StackFrame>,
    /// The first frame in code of the author's own, if there is one: where to look.
    pub place: Option<SourceLocation>,
}

/// A place in the author's source, with the source to show it.
#[derive(Clone, Debug, Serialize)]
pub struct SourceLocation {
    /// The file, relative to the project's folder.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
    /// The file's text, if the map has it.
    #[serde(skip)]
    pub source: Option<String>,
}

impl SourceMap {
    /// Reads a source map.
    ///
    /// # Errors
    /// If the bytes are no source map.
    pub fn read(json: &[u8]) -> Result<Self, SourceMapError> {
        Ok(Self(sourcemap::SourceMap::from_slice(json)?))
    }

    /// The stack in the author's terms.
    #[must_use]
    pub fn trace(&self, stack: &[StackFrame]) -> Trace {
        let mut trace = Trace::default();
        for frame in stack {
            if HIDDEN.contains(&&*frame.file) {
                continue;
            }
            let Some(token) = self.token(frame) else {
                trace.place = trace.place.or_else(|| self.place_as_it_is(frame));
                trace.stack.push(frame.clone());
                continue;
            };
            let mapped = StackFrame {
                function: frame.function.clone(),
                file: token.get_source().unwrap_or_default().to_owned(),
                line: token.get_src_line() + 1,
                column: token.get_src_col() + 1,
            };
            if trace.place.is_none() && is_own(&mapped.file) {
                let source = token.get_source_view().map(|view| view.source().to_owned());
                let (file, line, column) = (mapped.file.clone(), mapped.line, mapped.column);
                trace.place = Some(SourceLocation { file, line, column, source });
            }
            trace.stack.push(mapped);
        }
        trace
    }

    /// A frame's place, if its file is one that the map has as it is: what is not compiled is at its own lines.
    fn place_as_it_is(&self, frame: &StackFrame) -> Option<SourceLocation> {
        let number = self.0.sources().position(|source| *source == *frame.file)?;
        let source = self.0.get_source_contents(u32::try_from(number).ok()?).map(str::to_owned);
        let StackFrame { file, line, column, .. } = frame.clone();
        (line > 0).then_some(SourceLocation { file, line, column, source })
    }

    /// A text, with the frames of stacks in it in the author's terms: a log, the causes of a failure.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut mapped = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            match self.frame_in(line) {
                Some((before, place, after)) => {
                    mapped.push_str(&format!("{before}{place}{after}"));
                }
                None => mapped.push_str(line),
            }
        }
        mapped
    }

    /// A line of a stack: what comes before the place, the place in the author's terms, and what follows.
    fn frame_in<'a>(&self, line: &'a str) -> Option<(&'a str, String, &'a str)> {
        if !line.trim_start().starts_with("at ") {
            return None;
        }
        let (before, rest) = line.rsplit_once(&format!("({BUILT_FILE}:"))?;
        let (place, after) = rest.split_once(')')?;
        let (number, column) = place.split_once(':')?;
        let frame = StackFrame {
            function: String::new(),
            file: BUILT_FILE.to_owned(),
            line: number.parse().ok()?,
            column: column.parse().ok()?,
        };
        let token = self.token(&frame)?;
        let source = token.get_source().unwrap_or_default();
        let place = format!("({source}:{}:{})", token.get_src_line() + 1, token.get_src_col() + 1);
        Some((before, place, after))
    }

    /// What built this frame's place, if the map knows its file.
    fn token(&self, frame: &StackFrame) -> Option<sourcemap::Token<'_>> {
        if frame.file != BUILT_FILE || frame.line == 0 {
            return None;
        }
        // QuickJS counts columns from 1, and on the first line from 0: there, all of a minified op is.
        let column = if frame.line == 1 { frame.column } else { frame.column.saturating_sub(1) };
        let token = self.0.lookup_token(frame.line - 1, column)?;
        token.get_source().is_some().then_some(token)
    }
}

/// Whether a file is the author's own, and neither a library's nor the SDK's.
fn is_own(file: &str) -> bool {
    !file.starts_with("node_modules/") && !file.contains("/node_modules/") && !file.starts_with('@')
}

impl SourceLocation {
    /// The line with a mark under the column, as rustc shows it.
    #[must_use]
    pub fn frame(&self, color: bool) -> Option<String> {
        let source = self.source.as_ref()?;
        let start = offset(source, self.line, self.column)?;
        let word = source[start..].chars().take_while(|char| is_word(*char));
        let end = start + word.map(char::len_utf8).sum::<usize>();
        Some(code_frame(source, &self.file, start..end.max(start + 1).min(source.len()), color))
    }
}

/// A part of a source with a mark under it.
#[must_use]
pub fn code_frame(source: &str, file: &str, span: std::ops::Range<usize>, color: bool) -> String {
    let snippet = Snippet::source(source).path(file).annotation(AnnotationKind::Primary.span(span));
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[Group::with_level(Level::ERROR).element(snippet)])
}

fn is_word(char: char) -> bool {
    char.is_alphanumeric() || char == '_' || char == '$'
}

/// Where in a text a line and column are, both from 1.
fn offset(source: &str, line: u32, column: u32) -> Option<usize> {
    let mut start = 0;
    for _ in 1..line {
        start += source[start..].find('\n')? + 1;
    }
    let rest = source[start..].split('\n').next()?;
    // Source maps count UTF-16 code units.
    let mut units = 0;
    for (at, char) in rest.char_indices() {
        if units + 1 >= column {
            return Some(start + at);
        }
        units += char.len_utf16() as u32;
    }
    Some(start + rest.len())
}

impl std::fmt::Display for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for StackFrame { function, file, line, column } in &self.stack {
            let function = if function.is_empty() { "<anonymous>" } else { function };
            if *line == 0 {
                writeln!(f, "    at {function} ({file})")?;
            } else {
                writeln!(f, "    at {function} ({file}:{line}:{column})")?;
            }
        }
        Ok(())
    }
}
