//! One way of compiling and running modules: wasmtime, set up for a profile.
//!
//! A wasmtime engine and its modules are shared by reference counts and pool locks, which threads on
//! different cores fight over: two threads on one engine reach 1.3 to 1.7 times the calls of one. So a
//! flavour has a few engines, its shards, and each thread keeps to one of them.

use std::fs::File;
use std::sync::{Arc, OnceLock};

use compute::Profile;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, Linker, Module, ModuleExport,
    PoolingAllocationConfig, Result,
};

use crate::check::{Caps, Refusal};
use crate::sandbox::State;
use crate::ticker::Ticker;
use crate::wasi;

/// How much of a sandbox's memory stays resident between calls, where the kernel can say which pages
/// were written (Linux 6.7 and later): resetting those by copying beats giving them back.
const KEEP_RESIDENT_SCANNED: usize = 2 << 20;
/// The same where it can't, so that this much is reset whether written or not.
const KEEP_RESIDENT_BLIND: usize = 512 << 10;
const KEEP_TABLE_RESIDENT: usize = 64 << 10;
/// The most engines of one flavour. Each holds a copy of the code it runs.
const MAX_SHARDS: usize = 8;

/// wasmtime for one profile.
pub(crate) struct Flavour {
    profile: Profile,
    config: Config,
    ticker: Arc<Ticker>,
    shards: Vec<OnceLock<Shard>>,
}

/// One engine, with the host functions linked.
struct Shard {
    engine: Engine,
    linker: Linker<State>,
}

/// A module ready to be instantiated.
pub(crate) struct Prepared {
    flavour: Arc<Flavour>,
    shards: Vec<OnceLock<Ready>>,
}

/// A module ready to be instantiated in one shard.
pub(crate) struct Ready {
    module: Module,
    pub(crate) pre: InstancePre<State>,
    pub(crate) start: ModuleExport,
    pub(crate) memory: Option<ModuleExport>,
}

impl Flavour {
    /// Sandboxes of the usual stack come from pools; those of another stack, which are rare, are made
    /// on demand, so that each further flavour reserves no address space.
    pub(crate) fn new(
        profile: Profile,
        caps: &Caps,
        sandboxes: u32,
        ticker: &Arc<Ticker>,
    ) -> Result<Self> {
        let mut config = config(profile)?;
        let mut shards = 1;
        if profile.stack() == Profile::MAX_STACK {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            shards = cores.min(MAX_SHARDS).min(sandboxes.max(1) as usize);
            config.allocation_strategy(pool(caps, sandboxes.div_ceil(shards as u32).max(1)));
        }
        let shards = std::iter::repeat_with(OnceLock::new).take(shards).collect();
        let flavour = Self { profile, config, ticker: Arc::clone(ticker), shards };
        // The first is always needed, and shows whether the configuration works on this machine.
        flavour.shard(0)?;
        Ok(flavour)
    }

    pub(crate) const fn profile(&self) -> Profile {
        self.profile
    }

    /// One of its engines; they all compile alike.
    pub(crate) fn engine(&self) -> Result<&Engine> {
        Ok(&self.shard(0)?.engine)
    }

    /// How many sandboxes' pools there are.
    pub(crate) const fn shards(&self) -> usize {
        self.shards.len()
    }

    fn shard(&self, index: usize) -> Result<&Shard> {
        let cell = &self.shards[index];
        if let Some(shard) = cell.get() {
            return Ok(shard);
        }
        let engine = Engine::new(&self.config)?;
        let mut linker = Linker::new(&engine);
        wasi::define(&mut linker)?;
        self.ticker.add(&engine);
        Ok(cell.get_or_init(|| Shard { engine, linker }))
    }

    /// Compiles a module, on threads of its own: in one pool for all, a slow compile would hold up
    /// those that come after it.
    pub(crate) fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        let engine = self.engine()?;
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(|_| "compute-compile".into())
            .stack_size(8 << 20)
            .build()?;
        threads.install(|| engine.precompile_module(wasm))
    }

    /// Makes compiled code ready to run.
    ///
    /// # Safety
    /// The code must come from [`Flavour::compile`], here or in another process, byte for byte.
    #[expect(unsafe_code, reason = "loading compiled code is unsafe whoever does it")]
    pub(crate) unsafe fn prepare(self: &Arc<Self>, code: &[u8]) -> Result<Prepared> {
        // SAFETY: the caller vouches for where the code comes from.
        self.prepare_module(unsafe { Module::deserialize(self.engine()?, code) }?)
    }

    /// Makes compiled code in a file ready to run. The file is mapped, and read as it is needed.
    ///
    /// # Safety
    /// As [`Flavour::prepare`]; and nobody may write to the file.
    #[expect(unsafe_code, reason = "loading compiled code is unsafe whoever does it")]
    pub(crate) unsafe fn prepare_file(self: &Arc<Self>, code: File) -> Result<Prepared> {
        // SAFETY: the caller vouches for where the code comes from.
        self.prepare_module(unsafe { Module::deserialize_open_file(self.engine()?, code) }?)
    }

    fn prepare_module(self: &Arc<Self>, module: Module) -> Result<Prepared> {
        let mut shards: Vec<_> =
            std::iter::repeat_with(OnceLock::new).take(self.shards.len()).collect();
        shards[0] = OnceLock::from(Ready::new(self.shard(0)?, module)?);
        Ok(Prepared { flavour: Arc::clone(self), shards })
    }
}

impl Prepared {
    pub(crate) fn flavour(&self) -> &Flavour {
        &self.flavour
    }

    /// The module in one of the flavour's shards, made ready on first use.
    pub(crate) fn ready(&self, shard: usize) -> Result<&Ready> {
        let cell = &self.shards[shard];
        if let Some(ready) = cell.get() {
            return Ok(ready);
        }
        let first = self.ready(0)?.module.serialize()?;
        let shard = self.flavour.shard(shard)?;
        // SAFETY: the code was just taken from a module that is loaded already, of an engine with the
        // same configuration.
        #[expect(unsafe_code, reason = "compiled code is loaded")]
        let module = unsafe { Module::deserialize(&shard.engine, first) }?;
        let ready = Ready::new(shard, module)?;
        Ok(cell.get_or_init(|| ready))
    }

    /// The most bytes of machine code and data it comes to hold.
    pub(crate) fn size(&self) -> usize {
        let code = self.shards[0].get().map_or(0, |ready| {
            let range = ready.module.image_range();
            range.end.addr() - range.start.addr()
        });
        code * self.shards.len()
    }
}

impl Ready {
    fn new(shard: &Shard, module: Module) -> Result<Self> {
        module.initialize_copy_on_write_image()?;
        let start = module
            .get_export_index("_start")
            .ok_or_else(|| wasmtime::format_err!("the checked module has no _start"))?;
        let pre = shard.linker.instantiate_pre(&module)?;
        let memory = module.get_export_index("memory");
        Ok(Self { module, pre, start, memory })
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.module.engine()
    }
}

/// Everything that decides what code is generated and what a run can observe.
fn config(profile: Profile) -> Result<Config> {
    let stack = usize::try_from(profile.stack())?;
    let mut config = Config::new();
    config
        .consume_fuel(profile.metered())
        .epoch_interruption(true)
        .max_wasm_stack(stack)
        // The same input gives the same output on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        // What the sandbox does not offer, and what would only widen what hostile bytes can reach.
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .memory_init_cow(true);
    Ok(config)
}

fn pool(caps: &Caps, sandboxes: u32) -> InstanceAllocationStrategy {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let tables = u32::try_from(caps.tables).unwrap_or(u32::MAX);
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(sandboxes)
        .total_memories(sandboxes)
        .total_tables(sandboxes.saturating_mul(tables))
        .max_memories_per_module(1)
        .max_tables_per_module(tables)
        .max_memory_size(size(caps.memory_minimum))
        .table_elements(size(caps.table_minimum))
        .max_core_instance_size(8 << 20)
        .pagemap_scan(if scan { Enabled::Yes } else { Enabled::No })
        .linear_memory_keep_resident(if scan { KEEP_RESIDENT_SCANNED } else { KEEP_RESIDENT_BLIND })
        .table_keep_resident(KEEP_TABLE_RESIDENT);
    InstanceAllocationStrategy::Pooling(pool)
}

/// Whether a module is valid WebAssembly under the proposals that are switched on.
pub(crate) fn validate(wasm: &[u8]) -> std::result::Result<(), Refusal> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    let engine = ENGINE.get_or_init(|| Engine::new(&config(Profile::default()).ok()?).ok());
    match engine.as_ref().map(|engine| Module::validate(engine, wasm)) {
        Some(Err(error)) => Err(Refusal::Invalid { message: format!("{error:#}") }),
        _ => Ok(()),
    }
}
