//! Modules as Javy makes them: linked to a plugin by a name that the operator binds, or self-contained.

use std::time::Duration;

use compute::{
    Algorithm, Artifact, ArtifactMap, EngineConfig, Limits, Manager, Outcome, RunOptions,
    Runner as _,
};
use compute_wasm::Settings;
use wasm_encoder as enc;
use wasmtime::{Engine, Linker, Module, Store};

use crate::chain;

const NAMESPACE: &str = "javy-default-plugin-v3";

const SOURCE: &str = r#"
  const chunks = []; let total = 0;
  for (;;) { const chunk = new Uint8Array(64); const n = Javy.IO.readSync(0, chunk); if (n === 0) break; chunks.push(chunk.slice(0, n)); total += n; }
  const text = chunks.map((chunk) => String.fromCharCode(...chunk)).join("");
  const input = JSON.parse(text);
  const output = await Promise.resolve({ ...input, settings: JSON.parse(Javy.settings) });
  Javy.IO.writeSync(1, Uint8Array.from(JSON.stringify(output), (c) => c.charCodeAt(0)));
"#;

/// Bytecode, from the plugin's own compiler, driven as Javy's command line drives it.
fn compile(plugin: &[u8], source: &str) -> Vec<u8> {
    let engine = Engine::default();
    let module = Module::new(&engine, plugin).unwrap();
    let mut linker = Linker::<()>::new(&engine);
    linker
        .func_wrap("wasi_snapshot_preview1", "fd_read", |_: i32, _: i32, _: i32, _: i32| 8_i32)
        .unwrap()
        .func_wrap("wasi_snapshot_preview1", "clock_time_get", |_: i32, _: i64, _: i32| 0_i32)
        .unwrap();
    linker.define_unknown_imports_as_traps(&module).unwrap();
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module).unwrap();
    for name in ["_initialize", "initialize-runtime"] {
        instance.get_typed_func::<(), ()>(&mut store, name).unwrap().call(&mut store, ()).unwrap();
    }
    let memory = instance.get_memory(&mut store, "memory").unwrap();
    let realloc =
        instance.get_typed_func::<(i32, i32, i32, i32), i32>(&mut store, "cabi_realloc").unwrap();
    let size = i32::try_from(source.len()).unwrap();
    let at = realloc.call(&mut store, (0, 0, 1, size)).unwrap();
    memory.write(&mut store, at as usize, source.as_bytes()).unwrap();
    let compile = instance.get_typed_func::<(i32, i32), i32>(&mut store, "compile-src").unwrap();
    let result = compile.call(&mut store, (at, size)).unwrap() as usize;
    let data = memory.data(&store);
    let word = |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(word(result), 0, "it does not compile");
    data[word(result + 4)..][..word(result + 8)].to_vec()
}

/// A module as `javy build -C dynamic` makes one.
fn linked(bytecode: &[u8]) -> Vec<u8> {
    let size = i32::try_from(bytecode.len()).unwrap();
    let (i32_, mut types) = (enc::ValType::I32, enc::TypeSection::new());
    types.ty().function([i32_; 4], [i32_]);
    types.ty().function([i32_; 5], []);
    types.ty().function([], []);
    let mut imports = enc::ImportSection::new();
    imports.import(NAMESPACE, "cabi_realloc", enc::EntityType::Function(0));
    imports.import(NAMESPACE, "invoke", enc::EntityType::Function(1));
    let memory = enc::MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    imports.import(NAMESPACE, "memory", enc::EntityType::Memory(memory));
    let mut functions = enc::FunctionSection::new();
    functions.function(2);
    let mut exports = enc::ExportSection::new();
    exports.export("_start", enc::ExportKind::Func, 2);
    let mut start = enc::Function::new([(1, i32_)]);
    use enc::Instruction::{Call, End, I32Const, LocalGet, LocalTee, MemoryInit};
    for instruction in [
        I32Const(0),
        I32Const(0),
        I32Const(1),
        I32Const(size),
        Call(0),
        LocalTee(0),
        I32Const(0),
        I32Const(size),
        MemoryInit { mem: 0, data_index: 0 },
        LocalGet(0),
        I32Const(size),
        I32Const(0),
        I32Const(0),
        I32Const(0),
        Call(1),
        End,
    ] {
        start.instruction(&instruction);
    }
    let mut code = enc::CodeSection::new();
    code.function(&start);
    let mut data = enc::DataSection::new();
    data.passive(bytecode.iter().copied());
    let mut module = enc::Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&exports)
        .section(&enc::DataCountSection { count: 1 })
        .section(&code)
        .section(&data);
    module.finish()
}

fn run(module: Vec<u8>, bind: bool) -> Result<Outcome, compute::Error> {
    let plugin = Artifact::new(Algorithm::Sha256, "wasm", compute_guests::javy_plugin());
    let module = Artifact::new(Algorithm::Sha256, "wasm", module);
    let mut settings = Settings::default();
    if bind {
        settings.plugins.insert(NAMESPACE.into(), plugin.reference().clone());
    }
    let reference = module.reference().clone();
    let manager = Manager::builder()
        .resolver(ArtifactMap::from([plugin, module]))
        .engine("wasm", EngineConfig::from(settings))
        .limits(Limits { wall: Some(Duration::from_secs(60)), ..Limits::default() })
        .build();
    let options = RunOptions::default();
    manager.run_blocking(&reference, br#"{"name":"Ada"}"#, &options)?;
    manager.run_blocking(&reference, br#"{"name":"Ada"}"#, &options)
}

#[test]
fn a_module_linked_by_name_runs_once_its_plugin_is_bound() {
    let bytecode = compile(&compute_guests::javy_plugin(), SOURCE);
    let module = linked(&bytecode);
    let outcome = run(module.clone(), true).unwrap();
    let output = String::from_utf8(outcome.result.unwrap()).unwrap();
    assert_eq!(output, r#"{"name":"Ada","settings":{"event-loop":true}}"#);

    let error = chain(&run(module, false).unwrap_err());
    assert!(error.contains(NAMESPACE) && error.contains("compute plugin bind"), "{error}");
}

#[test]
fn a_failing_module_says_what_it_said() {
    let bytecode = compile(&compute_guests::javy_plugin(), "throw new TypeError('no');");
    let failure = run(linked(&bytecode), true).unwrap().result.unwrap_err();
    assert_eq!(failure.stderr, "TypeError: no");
}

#[test]
fn what_a_plugin_lacks_is_refused_by_name() {
    let text = format!(r#"(module (import "{NAMESPACE}" "nope" (func)) (func (export "_start")))"#);
    let error = chain(&run(compute_guests::wasm(&text), true).unwrap_err());
    assert!(error.contains("`javy-default-plugin-v3.nope`"), "{error}");
    let text = format!(
        r#"(module (import "{NAMESPACE}" "invoke" (func (param i64))) (func (export "_start")))"#
    );
    let error = chain(&run(compute_guests::wasm(&text), true).unwrap_err());
    assert!(error.contains("as (i64), but it is (i32, i32, i32, i32, i32)"), "{error}");
}
