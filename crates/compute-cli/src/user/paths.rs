//! Where this user's things are kept.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use url::Url;

use crate::args::Cli;
use crate::failure::Failure;

/// Where the store is.
pub(crate) fn store_url(cli: &Cli) -> Result<String, Failure> {
    match &cli.store {
        Some(given) if is_url(given) => Ok(given.clone()),
        Some(path) => folder_url(Path::new(path)),
        None => folder_url(&data("store")?),
    }
}

/// Where a store is that a workspace's file names: folders are relative to the workspace.
pub(crate) fn url_of(text: &str, root: &Path) -> Result<String, Failure> {
    if is_url(text) { Ok(text.to_owned()) } else { folder_url(&root.join(text)) }
}

/// The user's folder for what is kept.
pub(crate) fn data(name: &str) -> Result<PathBuf, Failure> {
    Ok(strategy()?.data_dir().join("compute").join(name))
}

/// The user's folder for what can be made again.
pub(crate) fn cache(name: &str) -> Result<PathBuf, Failure> {
    Ok(strategy()?.cache_dir().join("compute").join(name))
}

/// The user's folder for settings.
pub(crate) fn settings_folder() -> Result<PathBuf, Failure> {
    Ok(strategy()?.config_dir().join("compute"))
}

fn strategy() -> Result<impl etcetera::BaseStrategy, Failure> {
    etcetera::choose_base_strategy().map_err(|error| Failure::host(&error))
}

fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("memory:") || text.starts_with("file:")
}

fn folder_url(path: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).map_err(|error| Failure::host(&error))?;
    Url::from_directory_path(&absolute)
        .map(String::from)
        .map_err(|()| Failure::usage(format!("`{}` is not a folder's path", path.display())))
}
