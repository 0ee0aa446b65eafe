//! Texts that are shown: without secrets, and each on its line.

mod mask;
mod printable;

pub use mask::{MASKED, Mask};
pub use printable::Printable;
