//! Modules that are ready to be instantiated, in each shard of a profile.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use wasmtime::{Engine, Extern, Func, Instance, InstancePre, Memory, Module, ModuleExport, Result};

use super::disk_cache::allocated;
use super::guest_store::GuestStore;
use super::profile::{ProfileEngines, Shard};
use crate::guest::{self, State, Stop, unlinked};
use crate::module::MEMORY_IMPORT;

/// A module in each shard of a profile, made ready in a shard when it is first used there.
pub(crate) struct Prepared<T> {
    engines: Arc<ProfileEngines>,
    first: Module,
    /// Where its code is mapped from, in each shard.
    file: File,
    size: usize,
    shards: Vec<OnceLock<T>>,
    make: fn(&Shard, Module) -> Result<T>,
}

impl<T> Prepared<T> {
    /// Makes compiled code ready to run. The file is mapped, and read as it is needed.
    ///
    /// # Safety
    /// The code must come from [`Compilers::compile`], here or in another process, byte for byte; and nobody
    /// may write to the file.
    #[expect(unsafe_code, reason = "loading compiled code is unsafe whoever does it")]
    pub(crate) unsafe fn new(
        engines: &Arc<ProfileEngines>,
        file: File,
        make: fn(&Shard, Module) -> Result<T>,
    ) -> Result<Self> {
        // SAFETY: the caller vouches for where the code comes from.
        let first = unsafe { Module::deserialize_open_file(engines.engine()?, file.try_clone()?) }?;
        let prepared = Self {
            engines: Arc::clone(engines),
            shards: std::iter::repeat_with(OnceLock::new).take(engines.shards()).collect(),
            first,
            size: usize::try_from(allocated(&file.metadata()?)).unwrap_or(usize::MAX),
            file,
            make,
        };
        // Whether it can be made ready shows here, and not on a call.
        prepared.get(0)?;
        Ok(prepared)
    }

    /// The bytes that its memory, of an image, starts with.
    pub(crate) fn memory_minimum(&self) -> u64 {
        let memory = self.first.get_export("memory").and_then(|export| export.memory().cloned());
        memory.map_or(0, |memory| memory.minimum().saturating_mul(memory.page_size()))
    }

    pub(crate) fn engines(&self) -> &Arc<ProfileEngines> {
        &self.engines
    }

    /// The module in one of the profile's shards.
    pub(crate) fn get(&self, index: usize) -> Result<&T> {
        let cell = &self.shards[index];
        if let Some(ready) = cell.get() {
            return Ok(ready);
        }
        let shard = self.engines.shard(index)?;
        let module = if index == 0 { self.first.clone() } else { self.copy(shard)? };
        module.initialize_copy_on_write_image()?;
        let ready = (self.make)(shard, module)?;
        Ok(cell.get_or_init(|| ready))
    }

    fn copy(&self, shard: &Shard) -> Result<Module> {
        // SAFETY: the code is that of a module that is loaded already, of an engine with the same
        // configuration.
        #[expect(unsafe_code, reason = "compiled code is loaded")]
        unsafe {
            Module::deserialize_open_file(&shard.engine, self.file.try_clone()?)
        }
    }

    /// The bytes of machine code and data it comes to hold: shards map one file, and share its pages.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }
}

/// A module that imports only what every sandbox has.
pub(crate) struct Command {
    pre: InstancePre<State>,
    start: ModuleExport,
    memory: Option<ModuleExport>,
}

impl Command {
    pub(crate) fn new(shard: &Shard, module: Module) -> Result<Self> {
        Ok(Self {
            start: export(&module, "_start")?,
            memory: module.get_export_index("memory"),
            pre: shard.linker.instantiate_pre(&module)?,
        })
    }

    /// Makes an instance, and gives its `_start`.
    pub(crate) fn instantiate(&self, store: &mut GuestStore<'_>) -> Result<Func> {
        let instance = self.pre.instantiate(&mut **store)?;
        let memory = self.memory.as_ref();
        let memory = memory.and_then(|export| instance.get_module_export(&mut **store, export));
        store.data_mut().memory = memory.and_then(Extern::into_memory);
        function(&instance, store, &self.start)
    }
}

/// A module that holds a memory and its contents, and nothing else.
pub(crate) struct Image {
    pre: InstancePre<State>,
    memory: ModuleExport,
}

impl Image {
    pub(crate) fn new(shard: &Shard, module: Module) -> Result<Self> {
        Ok(Self { memory: export(&module, "memory")?, pre: shard.linker.instantiate_pre(&module)? })
    }

    /// Makes a fresh copy of the memory, which the sandbox's host functions work on from now on.
    pub(crate) fn instantiate(&self, store: &mut GuestStore<'_>) -> Result<Memory> {
        let instance = self.pre.instantiate(&mut **store)?;
        let memory = instance.get_module_export(&mut **store, &self.memory);
        let memory = memory.and_then(Extern::into_memory);
        let memory = memory.ok_or_else(|| wasmtime::format_err!("the image has no memory"))?;
        store.data_mut().memory = Some(memory);
        Ok(memory)
    }
}

/// A module that also imports from another in the same sandbox: a plugin, from its memory image; or what
/// is linked to a plugin.
pub(crate) struct Library {
    module: Module,
    imports: Vec<Import>,
    /// A plugin's function that calls an op.
    call: Option<ModuleExport>,
    /// A linked command's.
    start: Option<ModuleExport>,
}

/// One import, and where it comes from.
struct Import {
    namespace: String,
    name: String,
    from_host: bool,
}

impl Library {
    pub(crate) fn new(shard: &Shard, module: Module) -> Result<Self> {
        let offered = guest::offered();
        let import = |import: wasmtime::ImportType<'_>| Import {
            from_host: offered
                .contains_key(&(import.module().to_owned(), import.name().to_owned())),
            namespace: import.module().to_owned(),
            name: import.name().to_owned(),
        };
        let imports = module.imports().map(import).collect();
        // Its code is made ready once, and shared by all sandboxes.
        debug_assert!(Engine::same(&shard.engine, module.engine()));
        let (call, start) = (module.get_export_index("call"), module.get_export_index("_start"));
        Ok(Self { module, imports, call, start })
    }

    /// A plugin's function that calls an op.
    pub(crate) fn call(&self, instance: &Instance, store: &mut GuestStore<'_>) -> Result<Func> {
        let export = self.call.as_ref();
        let export = export.ok_or_else(|| wasmtime::format_err!("the plugin has no `call`"))?;
        function(instance, store, export)
    }

    /// A linked command's first function.
    pub(crate) fn start(&self, instance: &Instance, store: &mut GuestStore<'_>) -> Result<Func> {
        let export = self.start.as_ref();
        let export = export.ok_or_else(|| wasmtime::format_err!("the module has no `_start`"))?;
        function(instance, store, export)
    }

    /// A plugin's code on a fresh copy of this image.
    pub(crate) fn instantiate_on(
        &self,
        image: &Image,
        shard: &Shard,
        store: &mut GuestStore<'_>,
    ) -> Result<(Memory, Instance)> {
        let memory = image.instantiate(store)?;
        let plugin = self.instantiate(shard, store, |_, name| {
            (name == MEMORY_IMPORT.1).then_some(Extern::Memory(memory))
        })?;
        Ok((memory, plugin))
    }

    /// Makes an instance, of which the imports that are not the host's are given by name.
    pub(crate) fn instantiate(
        &self,
        shard: &Shard,
        store: &mut GuestStore<'_>,
        mut linked: impl FnMut(&mut GuestStore<'_>, &str) -> Option<Extern>,
    ) -> Result<Instance> {
        let mut externs = Vec::with_capacity(self.imports.len());
        for Import { namespace, name, from_host } in &self.imports {
            externs.push(if *from_host {
                shard.linker.get(&mut **store, namespace, name)?
            } else {
                linked(store, name).ok_or_else(|| {
                    Stop::Unlinked(format!("nothing provides the import `{namespace}.{name}`"))
                })?
            });
        }
        Instance::new(&mut **store, &self.module, &externs).map_err(unlinked)
    }
}

fn export(module: &Module, name: &str) -> Result<ModuleExport> {
    module
        .get_export_index(name)
        .ok_or_else(|| wasmtime::format_err!("the checked module exports no `{name}`"))
}

fn function(
    instance: &Instance,
    store: &mut GuestStore<'_>,
    export: &ModuleExport,
) -> Result<Func> {
    instance
        .get_module_export(&mut **store, export)
        .and_then(Extern::into_func)
        .ok_or_else(|| wasmtime::format_err!("an export is not a function"))
}
