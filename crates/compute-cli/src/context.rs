//! Where things are kept, and how a manager is set up, for every command alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use compute::{Artifact, ArtifactMap, EngineConfig, Limits, Manager};
use compute_store::Store;
use compute_wasm::Settings;
use etcetera::BaseStrategy as _;
use url::Url;

use crate::args::{Cli, LimitArgs};
use crate::failure::Failure;

/// The store that the command names, or the user's own.
pub(crate) fn open_store(cli: &Cli) -> Result<Arc<dyn Store>, Failure> {
    let url = match &cli.store {
        Some(given) if is_url(given) => given.clone(),
        Some(path) => folder_url(Path::new(path))?,
        None => folder_url(&strategy()?.data_dir().join("compute").join("store"))?,
    };
    Ok(compute_store::open(&url)?)
}

/// A manager that knows this artifact, with the limits that the command names, for this many calls at
/// once.
pub(crate) fn manager(
    artifact: Artifact,
    limits: &LimitArgs,
    calls: u16,
) -> Result<Manager, Failure> {
    let settings = Settings {
        code_cache: Some(code_cache()?),
        sandboxes: calls.into(),
        ..Settings::default()
    };
    let mut config = EngineConfig::from(settings);
    config.memory = Some(limits.memory.as_u64().max(1 << 30));
    Ok(Manager::builder()
        .resolver(ArtifactMap::from([artifact]))
        .engine(compute_wasm::NAME, config)
        .limits(Limits::COMMAND_LINE)
        .build())
}

/// The limits that the command names.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    Limits {
        memory: Some(args.memory.as_u64()),
        wall: Some(args.wall),
        fuel: args.fuel,
        now: args.now,
        seed: args.seed,
        ..Limits::COMMAND_LINE
    }
}

fn code_cache() -> Result<PathBuf, Failure> {
    Ok(strategy()?.cache_dir().join("compute").join("code"))
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
