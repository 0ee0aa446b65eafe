//! The names that plugins are bound to.

use std::collections::BTreeMap;
use std::fmt;

use compute::Ref;

use crate::StateError;

/// Namespaces, each with the plugin that modules which import from it link to. All methods block.
pub trait Bindings: fmt::Debug + Send + Sync {
    /// All of them, as they are at one moment.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be read.
    fn bindings(&self) -> Result<BTreeMap<String, Ref>, StateError>;

    /// Binds a namespace to a plugin, or to none; gives back what it was bound to. Each change is atomic: two at
    /// once in this process both hold.
    ///
    /// # Errors
    /// [`StateError`] if they cannot be read or written.
    fn bind(&self, namespace: &str, plugin: Option<&Ref>) -> Result<Option<Ref>, StateError>;
}
