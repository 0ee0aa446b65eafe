//! The engine: verifies, checks, compiles or finds compiled, and hands out what can be called.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Seek as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use compute::{Artifact, Engine, EngineConfig, Error, Instance, Load, Profile, Ref};
use wasmtime::Module;

use crate::check::{Caps, Refusal, check, check_linked};
use crate::code_cache::{CodeCache, Compiled, write_sparse};
use crate::flavour::{Flavour, Shard};
use crate::image::{self, Parts};
use crate::linked::{self, Died, IMAGE_VERSION, ImageError, Plugin};
use crate::prepared::{Command, Image, Library, Prepared};
use crate::program::Program;
use crate::sandbox::{Broken, Loaded};
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
    plugins: Mutex<HashMap<(Ref, Profile), PluginPlace>>,
}

/// Held while a plugin is made ready.
type PluginPlace = Arc<Mutex<Option<Arc<Plugin>>>>;

/// What an op runs as: see [`WasmEngine::op_modules`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpModules {
    /// The plugin's code: a module that imports `compute:image.memory` and exports `call`.
    pub code: Bytes,
    /// The op's memory: a module that exports `memory`.
    pub image: Bytes,
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
        raise_file_limit();
        let code_cache = settings
            .code_cache
            .as_ref()
            .map(|folder| CodeCache::new(folder, settings.code_cache_bytes));
        Ok(Self {
            shared: Arc::new(Shared { caps, slots: Slots::default(), ticker: Arc::default() }),
            code_cache,
            settings,
            flavours: Mutex::default(),
            plugins: Mutex::default(),
        })
    }

    /// The two modules that an op runs as: the plugin's code, which imports its memory, and the op's memory
    /// image. For harnesses that measure, and for looking at them; [`Engine::load`] makes its own.
    ///
    /// # Errors
    /// As [`Engine::load`], and [`Error::Refused`] for an artifact that is no op.
    pub fn op_modules(&self, artifact: &Artifact, load: &Load<'_>) -> Result<OpModules, Error> {
        let refused = |refusal| Error::refused(artifact.reference().clone(), refusal);
        let shape = self.shape(artifact.wasm()).map_err(refused)?;
        let namespace = shape.linked_namespace();
        let plugin = namespace.and_then(|name| Some((name, self.plugin_ref(name)?)));
        let (namespace, reference) = plugin.ok_or_else(|| refused(Refusal::NotAnOp))?;
        let plugin = self.link(artifact, &shape, namespace, &reference, load)?;
        let parts = image::divide(load.linked(&reference)?.wasm()).map_err(refused)?;
        let image = self.op_image(artifact, &plugin).map_err(|error| match error {
            Unprepared::Guest(died) => {
                refused(Refusal::Invalid { message: died.failure.to_string() })
            }
            Unprepared::Host(error) => error,
        })?;
        Ok(OpModules { code: parts.code, image })
    }

    /// What a module is made of, if it is no larger than modules may be.
    fn shape(&self, wasm: &[u8]) -> Result<Shape, Refusal> {
        let caps = &self.shared.caps;
        if wasm.len() as u64 > caps.bytes {
            let (count, cap) = (wasm.len() as u64, caps.bytes);
            return Err(Refusal::AboveCap { what: "bytes".into(), count, cap });
        }
        Shape::read(wasm)
    }

    fn flavour(&self, profile: Profile) -> Result<Arc<Flavour>, Error> {
        let mut flavours = lock(&self.flavours);
        if let Some(flavour) = flavours.get(&profile) {
            return Ok(Arc::clone(flavour));
        }
        let (caps, ticker) = (&self.shared.caps, &self.shared.ticker);
        let flavour = Flavour::new(profile, caps, self.settings.sandboxes, ticker).map_err(host)?;
        let flavour = Arc::new(flavour);
        flavours.insert(profile, Arc::clone(&flavour));
        Ok(flavour)
    }

    /// Compiled code made ready, from disk if it is there, else from the WebAssembly that `wasm` makes.
    fn prepare<T, E: From<Error>>(
        &self,
        of: &Compiled<'_>,
        flavour: &Arc<Flavour>,
        make: fn(&Shard, Module) -> wasmtime::Result<T>,
        wasm: impl FnOnce() -> Result<Bytes, E>,
    ) -> Result<Prepared<T>, E> {
        let cache = self.code_cache.as_ref();
        if let Some(code) = cache.and_then(|cache| cache.get(of, flavour)) {
            // SAFETY: the cache gives back only what it was given below, under this machine's key, for
            // this version of wasmtime and this flavour.
            #[expect(unsafe_code, reason = "compiled code is loaded")]
            if let Ok(prepared) = unsafe { Prepared::new(flavour, code, make) } {
                return Ok(prepared);
            }
        }
        let code = flavour.compile(&wasm()?).map_err(|error| {
            let refusal = Refusal::Invalid { message: format!("{error:#}") };
            Error::refused(of.reference.clone(), refusal)
        })?;
        if let Some(cache) = cache {
            cache.put(of, flavour, &code);
        }
        let file = match cache.and_then(|cache| cache.get(of, flavour)) {
            Some(file) => file,
            None => nameless_file(&code).map_err(|error| Error::engine(NAME, error))?,
        };
        // SAFETY: the code was just compiled by this flavour; nobody else has the file, or as above.
        #[expect(unsafe_code, reason = "compiled code is loaded")]
        let prepared = unsafe { Prepared::new(flavour, file, make) };
        Ok(prepared.map_err(host)?)
    }

    /// The plugin of this ref, made ready once however many modules wait for it.
    fn plugin(
        &self,
        reference: &Ref,
        flavour: &Arc<Flavour>,
        get: impl FnOnce() -> Result<Artifact, Error>,
    ) -> Result<Arc<Plugin>, Error> {
        let key = (reference.clone(), flavour.profile());
        let place = Arc::clone(lock(&self.plugins).entry(key).or_default());
        let mut place = lock(&place);
        if let Some(plugin) = &*place {
            return Ok(Arc::clone(plugin));
        }
        let plugin = Arc::new(self.open_plugin(&get()?, flavour)?);
        *place = Some(Arc::clone(&plugin));
        Ok(plugin)
    }

    fn open_plugin(&self, artifact: &Artifact, flavour: &Arc<Flavour>) -> Result<Plugin, Error> {
        let reference = artifact.reference();
        let refused = |refusal| Error::refused(reference.clone(), refusal);
        let shape = self.shape(artifact.wasm()).map_err(refused)?;
        linked::check_plugin(&shape, &self.shared.caps).map_err(refused)?;
        let parts = image::divide(artifact.wasm()).map_err(refused)?;

        let part = |name: &str| Compiled { reference, part: format!("{name}{IMAGE_VERSION}") };
        let code = || Ok::<_, Error>(parts.code.clone());
        let code = self.prepare(&part("plugin"), flavour, Library::new, code)?;
        let blank = || Ok::<_, Error>(parts.blank.clone());
        let blank = self.prepare(&part("blank"), flavour, Image::new, blank)?;
        let base = self.prepare(&part("base"), flavour, Image::new, || {
            let image = linked::base_image(flavour, &parts, &blank, &code, &shape);
            image.map(Bytes::from).map_err(|error| match error.into() {
                Unprepared::Host(error) => error,
                Unprepared::Guest(died) => {
                    let message = format!("the plugin cannot initialise itself: {}", died.failure);
                    refused(Refusal::Invalid { message })
                }
            })
        })?;
        let Parts { memory, interrupt_flag, .. } = parts;
        Ok(Plugin { code, blank, base, memory, shape, interrupt_flag })
    }

    /// The plugin that a module links to, once both are checked.
    fn link(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        namespace: &str,
        plugin: &Ref,
        load: &Load<'_>,
    ) -> Result<Arc<Plugin>, Error> {
        let refused = |refusal| Error::refused(artifact.reference().clone(), refusal);
        check_linked(shape, &self.shared.caps, wasi::offered(), namespace).map_err(refused)?;
        let flavour = self.flavour(load.profile)?;
        let plugin = self.plugin(plugin, &flavour, || load.linked(plugin))?;
        linked::check_links(shape, &plugin.shape, namespace).map_err(refused)?;
        Ok(plugin)
    }

    /// What a module that links to this plugin runs as.
    fn load_linked(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        plugin: Arc<Plugin>,
    ) -> Result<Program, Unprepared> {
        if shape.exports("_start", "function") {
            let module = self.module(artifact, plugin.code.flavour(), Library::new)?;
            return Ok(Program::Linked { plugin, module });
        }
        let part = format!("image{IMAGE_VERSION}");
        let image = Compiled { reference: artifact.reference(), part };
        let make = || self.op_image(artifact, &plugin);
        let image = self.prepare(&image, plugin.code.flavour(), Image::new, make)?;
        Ok(Program::Op { plugin, image })
    }

    /// An op's memory image, made now.
    fn op_image(&self, artifact: &Artifact, plugin: &Plugin) -> Result<Bytes, Unprepared> {
        let flavour = plugin.code.flavour();
        let module = self.module(artifact, flavour, Library::new)?;
        Ok(linked::op_image(flavour, plugin, &module)?.into())
    }

    /// The artifact's own module, compiled.
    fn module<T>(
        &self,
        artifact: &Artifact,
        flavour: &Arc<Flavour>,
        make: fn(&Shard, Module) -> wasmtime::Result<T>,
    ) -> Result<Prepared<T>, Error> {
        let of = Compiled { reference: artifact.reference(), part: "module".into() };
        self.prepare(&of, flavour, make, || Ok(artifact.wasm().clone()))
    }

    /// The ref of the plugin that a module's namespace stands for, if it stands for one.
    fn plugin_ref(&self, namespace: &str) -> Option<Ref> {
        let bound = || self.settings.plugins.get(namespace).cloned();
        Ref::parse(namespace).ok().or_else(bound)
    }
}

impl Engine for WasmEngine {
    fn links(&self, artifact: &Artifact) -> Vec<Ref> {
        crate::linked_plugin(artifact.wasm()).into_iter().collect()
    }

    fn load(&self, artifact: &Artifact, load: &Load<'_>) -> Result<Arc<dyn Instance>, Error> {
        artifact.verify()?;
        let reference = artifact.reference();
        let refused = |refusal| Error::refused(reference.clone(), refusal);
        let shape = self.shape(artifact.wasm()).map_err(refused)?;
        let plugin = shape.linked_namespace().map(|name| (name, self.plugin_ref(name)));
        let program = match plugin {
            Some((namespace, Some(plugin))) => {
                let plugin = self.link(artifact, &shape, namespace, &plugin, load)?;
                self.load_linked(artifact, &shape, plugin)
            }
            _ if shape.is_plugin && shape.exports("_start", "function") => {
                // Its code is shared with the modules that link to it.
                let flavour = self.flavour(load.profile)?;
                let plugin = self.plugin(reference, &flavour, || Ok(artifact.clone()))?;
                Ok(Program::Plugin(plugin))
            }
            _ => {
                check(&shape, &self.shared.caps, wasi::offered()).map_err(refused)?;
                let flavour = self.flavour(load.profile)?;
                Ok(Program::Command(self.module(artifact, &flavour, Command::new)?))
            }
        };
        let takes_envelope = shape.takes_envelope;
        match program {
            Ok(program) => {
                Ok(Arc::new(Loaded { shared: Arc::clone(&self.shared), program, takes_envelope }))
            }
            Err(Unprepared::Guest(died)) => {
                let Died { failure, log } = *died;
                Ok(Arc::new(Broken { failure, log, takes_envelope }))
            }
            Err(Unprepared::Host(error)) => Err(error),
        }
    }
}

/// Why an artifact could not be made ready.
enum Unprepared {
    /// What its own code did.
    Guest(Box<Died>),
    Host(Error),
}

impl From<ImageError> for Unprepared {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Guest(died) => Self::Guest(died),
            ImageError::Host(error) => Self::Host(host(error)),
        }
    }
}

impl From<Error> for Unprepared {
    fn from(error: Error) -> Self {
        Self::Host(error)
    }
}

/// A file without a name that holds these bytes, in memory where the system can do that.
fn nameless_file(bytes: &[u8]) -> std::io::Result<File> {
    #[cfg(target_os = "linux")]
    let mut file =
        File::from(rustix::fs::memfd_create("compute", rustix::fs::MemfdFlags::CLOEXEC)?);
    #[cfg(not(target_os = "linux"))]
    let mut file = tempfile::tempfile()?;
    write_sparse(&mut file, bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Lets this process open as many files as it may: each loaded artifact keeps one or two.
fn raise_file_limit() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    }
}

fn host(error: wasmtime::Error) -> Error {
    Error::engine(NAME, format!("{error:#}"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
