//! Making images: a plugin or an op runs once, and its memory afterwards is what each call starts from.

use std::sync::Arc;
use std::time::{Duration, Instant};

use compute::{Bounds, Call, Cancel, Failure, Limits, Load, Log, Phase, Reason, Seed};
use wasm_encoder::MemoryType;
use wasmtime::{Instance, Memory};

use super::divide::{Facts, image};
use super::plugin::ImagePlugin;
use crate::code::{
    GuestStore, Image, Language, Library, Prepared, ProfileEngines, Shard, on_guest_stack,
};
use crate::guest::{State, Stop, Surroundings, reason};
use crate::module::{JAVY_INITIALIZE, PREPARE, Shape};

/// The fuel of each of the functions that run while an image is made, on any machine and however busy it is: an
/// op's top level that ends within it always does. QuickJS uses some 10 of it in a nanosecond, so that is 4
/// seconds of JavaScript, or 30 million turns of a small loop; code of which each instruction takes its time
/// runs for up to 40 seconds.
const IMAGE_FUEL: u64 = 40_000_000_000;
/// How long the making of an image may take where the load has no deadline of its own.
const IMAGE_WALL: Duration = Duration::from_secs(60);
/// How much memory it may have, unless the engine has less.
const IMAGE_MEMORY: u64 = 64 << 20;
/// The same where the plugin is one that the operator vouches for.
const ADMITTED_IMAGE_MEMORY: u64 = 512 << 20;
/// Says which version of all this made an image: one of another version is made anew.
pub(crate) const IMAGE_VERSION: &str = "2";

/// The settings that a plugin of Javy's is initialised with, which it reads from stdin.
const JAVY_SETTINGS: &[u8] = br#"{"event-loop":true}"#;
/// How code ended that ran while an image was made.
pub(crate) struct GuestFailure {
    pub(crate) failure: Failure,
    pub(crate) log: Log,
}

/// Why an image could not be made.
pub(crate) enum ImageError {
    /// What the guest's code did, and would do again.
    Guest(Box<GuestFailure>),
    /// Time ran out, or nobody waits any longer: another try may end otherwise.
    Stopped(Reason),
    Host(wasmtime::Error),
}

impl From<wasmtime::Error> for ImageError {
    fn from(error: wasmtime::Error) -> Self {
        Self::Host(error)
    }
}

/// How images are made: the profile, the most memory, and the load that they are made for.
#[derive(Clone, Copy)]
pub(crate) struct Making<'a> {
    pub(crate) engines: &'a ProfileEngines,
    pub(crate) memory: u64,
    pub(crate) load: &'a Load<'a>,
}

/// One sandbox in which an image is made.
struct ImageSandbox<'a> {
    shard: &'a Shard,
    store: GuestStore<'a>,
    bounds: Bounds,
    begun: Instant,
    cancel: Option<&'a Cancel>,
}

impl<'a> ImageSandbox<'a> {
    /// Code that runs while an image is made has a clock that starts at the Unix epoch and a seed of
    /// zeros, so that the same code makes the same image everywhere; and it has fuel, so that it fails
    /// everywhere if it fails.
    fn new(making: Making<'a>, input: &[u8]) -> wasmtime::Result<Self> {
        let Making { engines, memory, load } = making;
        let begun = Instant::now();
        let left = load.deadline.map(|deadline| deadline.saturating_duration_since(begun));
        let limits = Limits {
            // None left is not none given.
            wall: Some(
                match engines.language() {
                    Language::Usual => left.unwrap_or(IMAGE_WALL),
                    // Nothing else ends it.
                    Language::Exceptions => left.unwrap_or(IMAGE_WALL).min(IMAGE_WALL),
                }
                .max(Duration::from_nanos(1)),
            ),
            memory: Some(memory.min(match engines.language() {
                Language::Usual => IMAGE_MEMORY,
                Language::Exceptions => ADMITTED_IMAGE_MEMORY,
            })),
            stack: Some(engines.profile().stack()),
            fuel: engines.profile().metered().then_some(IMAGE_FUEL),
            seed: Some(Seed::new([0; 32])),
            ..Limits::default()
        };
        let bounds = limits.bounds();
        let mut call = Call::new(&bounds, begun);
        call.cancel = load.cancel;
        let state = State::new(input, &call);
        let store = GuestStore::new(engines, 0, state, bounds.fuel)?;
        Ok(Self { shard: engines.shard(0)?, store, bounds, begun, cancel: load.cancel })
    }

    fn surround(&mut self, surroundings: &Option<Arc<Surroundings>>) {
        self.store.data_mut().surroundings.clone_from(surroundings);
    }

    /// The memory image and the plugin's code on it.
    fn open(&mut self, image: &Image, code: &Library) -> Result<(Memory, Instance), ImageError> {
        let (shard, store) = (self.shard, &mut self.store);
        let opened = on_guest_stack(self.bounds.stack, || code.instantiate_on(image, shard, store));
        opened.flatten().map_err(|error| self.blame(error))
    }

    /// Calls a function of no parameters, if it is there.
    fn call(&mut self, instance: &Instance, name: &str) -> Result<(), ImageError> {
        let Some(function) = instance.get_func(&mut *self.store, name) else { return Ok(()) };
        let results = function.ty(&*self.store).results().len();
        let mut results = vec![wasmtime::Val::I32(0); results];
        let store = &mut *self.store;
        let called = on_guest_stack(self.bounds.stack, || function.call(store, &[], &mut results));
        called.flatten().map_err(|error| self.blame(error))
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
            Some(reason) => ImageError::Guest(Box::new(GuestFailure {
                failure: state.failure(reason),
                log: state.log().clone(),
            })),
            None => ImageError::Host(error),
        }
    }

    fn snapshot(&self, memory: Memory, ty: MemoryType) -> Vec<u8> {
        image(memory.data(&*self.store), ty)
    }
}

/// A plugin's base image: its memory once it is initialised. Gives back the image as a module.
pub(crate) fn base_image(
    making: Making<'_>,
    facts: &Facts,
    blank: &Prepared<Image>,
    code: &Prepared<Library>,
    shape: &Shape,
) -> Result<Vec<u8>, ImageError> {
    let input = if shape.exports(JAVY_INITIALIZE, "function") {
        JAVY_SETTINGS.to_vec()
    } else if shape.exports(PREPARE, "function") {
        let mut sandbox = ImageSandbox::new(making, &facts.init)?;
        let (_, plugin) = sandbox.open(blank.get(0)?, code.get(0)?)?;
        sandbox.call(&plugin, PREPARE)?;
        sandbox.store.into_data().output
    } else {
        facts.init.clone()
    };
    let mut sandbox = ImageSandbox::new(making, &input)?;
    sandbox.surround(&facts.surroundings);
    let (memory, plugin) = sandbox.open(blank.get(0)?, code.get(0)?)?;
    for name in ["_initialize", JAVY_INITIALIZE] {
        sandbox.call(&plugin, name)?;
    }
    Ok(sandbox.snapshot(memory, facts.memory))
}

/// The base image that a workbench has, as a module.
pub(crate) fn copy_of_base(making: Making<'_>, bench: &ImagePlugin) -> Result<Vec<u8>, ImageError> {
    let mut sandbox = ImageSandbox::new(making, &[])?;
    let memory = bench.base.get(0)?.instantiate(&mut sandbox.store);
    let memory = memory.map_err(|error| sandbox.blame(error))?;
    Ok(sandbox.snapshot(memory, bench.memory))
}

/// An op's image: the plugin's memory once the op's module has initialised itself.
pub(crate) fn op_image(
    making: Making<'_>,
    bench: &ImagePlugin,
    surroundings: &Option<Arc<Surroundings>>,
    module: &Prepared<Library>,
) -> Result<Vec<u8>, ImageError> {
    let mut sandbox = ImageSandbox::new(making, &[])?;
    sandbox.surround(surroundings);
    sandbox.store.data_mut().interrupt_flag = bench.interrupt_flag;
    let (memory, linked) = sandbox.open(bench.base.get(0)?, bench.code.get(0)?)?;
    let shard = sandbox.shard;
    let (library, store) = (module.get(0)?, &mut sandbox.store);
    let instantiate =
        || library.instantiate(shard, store, |store, name| linked.get_export(&mut **store, name));
    let op = on_guest_stack(sandbox.bounds.stack, instantiate)
        .flatten()
        .map_err(|error| sandbox.blame(error))?;
    sandbox.call(&op, "_initialize")?;
    if sandbox.store.data().thrown.is_some() {
        return Err(sandbox.blame(Stop::Failed.into()));
    }
    Ok(sandbox.snapshot(memory, bench.memory))
}
