//! An op's module: what its plugin is to load, such as bytecode, and the few instructions that hand that over.

use compute::Ref;
use wasm_encoder::{
    CodeSection, CustomSection, DataCountSection, DataSection, EntityType, ExportKind,
    ExportSection, Function, FunctionSection, ImportSection, Instruction, MemoryType, Module,
    TypeSection, ValType,
};

use crate::module::{FILE_SECTION, MEMORY_SECTION};

/// The custom section in which a module declares that it takes the op envelope.
const ABI: (&str, &[u8]) = ("compute:abi", b"op/2");

const ALLOC: u32 = 0;
const LOAD: u32 = 1;
const INITIALIZE: u32 = 2;

/// Links what a plugin is to load, such as bytecode, to the plugin, by the plugin's ref: an op's module.
///
/// The module's `_initialize` asks the plugin for room, puts the bytes there and has them loaded.
#[must_use]
pub fn link(loaded: &[u8], plugin: &Ref) -> Vec<u8> {
    linked(loaded, plugin).finish()
}

/// The same, of an op that has read-only files by their paths, and says how much memory its calls need, in bytes. Both count where
/// the operator has admitted the plugin, and are nothing else elsewhere.
#[must_use]
pub fn link_with_files(
    loaded: &[u8],
    plugin: &Ref,
    files: &[(String, Vec<u8>)],
    memory: Option<u64>,
) -> Vec<u8> {
    let mut module = linked(loaded, plugin);
    let mut custom = |name: &str, data: &[u8]| {
        module.section(&CustomSection { name: name.into(), data: data.into() });
    };
    for (path, contents) in files {
        custom(FILE_SECTION, &[path.as_bytes(), &[0], contents].concat());
    }
    if let Some(memory) = memory {
        custom(MEMORY_SECTION, memory.to_string().as_bytes());
    }
    module.finish()
}

fn linked(loaded: &[u8], plugin: &Ref) -> Module {
    let namespace = plugin.as_str();
    let size = i32::try_from(loaded.len()).unwrap_or(i32::MAX);

    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    types.ty().function([], []);

    let mut imports = ImportSection::new();
    let memory = MemoryType {
        minimum: 0,
        maximum: None,
        memory64: false,
        shared: false,
        page_size_log2: None,
    };
    imports.import(namespace, "memory", EntityType::Memory(memory));
    imports.import(namespace, "alloc", EntityType::Function(0));
    imports.import(namespace, "load", EntityType::Function(1));

    let mut functions = FunctionSection::new();
    functions.function(2);
    let mut exports = ExportSection::new();
    exports.export("_initialize", ExportKind::Func, INITIALIZE);

    let mut initialize = Function::new([(1, ValType::I32)]);
    for instruction in [
        Instruction::I32Const(size),
        Instruction::Call(ALLOC),
        Instruction::LocalTee(0),
        Instruction::I32Eqz,
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
        Instruction::LocalGet(0),
        Instruction::I32Const(0),
        Instruction::I32Const(size),
        Instruction::MemoryInit { mem: 0, data_index: 0 },
        Instruction::LocalGet(0),
        Instruction::I32Const(size),
        Instruction::Call(LOAD),
        Instruction::If(wasm_encoder::BlockType::Empty),
        Instruction::Unreachable,
        Instruction::End,
        Instruction::End,
    ] {
        initialize.instruction(&instruction);
    }
    let mut code = CodeSection::new();
    code.function(&initialize);
    let mut data = DataSection::new();
    data.passive(loaded.iter().copied());

    let mut module = Module::new();
    module
        .section(&types)
        .section(&imports)
        .section(&functions)
        .section(&exports)
        .section(&DataCountSection { count: 1 })
        .section(&code)
        .section(&data)
        .section(&CustomSection { name: ABI.0.into(), data: ABI.1.into() });
    module
}
