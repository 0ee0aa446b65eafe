//! One way of compiling and running modules: wasmtime, set up for a profile.
//!
//! A wasmtime engine and its modules are shared by reference counts and pool locks, which threads on
//! different cores fight over: two threads on one engine reach 1.3 to 1.7 times the calls of one. So a
//! engines has a few engines, its shards, and each thread keeps to one of them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, OnceLock};

use compute::Profile;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig,
    Result,
};

use super::ticker::Ticker;
use crate::guest::{self, State};
use crate::module::{Caps, Refusal};

/// How much of a sandbox's memory stays resident between calls, where the kernel can say which pages
/// were written (Linux 6.7 and later): resetting those by copying beats giving them back.
const KEEP_RESIDENT_SCANNED: usize = 8 << 20;
/// The same where it can't, so that this much is reset whether written or not.
const KEEP_RESIDENT_BLIND: usize = 512 << 10;
const KEEP_TABLE_RESIDENT: usize = 64 << 10;
/// The most instances that one sandbox is made of: a memory image, a plugin, a module linked to it.
const INSTANCES: u32 = 3;
/// The most engines of one profile. Each holds a copy of the code it runs.
const MAX_SHARDS: usize = 8;

/// What modules may be made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Language {
    /// What anybody's modules may.
    #[default]
    Usual,
    /// Exceptions as well: for plugins that the operator has admitted, and what links to them. Nobody else's module meets the
    /// code that runs them.
    Exceptions,
}

/// wasmtime for one profile.
pub(crate) struct ProfileEngines {
    profile: Profile,
    language: Language,
    config: Config,
    ticker: Arc<Ticker>,
    shards: Vec<OnceLock<Shard>>,
}

/// One engine, with the host functions linked.
pub(crate) struct Shard {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
}

impl ProfileEngines {
    /// For calls. Sandboxes of the usual stack come from pools; those of another stack, which are rare, are
    /// made on demand, so that each further profile reserves no address space.
    pub(crate) fn new(
        (profile, language): (Profile, Language),
        caps: &Caps,
        sandboxes: u32,
        ticker: &Arc<Ticker>,
    ) -> Result<Self> {
        let mut config = config(profile, language)?;
        let mut shards = 1;
        if profile.stack() == Profile::MAX_STACK {
            let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            shards = cores.min(MAX_SHARDS).min(sandboxes.max(1) as usize);
            let sandboxes = sandboxes.div_ceil(shards as u32).max(1);
            config.allocation_strategy(pool(caps, sandboxes, language));
        }
        Self::of((profile, language), config, shards, ticker)
    }

    /// For the making of images. Its sandboxes are made on demand, and take no call's place.
    pub(crate) fn for_images(
        (profile, language): (Profile, Language),
        ticker: &Arc<Ticker>,
    ) -> Result<Self> {
        Self::of((profile, language), config(profile, language)?, 1, ticker)
    }

    fn of(
        (profile, language): (Profile, Language),
        config: Config,
        shards: usize,
        ticker: &Arc<Ticker>,
    ) -> Result<Self> {
        let shards = std::iter::repeat_with(OnceLock::new).take(shards).collect();
        let engines = Self { profile, language, config, ticker: Arc::clone(ticker), shards };
        // The first is always needed, and shows whether the configuration works on this machine.
        engines.shard(0)?;
        Ok(engines)
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    /// Says which compilers' code this runs.
    pub(crate) fn compatibility(&self) -> Result<u64> {
        Ok(compatibility(self.engine()?))
    }

    pub(crate) const fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) const fn language(&self) -> Language {
        self.language
    }

    /// One of its engines; they all compile alike.
    pub(crate) fn engine(&self) -> Result<&Engine> {
        Ok(&self.shard(0)?.engine)
    }

    /// How many sandboxes' pools there are.
    pub(crate) const fn shards(&self) -> usize {
        self.shards.len()
    }

    pub(crate) fn shard(&self, index: usize) -> Result<&Shard> {
        let cell = &self.shards[index];
        if let Some(shard) = cell.get() {
            return Ok(shard);
        }
        let engine = Engine::new(&self.config)?;
        let mut linker = Linker::new(&engine);
        guest::define(&mut linker)?;
        self.ticker.add(&engine);
        Ok(cell.get_or_init(|| Shard { engine, linker }))
    }
}

/// Says which compilers' code an engine runs.
pub(crate) fn compatibility(engine: &Engine) -> u64 {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hasher.finish()
}

/// Everything that decides what code is generated and what a run can observe.
pub(crate) fn config(profile: Profile, language: Language) -> Result<Config> {
    let stack = usize::try_from(profile.stack())?;
    let mut config = Config::new();
    config
        .consume_fuel(profile.metered())
        .epoch_interruption(true)
        .max_wasm_stack(stack)
        // Nothing is asynchronous, and wasmtime wants it no smaller.
        .async_stack_size(stack)
        // The same input gives the same output on every machine.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(true)
        .relaxed_simd_deterministic(true)
        // What the sandbox does not offer, and what would only widen what hostile bytes can reach.
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_gc(false)
        .wasm_function_references(false)
        .gc_support(language == Language::Exceptions)
        .wasm_exceptions(language == Language::Exceptions)
        .memory_init_cow(true);
    Ok(config)
}

fn pool(caps: &Caps, sandboxes: u32, language: Language) -> InstanceAllocationStrategy {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let tables = u32::try_from(caps.tables).unwrap_or(u32::MAX);
    let scan = PoolingAllocationConfig::is_pagemap_scan_available();
    // What is thrown is in a memory of its own.
    let (memories, heaps) = match language {
        Language::Usual => (sandboxes, 0),
        Language::Exceptions => (sandboxes.saturating_mul(2), sandboxes),
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(sandboxes.saturating_mul(INSTANCES))
        .total_memories(memories)
        .total_gc_heaps(heaps)
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
    let engine =
        ENGINE.get_or_init(|| Engine::new(&config(Profile::default(), Language::Usual).ok()?).ok());
    match engine.as_ref().map(|engine| Module::validate(engine, wasm)) {
        Some(Err(error)) => Err(Refusal::Invalid { message: format!("{error:#}") }),
        _ => Ok(()),
    }
}
