//! Looks at a module without running it.

use crate::module::{Caps, Inspection};
use crate::{code, guest};

/// Looks at a module: what it is made of, and what it would be refused for under these caps.
///
/// Never fails: bytes that are no module are an inspection that says so.
#[must_use]
pub fn inspect(bytes: &[u8], caps: &Caps) -> Inspection {
    Inspection::of(bytes, caps, guest::offered(), code::validate)
}
