//! Looks at a module without running it.

use std::collections::BTreeMap;

use compute::Ref;

use crate::module::{Caps, Inspection};
use crate::{code, guest};

/// Looks at a module: what it is made of, and what it would be refused for under these caps.
///
/// Never fails: bytes that are no module are an inspection that says so.
#[must_use]
pub fn inspect(bytes: &[u8], caps: &Caps) -> Inspection {
    inspect_bound(bytes, caps, &BTreeMap::new())
}

/// The same where these names stand for plugins: [`crate::Settings::plugins`].
#[must_use]
pub fn inspect_bound(bytes: &[u8], caps: &Caps, plugins: &BTreeMap<String, Ref>) -> Inspection {
    let is_plugin = |namespace: &str| plugins.contains_key(namespace);
    Inspection::of(bytes, caps, guest::offered(), &is_plugin, code::validate)
}
