//! The floor for ops: the same two modules on wasmtime at its best settings, with host functions that do no
//! more than they must, and no limits, checks or deadline.

use compute_wasm::OpModules;
use wasmtime::{
    Caller, Engine, Extern, Instance, InstancePre, Linker, Memory, Module, ModuleExport, Result,
    Store, TypedFunc,
};

struct State {
    memory: Option<Memory>,
    input: Vec<u8>,
    read: usize,
    output: Vec<u8>,
}

/// An op on bare wasmtime.
pub struct BareOp {
    engine: Engine,
    linker: Linker<State>,
    image: InstancePre<State>,
    memory: ModuleExport,
    code: Module,
    imports: Vec<(String, String)>,
    call: ModuleExport,
}

impl BareOp {
    pub fn new(modules: &OpModules) -> Result<Self> {
        let engine = Engine::new(&crate::bare::best_config())?;
        let linker = linker(&engine)?;
        let image = Module::new(&engine, &modules.image)?;
        let code = Module::new(&engine, &modules.code)?;
        let export = |module: &Module, name: &str| {
            module.get_export_index(name).ok_or_else(|| wasmtime::format_err!("no `{name}`"))
        };
        Ok(Self {
            memory: export(&image, "memory")?,
            call: export(&code, "call")?,
            imports: code
                .imports()
                .map(|import| (import.module().to_owned(), import.name().to_owned()))
                .collect(),
            image: linker.instantiate_pre(&image)?,
            code,
            linker,
            engine,
        })
    }

    pub fn call(&self, input: &[u8]) -> Result<Vec<u8>> {
        let (mut store, _, call) = self.open(input)?;
        let failed = call.call(&mut store, ())?;
        wasmtime::ensure!(failed == 0, "the op failed");
        Ok(store.into_data().output)
    }

    fn open(&self, input: &[u8]) -> Result<(Store<State>, Memory, TypedFunc<(), i32>)> {
        let state = State { memory: None, input: input.to_vec(), read: 0, output: Vec::new() };
        let mut store = Store::new(&self.engine, state);
        let image = self.image.instantiate(&mut store)?;
        let memory = image.get_module_export(&mut store, &self.memory);
        let memory = memory.and_then(Extern::into_memory);
        let memory = memory.ok_or_else(|| wasmtime::format_err!("the image has no memory"))?;
        store.data_mut().memory = Some(memory);
        let mut externs = Vec::with_capacity(self.imports.len());
        for (module, name) in &self.imports {
            externs.push(if module == "compute:image" {
                Extern::Memory(memory)
            } else {
                self.linker.get(&mut store, module, name)?
            });
        }
        let plugin = Instance::new(&mut store, &self.code, &externs)?;
        let call = plugin.get_module_export(&mut store, &self.call).and_then(Extern::into_func);
        let call = call.ok_or_else(|| wasmtime::format_err!("`call` is no function"))?;
        let call = call.typed(&store)?;
        Ok((store, memory, call))
    }

    /// Says how many pages of the image hold anything, and how many of them a call writes to.
    pub fn pages(&self, input: &[u8]) -> Result<String> {
        const PAGE: usize = 4096;
        let (mut store, memory, call) = self.open(input)?;
        let before = memory.data(&store).to_vec();
        call.call(&mut store, ())?;
        let after = memory.data(&store);
        let held = before.chunks(PAGE).filter(|page| page.iter().any(|byte| *byte != 0)).count();
        let is_dirty = |(at, page): (usize, &[u8])| {
            before.get(at * PAGE..(at + 1) * PAGE).is_none_or(|old| old != page)
        };
        let dirty: Vec<_> = after.chunks(PAGE).enumerate().map(is_dirty).collect();
        let stretches = dirty.chunk_by(|a, b| a == b).filter(|run| run[0]).count();
        Ok(format!(
            "{held} of {} pages hold something; a call writes to {} in {stretches} stretches",
            before.len() / PAGE,
            dirty.iter().filter(|dirty| **dirty).count(),
        ))
    }
}

type C<'a> = Caller<'a, State>;

fn linker(engine: &Engine) -> Result<Linker<State>> {
    const WASI: &str = "wasi_snapshot_preview1";
    let mut linker = Linker::new(engine);
    linker.func_wrap(WASI, "fd_read", fd_read)?;
    linker.func_wrap(WASI, "fd_write", fd_write)?;
    linker.func_wrap(WASI, "fd_close", |_: i32| 8)?;
    linker.func_wrap(WASI, "fd_seek", |_: i32, _: i64, _: i32, _: i32| 8)?;
    linker.func_wrap(WASI, "fd_fdstat_get", |_: i32, _: i32| 8)?;
    linker.func_wrap(WASI, "clock_time_get", |_: i32, _: i64, _: i32| 0)?;
    linker.func_wrap(WASI, "poll_oneoff", |_: i32, _: i32, _: i32, _: i32| 0)?;
    linker.func_wrap(WASI, "random_get", |_: i32, _: i32| 0)?;
    linker.func_wrap(WASI, "proc_exit", |_: i32| {})?;
    linker.func_wrap("compute", "log", |_: i32, _: i32, _: i32| {})?;
    linker.func_wrap("compute", "emit", |_: i32, _: i32, _: i32, _: i32| {})?;
    linker.func_wrap("compute", "fail", |_: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {})?;
    Ok(linker)
}

fn fd_read(mut caller: C<'_>, _fd: i32, buffers: i32, _count: i32, size: i32) -> i32 {
    let Some(memory) = caller.data().memory else { return 8 };
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let (at, len) = crate::bare::buffer(memory, buffers);
    let len = len.min(state.input.len() - state.read);
    memory[at..at + len].copy_from_slice(&state.input[state.read..state.read + len]);
    state.read += len;
    memory[size as usize..][..4].copy_from_slice(&(len as u32).to_le_bytes());
    0
}

fn fd_write(mut caller: C<'_>, _fd: i32, buffers: i32, _count: i32, size: i32) -> i32 {
    let Some(memory) = caller.data().memory else { return 8 };
    let (memory, state) = memory.data_and_store_mut(&mut caller);
    let (at, len) = crate::bare::buffer(memory, buffers);
    state.output.extend_from_slice(&memory[at..at + len]);
    memory[size as usize..][..4].copy_from_slice(&(len as u32).to_le_bytes());
    0
}
