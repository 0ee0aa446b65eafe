//! What goes over several lines, or in pairs of digits, in one piece.

use std::ops::Range;

/// Text without what stands between the lines of base64 and between hex digits that go in pairs.
pub(super) struct Joined {
    bytes: Vec<u8>,
    /// Where each was.
    places: Vec<u32>,
}

impl Joined {
    /// Joins what can be joined; nothing for text that has none of that.
    pub(super) fn new(text: &[u8]) -> Option<Self> {
        let first = (0..text.len()).find(|at| stands_between(text, *at, &text[..*at]))?;
        let mut joined = Self { bytes: text[..first].to_owned(), places: Vec::new() };
        joined.places.extend(0..u32::try_from(first).ok()?);
        for (at, byte) in text.iter().enumerate().skip(first) {
            if !stands_between(text, at, &joined.bytes) {
                joined.bytes.push(*byte);
                joined.places.push(u32::try_from(at).ok()?);
            }
        }
        Some(joined)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where these bytes were.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        let place = |at: usize| self.places.get(at).map_or(0, |place| *place as usize);
        place(range.start)..place(range.end.saturating_sub(1)) + 1
    }
}

/// Whether the byte there stands between two parts of one piece; what is kept of the text before it ends so.
fn stands_between(text: &[u8], at: usize, kept: &[u8]) -> bool {
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_hexdigit);
    match text[at] {
        b'\n' | b'\r' => {
            let next = text[at..].iter().take(3).find(|byte| !matches!(byte, b'\n' | b'\r'));
            kept.last().is_some_and(is_base64) && next.is_some_and(is_base64)
        }
        b':' | b' ' | b'-' | b',' => {
            let before = kept.last_chunk::<2>();
            before.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
                && is_digit(at + 1)
                && is_digit(at + 2)
        }
        _ => false,
    }
}

/// Whether base64 has such a byte; a `+` was read as the space that it is in a form.
fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=_- ".contains(byte)
}

#[cfg(test)]
mod tests {
    use super::Joined;

    #[test]
    fn what_goes_over_several_lines_is_joined() {
        let joined = |text: &str| {
            let joined = Joined::new(text.as_bytes())?;
            Some(String::from_utf8(joined.bytes().to_owned()).unwrap())
        };
        assert_eq!(joined("aGVs\nbG8\r\ngd29y").as_deref(), Some("aGVsbG8gd29y"));
        assert_eq!(joined("68:75:6e 74,65").as_deref(), Some("68756e7465"));
        assert_eq!(joined("a line, and: more"), None);
        assert_eq!(joined("a line.\n"), None);
        let text = "x 68:75\ny z";
        let joined = Joined::new(text.as_bytes()).unwrap();
        assert_eq!((joined.bytes(), &text[joined.source(2..6)]), (&b"x 6875y z"[..], "68:75"));
    }
}
