//! Where things are kept, and how a manager is set up, for every command alike.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use compute::{EngineConfig, Limits, Manager};
use compute_store::Store;
use compute_wasm::{Compiler, Settings};
use etcetera::BaseStrategy as _;
use url::Url;

use crate::args::{Cli, LimitArgs};
use crate::bindings;
use crate::failure::Failure;
use crate::resolver::AtHand;
use crate::state::Home;

/// What a run on this machine may use, unless the command says otherwise.
const MEMORY: u64 = 64 << 20;
const WALL: Duration = Duration::from_secs(5);

/// The store that the command names, or the user's own.
pub(crate) fn open_store(cli: &Cli) -> Result<Arc<dyn Store>, Failure> {
    Home::new(cli, None)?.open_store()
}

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

/// What builds and runs computes for one command.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) manager: Manager,
    pub(crate) at_hand: Arc<AtHand>,
}

impl Host {
    /// A host with the limits of the command line, for computes of at most this much memory and this many
    /// calls at once.
    pub(crate) fn new(cli: &Cli, memory: u64, calls: u16) -> Result<Self, Failure> {
        Self::with(Home::new(cli, None).map_err(|failure| failure.to_string()), memory, calls)
    }

    /// The same, with the store of this home.
    pub(crate) fn at(home: &Home, memory: u64, calls: u16) -> Result<Self, Failure> {
        Self::with(Ok(home.clone()), memory, calls)
    }

    fn with(home: Result<Home, String>, memory: u64, calls: u16) -> Result<Self, Failure> {
        let mut config = engine_config(calls)?;
        config.memory = Some(memory.max(1 << 30));
        let at_hand = Arc::new(AtHand::new(home));
        let manager = Manager::builder()
            .shared_resolver(Arc::clone(&at_hand) as _)
            .engine(compute_wasm::NAME, config)
            .limits(Limits::COMMAND_LINE)
            .build();
        Ok(Self { manager, at_hand })
    }
}

/// What this program is told when it is to compile one module, and end.
pub(crate) const COMPILE_WORKER: &str = "compile-worker";

/// What the engine is opened with, for this many calls at once.
pub(crate) fn engine_config(calls: u16) -> Result<EngineConfig, Failure> {
    Ok(EngineConfig::from(Settings {
        code_cache: Some(cache("code")?),
        compiler: Compiler::Process {
            program: this_program()?,
            arguments: vec![COMPILE_WORKER.to_owned()],
        },
        sandboxes: calls.into(),
        plugins: bindings::read()?,
        ..Settings::default()
    }))
}

/// This very program, also after its file was replaced.
fn this_program() -> Result<PathBuf, Failure> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|error| Failure::host(&error))
}

/// The user's folder for what can be made again.
pub(crate) fn cache(name: &str) -> Result<PathBuf, Failure> {
    Ok(strategy()?.cache_dir().join("compute").join(name))
}

/// The user's folder for settings.
pub(crate) fn settings_folder() -> Result<PathBuf, Failure> {
    Ok(strategy()?.config_dir().join("compute"))
}

/// The limits that the command names.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    Limits {
        memory: Some(memory(args)),
        wall: Some(args.wall.unwrap_or(WALL)),
        fuel: args.fuel,
        now: args.now,
        seed: args.seed,
        ..Limits::COMMAND_LINE
    }
}

/// The memory that a guest may have.
pub(crate) fn memory(args: &LimitArgs) -> u64 {
    args.memory.map_or(MEMORY, |bytes| bytes.as_u64())
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
