//! Foreign text as it may be printed: nothing in it moves a cursor, begins a line or hides another.

use std::fmt::{self, Write as _};

/// A text from a guest or a caller, with everything escaped that is not to be seen as itself: control
/// characters, escape sequences, and the characters that change the direction of text.
///
/// ```
/// use compute::Printable;
///
/// assert_eq!(Printable::line("a\nb\u{1b}[31m").to_string(), "a\\nb\\u{1b}[31m");
/// assert_eq!(Printable::lines("a\nb\r").to_string(), "a\nb\\r");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a> {
    text: &'a str,
    keeps_lines: bool,
}

impl<'a> Printable<'a> {
    /// The text in one line: its line breaks are escaped, too.
    #[must_use]
    pub const fn line(text: &'a str) -> Self {
        Self { text, keeps_lines: false }
    }

    /// The text with its line breaks and tabs, for a reader who sees where it begins and ends.
    #[must_use]
    pub const fn lines(text: &'a str) -> Self {
        Self { text, keeps_lines: true }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kept = |char: char| self.keeps_lines && matches!(char, '\n' | '\t');
        let mut rest = self.text;
        while let Some(at) = rest.find(|char: char| is_hidden(char) && !kept(char)) {
            f.write_str(&rest[..at])?;
            let Some(char) = rest[at..].chars().next() else { break };
            for escaped in char.escape_default() {
                f.write_char(escaped)?;
            }
            rest = &rest[at + char.len_utf8()..];
        }
        f.write_str(rest)
    }
}

/// Control characters, line separators, and what changes the direction or the order of text.
fn is_hidden(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{61c}' | '\u{feff}'
                | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}
