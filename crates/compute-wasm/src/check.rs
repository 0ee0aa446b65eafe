//! What is refused before it is compiled, and why.

use std::collections::HashMap;

use crate::shape::{Import, Item, Shape};

/// How many bytes of a name or a type a message shows.
const SHOWN: usize = 200;

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
    /// How deep blocks of one function are nested.
    pub nesting: u64,
    /// How deep loops of one function are nested.
    pub loop_nesting: u64,
    /// The same, times the function's locals and parameters.
    pub loop_locals: u64,
    /// The same of all functions together.
    pub all_loop_locals: u64,
    /// Blocks and branches of one function, those of a table each.
    pub branches: u64,
    /// The same of all functions together.
    pub all_branches: u64,
    /// The same of one function, times its locals and parameters.
    pub branch_locals: u64,
    /// The same of all functions together.
    pub all_branch_locals: u64,
    /// Types, those of recursive groups each.
    pub types: u64,
    /// Parameters and results of one type.
    pub parameters: u64,
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
    /// (language runtimes) have about 30,000, and their longest functions some 4,000 locals. Go's linker
    /// writes up to 100,000 data segments.
    ///
    /// What compiling takes does not go by size. These were measured on modules of npm, on one core, beside
    /// what modules made for it reach:
    ///
    /// | in one function | esbuild (Go) | Ruby 3.4 | Pyodide | PHP | cap | as slow as it gets within the cap |
    /// |---|---|---|---|---|---|---|
    /// | nesting | 3,289 | 616 | 325 | 888 | 10,000 | 1.6 s |
    /// | loop nesting | 1 | 8 | 10 | 11 | 100 | 0.4 s (1,000: 1.8 s; 2,000: 10 s) |
    /// | loop nesting × locals | 20 | 510 | 732 | 1,210 | 10,000 | 0.4 s (20,000: 1.4 s) |
    /// | blocks and branches | 11,007 | 6,680 | 17,489 | 13,208 | 50,000 | 5 s (360,000: 36 s) |
    /// | the same × locals | 154,098 | 1,099,390 | 168,072 | 184,912 | 2,000,000 | 5 s (5,000,000: 10 s) |
    ///
    /// | in all functions | esbuild (Go) | Ruby 3.4 | Pyodide | PHP | cap |
    /// |---|---|---|---|---|---|
    /// | loop nesting × locals | 27,009 | 53,130 | 69,429 | 42,486 | 500,000 |
    /// | blocks and branches | 605,820 | 630,550 | 297,731 | 572,840 | 2,000,000 |
    /// | the same × locals | 6,052,093 | 8,799,693 | 4,123,840 | 5,432,541 | 40,000,000 |
    ///
    /// Within them a hostile module may still take a minute; [`crate::CompileLimits`] ends that.
    pub const DEFAULT: Self = Self {
        bytes: 32 << 20,
        functions: 50_000,
        function_bytes: 2 << 20,
        function_locals: 20_000,
        locals: 2_000_000,
        nesting: 10_000,
        loop_nesting: 100,
        loop_locals: 10_000,
        all_loop_locals: 500_000,
        branches: 50_000,
        all_branches: 2_000_000,
        branch_locals: 2_000_000,
        all_branch_locals: 40_000_000,
        types: 10_000,
        parameters: 1_000,
        imports: 1_000,
        exports: 10_000,
        globals: 10_000,
        segments: 100_000,
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
    /// Its compilation takes more than it may.
    #[error("compiling the module takes more than {limit}")]
    CompileLimit {
        /// The limit that was reached, and its value.
        limit: String,
    },
    /// The compiler cannot compile it, and ended itself.
    #[error("the compiler crashed on the module: {message}")]
    CompilerCrashed {
        /// What it said last.
        message: String,
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
    /// It exports something under another type.
    #[error("the module exports `{name}` as {exported}, but it is called as {called}")]
    ExportType {
        /// Its name.
        name: &'static str,
        /// Its type there.
        exported: String,
        /// Its type here.
        called: &'static str,
    },
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

/// Checks a module against what the sandbox offers, and calls.
pub(crate) fn check(shape: &Shape, offered: &Offered) -> Result<(), Refusal> {
    shape.imports.iter().try_for_each(|import| check_import(shape, import, offered))?;
    if !shape.exports("_start", "function") {
        let hint = if shape.exports("_initialize", "function") {
            ": it is a library (a reactor); build a command, with a main function"
        } else {
            ": build a command for wasm32-wasip1, with a main function"
        };
        return Err(Refusal::MissingExport { kind: "function", name: "_start", hint });
    }
    check_called(shape, "_start", "()")?;
    if !shape.imports.is_empty() && !shape.exports("memory", "memory") {
        let hint = ": WASI functions read and write the memory of that name";
        return Err(Refusal::MissingExport { kind: "memory", name: "memory", hint });
    }
    Ok(())
}

/// Checks a module that also imports from a plugin, by this namespace, of which the plugin is asked.
pub(crate) fn check_linked(
    shape: &Shape,
    offered: &Offered,
    namespace: &str,
) -> Result<(), Refusal> {
    let own = shape.imports.iter().filter(|import| import.module != namespace);
    own.into_iter().try_for_each(|import| check_import(shape, import, offered))?;
    if !shape.exports("_start", "function") && !shape.exports("_initialize", "function") {
        let hint = ": a module that links to a plugin is a command with `_start`, or an op with `_initialize`";
        return Err(Refusal::MissingExport { kind: "function", name: "_start", hint });
    }
    ["_start", "_initialize"].into_iter().try_for_each(|name| check_called(shape, name, "()"))
}

/// Checks that a function is what it is called as, if there is one.
pub(crate) fn check_called(
    shape: &Shape,
    name: &'static str,
    called: &'static str,
) -> Result<(), Refusal> {
    match shape.export(name) {
        Some(item @ Item::Function(_)) => {
            let exported = shape.describe(item);
            if exported == called {
                return Ok(());
            }
            Err(Refusal::ExportType { name, exported: cut(&exported), called })
        }
        _ => Ok(()),
    }
}

pub(crate) fn check_import(
    shape: &Shape,
    import: &Import,
    offered: &Offered,
) -> Result<(), Refusal> {
    let Import { module, name, item } = import;
    match offered.get(&(module.clone(), name.clone())) {
        Some(actual) => {
            let imported = shape.describe(*item);
            if imported == *actual {
                return Ok(());
            }
            let (imported, actual) = (cut(&imported), actual.clone());
            Err(Refusal::ImportType { module: cut(module), name: cut(name), imported, actual })
        }
        None => Err(Refusal::UnknownImport {
            module: cut(module),
            name: cut(name),
            hint: hint_for(module),
        }),
    }
}

/// As much of what a module brings along as a message shows.
pub(crate) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
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
