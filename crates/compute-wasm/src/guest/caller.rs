//! The guest that calls the host: its memory, and what the host keeps for it.

use wasmtime::{Caller, Memory, Result};

use super::state::State;
use super::stop::Stop;

/// The guest's memory, and what the host keeps for its sandbox.
pub(crate) struct Guest<'a> {
    pub(crate) memory: &'a mut [u8],
    pub(crate) state: &'a mut State,
}

impl<'a> Guest<'a> {
    /// What the caller's functions work on. Modules that import any are checked to have a memory.
    pub(crate) fn of(caller: &'a mut Caller<'_, State>) -> Result<Self> {
        // Not known yet while a start function runs.
        let known = caller.data().memory;
        let memory =
            known.or_else(|| caller.get_export("memory").and_then(wasmtime::Extern::into_memory));
        let memory: Memory = memory.ok_or(Stop::NoMemory)?;
        let (memory, state) = memory.data_and_store_mut(caller);
        Ok(Self { memory, state })
    }
}
