//! A batch: lines of JSON (NDJSON) go in, and for each of them one comes out, in their order.
//!
//! A batch may go on for hours, so it is never held whole: [`Lines`] finds its lines in whatever pieces it comes in.

use std::mem;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The largest line, in bytes: that of the largest input of one run.
pub const MAX_LINE: usize = 4 << 20;
/// The longest id of a request, in bytes.
pub const MAX_RID: usize = 128;
/// What editors of other systems begin a file with.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// The id of a line, counted from 1, of a batch that has this one: `RID-LINE`.
#[must_use]
pub fn line_rid(rid: &str, line: u64) -> String {
    format!("{rid}-{line}")
}

/// Makes a line of JSON: the ends of lines in it, which stand between values only, become spaces, and it gets one.
pub fn end_line(json: &mut Vec<u8>) {
    json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    json.push(b'\n');
}

/// What became of one line of a batch: `output` or `error`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = BatchLine))]
pub struct LineAnswer<T = Box<RawValue>> {
    /// The output, or the document at its end.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default = "Option::default",
        deserialize_with = "present"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Value>))]
    pub output: Option<T>,
    /// Why there is none: the members of a problem, and `line`, the number of the line among those that are not blank.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub error: Option<Map<String, Value>>,
    /// The document's id: that of its trace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rid: Option<String>,
    /// The id of its record, if it is recorded.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub record: Option<String>,
    /// That an earlier run on the same had given the output.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub cached: bool,
    /// The fuel that computes used, if they were metered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub fuel: Option<u64>,
}

/// What is there, `null` included.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

impl<T> Default for LineAnswer<T> {
    fn default() -> Self {
        Self { output: None, error: None, rid: None, record: None, cached: false, fuel: None }
    }
}

impl<T> LineAnswer<T> {
    /// A line with this output.
    #[must_use]
    pub fn ok(output: T) -> Self {
        Self { output: Some(output), ..Self::default() }
    }

    /// A line that failed: the members of a problem, to which the line's number is added.
    #[must_use]
    pub fn failed(line: u64, mut problem: Map<String, Value>) -> Self {
        problem.insert("line".to_owned(), line.into());
        Self { error: Some(problem), ..Self::default() }
    }
}

/// A line that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Which it is of those that are not blank, from 1.
    pub number: u64,
    /// Which it is of all lines, from 1.
    pub at: u64,
    /// Its bytes, without its end; or nothing, if it has more than [`MAX_LINE`].
    pub bytes: Option<Vec<u8>>,
}

/// Finds the lines in pieces of a text. Blank ones are left out, a `\r` before an end belongs to the end, and the last needs none.
///
/// ```
/// use compute_api::Lines;
///
/// let mut lines = Lines::default();
/// let mut piece: &[u8] = b"{\"a\":1}\r\n\n{\"a\"";
/// let first = lines.take(&mut piece).unwrap();
/// assert_eq!((first.number, first.bytes.unwrap()), (1, b"{\"a\":1}".to_vec()));
/// assert!(lines.take(&mut piece).is_none() && piece.is_empty());
/// assert!(lines.take(&mut &b":2}"[..]).is_none());
/// let last = lines.finish().unwrap();
/// assert_eq!((last.number, last.at, last.bytes.unwrap()), (2, 3, b"{\"a\":2}".to_vec()));
/// ```
#[derive(Debug, Default)]
pub struct Lines {
    found: u64,
    /// How many lines have ended, blank ones included.
    ended: u64,
    /// Whether anything came yet.
    begun: bool,
    held: Vec<u8>,
    /// Whether what comes belongs to a line that is too long.
    is_long: bool,
}

impl Lines {
    /// The next line that ends in this piece, of which what was looked at is taken away.
    pub fn take(&mut self, piece: &mut &[u8]) -> Option<Line> {
        while !piece.is_empty() {
            let end = piece.iter().position(|byte| *byte == b'\n');
            let (part, rest) = piece.split_at(end.unwrap_or(piece.len()));
            self.hold(part);
            *piece = rest.get(1..).unwrap_or_default();
            if end.is_some()
                && let Some(line) = self.finish()
            {
                return Some(line);
            }
        }
        None
    }

    /// The line that has no end, once there is no more to come.
    pub fn finish(&mut self) -> Option<Line> {
        self.ended += 1;
        let (mut bytes, is_long) = (mem::take(&mut self.held), mem::take(&mut self.is_long));
        if !mem::replace(&mut self.begun, true) && bytes.starts_with(MARK) {
            bytes.drain(..MARK.len());
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if !is_long && bytes.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        self.found += 1;
        Some(Line {
            number: self.found,
            at: self.ended,
            bytes: (!is_long && bytes.len() <= MAX_LINE).then_some(bytes),
        })
    }

    /// How many lines were found.
    #[must_use]
    pub const fn found(&self) -> u64 {
        self.found
    }

    /// How much memory a piece of so many bytes may take besides what is held.
    #[must_use]
    pub fn needed(&self, piece: usize) -> usize {
        let needed = self.held.len() + piece;
        if needed <= self.held.capacity() { 0 } else { piece.max(self.held.capacity()) }
    }

    /// Whether a part of a line has come.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.is_long || !self.held.is_empty()
    }

    /// How much memory what is held takes.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.capacity()
    }

    fn hold(&mut self, part: &[u8]) {
        // With a `\r` that is not the line's, and what may stand before the first.
        if self.is_long || self.held.len() + part.len() > MAX_LINE + 1 + MARK.len() {
            self.is_long = true;
            self.held = Vec::new();
            return;
        }
        self.held.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines, MAX_LINE};

    /// The lines of a text that comes in pieces of this size.
    fn all(text: &[u8], size: usize) -> Vec<(u64, Option<usize>)> {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        let length = |line: Line| (line.number, line.bytes.map(|bytes| bytes.len()));
        for mut piece in text.chunks(size) {
            while let Some(line) = lines.take(&mut piece) {
                found.push(length(line));
            }
            assert!(lines.held() <= 2 * (MAX_LINE + 4), "{}", lines.held());
        }
        found.extend(lines.finish().map(length));
        assert_eq!(lines.finish(), None);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = b"\xef\xbb\xbf{}\r\n\r\n  \t\n[1]\n\n\"a\rb\"\r\n7";
        for size in 1..text.len() + 1 {
            assert_eq!(
                all(text, size),
                [(1, Some(2)), (2, Some(3)), (3, Some(5)), (4, Some(1))],
                "{size}"
            );
        }
        assert_eq!(all(b"", 1), []);
        assert_eq!(all(b"\n\r\n", 1), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_told_and_not_held() {
        let mut text = b"1\n".to_vec();
        text.extend(std::iter::repeat_n(b'x', 3 * MAX_LINE));
        text.extend(b"\r\n2\n");
        text.extend(std::iter::repeat_n(b'x', MAX_LINE));
        text.extend(b"\r\n");
        text.extend(std::iter::repeat_n(b' ', MAX_LINE + 1));
        for size in [1 << 16, 1 << 20, text.len()] {
            let found = all(&text, size);
            let most = Some(MAX_LINE);
            // The last is blank.
            assert_eq!(found, [(1, Some(1)), (2, None), (3, Some(1)), (4, most)], "{size}");
        }
    }
}
