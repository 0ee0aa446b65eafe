//! Data, on stdout.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};

use super::terminal::safe;
use crate::failure::Failure;

/// Whether a reader of stdout has seen enough.
static GONE: AtomicBool = AtomicBool::new(false);

/// Whether nobody reads what is printed any longer.
pub(crate) fn stdout_is_gone() -> bool {
    GONE.load(Ordering::Relaxed)
}

/// Prints a line of data.
pub(crate) fn print_line(line: impl std::fmt::Display) -> Result<(), Failure> {
    print_bytes(format!("{line}\n").as_bytes())
}

/// Prints data; what a terminal would obey of it, but for colours, is written out there. A reader who has seen enough, such as
/// `head`, is no failure.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let shown = stdout.is_terminal().then(|| safe(&String::from_utf8_lossy(bytes)));
    let bytes = shown.as_ref().map_or(bytes, String::as_bytes);
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            GONE.store(true, Ordering::Relaxed);
            Ok(())
        }
        result => result.map_err(|error| Failure::Host(format!("cannot write to stdout: {error}"))),
    }
}

/// Prints text with colours in it, to a terminal; without them, elsewhere.
pub(crate) fn print_styled(text: &str) -> Result<(), Failure> {
    match anstream::stdout().current_choice() {
        anstream::ColorChoice::Never => {
            print_bytes(anstream::adapter::strip_str(text).to_string().as_bytes())
        }
        _ => print_bytes(text.as_bytes()),
    }
}

/// So many of something: `1 rule`, `2 rules`.
pub(crate) fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// Prints a line of JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(value).map_err(|error| Failure::host(&error))?;
    print_line(json)
}
