//! The engine: verifies, checks, compiles or finds compiled, and hands out what can be called.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use compute::{Artifact, Engine, EngineConfig, Error, Instance, Profile};

use crate::check::{Caps, Refusal, check};
use crate::code_cache::CodeCache;
use crate::flavour::{Flavour, Prepared};
use crate::sandbox::Loaded;
use crate::settings::Settings;
use crate::shape::Shape;
use crate::slots::Slots;
use crate::ticker::Ticker;
use crate::{NAME, wasi};

compute::register_engine!(
    NAME,
    |config| Ok(Arc::new(WasmEngine::open(config)?) as Arc<dyn Engine>)
);

/// The most memory that a module with 32-bit addresses can have, in bytes.
const MAX_MEMORY: u64 = 4 << 30;

/// Runs WebAssembly modules. See the crate's documentation; most programs reach it through a
/// [`compute::Manager`].
pub struct WasmEngine {
    shared: Arc<Shared>,
    settings: Settings,
    code_cache: Option<CodeCache>,
    flavours: Mutex<HashMap<Profile, Arc<Flavour>>>,
}

/// What loaded modules need of their engine.
pub(crate) struct Shared {
    pub(crate) caps: Caps,
    pub(crate) slots: Slots,
    pub(crate) ticker: Arc<Ticker>,
}

impl fmt::Debug for WasmEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WasmEngine").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl WasmEngine {
    /// Opens the engine.
    ///
    /// # Errors
    /// [`Error::EngineConfig`] for settings it does not know.
    pub fn open(config: &EngineConfig) -> Result<Self, Error> {
        let settings = Settings::try_from(config).map_err(|error| Error::EngineConfig {
            engine: NAME.into(),
            source: Arc::new(error),
        })?;
        let mut caps = Caps::DEFAULT;
        if let Some(memory) = config.memory.filter(|&memory| memory > 0) {
            if memory > MAX_MEMORY {
                let problem = format!(
                    "a memory cap of {memory} bytes is above WebAssembly's own of {MAX_MEMORY}"
                );
                return Err(Error::EngineConfig {
                    engine: NAME.into(),
                    source: Arc::from(Box::from(problem)),
                });
            }
            caps.memory_minimum = memory;
        }
        let code_cache = settings
            .code_cache
            .as_ref()
            .map(|folder| CodeCache::new(folder, settings.code_cache_bytes));
        Ok(Self {
            shared: Arc::new(Shared { caps, slots: Slots::default(), ticker: Arc::default() }),
            code_cache,
            settings,
            flavours: Mutex::default(),
        })
    }

    /// Checks a module as [`Engine::load`] does before it compiles.
    ///
    /// # Errors
    /// What the module is refused for.
    pub fn check(&self, wasm: &[u8]) -> Result<(), Refusal> {
        self.shape(wasm).map(|_| ())
    }

    fn shape(&self, wasm: &[u8]) -> Result<Shape, Refusal> {
        let caps = &self.shared.caps;
        if wasm.len() as u64 > caps.bytes {
            let (count, cap) = (wasm.len() as u64, caps.bytes);
            return Err(Refusal::AboveCap { what: "bytes".into(), count, cap });
        }
        let shape = Shape::read(wasm)?;
        check(&shape, caps, wasi::offered())?;
        Ok(shape)
    }

    fn flavour(&self, profile: Profile) -> Result<Arc<Flavour>, Error> {
        let mut flavours = self.flavours.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flavour) = flavours.get(&profile) {
            return Ok(Arc::clone(flavour));
        }
        let (caps, ticker) = (&self.shared.caps, &self.shared.ticker);
        let flavour = Flavour::new(profile, caps, self.settings.sandboxes, ticker).map_err(host)?;
        let flavour = Arc::new(flavour);
        flavours.insert(profile, Arc::clone(&flavour));
        Ok(flavour)
    }

    fn prepare(&self, artifact: &Artifact, flavour: &Arc<Flavour>) -> Result<Prepared, Error> {
        if let Some(cache) = &self.code_cache
            && let Some(code) = cache.get(artifact.reference(), flavour)
        {
            // SAFETY: the cache gives back only what it was given by `compile` below, under this
            // machine's key, for this version of wasmtime and this flavour.
            #[expect(unsafe_code, reason = "compiled code is loaded")]
            if let Ok(prepared) = unsafe { flavour.prepare_file(code) } {
                return Ok(prepared);
            }
        }
        let code = flavour.compile(artifact.wasm()).map_err(|error| {
            let refusal = Refusal::Invalid { message: format!("{error:#}") };
            Error::refused(artifact.reference().clone(), refusal)
        })?;
        if let Some(cache) = &self.code_cache {
            cache.put(artifact.reference(), flavour, &code);
        }
        // SAFETY: the code was just compiled by this flavour.
        #[expect(unsafe_code, reason = "compiled code is loaded")]
        unsafe { flavour.prepare(&code) }.map_err(host)
    }
}

impl Engine for WasmEngine {
    fn load(&self, artifact: &Artifact, profile: Profile) -> Result<Arc<dyn Instance>, Error> {
        artifact.verify()?;
        let shape = self
            .shape(artifact.wasm())
            .map_err(|refusal| Error::refused(artifact.reference().clone(), refusal))?;
        let flavour = self.flavour(profile)?;
        let prepared = self.prepare(artifact, &flavour)?;
        Ok(Arc::new(Loaded {
            shared: Arc::clone(&self.shared),
            prepared,
            takes_envelope: shape.takes_envelope,
        }))
    }
}

fn host(error: wasmtime::Error) -> Error {
    Error::engine(NAME, format!("{error:#}"))
}
