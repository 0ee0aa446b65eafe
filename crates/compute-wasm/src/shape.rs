//! What a module is made of, read from its sections without validating or compiling it.
//!
//! This is what caps are checked on, so it must stay cheap for hostile bytes: counts are taken from
//! section headers, and lists that are kept are bounded.

use std::fmt::Write as _;

use wasmparser::{
    BinaryReaderError, CompositeInnerType, Encoding, ExternalKind, FuncType, Parser, Payload,
    TypeRef, ValType,
};

use crate::check::Refusal;
use crate::{host, image, wasi};

/// The custom section in which a module declares the ABI it was built for.
const ABI_SECTION: &str = "compute:abi";
/// The declaration of a module that takes the op envelope.
const OP_ABI: &[u8] = b"op/2";
/// How many entries of a list are kept. Caps are far below.
const KEPT: usize = 20_000;

/// How many functions' types are kept: what caps allow, and a little more.
const KEPT_FUNCTIONS: usize = 60_000;

/// What a module is made of.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) bytes: u64,
    pub(crate) types: Vec<String>,
    pub(crate) type_count: u64,
    pub(crate) imports: Vec<Import>,
    pub(crate) import_count: u64,
    pub(crate) exports: Vec<Export>,
    pub(crate) export_count: u64,
    /// The types of all functions by number, imported ones first.
    function_types: Vec<u32>,
    /// Functions defined in the module.
    pub(crate) functions: u64,
    pub(crate) globals: u64,
    pub(crate) data_segments: u64,
    pub(crate) element_segments: u64,
    /// Initial size of the largest memory in bytes, and its maximum if it has one.
    pub(crate) memory: Option<(u64, Option<u64>)>,
    pub(crate) memories: u64,
    /// Initial size of the largest table, in elements.
    pub(crate) table_minimum: u64,
    pub(crate) tables: u64,
    /// The function with the most locals, and how many it has.
    pub(crate) most_locals: (u32, u64),
    pub(crate) locals: u64,
    /// The longest function, and its size in bytes.
    pub(crate) longest_function: (u32, u64),
    pub(crate) takes_envelope: bool,
    /// Whether it says what it is to be initialised with, as a plugin does.
    pub(crate) is_plugin: bool,
}

#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) name: String,
    /// What it is: for a function, its signature as [`signature`] prints it.
    pub(crate) kind: String,
}

#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    /// What it is, as [`Import::kind`] has it.
    pub(crate) ty: String,
}

impl Shape {
    /// Reads a module's sections.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if !bytes.starts_with(b"\0asm") {
            return Err(Refusal::not_wasm(bytes));
        }
        let mut shape = Self { bytes: bytes.len() as u64, ..Self::default() };
        let mut function = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding: Encoding::Component, .. } => {
                    return Err(Refusal::Component);
                }
                Payload::CodeSectionEntry(body) => {
                    let size = body.as_bytes().len() as u64;
                    if size > shape.longest_function.1 {
                        shape.longest_function = (function, size);
                    }
                    let mut locals = 0;
                    for entry in body.get_locals_reader().map_err(malformed)? {
                        locals += u64::from(entry.map_err(malformed)?.0);
                    }
                    if locals > shape.most_locals.1 {
                        shape.most_locals = (function, locals);
                    }
                    shape.locals = shape.locals.saturating_add(locals);
                    function += 1;
                }
                payload => shape.add(payload).map_err(malformed)?,
            }
        }
        Ok(shape)
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                self.type_count += u64::from(section.count());
                for group in section.into_iter().take(KEPT) {
                    for sub in group?.types().take(KEPT) {
                        self.types.push(match &sub.composite_type.inner {
                            CompositeInnerType::Func(ty) => signature(ty),
                            _ => "not a function".into(),
                        });
                    }
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.import_count += 1;
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import.ty
                        && self.function_types.len() < KEPT_FUNCTIONS
                    {
                        self.function_types.push(ty);
                    }
                    if self.imports.len() < KEPT {
                        self.imports.push(Import {
                            module: import.module.to_owned(),
                            name: import.name.to_owned(),
                            kind: self.kind(import.ty),
                        });
                    }
                }
            }
            Payload::FunctionSection(section) => {
                self.functions = u64::from(section.count());
                for ty in section.into_iter().take(KEPT_FUNCTIONS) {
                    self.function_types.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                self.tables += u64::from(section.count());
                for table in section.into_iter().take(KEPT) {
                    self.table_minimum = self.table_minimum.max(table?.ty.initial);
                }
            }
            Payload::MemorySection(section) => {
                self.memories += u64::from(section.count());
                for memory in section.into_iter().take(KEPT) {
                    let memory = memory?;
                    let page = 1_u64 << memory.page_size_log2.unwrap_or(16).min(16);
                    let minimum = memory.initial.saturating_mul(page);
                    if self.memory.is_none_or(|(largest, _)| minimum > largest) {
                        let maximum = memory.maximum.map(|pages| pages.saturating_mul(page));
                        self.memory = Some((minimum, maximum));
                    }
                }
            }
            Payload::GlobalSection(section) => self.globals = u64::from(section.count()),
            Payload::ExportSection(section) => {
                self.export_count = u64::from(section.count());
                for export in section.into_iter().take(KEPT) {
                    let export = export?;
                    let is_function =
                        matches!(export.kind, ExternalKind::Func | ExternalKind::FuncExact);
                    let kind = match export.kind {
                        ExternalKind::Func | ExternalKind::FuncExact => "function",
                        ExternalKind::Table => "table",
                        ExternalKind::Memory => "memory",
                        ExternalKind::Global => "global",
                        ExternalKind::Tag => "tag",
                    };
                    let ty = if is_function { self.function(export.index) } else { kind.into() };
                    self.exports.push(Export { name: export.name.to_owned(), kind, ty });
                }
            }
            Payload::ElementSection(section) => self.element_segments = u64::from(section.count()),
            Payload::DataSection(section) => self.data_segments = u64::from(section.count()),
            Payload::CustomSection(section) if section.name() == ABI_SECTION => {
                self.takes_envelope |= section.data() == OP_ABI;
            }
            Payload::CustomSection(section) if section.name() == image::INIT_SECTION => {
                self.is_plugin = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn kind(&self, ty: TypeRef) -> String {
        match ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                self.types.get(index as usize).cloned().unwrap_or_default()
            }
            TypeRef::Table(_) => "table".into(),
            TypeRef::Memory(_) => "memory".into(),
            TypeRef::Global(_) => "global".into(),
            TypeRef::Tag(_) => "tag".into(),
        }
    }

    /// The signature of the function of this number.
    fn function(&self, index: u32) -> String {
        let ty = self.function_types.get(index as usize);
        ty.and_then(|ty| self.types.get(*ty as usize)).cloned().unwrap_or_default()
    }

    /// The namespace of another module that this one imports from, if it links to one; several are
    /// more than a sandbox can hold, and the first is given.
    pub(crate) fn linked_namespace(&self) -> Option<&str> {
        let own = |import: &&Import| !matches!(&*import.module, wasi::MODULE | host::MODULE);
        self.imports.iter().find(own).map(|import| &*import.module)
    }

    pub(crate) fn exports(&self, name: &str, kind: &str) -> bool {
        self.exports.iter().any(|export| export.name == name && export.kind == kind)
    }
}

/// A function's type as people write it: `(i32, i64) -> i32`.
fn signature(ty: &FuncType) -> String {
    let list = |types: &[ValType]| {
        let mut text = String::new();
        for (at, ty) in types.iter().enumerate() {
            let _ = write!(text, "{}{ty}", if at > 0 { ", " } else { "" });
        }
        text
    };
    join_signature(&list(ty.params()), &list(ty.results()))
}

/// `(params) -> results`, without the arrow where there are no results.
pub(crate) fn join_signature(params: &str, results: &str) -> String {
    if results.is_empty() { format!("({params})") } else { format!("({params}) -> {results}") }
}

pub(crate) fn malformed(error: BinaryReaderError) -> Refusal {
    Refusal::Malformed { offset: error.offset() as u64, message: error.message().to_owned() }
}
