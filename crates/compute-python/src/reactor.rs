//! A reactor that somebody else built, with what a plugin exports put around it.
//!
//! The reactor executes texts that are put into its memory, and has one function to call the host by. Two functions are added:
//! `_initialize`, which has the reactor initialise itself and execute what it is given on stdin; and `call`, which has it call the
//! object whose address that text has left behind the memory that the reactor starts with, in a page of its own. Nothing else of it
//! is changed.

use std::borrow::Cow;

use wasm_encoder::{
    CodeSection, CustomSection, Encode as _, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, Instruction, MemArg, MemorySection, MemoryType, Module, RawSection, SectionId,
    ValType,
};
use wasmparser::{ExternalKind, KnownCustom, Name, Parser, Payload, TypeRef};

/// What a page of memory has, as a power of two.
const PAGE_LOG2: u32 = 16;

/// What a reactor's exports and imports are called, and what a plugin made of it carries.
#[derive(Clone, Debug)]
pub(crate) struct Reactor<'a> {
    /// The function that initialises it.
    pub(crate) initialize: &'a str,
    /// The function that gives so many bytes of memory.
    pub(crate) alloc: &'a str,
    /// The function that executes a text at an address, and says whether that failed.
    pub(crate) execute: &'a str,
    /// The function of the host that it imports: namespace and name.
    pub(crate) host: (&'a str, &'a str),
    /// What is executed once it is initialised.
    pub(crate) first: &'a str,
    /// The function, by its name among those for debuggers, that calls an object, and returns another or zero if that failed.
    pub(crate) call: &'a str,
    /// What it is given on stdin when it is initialised.
    pub(crate) init: &'a [u8],
    pub(crate) environment: &'a [&'a str],
    /// The memory that a call may use unless somebody says otherwise, in bytes.
    pub(crate) memory: u64,
    /// Files, by their paths.
    pub(crate) files: &'a [(&'a str, &'a [u8])],
}

/// What keeps a module from being such a reactor.
pub(crate) type Problem = String;

/// A section as it is.
struct Section<'a> {
    id: u8,
    bytes: &'a [u8],
}

/// What is known of a module once its sections are read.
#[derive(Default)]
struct Known<'a> {
    sections: Vec<Section<'a>>,
    types: u32,
    functions: u32,
    exports: Vec<(&'a str, ExportKind, u32)>,
    memory: Option<wasmparser::MemoryType>,
    /// The functions' names.
    names: Option<wasmparser::NameSectionReader<'a>>,
}

/// Where the address is to be put of what a call calls, in a plugin that is made of this reactor.
pub(crate) fn called(reactor: &[u8]) -> Result<u32, Problem> {
    Known::read(reactor).map_err(|error| error.to_string())?.called()
}

impl Reactor<'_> {
    /// The plugin.
    pub(crate) fn plugin(&self, reactor: &[u8]) -> Result<Vec<u8>, Problem> {
        let known = Known::read(reactor).map_err(|error| error.to_string())?;
        let function = |name: &str| {
            let found = known
                .exports
                .iter()
                .find(|(own, kind, _)| *own == name && *kind == ExportKind::Func);
            found
                .map(|(.., index)| *index)
                .ok_or_else(|| format!("it exports no function `{name}`"))
        };
        let [initialize, alloc, execute] =
            [function(self.initialize)?, function(self.alloc)?, function(self.execute)?];
        let memory = known.exports.iter().find(|(name, ..)| *name == "memory");
        let (_, _, memory) = memory.ok_or("it exports no memory")?;
        let called = known.called()?;
        let call = known.function(self.call)?;

        let mut module = Module::new();
        for Section { id, bytes } in &known.sections {
            let id = *id;
            if id == u8::from(SectionId::Type) {
                let mut more = Vec::new();
                // `() -> ()` and `() -> i32`.
                more.extend_from_slice(&[0x60, 0, 0, 0x60, 0, 1, 0x7f]);
                module.section(&RawSection { id, data: &with_more(bytes, 2, &more)? });
            } else if id == u8::from(SectionId::Import) {
                module.section(&self.imports(reactor)?);
            } else if id == u8::from(SectionId::Function) {
                let mut more = FunctionSection::new();
                more.function(known.types).function(known.types + 1);
                let mut encoded = Vec::new();
                more.encode(&mut encoded);
                module.section(&RawSection { id, data: &with_more(bytes, 2, entries(&encoded)?)? });
            } else if id == u8::from(SectionId::Memory) {
                let mut memories = MemorySection::new();
                let mut ty = known.memory()?;
                ty.minimum += 1;
                memories.memory(ty);
                module.section(&memories);
            } else if id == u8::from(SectionId::Export) {
                let mut exports = ExportSection::new();
                exports
                    .export("memory", ExportKind::Memory, *memory)
                    .export("_initialize", ExportKind::Func, known.functions)
                    .export("alloc", ExportKind::Func, alloc)
                    .export("load", ExportKind::Func, execute)
                    .export("call", ExportKind::Func, known.functions + 1);
                module.section(&exports);
            } else if id == u8::from(SectionId::Code) {
                let mut code = CodeSection::new();
                code.function(&initializing(initialize, self.first, alloc, execute));
                code.function(&calling(called, call));
                let mut encoded = Vec::new();
                code.encode(&mut encoded);
                module.section(&RawSection { id, data: &with_more(bytes, 2, entries(&encoded)?)? });
            } else {
                module.section(&RawSection { id, data: bytes });
            }
        }
        let mut custom = |name: &str, data: Vec<u8>| {
            module.section(&CustomSection { name: Cow::Borrowed(name), data: Cow::Owned(data) });
        };
        custom("compute:init", self.init.to_vec());
        custom("compute:memory", self.memory.to_string().into_bytes());
        self.environment
            .iter()
            .for_each(|one| custom("compute:environment", one.as_bytes().to_vec()));
        for (path, contents) in self.files {
            let mut data = path.as_bytes().to_vec();
            data.push(0);
            data.extend_from_slice(contents);
            custom("compute:file", data);
        }
        Ok(module.finish())
    }

    /// The imports, with the host's function under the name that it has here.
    fn imports(&self, reactor: &[u8]) -> Result<ImportSection, Problem> {
        let mut imports = ImportSection::new();
        for payload in Parser::new(0).parse_all(reactor) {
            let Payload::ImportSection(section) = payload.map_err(|error| error.to_string())?
            else {
                continue;
            };
            for import in section.into_imports() {
                let import = import.map_err(|error| error.to_string())?;
                let TypeRef::Func(ty) = import.ty else {
                    return Err(format!(
                        "it imports `{}.{}`, which is no function",
                        import.module, import.name
                    ));
                };
                let (module, name) = match (import.module, import.name) {
                    named if named == self.host => ("compute", "tell"),
                    other => other,
                };
                imports.import(module, name, wasm_encoder::EntityType::Function(ty));
            }
        }
        Ok(imports)
    }
}

impl<'a> Known<'a> {
    /// Where the address stands of what a call calls: behind the memory that the reactor starts with.
    fn called(&self) -> Result<u32, Problem> {
        let bytes = self.memory()?.minimum << PAGE_LOG2;
        u32::try_from(bytes).map_err(|_| "its memory is too large".to_owned())
    }

    fn memory(&self) -> Result<MemoryType, Problem> {
        let ty = self.memory.ok_or("it exports no memory")?;
        Ok(MemoryType {
            minimum: ty.initial,
            maximum: ty.maximum,
            memory64: ty.memory64,
            shared: ty.shared,
            page_size_log2: ty.page_size_log2,
        })
    }

    /// The function of this name.
    fn function(&self, name: &str) -> Result<u32, Problem> {
        for names in self.names.clone().into_iter().flatten() {
            let Ok(Name::Function(functions)) = names else { continue };
            for function in functions {
                let function = function.map_err(|error| error.to_string())?;
                if function.name == name {
                    return Ok(function.index);
                }
            }
        }
        Err(format!("it has no function that is called `{name}`"))
    }

    fn read(module: &'a [u8]) -> Result<Self, wasmparser::BinaryReaderError> {
        let mut known = Self::default();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload?;
            match &payload {
                Payload::TypeSection(section) => known.types = section.count(),
                Payload::ImportSection(section) => known.functions += section.count(),
                Payload::FunctionSection(section) => known.functions += section.count(),
                Payload::ExportSection(section) => {
                    for export in section.clone() {
                        let export = export?;
                        let kind = match export.kind {
                            ExternalKind::Func => ExportKind::Func,
                            ExternalKind::Memory => ExportKind::Memory,
                            _ => continue,
                        };
                        known.exports.push((export.name, kind, export.index));
                    }
                }
                Payload::MemorySection(section) => {
                    for memory in section.clone() {
                        known.memory = Some(memory?);
                    }
                }
                // Names of functions and of whoever built it, which the plugin does not have.
                Payload::CustomSection(section) => {
                    if let KnownCustom::Name(names) = section.as_known() {
                        known.names = Some(names);
                    }
                    continue;
                }
                _ => {}
            }
            if let Some((id, range)) = payload.as_section() {
                known.sections.push(Section { id, bytes: &module[range] });
            }
        }
        Ok(known)
    }
}

/// The function that initialises: it has a text executed.
fn initializing(initialize: u32, text: &str, alloc: u32, execute: u32) -> Function {
    const WORD: usize = 8;
    let mut function = Function::new([(1, ValType::I32)]);
    // As many words as it takes; spaces at the end are no harm.
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(text.len().next_multiple_of(WORD), b' ');
    let size = Instruction::I32Const(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
    function
        .instruction(&Instruction::Call(initialize))
        .instruction(&size)
        .instruction(&Instruction::Call(alloc))
        .instruction(&Instruction::LocalSet(0));
    for (number, word) in bytes.as_chunks::<WORD>().0.iter().enumerate() {
        let offset = (number * WORD) as u64;
        function
            .instruction(&Instruction::LocalGet(0))
            .instruction(&Instruction::I64Const(i64::from_le_bytes(*word)))
            .instruction(&Instruction::I64Store(MemArg { offset, align: 0, memory_index: 0 }));
    }
    function
        .instruction(&Instruction::LocalGet(0))
        .instruction(&size)
        .instruction(&Instruction::Call(execute))
        .instruction(&Instruction::If(wasm_encoder::BlockType::Empty))
        .instruction(&Instruction::Unreachable)
        .instruction(&Instruction::End)
        .instruction(&Instruction::End);
    function
}

/// The function that a call is: whether calling the object failed whose address is there.
fn calling(address: u32, call: u32) -> Function {
    let mut function = Function::new([]);
    function
        .instruction(&Instruction::I32Const(address.cast_signed()))
        .instruction(&Instruction::I32Load(MemArg { offset: 0, align: 2, memory_index: 0 }))
        .instruction(&Instruction::Call(call))
        .instruction(&Instruction::I32Eqz)
        .instruction(&Instruction::End);
    function
}

/// The entries of a section as it is encoded: its size and its count come before them.
fn entries(encoded: &[u8]) -> Result<&[u8], Problem> {
    let mut reader = wasmparser::BinaryReader::new(encoded, 0);
    let skip = reader.read_var_u32().and_then(|_| reader.read_var_u32());
    skip.map_err(|error| error.to_string())?;
    Ok(&encoded[reader.original_position()..])
}

/// A section with more entries at its end.
fn with_more(section: &[u8], count: u32, more: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut reader = wasmparser::BinaryReader::new(section, 0);
    let before = reader.read_var_u32().map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(section.len() + more.len() + 8);
    (before + count).encode(&mut bytes);
    bytes.extend_from_slice(&section[reader.original_position()..]);
    bytes.extend_from_slice(more);
    Ok(bytes)
}
