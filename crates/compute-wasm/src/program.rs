//! What runs when an artifact is called: the instances that one sandbox is made of.

use std::sync::Arc;

use wasmtime::{Func, Result};

use crate::code::{Command, GuestStore, Image, Library, Prepared, ProfileEngines};
use crate::guest::Surroundings;
use crate::image::Plugin;

/// A loaded artifact, by how it runs.
pub(crate) enum Program {
    /// A module that needs nothing but the sandbox.
    Command(Prepared<Command>),
    /// A plugin that is a command, too.
    Plugin { plugin: Arc<Plugin>, blank: Prepared<Image> },
    /// A command that is linked to a plugin, on its base image.
    Linked { plugin: Arc<Plugin>, base: Arc<Prepared<Image>>, module: Prepared<Library> },
    /// An op: a plugin on the op's own memory image.
    Op { plugin: Arc<Plugin>, image: Prepared<Image>, surroundings: Option<Arc<Surroundings>> },
}

/// The function that a call is.
pub(crate) enum Entry {
    /// It returns nothing.
    Start(Func),
    /// It returns whether it failed.
    Call(Func),
}

impl Program {
    pub(crate) fn engines(&self) -> &Arc<ProfileEngines> {
        match self {
            Self::Command(module) => module.engines(),
            Self::Plugin { blank, .. } => blank.engines(),
            Self::Linked { module, .. } => module.engines(),
            Self::Op { image, .. } => image.engines(),
        }
    }

    /// The bytes that it holds for itself.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Command(module) => module.size(),
            Self::Plugin { blank, .. } => blank.size(),
            Self::Linked { module, .. } => module.size(),
            Self::Op { image, surroundings, .. } => {
                let own = surroundings.as_ref().map_or(0, |around| around.own_bytes);
                image.size().saturating_add(usize::try_from(own).unwrap_or(usize::MAX))
            }
        }
    }

    /// The plugin that it holds together with others.
    pub(crate) fn plugin(&self) -> Option<&Arc<Plugin>> {
        match self {
            Self::Command(_) => None,
            Self::Plugin { plugin, .. } | Self::Linked { plugin, .. } | Self::Op { plugin, .. } => {
                Some(plugin)
            }
        }
    }

    /// What its sandboxes have around them.
    pub(crate) fn surroundings(&self) -> Option<&Arc<Surroundings>> {
        match self {
            Self::Command(_) => None,
            Self::Plugin { plugin, .. } | Self::Linked { plugin, .. } => {
                plugin.surroundings.as_ref()
            }
            Self::Op { surroundings, .. } => surroundings.as_ref(),
        }
    }

    /// Makes a sandbox's instances, and gives what to call. A guest may run already, in a start function.
    pub(crate) fn instantiate(&self, shard: usize, store: &mut GuestStore<'_>) -> Result<Entry> {
        match self {
            Self::Command(module) => module.get(shard)?.instantiate(store).map(Entry::Start),
            Self::Plugin { plugin, blank } => {
                let instance = plugin.open(blank, &plugin.surroundings, shard, store)?;
                plugin.code.get(shard)?.start(&instance, store).map(Entry::Start)
            }
            Self::Linked { plugin, base, module } => {
                let linked = plugin.open(base, &plugin.surroundings, shard, store)?;
                let module = module.get(shard)?;
                let place = self.engines().shard(shard)?;
                let instance = module.instantiate(place, store, |store, name| {
                    linked.get_export(&mut **store, name)
                })?;
                module.start(&instance, store).map(Entry::Start)
            }
            Self::Op { plugin, image, surroundings } => {
                let linked = plugin.open(image, surroundings, shard, store)?;
                plugin.code.get(shard)?.call(&linked, store).map(Entry::Call)
            }
        }
    }
}
