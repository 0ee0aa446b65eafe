//! Guests' bytes on a person's terminal.

use std::io::{self, IsTerminal as _, Write as _};

/// Writes a guest's log to stderr. On a terminal, control characters are shown instead of obeyed: a
/// guest must not move the cursor or change what was printed before.
pub(crate) fn write_log(log: &[u8]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        stderr.write_all(printable(&String::from_utf8_lossy(log)).as_bytes())?;
    } else {
        stderr.write_all(log)?;
    }
    if !log.ends_with(b"\n") {
        stderr.write_all(b"\n")?;
    }
    Ok(())
}

/// The text with its control characters written out, but for line ends and tabs.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() && char != '\n' && char != '\t' {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(super::printable("a\x1b[2Jb\r\tc\n"), "a\\u{1b}[2Jb\\r\tc\n");
    }
}
