//! The transform job in Rust: see README.md. It uses the standard library alone and builds with an old
//! compiler.

use std::io::{self, Read, Write};

const MAX_DEPTH: usize = 1000;

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    keys: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        if self.peek()? != byte {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn next(&mut self, byte: u8) -> Option<()> {
        self.space();
        self.take(byte)
    }

    fn string(&mut self) -> Option<()> {
        self.next(b'"')?;
        loop {
            let byte = self.peek()?;
            self.at += 1;
            match byte {
                b'"' => return Some(()),
                0..=31 => return None,
                b'\\' => {
                    let escape = self.peek()?;
                    self.at += 1;
                    match escape {
                        b'u' => {
                            let hex = self.text.get(self.at..self.at + 4)?;
                            if !hex.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.at += 4;
                        }
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        _ => return None,
                    }
                }
                _ => {}
            }
        }
    }

    fn digits(&mut self) -> Option<()> {
        if !self.peek()?.is_ascii_digit() {
            return None;
        }
        while self.peek().map_or(false, |byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Some(())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.digits()?;
        }
        Some(())
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(())
    }

    fn members(&mut self, depth: usize, close: u8) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.depth = self.depth.max(depth);
        if self.next(close).is_some() {
            return Some(());
        }
        loop {
            if close == b'}' {
                self.string()?;
                self.next(b':')?;
                self.keys += usize::from(depth == 1);
            }
            self.value(depth)?;
            if self.next(b',').is_none() {
                return self.next(close);
            }
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        self.space();
        match self.peek()? {
            b'{' => {
                self.at += 1;
                self.members(depth + 1, b'}')
            }
            b'[' => {
                self.at += 1;
                self.members(depth + 1, b']')
            }
            b'"' => self.string(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => self.number(),
        }
    }
}

fn transform(input: &[u8]) -> Option<(String, usize)> {
    let mut parser = Parser { text: input, at: 0, keys: 0, depth: 0 };
    parser.space();
    let start = parser.at;
    parser.take(b'{')?;
    parser.members(1, b'}')?;
    let stop = parser.at;
    parser.space();
    if parser.at != input.len() {
        return None;
    }
    let body = std::str::from_utf8(&input[start..stop - 1]).ok()?;
    let body = body.trim_end_matches(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
    let comma = if parser.keys > 0 { "," } else { "" };
    let output = format!(
        "{}{}\"computed\":true,\"keys\":{},\"depth\":{},\"bytes\":{}}}",
        body, comma, parser.keys, parser.depth, stop - start
    );
    Some((output, parser.keys))
}

fn main() -> io::Result<()> {
    let mut input = Vec::new();
    io::stdin().read_to_end(&mut input)?;
    match transform(&input) {
        Some((output, keys)) => {
            eprintln!("transform: {} keys", keys);
            io::stdout().write_all(output.as_bytes())
        }
        None => {
            eprintln!("transform: the input is not a JSON object");
            std::process::exit(1);
        }
    }
}
