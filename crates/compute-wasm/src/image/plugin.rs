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

use wasm_encoder::MemoryType;
use wasmtime::{Instance, Result};

use crate::code::{GuestStore, Image, Library, Prepared};
use crate::guest::Surroundings;
use crate::module::Shape;

/// A plugin, ready to have modules linked to it.
pub(crate) struct Plugin {
    pub(crate) code: Prepared<Library>,
    /// The memory once it is initialised, made ready when the first command needs it.
    pub(crate) base: OnceLock<Arc<Prepared<Image>>>,
    pub(crate) shape: Shape,
    /// Where in its memory it looks whether it is to stop, if it does.
    pub(crate) interrupt_flag: Option<usize>,
    pub(crate) surroundings: Option<Arc<Surroundings>>,
}

impl Plugin {
    /// The bytes that it holds.
    pub(crate) fn size(&self) -> usize {
        self.code.size() + self.base.get().map_or(0, |base| base.size())
    }

    /// The plugin's code on a fresh copy of this image, with what is around it.
    pub(crate) fn open(
        &self,
        image: &Prepared<Image>,
        surroundings: &Option<Arc<Surroundings>>,
        shard: usize,
        store: &mut GuestStore<'_>,
    ) -> Result<Instance> {
        let state = store.data_mut();
        state.interrupt_flag = self.interrupt_flag;
        state.surroundings.clone_from(surroundings);
        let place = self.code.engines().shard(shard)?;
        let image = image.get(shard)?;
        Ok(self.code.get(shard)?.instantiate_on(image, place, store)?.1)
    }
}

/// A plugin ready to have images made with it: metered, and beside what calls use.
pub(crate) struct ImagePlugin {
    pub(crate) code: Prepared<Library>,
    pub(crate) base: Prepared<Image>,
    pub(crate) shape: Shape,
    pub(crate) memory: MemoryType,
    pub(crate) interrupt_flag: Option<usize>,
    pub(crate) surroundings: Option<Arc<Surroundings>>,
    /// The bytes that the base image's memory has.
    pub(crate) base_bytes: u64,
}
