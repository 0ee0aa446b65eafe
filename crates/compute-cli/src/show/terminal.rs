//! Guests' bytes on a person's terminal.

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

#[cfg(test)]
mod tests {
    #[test]
    fn control_characters_are_shown_and_not_obeyed() {
        assert_eq!(super::printable("a\x1b[2Jb\r\tc\n").to_string(), "a\\u{1b}[2Jb\\r\tc\n");
    }
}
