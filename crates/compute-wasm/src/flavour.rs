//! One way of compiling and running modules: wasmtime, set up for a profile.

use std::sync::OnceLock;

use compute::Profile;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, Linker, Module, ModuleExport,
    PoolingAllocationConfig, Result,
};

use crate::check::{Caps, Refusal};
use crate::sandbox::State;
use crate::wasi;

/// How much of a sandbox's memory stays resident between calls, where the kernel can say which pages
/// were written (Linux 6.7 and later): resetting those by copying beats giving them back.
const KEEP_RESIDENT_SCANNED: usize = 2 << 20;
/// The same where it can't, so that this much is reset whether written or not.
const KEEP_RESIDENT_BLIND: usize = 512 << 10;
const KEEP_TABLE_RESIDENT: usize = 64 << 10;

/// wasmtime for one profile, with the host functions linked.
pub(crate) struct Flavour {
    pub(crate) engine: Engine,
    pub(crate) profile: Profile,
    linker: Linker<State>,
}

/// A module ready to be instantiated.
pub(crate) struct Prepared {
    pub(crate) pre: wasmtime::InstancePre<State>,
    pub(crate) start: ModuleExport,
    pub(crate) memory: Option<ModuleExport>,
    /// Bytes of machine code and data.
    pub(crate) size: usize,
}

impl Flavour {
    /// Sandboxes of the usual stack come from a pool; those of another stack, which are rare, are made
    /// on demand, so that each further flavour reserves no address space.
    pub(crate) fn new(profile: Profile, caps: &Caps, sandboxes: u32) -> Result<Self> {
        let mut config = config(profile)?;
        if profile.stack() == Profile::MAX_STACK {
            config.allocation_strategy(pool(caps, sandboxes));
        }
        let engine = Engine::new(&config)?;
        let mut linker = Linker::new(&engine);
        wasi::define(&mut linker)?;
        Ok(Self { engine, profile, linker })
    }

    /// Compiles a module, on threads of its own: in one pool for all, a slow compile would hold up
    /// those that come after it.
    pub(crate) fn compile(&self, wasm: &[u8]) -> Result<Vec<u8>> {
        let threads = rayon::ThreadPoolBuilder::new()
            .thread_name(|_| "compute-compile".into())
            .stack_size(8 << 20)
            .build()?;
        threads.install(|| self.engine.precompile_module(wasm))
    }

    /// Makes compiled code ready to run.
    ///
    /// # Safety
    /// The code must come from [`Flavour::compile`], here or in another process, byte for byte.
    #[expect(unsafe_code, reason = "loading compiled code is unsafe whoever does it")]
    pub(crate) unsafe fn prepare(&self, code: &[u8]) -> Result<Prepared> {
        // SAFETY: the caller vouches for where the code comes from.
        let module = unsafe { Module::deserialize(&self.engine, code) }?;
        module.initialize_copy_on_write_image()?;
        let start = module
            .get_export_index("_start")
            .ok_or_else(|| wasmtime::format_err!("the checked module has no _start"))?;
        Ok(Prepared {
            pre: self.linker.instantiate_pre(&module)?,
            start,
            memory: module.get_export_index("memory"),
            size: code.len(),
        })
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
