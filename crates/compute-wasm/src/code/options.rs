//! Where modules are compiled, and what one compilation may take.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where modules are compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compiler {
    /// In this process: no program is needed, and nothing ends a compilation before it is done.
    #[default]
    InProcess,
    /// In a process for each module, within [`CompileLimits`], that is killed when nobody waits any longer.
    Process {
        /// A program that calls [`crate::compile_worker`] when it is started with these arguments. It must be
        /// built of the same sources for the same machine; usually it is the program itself.
        program: PathBuf,
        /// The arguments that tell it to.
        #[serde(default)]
        arguments: Vec<String>,
    },
}

/// What one compilation in a process of its own may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CompileLimits {
    /// Address space, in bytes: the program itself, and what compiling takes. Default 4 GiB.
    ///
    /// With two threads, esbuild's 14 MB of Go take 0.5 GB, and Ruby's 17 MB 1.3 GB.
    pub memory: u64,
    /// Processor time of all its threads, in seconds. Default 60.
    pub seconds: u64,
    /// Compiled code, in bytes. Default 512 MiB.
    pub code: u64,
}

impl CompileLimits {
    /// Those of a plugin that the operator vouches for. CPython's 85 MB take some 110 seconds.
    pub(crate) const ADMITTED: Self = Self { memory: 32 << 30, seconds: 3600, code: 4 << 30 };
}

impl Default for CompileLimits {
    fn default() -> Self {
        Self { memory: 4 << 30, seconds: 60, code: 512 << 20 }
    }
}
