//! Foreign text on a person's terminal.

use std::io::{self, IsTerminal as _, Write as _};

use compute::Printable;

/// Writes a guest's log to stderr. On a terminal, control characters are shown instead of obeyed: a
/// guest must not move the cursor or change what was printed before.
pub(crate) fn write_log(log: &[u8]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        write!(stderr, "{}", printable(&String::from_utf8_lossy(log)))?;
    } else {
        stderr.write_all(log)?;
    }
    if !log.ends_with(b"\n") {
        stderr.write_all(b"\n")?;
    }
    Ok(())
}

/// The text with its control characters written out, but for line ends and tabs.
pub(crate) fn printable(text: &str) -> Printable<'_> {
    Printable::lines(text)
}

/// Text as a terminal may get it: colours stay, and everything else that a terminal would obey is written out, whoever
/// wrote it.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\x1b[") {
        let after = &rest[at + 2..];
        let end = after.find(|char: char| !char.is_ascii_digit() && char != ';');
        let colour = end.filter(|end| after[*end..].starts_with('m')).filter(|end| {
            // 8 hides what follows.
            !after[..*end].split(';').any(|number| number.trim_start_matches('0') == "8")
        });
        match colour {
            Some(end) => {
                safe.push_str(&printable(&rest[..at]).to_string());
                safe.push_str(&rest[at..at + end + 3]);
                rest = &after[end + 1..];
            }
            None => {
                safe.push_str(&printable(&rest[..at + 2]).to_string());
                rest = after;
            }
        }
    }
    safe.push_str(&printable(rest).to_string());
    safe
}

/// Tells the person something, in a line on stderr.
macro_rules! tell {
    ($($text:tt)*) => {
        anstream::eprintln!("{}", $crate::show::safe(&format!($($text)*)))
    };
}

/// Tells the person something that has its own lines.
macro_rules! tell_lines {
    ($($text:tt)*) => {
        anstream::eprint!("{}", $crate::show::safe(&format!($($text)*)))
    };
}

pub(crate) use {tell, tell_lines};

#[cfg(test)]
mod tests {
    #[test]
    fn colours_stay_and_nothing_else_is_obeyed() {
        let text = "\x1b[1;31mred\x1b[0m \x1b[2J\x1b]0;title\x07 \u{9b}2J \u{202e}\x1b[8mhidden\x1b[38;5;1mx\x1b";
        assert_eq!(
            super::safe(text),
            "\x1b[1;31mred\x1b[0m \\u{1b}[2J\\u{1b}]0;title\\u{7} \\u{9b}2J \\u{202e}\\u{1b}[8mhidden\x1b[38;5;1mx\\u{1b}"
        );
    }

    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(super::printable("a\x1b[2Jb\r\tc\n").to_string(), "a\\u{1b}[2Jb\\r\tc\n");
    }
}
