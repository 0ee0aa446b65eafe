//! What is shown, to programs and to people.

mod output;
pub(crate) mod report;
mod terminal;
pub(crate) mod waterfall;

pub(crate) use output::{count, print_bytes, print_json, print_line, print_styled, stdout_is_gone};
pub(crate) use terminal::{printable, safe, tell, tell_lines};
