//! The same echo with the host functions of `wasmtime-wasi`: what taking them instead of our own would
//! cost a call.

use wasmtime::{Engine, InstancePre, Linker, Module, Result, Store};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_sync};
use wasmtime_wasi::p2::pipe::{MemoryInputPipe, MemoryOutputPipe};

/// A module on wasmtime with `wasmtime-wasi`.
pub struct WithWasi {
    engine: Engine,
    pre: InstancePre<WasiP1Ctx>,
}

impl WithWasi {
    pub fn new(wasm: &[u8]) -> Result<Self> {
        let engine = Engine::new(&crate::bare::best_config())?;
        let mut linker = Linker::new(&engine);
        add_to_linker_sync(&mut linker, |ctx| ctx)?;
        let module = Module::new(&engine, wasm)?;
        let pre = linker.instantiate_pre(&module)?;
        Ok(Self { engine, pre })
    }

    pub fn call(&self, input: &[u8]) -> Result<Vec<u8>> {
        let output = MemoryOutputPipe::new(4 << 20);
        let ctx = WasiCtx::builder()
            .stdin(MemoryInputPipe::new(input.to_vec()))
            .stdout(output.clone())
            .arg("compute")
            .build_p1();
        let mut store = Store::new(&self.engine, ctx);
        let instance = self.pre.instantiate(&mut store)?;
        let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
        start.call(&mut store, ())?;
        drop(store);
        Ok(output.contents().to_vec())
    }
}
