//! Compiling: what a compilation may meet, and where it happens.
//!
//! Cranelift's time and memory are not bounded by a module's size, and nothing ends it before it is done. So
//! functions on which it is known to be slow are refused ([`crate::module::check_bodies`]), and whatever passes is compiled, where the
//! settings say so, in a process of its own ([`process`], [`worker`]), with limits and an end.

mod process;
mod worker;

use std::fs::File;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use compute::Load;
use wasmtime::{Engine, Result};

use super::options::{CompileLimits, Compiler};
use super::profile::{Language, ProfileEngines};
use crate::module::Refusal;
use process::Process;
pub use worker::compile_worker;

/// How long an engine has been open before a process is kept ready for the next module: a command that runs
/// one op and ends needs none.
const SPARE_AFTER: Duration = Duration::from_secs(2);
/// The stack of a compiling thread.
const STACK: usize = 8 << 20;

/// Why there is no compiled code.
pub(crate) enum Uncompiled {
    /// It is the module's fault, and stays so.
    Refused(Refusal),
    /// Nobody waits for it any longer.
    Stopped,
    /// The host's failure.
    Failed(String),
}

/// Compiles modules where the settings say.
pub(crate) struct Compilers {
    compiler: Compiler,
    limits: CompileLimits,
    opened: Instant,
    /// A process that waits for a module.
    spare: Mutex<Option<Process>>,
}

impl Compilers {
    pub(crate) fn new(compiler: Compiler, limits: CompileLimits) -> Self {
        Self { compiler, limits, opened: Instant::now(), spare: Mutex::default() }
    }

    /// Compiles a module for this profile, as long as somebody wants it.
    pub(crate) fn compile(
        &self,
        engines: &ProfileEngines,
        wasm: &[u8],
        load: &Load<'_>,
    ) -> std::result::Result<Vec<u8>, Uncompiled> {
        if load.must_stop() {
            return Err(Uncompiled::Stopped);
        }
        let Compiler::Process { program, arguments } = &self.compiler else {
            return compile_here(engines, wasm);
        };
        let failed = |error: std::io::Error| {
            let program = program.display();
            Uncompiled::Failed(format!("the compiler {program} cannot be started: {error}"))
        };
        let start = || Process::start(program, arguments);
        let process = match self.take_spare() {
            Some(spare) => spare,
            None => start().map_err(failed)?,
        };
        let limits = match engines.language() {
            Language::Usual => self.limits,
            Language::Exceptions => CompileLimits::ADMITTED,
        };
        let job = worker::Job::new(engines, limits, wasm.len())?;
        process.compile(&job, wasm, load, || {
            // While that one works.
            if self.opened.elapsed() >= SPARE_AFTER {
                self.keep_spare(start);
            }
        })
    }

    /// The process that waits, unless it has ended meanwhile.
    fn take_spare(&self) -> Option<Process> {
        let spare = self.lock().take();
        spare.and_then(|mut process| process.is_alive().then_some(process))
    }

    fn keep_spare(&self, start: impl FnOnce() -> std::io::Result<Process>) {
        let mut spare = self.lock();
        if spare.is_none() {
            // Without one, the next compilation starts its own.
            *spare = start().ok();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Process>> {
        self.spare.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Compiles in this process.
pub(crate) fn compile_here(
    engines: &ProfileEngines,
    wasm: &[u8],
) -> std::result::Result<Vec<u8>, Uncompiled> {
    let failed = |error: wasmtime::Error| Uncompiled::Failed(format!("{error:#}"));
    let engine = engines.engine().map_err(failed)?;
    compile(engine, wasm).map_err(failed)?.map_err(Uncompiled::Refused)
}

/// Compiles a module, on threads of its own: in one pool for all, a slow compile would hold up those that
/// come after it.
fn compile(engine: &Engine, wasm: &[u8]) -> Result<std::result::Result<Vec<u8>, Refusal>> {
    let threads = rayon::ThreadPoolBuilder::new()
        .thread_name(|_| "compute-compile".into())
        .stack_size(STACK)
        .build()?;
    let compiled = threads.install(|| engine.precompile_module(wasm));
    Ok(compiled.map_err(|error| Refusal::Invalid { message: format!("{error:#}") }))
}

/// A file without a name, in memory where the system can do that.
pub(crate) fn nameless_file() -> std::io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{MemfdFlags, memfd_create};
        Ok(File::from(memfd_create("compute", MemfdFlags::CLOEXEC)?))
    }
    #[cfg(not(target_os = "linux"))]
    tempfile::tempfile()
}
