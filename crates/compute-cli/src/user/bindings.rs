//! The names that plugins are bound to, in a file among the user's settings.

use std::collections::{BTreeMap, BTreeSet};

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

/// The plugin that ops in Python are linked to.
///
/// # Errors
/// If there is none: what to do.
pub(crate) fn python() -> Result<Ref, Failure> {
    read()?.remove(compute_python::NAME).ok_or_else(|| {
        Failure::usage("Python is not set up here: `compute plugin add python` gets it, once")
    })
}

/// The plugins that this user has admitted: the one of Python, and those that it was before.
pub(crate) fn admitted() -> Result<BTreeSet<Ref>, Failure> {
    let is_python = |name: &str| {
        let rest = name.strip_prefix(compute_python::NAME);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
    };
    Ok(read()?.into_iter().filter(|(name, _)| is_python(name)).map(|(_, plugin)| plugin).collect())
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
