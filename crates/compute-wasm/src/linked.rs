//! Modules that link to a plugin, and the plugins.
//!
//! A plugin is compiled once, as code that imports its memory. What it does when it is initialised is done
//! once, too: the memory afterwards is its base image, which sandboxes start from. A module linked to a
//! plugin is one of two things:
//!
//! - a command, with `_start`: it is instantiated beside the plugin on each call (Javy's modules);
//! - an op, with `_initialize`: that runs once, on the base image, and the memory afterwards is the op's own
//!   image. A call is the plugin's `call` on a fresh copy of it, and needs nothing of the op's module.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use compute::{Bounds, Call, Cancel, Failure, Limits, Load, Log, Phase, Reason, Seed};
use wasm_encoder::MemoryType;
use wasmtime::{Instance, Memory};

use crate::check::{Refusal, cut};
use crate::failure::{Stop, reason};
use crate::flavour::{Flavour, Shard};
use crate::guest_store::GuestStore;
use crate::image::{self, Parts};
use crate::prepared::{Image, Library, Prepared};
use crate::sandbox::State;
use crate::shape::{Item, Shape};

/// The fuel of each of the functions that run while an image is made, on any machine and however busy it is: an
/// op's top level that ends within it always does. QuickJS uses some 10 of it in a nanosecond, so that is 4
/// seconds of JavaScript, or 30 million turns of a small loop; code of which each instruction takes its time
/// runs for up to 40 seconds.
const IMAGE_FUEL: u64 = 40_000_000_000;
/// How long the making of an image may take where the load has no deadline of its own.
const IMAGE_WALL: Duration = Duration::from_secs(60);
/// How much memory it may have, unless the engine has less.
const IMAGE_MEMORY: u64 = 64 << 20;
/// Says which version of all this made an image: one of another version is made anew.
pub(crate) const IMAGE_VERSION: &str = "2";

/// The settings that a plugin of Javy's is initialised with, which it reads from stdin.
const JAVY_SETTINGS: &[u8] = br#"{"event-loop":true}"#;
/// A plugin's function that makes what it is initialised with from what its file carries.
const PREPARE: &str = "prepare";
const JAVY_INITIALIZE: &str = "initialize-runtime";
/// A plugin's function that calls an op.
const CALL: &str = "call";

/// A plugin, ready to have modules linked to it.
pub(crate) struct Plugin {
    pub(crate) code: Prepared<Library>,
    /// The memory once it is initialised, made ready when the first command needs it.
    pub(crate) base: OnceLock<Arc<Prepared<Image>>>,
    pub(crate) shape: Shape,
    /// Where in its memory it looks whether it is to stop, if it does.
    pub(crate) interrupt_flag: Option<usize>,
}

impl Plugin {
    /// The bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.code.size() + self.base.get().map_or(0, |base| base.size())
    }
}

/// A plugin ready to have images made with it: metered, and beside what calls use.
pub(crate) struct Workbench {
    pub(crate) code: Prepared<Library>,
    pub(crate) base: Prepared<Image>,
    pub(crate) shape: Shape,
    pub(crate) memory: MemoryType,
    pub(crate) interrupt_flag: Option<usize>,
    /// The bytes that the base image's memory has.
    pub(crate) base_bytes: u64,
}

/// How code ended that ran while an image was made.
pub(crate) struct Died {
    pub(crate) failure: Failure,
    pub(crate) log: Log,
}

/// Why an image could not be made.
pub(crate) enum ImageError {
    /// What the guest's code did, and would do again.
    Guest(Box<Died>),
    /// Time ran out, or nobody waits any longer: another try may end otherwise.
    Stopped(Reason),
    Host(wasmtime::Error),
}

impl From<wasmtime::Error> for ImageError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Host(error)
    }
}

/// Checks that a module links to this plugin, and to nothing else. The plugin's memory has so many bytes when
/// the module is instantiated, if that is known.
pub(crate) fn check_links(
    module: &Shape,
    plugin: &Shape,
    memory_bytes: Option<u64>,
    namespace: &str,
) -> Result<(), Refusal> {
    for import in module.imports.iter().filter(|import| import.module == namespace) {
        let (namespace, name) = (cut(&import.module), cut(&import.name));
        let Some(export) = plugin.export(&import.name) else {
            let hint = ": the plugin of that name exports no such thing";
            return Err(Refusal::UnknownImport { module: namespace, name, hint });
        };
        let export = match (export, memory_bytes) {
            // It has grown since it was made.
            (Item::Memory(limits), Some(bytes)) => Item::Memory(limits.grown_to(bytes)),
            _ => export,
        };
        if !module.fits(import.item, plugin, export) {
            let imported = cut(&module.describe(import.item));
            let actual = cut(&plugin.describe(export));
            return Err(Refusal::ImportType { module: namespace, name, imported, actual });
        }
    }
    Ok(())
}

/// Checks a plugin itself.
pub(crate) fn check_plugin(shape: &Shape) -> Result<(), Refusal> {
    let offered = crate::wasi::offered();
    shape
        .imports
        .iter()
        .try_for_each(|import| crate::check::check_import(shape, import, offered))?;
    if !shape.exports("memory", "memory") {
        let hint = ": a plugin exports the memory that modules linked to it share";
        return Err(Refusal::MissingExport { kind: "memory", name: "memory", hint });
    }
    let called = [
        ("_start", "()"),
        ("_initialize", "()"),
        (PREPARE, "()"),
        (JAVY_INITIALIZE, "()"),
        (CALL, "() -> i32"),
    ];
    called.into_iter().try_for_each(|(name, ty)| crate::check::check_called(shape, name, ty))
}

/// Checks that a plugin can run ops.
pub(crate) fn check_calls(plugin: &Shape) -> Result<(), Refusal> {
    if plugin.exports(CALL, "function") {
        return Ok(());
    }
    let hint = ": the plugin that it links to runs no ops";
    Err(Refusal::MissingExport { kind: "function", name: CALL, hint })
}

/// How images are made: the flavour, the most memory, and the load that they are made for.
#[derive(Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) flavour: &'a Flavour,
    pub(crate) memory: u64,
    pub(crate) load: &'a Load<'a>,
}

/// One sandbox in which an image is made.
struct Workshop<'a> {
    shard: &'a Shard,
    store: GuestStore<'a>,
    bounds: Bounds,
    begun: Instant,
    cancel: Option<&'a Cancel>,
}

impl<'a> Workshop<'a> {
    /// Code that runs while an image is made has a clock that starts at the Unix epoch and a seed of
    /// zeros, so that the same code makes the same image everywhere; and it has fuel, so that it fails
    /// everywhere if it fails.
    fn new(making: Making<'a>, input: &[u8]) -> wasmtime::Result<Self> {
        let Making { flavour, memory, load } = making;
        let begun = Instant::now();
        let left = load.deadline.map(|deadline| deadline.saturating_duration_since(begun));
        let limits = Limits {
            // None left is not none given.
            wall: Some(left.unwrap_or(IMAGE_WALL).max(Duration::from_nanos(1))),
            memory: Some(memory.min(IMAGE_MEMORY)),
            stack: Some(flavour.profile().stack()),
            fuel: Some(IMAGE_FUEL),
            seed: Some(Seed::new([0; 32])),
            ..Limits::default()
        };
        let bounds = limits.bounds();
        let mut call = Call::new(&bounds, begun);
        call.cancel = load.cancel;
        let state = State::new(input, &call);
        let store = GuestStore::new(flavour, 0, state, bounds.fuel)?;
        Ok(Self { shard: flavour.shard(0)?, store, bounds, begun, cancel: load.cancel })
    }

    /// The memory image and the plugin's code on it.
    fn open(&mut self, image: &Image, code: &Library) -> Result<(Memory, Instance), ImageError> {
        let opened = code.instantiate_on(image, self.shard, &mut self.store);
        opened.map_err(|error| self.blame(error))
    }

    /// Calls a function of no parameters, if it is there.
    fn call(&mut self, instance: &Instance, name: &str) -> Result<(), ImageError> {
        let Some(function) = instance.get_func(&mut *self.store, name) else { return Ok(()) };
        let results = function.ty(&*self.store).results().len();
        let mut results = vec![wasmtime::Val::I32(0); results];
        let called = function.call(&mut *self.store, &[], &mut results);
        called.map_err(|error| self.blame(error))
    }

    /// Whose failure it is that the code ended with this error.
    fn blame(&self, error: wasmtime::Error) -> ImageError {
        let mut call = Call::new(&self.bounds, self.begun);
        call.cancel = self.cancel;
        let state = self.store.data();
        match reason(&error, state, &call, Phase::Compile, self.bounds.stack) {
            Some(reason @ (Reason::WallLimit { .. } | Reason::Cancelled { .. })) => {
                ImageError::Stopped(reason)
            }
            Some(reason) => ImageError::Guest(Box::new(Died {
                failure: state.failure(reason),
                log: state.log().clone(),
            })),
            None => ImageError::Host(error),
        }
    }

    fn snapshot(&self, memory: Memory, ty: MemoryType) -> Vec<u8> {
        image::image(memory.data(&*self.store), ty)
    }
}

/// A plugin's base image: its memory once it is initialised. Gives back the image as a module.
pub(crate) fn base_image(
    making: Making<'_>,
    parts: &Parts,
    blank: &Prepared<Image>,
    code: &Prepared<Library>,
    shape: &Shape,
) -> Result<Vec<u8>, ImageError> {
    let input = if shape.exports(JAVY_INITIALIZE, "function") {
        JAVY_SETTINGS.to_vec()
    } else if shape.exports(PREPARE, "function") {
        let mut workshop = Workshop::new(making, &parts.init)?;
        let (_, plugin) = workshop.open(blank.get(0)?, code.get(0)?)?;
        workshop.call(&plugin, PREPARE)?;
        workshop.store.into_data().output
    } else {
        parts.init.clone()
    };
    let mut workshop = Workshop::new(making, &input)?;
    let (memory, plugin) = workshop.open(blank.get(0)?, code.get(0)?)?;
    for name in ["_initialize", JAVY_INITIALIZE] {
        workshop.call(&plugin, name)?;
    }
    Ok(workshop.snapshot(memory, parts.memory))
}

/// The base image that a workbench has, as a module.
pub(crate) fn copy_of_base(making: Making<'_>, bench: &Workbench) -> Result<Vec<u8>, ImageError> {
    let mut workshop = Workshop::new(making, &[])?;
    let memory = bench.base.get(0)?.instantiate(&mut workshop.store);
    let memory = memory.map_err(|error| workshop.blame(error))?;
    Ok(workshop.snapshot(memory, bench.memory))
}

/// An op's image: the plugin's memory once the op's module has initialised itself.
pub(crate) fn op_image(
    making: Making<'_>,
    bench: &Workbench,
    module: &Prepared<Library>,
) -> Result<Vec<u8>, ImageError> {
    let mut workshop = Workshop::new(making, &[])?;
    workshop.store.data_mut().interrupt_flag = bench.interrupt_flag;
    let (memory, linked) = workshop.open(bench.base.get(0)?, bench.code.get(0)?)?;
    let shard = workshop.shard;
    let op = module
        .get(0)?
        .instantiate(shard, &mut workshop.store, |store, name| {
            linked.get_export(&mut **store, name)
        })
        .map_err(|error| workshop.blame(error))?;
    workshop.call(&op, "_initialize")?;
    if workshop.store.data().thrown.is_some() {
        return Err(workshop.blame(Stop::Failed.into()));
    }
    Ok(workshop.snapshot(memory, bench.memory))
}
