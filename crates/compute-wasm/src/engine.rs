//! The engine: verifies, checks, compiles or finds compiled, and hands out what can be called.

mod plugins;
mod prepare;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use compute::{Artifact, Engine, EngineConfig, Error, Instance, Load, Origin, Profile, Ref};

use crate::code::{
    Abandoned, Command, Compilers, DiskCache, Language, ProfileEngines, SharedCache, Slots,
};
use crate::image::{self, GuestFailure, ImageError, ImagePlugin, Plugin};
use crate::module::{Caps, Refusal, Shape, check};
use crate::program::Program;
use crate::sandbox::{FailedToLoad, Loaded, Shared};
use crate::settings::Settings;
use crate::{NAME, VERSION, guest};

compute::register_engine!(
    NAME,
    |config| Ok(Arc::new(WasmEngine::open(config)?) as Arc<dyn Engine>)
);

/// The most memory that a module with 32-bit addresses can have, in bytes.
const MAX_MEMORY: u64 = 4 << 30;
/// How many plugins are held though no loaded artifact uses them, and how many that images were made with.
const RECENT_PLUGINS: usize = 4;
const RECENT_IMAGE_PLUGINS: usize = 2;

/// Runs WebAssembly modules. See the crate's documentation; most programs reach it through a
/// [`compute::Manager`].
pub struct WasmEngine {
    shared: Arc<Shared>,
    settings: Settings,
    code_cache: Option<DiskCache>,
    compilers: Compilers,
    profiles: Mutex<HashMap<(Profile, Language, Purpose), Arc<ProfileEngines>>>,
    plugins: SharedCache<(Ref, Profile), Plugin>,
    image_plugins: SharedCache<(Ref, Profile), ImagePlugin>,
}

/// What a profile is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Purpose {
    Calls,
    Images,
}

/// What an op runs as: see [`WasmEngine::op_modules`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OpModules {
    /// The plugin's code: a module that imports `compute:image.memory` and exports `call`.
    pub code: Bytes,
    /// The op's memory: a module that exports `memory`.
    pub image: Bytes,
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
            .map(|folder| DiskCache::new(folder, settings.code_cache_bytes));
        Ok(Self {
            shared: Arc::new(Shared { caps, slots: Slots::default(), ticker: Arc::default() }),
            code_cache,
            compilers: Compilers::new(settings.compiler.clone(), settings.compile_limits),
            settings,
            profiles: Mutex::default(),
            plugins: SharedCache::new(RECENT_PLUGINS),
            image_plugins: SharedCache::new(RECENT_IMAGE_PLUGINS),
        })
    }

    /// The two modules that an op runs as: the plugin's code, which imports its memory, and the op's memory
    /// image. For harnesses that measure, and for looking at them; [`Engine::load`] makes its own.
    ///
    /// # Errors
    /// As [`Engine::load`], and [`Error::Refused`] for an artifact that is no op.
    pub fn op_modules(&self, artifact: &Artifact, load: &Load<'_>) -> Result<OpModules, Error> {
        let refused = |refusal| Error::refused(artifact.reference().clone(), refusal);
        let shape = self.shape(artifact).map_err(refused)?;
        let namespace = shape.linked_namespace();
        let plugin = namespace.and_then(|name| Some((name, self.plugin_ref(name)?)));
        let (namespace, reference) = plugin.ok_or_else(|| refused(Refusal::NotAnOp))?;
        let failed = |unprepared| match unprepared {
            Unprepared::Guest(died) => {
                refused(Refusal::Invalid { message: died.failure.to_string() })
            }
            Unprepared::Host(error) => error,
        };
        self.link(artifact, &shape, namespace, &reference, load).map_err(failed)?;
        let parts = image::divide(load.linked(&reference)?.wasm()).map_err(refused)?;
        let image = self.op_image(artifact, &shape, namespace, &reference, load).map_err(failed)?;
        Ok(OpModules { code: parts.code, image })
    }

    /// What a module is made of, if it is within the caps.
    fn shape(&self, artifact: &Artifact) -> Result<Shape, Refusal> {
        Shape::read(artifact.wasm(), &self.caps(artifact.reference()))
    }

    /// Whether the operator vouches for this plugin.
    fn is_admitted(&self, reference: &Ref) -> bool {
        self.settings.admitted.contains(reference)
    }

    /// What an artifact may be made of.
    fn caps(&self, reference: &Ref) -> Caps {
        let memory_minimum = self.shared.caps.memory_minimum;
        if self.is_admitted(reference) {
            Caps { memory_minimum, ..Caps::ADMITTED }
        } else {
            self.shared.caps
        }
    }

    /// What a plugin may be made of, and what links to it.
    fn language(&self, plugin: &Ref) -> Language {
        if self.is_admitted(plugin) { Language::Exceptions } else { Language::Usual }
    }

    fn engines(
        &self,
        profile: Profile,
        language: Language,
        purpose: Purpose,
    ) -> Result<Arc<ProfileEngines>, Error> {
        let mut profiles = lock(&self.profiles);
        if let Some(engines) = profiles.get(&(profile, language, purpose)) {
            return Ok(Arc::clone(engines));
        }
        let (caps, ticker) = (&self.shared.caps, &self.shared.ticker);
        let engines = match purpose {
            Purpose::Calls => {
                let what = (profile, language);
                ProfileEngines::new(what, caps, self.settings.sandboxes, ticker)
            }
            Purpose::Images => ProfileEngines::for_images((profile, language), ticker),
        };
        let engines = Arc::new(engines.map_err(host)?);
        profiles.insert((profile, language, purpose), Arc::clone(&engines));
        Ok(engines)
    }

    /// The ref of the plugin that a module's namespace stands for, if it stands for one.
    fn plugin_ref(&self, namespace: &str) -> Option<Ref> {
        let bound = || self.settings.plugins.get(namespace).cloned();
        Ref::parse(namespace).ok().or_else(bound)
    }

    fn program(
        &self,
        artifact: &Artifact,
        shape: &Shape,
        load: &Load<'_>,
    ) -> Result<Program, Unprepared> {
        let reference = artifact.reference();
        let plugin = shape.linked_namespace().map(|name| (name, self.plugin_ref(name)));
        match plugin {
            Some((namespace, Some(plugin))) => {
                self.load_linked(artifact, shape, namespace, &plugin, load)
            }
            _ if shape.is_plugin && shape.exports("_start", "function") => {
                self.load_plugin(artifact, load)
            }
            _ => {
                let checked = check(shape, guest::offered());
                checked.map_err(|refusal| Error::refused(reference.clone(), refusal))?;
                let engines = self.engines(load.profile, Language::Usual, Purpose::Calls)?;
                Ok(Program::Command(self.module(artifact, &engines, Command::new, load)?))
            }
        }
    }
}

impl Engine for WasmEngine {
    fn links(&self, artifact: &Artifact) -> Vec<Ref> {
        crate::module::linked_plugin(artifact.wasm()).into_iter().collect()
    }

    fn load(&self, artifact: &Artifact, load: &Load<'_>) -> Result<Arc<dyn Instance>, Error> {
        artifact.verify()?;
        let shape = self.shape(artifact);
        let shape =
            shape.map_err(|refusal| Error::refused(artifact.reference().clone(), refusal))?;
        let takes_envelope = shape.takes_envelope;
        match self.program(artifact, &shape, load) {
            Ok(program) => {
                let links = self.links(artifact);
                let origin = Origin { engine: NAME.to_owned(), version: VERSION.to_owned(), links };
                let (shared, origin) = (Arc::clone(&self.shared), Arc::new(origin));
                Ok(Arc::new(Loaded { shared, program, takes_envelope, origin }))
            }
            Err(Unprepared::Guest(died)) => {
                let GuestFailure { failure, log } = *died;
                Ok(Arc::new(FailedToLoad { failure, log, takes_envelope }))
            }
            Err(Unprepared::Host(error)) => Err(error),
        }
    }
}

/// Why an artifact could not be made ready.
enum Unprepared {
    /// What its own code did, and does each time.
    Guest(Box<GuestFailure>),
    Host(Error),
}

impl From<ImageError> for Unprepared {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Guest(died) => Self::Guest(died),
            ImageError::Stopped(reason) => {
                let message =
                    format!("an image could not be made in time, and is tried anew: {reason}");
                Self::Host(Error::engine(NAME, message))
            }
            ImageError::Host(error) => Self::Host(host(error)),
        }
    }
}

impl From<Error> for Unprepared {
    fn from(error: Error) -> Self {
        Self::Host(error)
    }
}

impl From<Abandoned> for Unprepared {
    fn from(Abandoned: Abandoned) -> Self {
        Self::Host(unwanted())
    }
}

/// The error of a load for which nobody waits any longer, or whose time has run out.
fn unwanted() -> Error {
    Error::engine(NAME, "the time for this load has run out, or nobody waits for it")
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
