//! Why a module is refused.

/// How many bytes of a name or a type a message shows.
const SHOWN: usize = 200;

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
    /// Its plugin is one that the operator has admitted, and takes minutes to compile: that is done once, and not for each kind of run.
    #[error(
        "the runtime that it links to is compiled for runs without fuel and with the usual call stack: leave out the limits of both; the operator can have it compiled for runs with fuel, too (`compute plugin add python --metered`)"
    )]
    RuntimeProfile,
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

/// As much of what a module brings along as a message shows.
pub(crate) fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(SHOWN);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}
