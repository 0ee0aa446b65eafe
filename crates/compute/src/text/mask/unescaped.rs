//! What a text says once its escapes are read: those of JSON, URLs and HTML, in one another however often.

use std::ops::Range;

/// The longest escape but for a name, in bytes: `&#x10FFFF;`.
const LONGEST: usize = 10;
/// The longest name of a character in HTML, with what is around it, in bytes.
const LONGEST_NAME: usize = 36;

/// A text of which all escapes were read, until none is left. How a text is written makes no difference then: what says
/// the same is the same. A `+` is the space that it is in a form, and backslashes before what needs none are gone.
#[derive(Default)]
pub(super) struct Unescaped {
    /// No UTF-8 where a URL has bytes that are none.
    bytes: Vec<u8>,
    /// Where in the text each byte comes from.
    starts: Vec<u32>,
    /// How long the text is.
    length: usize,
}

impl Unescaped {
    /// Reads a text's escapes; nothing for one that has none. One that was cut may end within an escape.
    pub(super) fn read(text: &str, cut: bool) -> Option<Self> {
        let first = text.bytes().position(|byte| matches!(byte, b'%' | b'\\' | b'&' | b'+'))?;
        let mut read = Self { length: text.len(), ..Self::default() };
        read.bytes.reserve_exact(text.len());
        read.starts.reserve_exact(text.len());
        for (at, byte) in text.bytes().enumerate() {
            let at = u32::try_from(at).ok()?;
            if (at as usize) < first {
                read.keep(byte, at);
                continue;
            }
            // A number may end without a semicolon.
            if !byte.is_ascii_alphanumeric() && byte != b';' {
                read.end_number();
            }
            read.push(byte, at);
        }
        if !cut {
            read.end_number();
        }
        Some(read)
    }

    /// Reads a number of a character in HTML that ends here without a semicolon.
    fn end_number(&mut self) {
        if !self.bytes.last().is_some_and(u8::is_ascii_hexdigit) {
            return;
        }
        let from = self.bytes.len().saturating_sub(LONGEST);
        let Some(start) = self.bytes[from..].iter().rposition(|byte| *byte == b'&') else { return };
        let name = self.bytes[from + start + 1..].to_owned();
        if let Some(says) = std::str::from_utf8(&name).ok().and_then(numbered) {
            let start = self.take(name.len() + 1);
            self.push_unit(says, start);
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Without an escape at its end that was cut off.
    pub(super) fn without_cut_escape(&self) -> &[u8] {
        let from = self.bytes.len().saturating_sub(LONGEST);
        let start = self.bytes[from..].iter().rposition(|byte| matches!(byte, b'%' | b'\\' | b'&'));
        let is_escape = |start: &usize| {
            let (mark, rest) = (self.bytes[*start], &self.bytes[*start + 1..]);
            match mark {
                b'&' => rest.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'#'),
                _ => {
                    let digits = rest.strip_prefix(b"u").or(rest.strip_prefix(b"x"));
                    digits.unwrap_or(rest).iter().all(u8::is_ascii_hexdigit)
                }
            }
        };
        let start = start.map(|start| from + start).filter(is_escape);
        &self.bytes[..start.unwrap_or(self.bytes.len())]
    }

    /// Where these bytes come from.
    pub(super) fn source(&self, range: Range<usize>) -> Range<usize> {
        let start = |at: usize| self.starts.get(at).map_or(self.length, |start| *start as usize);
        let last = start(range.end.saturating_sub(1));
        // Bytes of one escape come from the same place.
        let end = (range.end..range.end + 4).map(start).find(|start| *start > last);
        start(range.start)..end.unwrap_or(self.length)
    }

    fn keep(&mut self, byte: u8, start: u32) {
        self.bytes.push(byte);
        self.starts.push(start);
    }

    /// Takes away as many bytes, and says where they came from.
    fn take(&mut self, count: usize) -> u32 {
        let left = self.bytes.len() - count;
        let start = self.starts[left];
        self.bytes.truncate(left);
        self.starts.truncate(left);
        start
    }

    /// Adds a byte. What an escape says may be the end of another.
    fn push(&mut self, mut byte: u8, mut start: u32) {
        loop {
            if self.bytes.last() == Some(&b'\\') {
                byte = match byte {
                    b'\\' => return,
                    b'u' | b'x' => return self.keep(byte, start),
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'f' => 12,
                    other => other,
                };
                start = self.take(1);
                // It may follow another that was waiting.
                continue;
            }
            self.keep(if byte == b'+' { b' ' } else { byte }, start);
            let escape = match byte {
                b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => self.hex_escape(),
                b';' => self.entity(),
                _ => None,
            };
            let Some((length, says)) = escape else { return };
            start = self.take(length);
            match says {
                Says::Byte(one) if one.is_ascii() => byte = one,
                Says::Byte(one) => return self.keep(one, start),
                Says::Unit(unit) => match u8::try_from(unit).ok().filter(u8::is_ascii) {
                    Some(one) => byte = one,
                    None => return self.keep_unit(unit, start),
                },
            }
        }
    }

    fn push_unit(&mut self, unit: u32, start: u32) {
        match u8::try_from(unit).ok().filter(u8::is_ascii) {
            Some(one) => self.push(one, start),
            None => self.keep_unit(unit, start),
        }
    }

    /// The length of the escape that ends here with a hexadecimal digit, and what it says.
    fn hex_escape(&self) -> Option<(usize, Says)> {
        let number = |digits: usize| {
            let from = self.bytes.len().checked_sub(digits)?;
            let digits = std::str::from_utf8(&self.bytes[from..]).ok()?;
            digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(())?;
            u32::from_str_radix(digits, 16).ok()
        };
        let mark = |back: usize| self.bytes.len().checked_sub(back).map(|at| self.bytes[at]);
        if mark(3) == Some(b'%') {
            return number(2).and_then(|byte| Some((3, Says::Byte(u8::try_from(byte).ok()?))));
        }
        if mark(4) == Some(b'\\') && mark(3) == Some(b'x') {
            return number(2).map(|unit| (4, Says::Unit(unit)));
        }
        // `%u` is what `escape` of browsers writes.
        if matches!(mark(6), Some(b'\\' | b'%')) && mark(5) == Some(b'u') {
            return number(4).map(|unit| (6, Says::Unit(unit)));
        }
        None
    }

    /// The length of the character reference that ends here, and what it says.
    fn entity(&self) -> Option<(usize, Says)> {
        let from = self.bytes.len().saturating_sub(LONGEST_NAME);
        let start = from + self.bytes[from..].iter().rposition(|byte| *byte == b'&')?;
        let name = std::str::from_utf8(&self.bytes[start + 1..self.bytes.len() - 1]).ok()?;
        let says = numbered(name).or_else(|| named(name))?;
        Some((self.bytes.len() - start, Says::Unit(says)))
    }

    /// Keeps a character, or half of one: halves become one when they meet.
    fn keep_unit(&mut self, unit: u32, start: u32) {
        if let (0xdc00..0xe000, [.., 0xed, second @ 0xa0..0xb0, third]) = (unit, &*self.bytes) {
            let high = (u32::from(*second) & 0x0f) << 6 | (u32::from(*third) & 0x3f);
            let whole = 0x10000 + (high << 10) + (unit - 0xdc00);
            let start = self.take(3);
            return self.keep_unit(whole, start);
        }
        let mut buffer = [0; 4];
        let bytes = match char::from_u32(unit) {
            Some(char) => char.encode_utf8(&mut buffer).as_bytes(),
            // Half of a character, as UTF-8 would have it.
            None => {
                let low = |shift: u32| 0x80 | (unit >> shift & 0x3f) as u8;
                buffer = [0xed, low(6), low(0), 0];
                &buffer[..3]
            }
        };
        for byte in bytes {
            self.keep(*byte, start);
        }
    }
}

/// The character that `#65` or `#x41` means in HTML.
fn numbered(name: &str) -> Option<u32> {
    let number = name.strip_prefix('#')?;
    let says = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    char::from_u32(says).map(u32::from)
}

/// The character that a name means in HTML; of those that mean several, none.
fn named(name: &str) -> Option<u32> {
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let reference = format!("&{name};");
    let says = htmlize::unescape(&reference);
    let mut chars = says.chars();
    let first = chars.next().filter(|_| *says != reference)?;
    chars.next().is_none().then_some(first.into())
}

/// What an escape says.
enum Says {
    /// A byte of UTF-8.
    Byte(u8),
    /// A character, or half of one.
    Unit(u32),
}

#[cfg(test)]
mod tests {
    use super::Unescaped;

    fn read(text: &str) -> String {
        let read = Unescaped::read(text, false);
        read.map_or(text.to_owned(), |one| String::from_utf8_lossy(one.bytes()).into_owned())
    }

    #[test]
    fn escapes_are_read_until_none_is_left() {
        for (text, says) in [
            ("plain", "plain"),
            ("%41%6a", "Aj"),
            ("%2541", "A"),
            ("a%2Bb+c", "a b c"),
            (r#"a\"b\\\"c\/d\\/e"#, r#"a"b"c/d/e"#),
            (r"\u0041\\u0041\x41%u0041", "AAAA"),
            (r"\ud83d\ude00 \uD83D\uDE00", "\u{1f600} \u{1f600}"),
            ("&lt;&#60;&#x3C;&amp;lt;&amp;#x3c;", "<<<<<"),
            ("&lowbar;&excl;&eacute;&nosuch;&#104&#117nt&#x65", "_!\u{e9}&nosuch;h&#117nte"),
            ("&#104&#117&#110t &#116", "hu&#110t t"),
            (r"\u0026lt;%26lt;", "<<"),
            ("line\\nline\\\\n", "line\nline\n"),
            (r"C:\\users C:\users", r"C:\users C:\users"),
            ("100% &c; %zz", "100% &c; %zz"),
            ("%C3%A9\\u00e9&#233;\u{e9}", "\u{e9}\u{e9}\u{e9}\u{e9}"),
        ] {
            assert_eq!(read(text), says, "{text}");
        }
    }

    #[test]
    fn every_byte_knows_where_it_comes_from() {
        let text = r"a%41\u00e9\\\/z";
        let read = Unescaped::read(text, false).unwrap();
        assert_eq!(read.bytes(), "aA\u{e9}/z".as_bytes());
        let source = |range| &text[read.source(range)];
        assert_eq!(
            [source(0..1), source(1..2), source(2..4), source(2..3)],
            ["a", "%41", r"\u00e9", r"\u00e9"]
        );
        assert_eq!([source(4..5), source(5..6)], [r"\\\/", "z"]);
    }

    #[test]
    fn a_text_of_escapes_within_escapes_takes_time_by_its_length() {
        let text = "%4".repeat(500_000) + "1";
        assert!(read(&text).len() < 1_000_001);
        assert_eq!(read(&("\\".repeat(1_000_000) + "n")), "\n");
    }
}
