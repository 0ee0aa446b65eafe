//! Modules that link to a plugin, and the plugins.
//!
//! A plugin is compiled once, as code that imports its memory. What it does when it is initialised is done
//! once, too: the memory afterwards is its base image, which sandboxes start from. A module linked to a
//! plugin is one of two things:
//!
//! - a command, with `_start`: it is instantiated beside the plugin on each call (Javy's modules);
//! - an op, with `_initialize`: that runs once, on the base image, and the memory afterwards is the op's own
//!   image. A call is the plugin's `call` on a fresh copy of it, and needs nothing of the op's module.

use std::time::{Duration, Instant};

use compute::{Bounds, Call, Failure, Limits, Log, Phase, Seed};
use wasm_encoder::MemoryType;
use wasmtime::{Instance, Memory, PoolConcurrencyLimitError, Store};

use crate::check::{Caps, Refusal};
use crate::failure::{Stop, reason};
use crate::flavour::{Flavour, Shard};
use crate::image::{self, Parts};
use crate::prepared::{Image, Library, Prepared};
use crate::sandbox::{State, tick};
use crate::shape::Shape;

/// How long the code that runs while an image is made may run.
const IMAGE_WALL: Duration = Duration::from_secs(5);
/// How long the making of an image waits for a place in the pool, and how often it looks.
const PLACE_WAIT: Duration = Duration::from_secs(60);
const PLACE_POLL: Duration = Duration::from_millis(1);
/// How much memory it may have.
const IMAGE_MEMORY: u64 = 64 << 20;
/// Says which version of all this made an image: one of another version is made anew.
pub(crate) const IMAGE_VERSION: &str = "1";

/// The settings that a plugin of Javy's is initialised with, which it reads from stdin.
const JAVY_SETTINGS: &[u8] = br#"{"event-loop":true}"#;
/// A plugin's function that makes what it is initialised with from what its file carries.
const PREPARE: &str = "prepare";
const JAVY_INITIALIZE: &str = "initialize-runtime";

/// A plugin, ready to have modules linked to it.
pub(crate) struct Plugin {
    pub(crate) code: Prepared<Library>,
    /// The memory before any of its code has run.
    pub(crate) blank: Prepared<Image>,
    pub(crate) base: Prepared<Image>,
    pub(crate) memory: MemoryType,
    pub(crate) shape: Shape,
    /// Where in its memory it looks whether it is to stop, if it does.
    pub(crate) interrupt_flag: Option<usize>,
}

/// How code ended that ran while an image was made.
pub(crate) struct Died {
    pub(crate) failure: Failure,
    pub(crate) log: Log,
}

/// Why an image could not be made.
pub(crate) enum ImageError {
    /// What the guest's code did.
    Guest(Box<Died>),
    Host(wasmtime::Error),
}

impl From<wasmtime::Error> for ImageError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Host(error)
    }
}

/// Checks that a module links to this plugin, and to nothing else.
pub(crate) fn check_links(module: &Shape, plugin: &Shape, namespace: &str) -> Result<(), Refusal> {
    for import in module.imports.iter().filter(|import| import.module == namespace) {
        let found = plugin.exports.iter().find(|export| export.name == import.name);
        let refusal = |actual: Option<String>| match actual {
            Some(actual) => Refusal::ImportType {
                module: import.module.clone(),
                name: import.name.clone(),
                imported: import.kind.clone(),
                actual,
            },
            None => Refusal::UnknownImport {
                module: import.module.clone(),
                name: import.name.clone(),
                hint: ": the plugin of that name exports no such thing",
            },
        };
        match found {
            Some(export) if export.ty == import.kind => {}
            other => return Err(refusal(other.map(|export| export.ty.clone()))),
        }
    }
    Ok(())
}

/// Checks a plugin itself.
pub(crate) fn check_plugin(shape: &Shape, caps: &Caps) -> Result<(), Refusal> {
    crate::check::check_caps(shape, caps)?;
    let offered = crate::wasi::offered();
    shape.imports.iter().try_for_each(|import| crate::check::check_import(import, offered))?;
    if !shape.exports("memory", "memory") {
        let hint = ": a plugin exports the memory that modules linked to it share";
        return Err(Refusal::MissingExport { kind: "memory", name: "memory", hint });
    }
    Ok(())
}

/// One sandbox in which an image is made.
struct Workshop<'a> {
    shard: &'a Shard,
    store: Store<State>,
    bounds: Bounds,
    begun: Instant,
}

impl<'a> Workshop<'a> {
    /// Code that runs while an image is made has a clock that starts at the Unix epoch and a seed of
    /// zeros, so that the same code makes the same image everywhere.
    fn new(flavour: &'a Flavour, input: &[u8]) -> wasmtime::Result<Self> {
        let limits = Limits {
            wall: Some(IMAGE_WALL),
            memory: Some(IMAGE_MEMORY),
            stack: Some(flavour.profile().stack()),
            seed: Some(Seed::new([0; 32])),
            ..Limits::default()
        };
        let bounds = limits.bounds();
        let begun = Instant::now();
        let shard = flavour.shard(0)?;
        let state = State::new(input, &Call::new(&bounds, begun));
        let mut store = Store::new(&shard.engine, state);
        store.limiter(|state| state);
        store.epoch_deadline_callback(tick);
        store.set_epoch_deadline(1);
        if flavour.profile().metered() {
            // What an image costs is nobody's fuel; the wall limit bounds it.
            store.set_fuel(u64::MAX)?;
        }
        Ok(Self { shard, store, bounds, begun })
    }

    /// The memory image and the plugin's code on it.
    fn open(&mut self, image: &Image, code: &Library) -> wasmtime::Result<(Memory, Instance)> {
        code.instantiate_on(image, self.shard, &mut self.store)
    }

    /// Calls a function of no parameters, whatever it returns.
    fn call(&mut self, instance: &Instance, name: &str) -> wasmtime::Result<()> {
        let Some(function) = instance.get_func(&mut self.store, name) else { return Ok(()) };
        let results = function.ty(&self.store).results().len();
        let mut results = vec![wasmtime::Val::I32(0); results];
        function.call(&mut self.store, &[], &mut results)
    }

    /// Whose failure it is that the code ended with this error.
    fn blame(&self, error: wasmtime::Error) -> ImageError {
        let call = Call::new(&self.bounds, self.begun);
        let state = self.store.data();
        match reason(&error, state, &call, Phase::Compile, self.bounds.stack) {
            Some(reason) => ImageError::Guest(Box::new(Died {
                failure: state.failure(reason),
                log: state.log().clone(),
            })),
            None => ImageError::Host(error),
        }
    }

    fn snapshot(&self, memory: Memory, ty: MemoryType) -> Vec<u8> {
        image::image(memory.data(&self.store), ty)
    }
}

/// A plugin's base image: its memory once it is initialised. Gives back the image as a module.
pub(crate) fn base_image(
    flavour: &Flavour,
    parts: &Parts,
    blank: &Prepared<Image>,
    code: &Prepared<Library>,
    shape: &Shape,
) -> Result<Vec<u8>, ImageError> {
    when_free(|| {
        let input = if shape.exports(JAVY_INITIALIZE, "function") {
            JAVY_SETTINGS.to_vec()
        } else if shape.exports(PREPARE, "function") {
            let mut workshop = Workshop::new(flavour, &parts.init)?;
            let (_, plugin) = workshop.open(blank.get(0)?, code.get(0)?)?;
            workshop.call(&plugin, PREPARE).map_err(|error| workshop.blame(error))?;
            workshop.store.into_data().output
        } else {
            parts.init.clone()
        };
        let mut workshop = Workshop::new(flavour, &input)?;
        let (memory, plugin) = workshop.open(blank.get(0)?, code.get(0)?)?;
        for name in ["_initialize", JAVY_INITIALIZE] {
            workshop.call(&plugin, name).map_err(|error| workshop.blame(error))?;
        }
        Ok(workshop.snapshot(memory, parts.memory))
    })
}

/// Does this again while it meets a full pool: calls have taken all places, and give them back soon.
fn when_free<T>(work: impl Fn() -> Result<T, ImageError>) -> Result<T, ImageError> {
    let begun = Instant::now();
    loop {
        match work() {
            Err(ImageError::Host(error))
                if error.downcast_ref::<PoolConcurrencyLimitError>().is_some()
                    && begun.elapsed() < PLACE_WAIT =>
            {
                std::thread::sleep(PLACE_POLL);
            }
            result => return result,
        }
    }
}

/// An op's image: the plugin's memory once the op's module has initialised itself.
pub(crate) fn op_image(
    flavour: &Flavour,
    plugin: &Plugin,
    module: &Prepared<Library>,
) -> Result<Vec<u8>, ImageError> {
    when_free(|| {
        let mut workshop = Workshop::new(flavour, &[])?;
        workshop.store.data_mut().interrupt_flag = plugin.interrupt_flag;
        let (memory, linked) = workshop.open(plugin.base.get(0)?, plugin.code.get(0)?)?;
        let shard = workshop.shard;
        let op = module
            .get(0)?
            .instantiate(shard, &mut workshop.store, |store, name| linked.get_export(store, name))
            .map_err(|error| workshop.blame(error))?;
        workshop.call(&op, "_initialize").map_err(|error| workshop.blame(error))?;
        if workshop.store.data().thrown.is_some() {
            return Err(workshop.blame(Stop::Failed.into()));
        }
        Ok(workshop.snapshot(memory, plugin.memory))
    })
}
