//! What is this user's: folders, and the names that plugins are bound to.

pub(crate) mod bindings;
mod paths;
pub(crate) mod plugins;

pub(crate) use paths::{cache, data, settings_folder, store_url, url_of};
