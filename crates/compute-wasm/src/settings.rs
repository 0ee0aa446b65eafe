//! What the engine can be opened with beyond a memory cap.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use compute::{EngineConfig, Ref};
use serde::{Deserialize, Serialize};

use crate::code::{CompileLimits, Compiler};

/// The engine's own settings, in [`EngineConfig::settings`].
///
/// ```
/// let settings = compute_wasm::Settings { sandboxes: 16, ..Default::default() };
/// let config: compute::EngineConfig = settings.into();
/// assert_eq!(config.settings["sandboxes"], 16);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// Where compiled code is kept between processes; nowhere unless set.
    pub code_cache: Option<PathBuf>,
    /// How many bytes of compiled code are kept there, the oldest given up first. Default 1 GiB.
    pub code_cache_bytes: u64,
    /// The plugins that modules link to by a name of their own, such as `javy-default-plugin-v3`: for each
    /// name, the plugin's ref. A module that links to a plugin by its ref needs none of this.
    pub plugins: BTreeMap<String, Ref>,
    /// Plugins that the operator vouches for, such as a whole language's runtime: they may be larger than what anybody may bring
    /// ([`crate::Caps::ADMITTED`]), throw exceptions, and have files and an environment of their own.
    pub admitted: BTreeSet<Ref>,
    /// Whether such a plugin is compiled for runs with fuel when one is wanted, which takes as long as it took without. Otherwise there are
    /// such runs only where its code for them is in the code cache.
    pub compile_metered: bool,
    /// The most memory that an op which links to such a plugin may say that its calls need, in bytes. Default 512 MiB.
    pub declared_memory: u64,
    /// Where modules are compiled. By default in this process.
    pub compiler: Compiler,
    /// What one compilation may take, in a process of its own.
    pub compile_limits: CompileLimits,
    /// How many sandboxes may be alive at once; further calls wait, within their deadline. Each takes
    /// a little over 4 GiB of address space, though not of memory. Default 256.
    pub sandboxes: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            code_cache: None,
            code_cache_bytes: 1 << 30,
            plugins: BTreeMap::new(),
            admitted: BTreeSet::new(),
            compile_metered: false,
            declared_memory: 512 << 20,
            compiler: Compiler::default(),
            compile_limits: CompileLimits::default(),
            sandboxes: 256,
        }
    }
}

impl From<Settings> for EngineConfig {
    fn from(settings: Settings) -> Self {
        let mut config = Self::default();
        if let Ok(serde_json::Value::Object(map)) = serde_json::to_value(settings) {
            config.settings = map.into_iter().collect();
        }
        config
    }
}

impl TryFrom<&EngineConfig> for Settings {
    type Error = serde_json::Error;

    fn try_from(config: &EngineConfig) -> Result<Self, serde_json::Error> {
        let map = config.settings.clone().into_iter().collect();
        serde_json::from_value(serde_json::Value::Object(map))
    }
}
