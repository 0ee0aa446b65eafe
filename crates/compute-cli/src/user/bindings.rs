//! The names that plugins are bound to, in a file among the user's settings.

use std::collections::BTreeMap;

use compute::Ref;
use compute_state::{Bindings as _, FileBindings, StateError};

use crate::failure::Failure;

/// Namespaces, each with the plugin that modules which import from it link to.
pub(crate) fn read() -> Result<BTreeMap<String, Ref>, Failure> {
    kept()?.bindings().map_err(|error| told(&error))
}

/// Binds a namespace to a plugin, or to none; gives back what it was bound to.
pub(crate) fn bind(namespace: &str, plugin: Option<&Ref>) -> Result<Option<Ref>, Failure> {
    kept()?.bind(namespace, plugin).map_err(|error| told(&error))
}

fn kept() -> Result<FileBindings, Failure> {
    Ok(FileBindings::new(super::settings_folder()?.join("plugins.json")))
}

fn told(error: &StateError) -> Failure {
    let failure = Failure::host(error);
    match error {
        StateError::Failed { source, .. } if source.is::<serde_json::Error>() => {
            Failure::Host(format!("{failure}; `compute plugin bind` writes it"))
        }
        _ => failure,
    }
}
