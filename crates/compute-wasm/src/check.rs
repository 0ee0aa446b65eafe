//! What is refused before it is compiled, and why.

use std::collections::HashMap;

use crate::shape::{Import, Shape};

/// What a module may be made of. A module beyond a cap is refused before the costly compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Caps {
    /// The module, in bytes.
    pub bytes: u64,
    /// Functions.
    pub functions: u64,
    /// Bytes of one function.
    pub function_bytes: u64,
    /// Locals of one function.
    pub function_locals: u64,
    /// Locals of all functions together.
    pub locals: u64,
    /// Types.
    pub types: u64,
    /// Imports.
    pub imports: u64,
    /// Exports.
    pub exports: u64,
    /// Globals.
    pub globals: u64,
    /// Data segments, and likewise element segments.
    pub segments: u64,
    /// Tables.
    pub tables: u64,
    /// Elements that a table starts with.
    pub table_minimum: u64,
    /// Bytes that the memory starts with.
    pub memory_minimum: u64,
}

impl Caps {
    /// The caps that hold for every module; [`compute::EngineConfig::memory`] sets the last.
    ///
    /// Cranelift compiles about 12,000 functions a second on one core; the largest real modules
    /// (language runtimes) have about 30,000, and their longest functions some 4,000 locals.
    pub const DEFAULT: Self = Self {
        bytes: 32 << 20,
        functions: 50_000,
        function_bytes: 2 << 20,
        function_locals: 20_000,
        locals: 2_000_000,
        types: 10_000,
        imports: 1_000,
        exports: 10_000,
        globals: 10_000,
        segments: 50_000,
        tables: 4,
        table_minimum: 100_000,
        memory_minimum: 1 << 30,
    };
}

/// Why a module will never run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It isn't WebAssembly.
    #[error("this is not a WebAssembly module: it starts with {start}, not with \\0asm")]
    NotWasm {
        /// Its first bytes.
        start: String,
    },
    /// It is a component.
    #[error(
        "this is a WebAssembly component, and the engine runs modules; build for wasm32-wasip1 (WASI preview 1)"
    )]
    Component,
    /// It cannot be read.
    #[error("the module is truncated or damaged at byte {offset}: {message}")]
    Malformed {
        /// Where reading stopped.
        offset: u64,
        /// What was wrong there.
        message: String,
    },
    /// It breaks WebAssembly's rules, or uses a proposal that is switched off here.
    #[error("the module is not valid: {message}")]
    Invalid {
        /// What is wrong.
        message: String,
    },
    /// It has more of something than it may.
    #[error("the module has {count} {what}; the cap is {cap}")]
    AboveCap {
        /// Of what.
        what: String,
        /// How many.
        count: u64,
        /// How many it may have.
        cap: u64,
    },
    /// It imports what the sandbox does not have.
    #[error("the module imports `{module}.{name}`, which the sandbox does not have{hint}")]
    UnknownImport {
        /// The namespace.
        module: String,
        /// The name.
        name: String,
        /// What to do.
        hint: &'static str,
    },
    /// It imports something under another type.
    #[error("the module imports `{module}.{name}` as {imported}, but it is {actual}")]
    ImportType {
        /// The namespace.
        module: String,
        /// The name.
        name: String,
        /// Its type there.
        imported: String,
        /// Its type here.
        actual: String,
    },
    /// It is linked to no plugin.
    #[error("the module is no op: it links to no plugin")]
    NotAnOp,
    /// It lacks an export.
    #[error("the module exports no {kind} `{name}`{hint}")]
    MissingExport {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: &'static str,
        /// What to do.
        hint: &'static str,
    },
}

impl Refusal {
    pub(crate) fn not_wasm(bytes: &[u8]) -> Self {
        let start = &bytes[..bytes.len().min(8)];
        let start = if start.is_empty() {
            "nothing at all".into()
        } else if start.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
            format!("{:?}", String::from_utf8_lossy(start))
        } else {
            start.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
        };
        Self::NotWasm { start }
    }
}

/// What the sandbox offers to import: for each namespace and name, the signature.
pub(crate) type Offered = HashMap<(String, String), String>;

/// Checks a module against the caps and against what the sandbox offers.
pub(crate) fn check(shape: &Shape, caps: &Caps, offered: &Offered) -> Result<(), Refusal> {
    check_caps(shape, caps)?;
    shape.imports.iter().try_for_each(|import| check_import(import, offered))?;
    if !shape.exports("_start", "function") {
        let hint = if shape.exports("_initialize", "function") {
            ": it is a library (a reactor); build a command, with a main function"
        } else {
            ": build a command for wasm32-wasip1, with a main function"
        };
        return Err(Refusal::MissingExport { kind: "function", name: "_start", hint });
    }
    if !shape.imports.is_empty() && !shape.exports("memory", "memory") {
        let hint = ": WASI functions read and write the memory of that name";
        return Err(Refusal::MissingExport { kind: "memory", name: "memory", hint });
    }
    Ok(())
}

/// Checks a module that also imports from a plugin, by this namespace, of which the plugin is asked.
pub(crate) fn check_linked(
    shape: &Shape,
    caps: &Caps,
    offered: &Offered,
    namespace: &str,
) -> Result<(), Refusal> {
    check_caps(shape, caps)?;
    let own = shape.imports.iter().filter(|import| import.module != namespace);
    own.into_iter().try_for_each(|import| check_import(import, offered))?;
    if !shape.exports("_start", "function") && !shape.exports("_initialize", "function") {
        let hint = ": a module that links to a plugin is a command with `_start`, or an op with `_initialize`";
        return Err(Refusal::MissingExport { kind: "function", name: "_start", hint });
    }
    Ok(())
}

pub(crate) fn check_caps(shape: &Shape, caps: &Caps) -> Result<(), Refusal> {
    let (longest, longest_bytes) = shape.longest_function;
    let (widest, widest_locals) = shape.most_locals;
    let above = |what: String, count, cap| Err(Refusal::AboveCap { what, count, cap });
    let simple = [
        ("bytes", shape.bytes, caps.bytes),
        ("functions", shape.functions, caps.functions),
        ("locals in all", shape.locals, caps.locals),
        ("types", shape.type_count, caps.types),
        ("imports", shape.import_count, caps.imports),
        ("exports", shape.export_count, caps.exports),
        ("globals", shape.globals, caps.globals),
        ("data segments", shape.data_segments, caps.segments),
        ("element segments", shape.element_segments, caps.segments),
        ("tables", shape.tables, caps.tables),
        ("table elements to start with", shape.table_minimum, caps.table_minimum),
        ("memories", shape.memories, 1),
    ];
    for (what, count, cap) in simple {
        if count > cap {
            return above(what.into(), count, cap);
        }
    }
    if longest_bytes > caps.function_bytes {
        return above(format!("bytes in function {longest}"), longest_bytes, caps.function_bytes);
    }
    if widest_locals > caps.function_locals {
        return above(format!("locals in function {widest}"), widest_locals, caps.function_locals);
    }
    match shape.memory {
        Some((minimum, _)) if minimum > caps.memory_minimum => {
            above("bytes of memory to start with".into(), minimum, caps.memory_minimum)
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_import(import: &Import, offered: &Offered) -> Result<(), Refusal> {
    let Import { module, name, kind } = import;
    match offered.get(&(module.clone(), name.clone())) {
        Some(actual) if actual == kind => Ok(()),
        Some(actual) => Err(Refusal::ImportType {
            module: module.clone(),
            name: name.clone(),
            imported: kind.clone(),
            actual: actual.clone(),
        }),
        None => Err(Refusal::UnknownImport {
            module: module.clone(),
            name: name.clone(),
            hint: hint_for(module),
        }),
    }
}

fn hint_for(module: &str) -> &'static str {
    match module {
        "wasi_snapshot_preview1" => ": preview 1 has no function of that name",
        "wasi_unstable" => {
            ": that is the snapshot before preview 1; build with a newer toolchain, for wasm32-wasip1"
        }
        "env" => {
            ": build for wasm32-wasip1 with everything linked in; a name under `env` is often a function that was declared and never defined"
        }
        _ if module.starts_with("javy") => {
            ": it links to a plugin of Javy's; `compute plugin bind` gives a plugin's file that name"
        }
        "wbg" | "__wbindgen_placeholder__" | "gojs" | "go" => {
            ": it was built for a browser; build for wasm32-wasip1"
        }
        _ => ": it offers only wasi_snapshot_preview1",
    }
}
