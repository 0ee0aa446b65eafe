//! Memory images: a sandbox's memory at one moment, as a module that each later sandbox starts from.

use std::sync::Arc;

use bytes::Bytes;
use wasm_encoder::{
    CodeSection, ConstExpr, Encode as _, EntityType, ExportKind, ExportSection, Function,
    Instruction, MemorySection, MemoryType, Module, RawSection, SectionId,
};
use wasmparser::{BinaryReader, ExternalKind, Global, Operator, Parser, Payload};

use crate::code::held;
use crate::guest::Surroundings;
use crate::module::{
    ENVIRONMENT_SECTION, FILE_SECTION, INIT_SECTION, INTERRUPT_FLAG, MEMORY_IMPORT, MEMORY_SECTION,
    Refusal, malformed,
};

/// A plugin taken apart: its code, and the memory that it starts with.
pub(crate) struct Parts {
    /// The plugin's code as a module that imports its memory.
    pub(crate) code: Bytes,
    /// A module with the plugin's memory as it is before any code has run.
    pub(crate) blank: Bytes,
    pub(crate) facts: Facts,
}

/// What is known of a plugin besides.
pub(crate) struct Facts {
    /// What the plugin is to be given on stdin when it is initialised.
    pub(crate) init: Vec<u8>,
    pub(crate) memory: MemoryType,
    /// Where in its memory it looks whether it is to stop, if it does.
    pub(crate) interrupt_flag: Option<usize>,
    /// The files and the environment that it carries.
    pub(crate) surroundings: Option<Arc<Surroundings>>,
}

/// Divides a plugin into code and memory, so that its code is compiled once and each sandbox starts from
/// a memory of its own.
pub(crate) fn divide(plugin: &Bytes) -> Result<Parts, Refusal> {
    let mut surroundings = Surroundings::default();
    let mut sections = Vec::new();
    let mut init = Vec::new();
    let mut memory = None;
    let mut data = None;
    let mut constants = Vec::new();
    let mut flag = None;
    for payload in Parser::new(0).parse_all(plugin) {
        let payload = payload.map_err(malformed)?;
        match &payload {
            Payload::MemorySection(section) => {
                let only = section.clone().into_iter().next().filter(|_| section.count() == 1);
                let ty = only.ok_or_else(|| invalid("a plugin has exactly one memory"))?;
                memory = Some(memory_type(ty.map_err(malformed)?));
            }
            Payload::DataSection(section) => data = Some(section.range()),
            Payload::CustomSection(section) => {
                let range = section.data_offset()..section.data_offset() + section.data().len();
                match section.name() {
                    INIT_SECTION => init = section.data().to_vec(),
                    FILE_SECTION => surroundings.add_file(&plugin.slice(range)),
                    MEMORY_SECTION => surroundings.set_memory(section.data()),
                    ENVIRONMENT_SECTION => surroundings.add_variable(section.data()),
                    _ => {}
                }
            }
            Payload::GlobalSection(section) => {
                for global in section.clone() {
                    constants.push(constant(&global.map_err(malformed)?));
                }
                sections.extend(payload.as_section());
            }
            Payload::ExportSection(section) => {
                for export in section.clone() {
                    let export = export.map_err(malformed)?;
                    if export.kind == ExternalKind::Global && export.name == INTERRUPT_FLAG {
                        flag = Some(export.index as usize);
                    }
                }
                sections.extend(payload.as_section());
            }
            // What stays zero when the data is in the memory already, and the start function has run.
            Payload::DataCountSection { .. } | Payload::StartSection { .. } => {}
            other => sections.extend(other.as_section()),
        }
    }
    let memory = memory.ok_or_else(|| invalid("a plugin defines its memory"))?;

    let mut code = Module::new();
    let mut has_imports = false;
    for (id, range) in sections {
        let bytes = &plugin[range];
        if id == u8::from(SectionId::Import) {
            has_imports = true;
            code.section(&RawSection { id, data: &with_memory(bytes, memory)? });
        } else {
            code.section(&RawSection { id, data: bytes });
        }
    }
    if !has_imports {
        return Err(invalid("a plugin imports the functions that it reads and writes with"));
    }

    let mut blank = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(memory);
    blank.section(&memories);
    blank.section(&memory_export());
    if let Some(range) = data {
        blank.section(&RawSection { id: SectionId::Data.into(), data: &plugin[range] });
    }
    Ok(Parts {
        code: code.finish().into(),
        blank: blank.finish().into(),
        facts: Facts {
            init,
            memory,
            surroundings: Some(Arc::new(surroundings)),
            interrupt_flag: flag.and_then(|index| constants.get(index).copied()?),
        },
    })
}

/// A plugin without its functions' code and its memory's contents: all that is looked at once those are compiled and in an image. It
/// has the facts and the shape that the plugin has.
pub(crate) fn outline(plugin: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut outline = Module::new();
    for payload in Parser::new(0).parse_all(plugin) {
        let payload = payload.map_err(malformed)?;
        if let Payload::CodeSectionStart { count, .. } = payload {
            // As many functions, and nothing in them.
            let mut code = CodeSection::new();
            let mut nothing = Function::new([]);
            nothing.instruction(&Instruction::End);
            for _ in 0..count {
                code.function(&nothing);
            }
            outline.section(&code);
        } else if let Some((id, range)) = payload.as_section()
            && ![SectionId::Data, SectionId::DataCount, SectionId::Start]
                .map(u8::from)
                .contains(&id)
        {
            outline.section(&RawSection { id, data: &plugin[range] });
        }
    }
    Ok(outline.finish())
}

/// The number that a global starts with, if that is written in the module.
fn constant(global: &Global<'_>) -> Option<usize> {
    match global.init_expr.get_operators_reader().read() {
        Ok(Operator::I32Const { value }) => Some(value.cast_unsigned() as usize),
        _ => None,
    }
}

/// An import section with one import more, that of the memory. Being the last, it moves no function's
/// number.
fn with_memory(section: &[u8], memory: MemoryType) -> Result<Vec<u8>, Refusal> {
    let mut reader = BinaryReader::new(section, 0);
    let count = reader.read_var_u32().map_err(malformed)?;
    let mut bytes = Vec::with_capacity(section.len() + 32);
    (count + 1).encode(&mut bytes);
    bytes.extend_from_slice(&section[reader.original_position()..]);
    MEMORY_IMPORT.0.encode(&mut bytes);
    MEMORY_IMPORT.1.encode(&mut bytes);
    EntityType::Memory(memory).encode(&mut bytes);
    Ok(bytes)
}

fn memory_type(ty: wasmparser::MemoryType) -> MemoryType {
    MemoryType {
        minimum: ty.initial,
        maximum: ty.maximum,
        memory64: ty.memory64,
        shared: ty.shared,
        page_size_log2: ty.page_size_log2,
    }
}

fn invalid(message: &str) -> Refusal {
    Refusal::Invalid { message: message.into() }
}

/// A memory's contents as a module that starts with them.
pub(crate) fn image(contents: &[u8], ty: MemoryType) -> Vec<u8> {
    let mut module = Module::new();
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: (contents.len() as u64) >> 16, ..ty });
    module.section(&memories);
    module.section(&memory_export());
    let mut module = module.finish();
    // Zeros at both ends need not be written: a fresh memory has them.
    let is_set = |byte: &u8| *byte != 0;
    let mut pages = held(contents);
    if let Some((start, pages_there)) = pages.next() {
        let (last, pages_last) = pages.last().unwrap_or((start, pages_there));
        let first = start + pages_there.iter().position(is_set).unwrap_or(0);
        let end = last + pages_last.iter().rposition(is_set).map_or(0, |at| at + 1);
        let offset = i32::try_from(first).unwrap_or(i32::MAX);
        // One active segment, written by hand: its bytes are most of a memory, and are copied once.
        let mut head = vec![1, 0];
        ConstExpr::i32_const(offset).encode(&mut head);
        ((end - first) as u64).encode(&mut head);
        module.reserve(end - first + head.len() + 16);
        module.push(SectionId::Data.into());
        ((head.len() + end - first) as u64).encode(&mut module);
        module.extend_from_slice(&head);
        module.extend_from_slice(&contents[first..end]);
    }
    module
}

fn memory_export() -> ExportSection {
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    exports
}
