//! What a module is made of, read from its sections without validating or compiling it.
//!
//! This is what caps are checked on, so it must stay cheap for hostile bytes: a count is taken from its
//! section's header and checked before anything of that section is kept, and what is kept is smaller than
//! what it was read from. A signature is kept once, with its type, and printed where somebody reads it.

use std::fmt::Write as _;

use wasmparser::{
    BinaryReaderError, CompositeInnerType, Encoding, ExternalKind, FuncType, FunctionBody, Parser,
    Payload, RefType, TypeRef, ValType,
};

use super::caps::Caps;
use super::names::{HOST, INIT_SECTION, WASI};
use super::refusal::Refusal;

/// The custom section in which a module declares the ABI it was built for.
const ABI_SECTION: &str = "compute:abi";
/// The declaration of a module that takes the op envelope.
const OP_ABI: &[u8] = b"op/2";
/// What a page of memory has, as a power of two, unless a module says otherwise.
const PAGE_LOG2: u32 = 16;

/// What a module is made of.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    pub(crate) bytes: u64,
    /// The types by number; `None` for what is no function.
    types: Vec<Option<FuncType>>,
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<Export>,
    /// The types of all functions by number, imported ones first; likewise what follows.
    function_types: Vec<u32>,
    tables: Vec<Limits>,
    memories: Vec<Limits>,
    globals: Vec<(ValType, bool)>,
    /// Functions defined in the module.
    pub(crate) functions: u64,
    /// What all functions' locals come to.
    locals: u64,
    pub(crate) takes_envelope: bool,
    /// Whether it says what it is to be initialised with, as a plugin does.
    pub(crate) is_plugin: bool,
}

#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) item: Item,
}

#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) item: Item,
}

/// What is imported or exported: a function by the number of its type, anything else by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Function(u32),
    Table(Limits),
    Memory(Limits),
    Global(ValType, bool),
    Tag,
    /// It has a number that the module has nothing for, which validation refuses.
    Nothing,
}

/// What a memory or a table starts with and the most that it may have: in bytes, in elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) minimum: u64,
    pub(crate) maximum: Option<u64>,
    /// Of which kind the elements are, of a table.
    element: Option<RefType>,
    shared: bool,
}

impl Item {
    pub(crate) const fn kind(self) -> &'static str {
        match self {
            Self::Function(_) => "function",
            Self::Table(_) => "table",
            Self::Memory(_) => "memory",
            Self::Global(..) => "global",
            Self::Tag => "tag",
            Self::Nothing => "thing",
        }
    }
}

impl Shape {
    /// Reads a module's sections, as far as they stay within the caps.
    pub(crate) fn read(bytes: &[u8], caps: &Caps) -> Result<Self, Refusal> {
        if !bytes.starts_with(b"\0asm") {
            return Err(Refusal::not_wasm(bytes));
        }
        at_most("bytes", bytes.len() as u64, caps.bytes)?;
        let mut shape = Self { bytes: bytes.len() as u64, ..Self::default() };
        let mut function = 0_u64;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(malformed)? {
                Payload::Version { encoding: Encoding::Component, .. } => {
                    return Err(Refusal::Component);
                }
                Payload::CodeSectionEntry(body) => {
                    shape.add_function(function, &body, caps)?;
                    function += 1;
                }
                payload => shape.add(payload, caps)?,
            }
        }
        Ok(shape)
    }

    fn add_function(
        &mut self,
        number: u64,
        body: &FunctionBody<'_>,
        caps: &Caps,
    ) -> Result<(), Refusal> {
        let (size, what) =
            (body.as_bytes().len() as u64, format_args!("bytes in function {number}"));
        at_most(what, size, caps.function_bytes)?;
        let mut locals = 0_u64;
        for entry in body.get_locals_reader().map_err(malformed)? {
            locals = locals.saturating_add(u64::from(entry.map_err(malformed)?.0));
        }
        at_most(format_args!("locals in function {number}"), locals, caps.function_locals)?;
        self.locals = self.locals.saturating_add(locals);
        at_most("locals in all", self.locals, caps.locals)
    }

    fn add(&mut self, payload: Payload<'_>, caps: &Caps) -> Result<(), Refusal> {
        match payload {
            Payload::TypeSection(section) => {
                at_most("types", self.types.len() as u64 + u64::from(section.count()), caps.types)?;
                for group in section {
                    for sub in group.map_err(malformed)?.into_types() {
                        let CompositeInnerType::Func(ty) = sub.composite_type.inner else {
                            self.types.push(None);
                            continue;
                        };
                        let what = format_args!("parameters and results of a type");
                        let count = ty.params().len() + ty.results().len();
                        at_most(what, count as u64, caps.parameters)?;
                        self.types.push(Some(ty));
                    }
                    at_most("types", self.types.len() as u64, caps.types)?;
                }
            }
            Payload::ImportSection(section) => {
                at_most("imports", u64::from(section.count()), caps.imports)?;
                for import in section.into_imports() {
                    let import = import.map_err(malformed)?;
                    // One entry of the section may stand for several.
                    at_most("imports", self.imports.len() as u64 + 1, caps.imports)?;
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    let item = self.imported(import.ty);
                    self.imports.push(Import { module, name, item });
                }
            }
            Payload::FunctionSection(section) => {
                at_most("functions", u64::from(section.count()), caps.functions)?;
                self.functions = u64::from(section.count());
                for ty in section {
                    self.function_types.push(ty.map_err(malformed)?);
                }
            }
            Payload::TableSection(section) => {
                let all = self.tables.len() as u64 + u64::from(section.count());
                at_most("tables", all, caps.tables)?;
                for table in section {
                    let ty = table.map_err(malformed)?.ty;
                    at_most("table elements to start with", ty.initial, caps.table_minimum)?;
                    self.tables.push(Limits::of_table(ty));
                }
            }
            Payload::MemorySection(section) => {
                let all = self.memories.len() as u64 + u64::from(section.count());
                at_most("memories", all, 1)?;
                for memory in section {
                    let limits = Limits::of_memory(memory.map_err(malformed)?);
                    let what = "bytes of memory to start with";
                    at_most(what, limits.minimum, caps.memory_minimum)?;
                    self.memories.push(limits);
                }
            }
            Payload::GlobalSection(section) => {
                at_most("globals", u64::from(section.count()), caps.globals)?;
                for global in section {
                    let ty = global.map_err(malformed)?.ty;
                    self.globals.push((ty.content_type, ty.mutable));
                }
            }
            Payload::ExportSection(section) => {
                at_most("exports", u64::from(section.count()), caps.exports)?;
                for export in section {
                    let export = export.map_err(malformed)?;
                    let item = self.item(export.kind, export.index as usize);
                    self.exports.push(Export { name: export.name.to_owned(), item });
                }
            }
            Payload::ElementSection(section) => {
                at_most("element segments", u64::from(section.count()), caps.segments)?;
            }
            Payload::DataSection(section) => {
                at_most("data segments", u64::from(section.count()), caps.segments)?;
            }
            Payload::CustomSection(section) if section.name() == ABI_SECTION => {
                self.takes_envelope |= section.data() == OP_ABI;
            }
            Payload::CustomSection(section) if section.name() == INIT_SECTION => {
                self.is_plugin = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// What is imported, which is the first of its kind in the module.
    fn imported(&mut self, ty: TypeRef) -> Item {
        match ty {
            TypeRef::Func(index) | TypeRef::FuncExact(index) => {
                self.function_types.push(index);
                Item::Function(index)
            }
            TypeRef::Table(ty) => {
                self.tables.push(Limits::of_table(ty));
                Item::Table(Limits::of_table(ty))
            }
            TypeRef::Memory(ty) => {
                self.memories.push(Limits::of_memory(ty));
                Item::Memory(Limits::of_memory(ty))
            }
            TypeRef::Global(ty) => {
                self.globals.push((ty.content_type, ty.mutable));
                Item::Global(ty.content_type, ty.mutable)
            }
            TypeRef::Tag(_) => Item::Tag,
        }
    }

    fn item(&self, kind: ExternalKind, index: usize) -> Item {
        let item = match kind {
            ExternalKind::Func | ExternalKind::FuncExact => {
                self.function_types.get(index).map(|ty| Item::Function(*ty))
            }
            ExternalKind::Table => self.tables.get(index).map(|ty| Item::Table(*ty)),
            ExternalKind::Memory => self.memories.get(index).map(|ty| Item::Memory(*ty)),
            ExternalKind::Global => {
                self.globals.get(index).map(|(ty, mutable)| Item::Global(*ty, *mutable))
            }
            ExternalKind::Tag => Some(Item::Tag),
        };
        item.unwrap_or(Item::Nothing)
    }

    /// The parameters of the function of this number, counting imported ones first.
    pub(crate) fn parameters(&self, function: usize) -> usize {
        let ty = self.function_types.get(function).and_then(|ty| self.types.get(*ty as usize));
        ty.and_then(Option::as_ref).map_or(0, |ty| ty.params().len())
    }

    /// How many parameters and results a type has.
    pub(crate) fn arity(&self, ty: u32) -> (u64, u64) {
        let ty = self.types.get(ty as usize).and_then(Option::as_ref);
        ty.map_or((0, 0), |ty| (ty.params().len() as u64, ty.results().len() as u64))
    }

    /// How many functions are imported.
    pub(crate) fn imported_functions(&self) -> usize {
        self.function_types.len().saturating_sub(usize::try_from(self.functions).unwrap_or(0))
    }

    /// What an item is, as people write it: for a function, its signature.
    pub(crate) fn describe(&self, item: Item) -> String {
        let range = |limits: Limits, unit: &str| match limits.maximum {
            Some(maximum) => format!("from {} to {maximum} {unit}", limits.minimum),
            None => format!("from {} {unit}", limits.minimum),
        };
        match item {
            Item::Function(index) => match self.types.get(index as usize) {
                Some(Some(ty)) => signature(ty),
                Some(None) => "not a function".into(),
                None => String::new(),
            },
            Item::Memory(limits) => format!("a memory {}", range(limits, "bytes")),
            Item::Table(limits) => format!("a table {}", range(limits, "elements")),
            Item::Global(ty, mutable) => {
                format!("a {}global {ty}", if mutable { "mutable " } else { "" })
            }
            Item::Tag | Item::Nothing => item.kind().into(),
        }
    }

    /// Whether an import of this module can be what another exports.
    pub(crate) fn fits(&self, import: Item, from: &Self, export: Item) -> bool {
        match (import, export) {
            (Item::Function(own), Item::Function(other)) => {
                let own = self.types.get(own as usize).and_then(Option::as_ref);
                own.is_some() && own == from.types.get(other as usize).and_then(Option::as_ref)
            }
            (Item::Table(own), Item::Table(other)) | (Item::Memory(own), Item::Memory(other)) => {
                own.takes(other)
            }
            (Item::Global(..), Item::Global(..)) => import == export,
            _ => false,
        }
    }

    /// The namespace of another module that this one imports from, if it links to one; several are
    /// more than a sandbox can hold, and the first is given.
    pub(crate) fn linked_namespace(&self) -> Option<&str> {
        let own = |import: &&Import| !matches!(&*import.module, WASI | HOST);
        self.imports.iter().find(own).map(|import| &*import.module)
    }

    /// What is exported under this name.
    pub(crate) fn export(&self, name: &str) -> Option<Item> {
        self.exports.iter().find(|export| export.name == name).map(|export| export.item)
    }

    pub(crate) fn exports(&self, name: &str, kind: &str) -> bool {
        self.export(name).is_some_and(|item| item.kind() == kind)
    }

    /// The memory that the module has for itself: what it starts with, and its maximum.
    pub(crate) fn own_memory(&self) -> Option<Limits> {
        self.memories.last().copied()
    }
}

impl Limits {
    fn of_memory(ty: wasmparser::MemoryType) -> Self {
        let page = 1_u64 << ty.page_size_log2.unwrap_or(PAGE_LOG2).min(PAGE_LOG2);
        Self {
            minimum: ty.initial.saturating_mul(page),
            maximum: ty.maximum.map(|pages| pages.saturating_mul(page)),
            element: None,
            shared: ty.shared,
        }
    }

    fn of_table(ty: wasmparser::TableType) -> Self {
        let (element, shared) = (Some(ty.element_type), ty.shared);
        Self { minimum: ty.initial, maximum: ty.maximum, element, shared }
    }

    /// The same, once it has grown to this.
    pub(crate) fn grown_to(self, minimum: u64) -> Self {
        Self { minimum: self.minimum.max(minimum), ..self }
    }

    /// Whether what is imported as this may be that.
    pub(crate) fn takes(self, other: Self) -> bool {
        let within = |maximum| other.maximum.is_some_and(|other| other <= maximum);
        self.minimum <= other.minimum
            && self.maximum.is_none_or(within)
            && (self.element, self.shared) == (other.element, other.shared)
    }
}

fn at_most(what: impl std::fmt::Display, count: u64, cap: u64) -> Result<(), Refusal> {
    if count > cap {
        return Err(Refusal::AboveCap { what: what.to_string(), count, cap });
    }
    Ok(())
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
