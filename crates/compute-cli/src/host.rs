//! What builds and runs computes on this machine, for every command alike.

mod at_hand;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use compute::{Artifact, EngineConfig, Limits, Manager, RunOptions};
use compute_wasm::{Compiler, Settings};

use crate::args::{Cli, LimitArgs};
use crate::failure::Failure;
use crate::home::{self, Home};
use crate::user::{bindings, cache};
use at_hand::AtHand;

/// What a run on this machine may use, unless the command says otherwise.
const MEMORY: u64 = 64 << 20;
const WALL: Duration = Duration::from_secs(5);
/// How many bytes of compiled code are kept where there are whole runtimes: CPython is 320 MB, and an op's image 20 to 110 MB.
const RUNTIMES_CACHE: u64 = 8 << 30;
/// How long it may take to make an artifact ready, a whole runtime among what it links to, and after how long whoever waits is told.
const COMPILE: Duration = Duration::from_hours(1);
const PATIENCE: Duration = Duration::from_secs(1);

/// What builds and runs computes for one command.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) manager: Manager,
    pub(crate) at_hand: Arc<AtHand>,
}

impl Host {
    /// A host with the limits of the command line, for computes of at most this much memory and this many
    /// calls at once.
    pub(crate) fn new(cli: &Cli, memory: u64, calls: u16) -> Result<Self, Failure> {
        Self::with(home::of(cli, None).map_err(|failure| failure.to_string()), memory, calls)
    }

    /// The same, with the store of this home.
    pub(crate) fn at(home: &Arc<dyn Home>, memory: u64, calls: u16) -> Result<Self, Failure> {
        Self::with(Ok(Arc::clone(home)), memory, calls)
    }

    /// A host that compiles runtimes for runs with fuel, too.
    pub(crate) fn compiling_metered(cli: &Cli) -> Result<Self, Failure> {
        let home = home::of(cli, None).map_err(|failure| failure.to_string());
        Self::of(home, engine_config(1)?.with("compile-metered", true), 0)
    }

    fn with(home: Result<Arc<dyn Home>, String>, memory: u64, calls: u16) -> Result<Self, Failure> {
        Self::of(home, engine_config(calls)?, memory)
    }

    fn of(
        home: Result<Arc<dyn Home>, String>,
        mut config: EngineConfig,
        memory: u64,
    ) -> Result<Self, Failure> {
        config.memory = Some(memory.max(1 << 30));
        let at_hand = Arc::new(AtHand::new(home));
        let manager = Manager::builder()
            .shared_resolver(Arc::clone(&at_hand) as _)
            .engine(compute_wasm::NAME, config)
            .limits(Limits::COMMAND_LINE)
            .load_time(COMPILE)
            .build();
        Ok(Self { manager, at_hand })
    }

    /// Makes an artifact ready for runs with these limits: compiling takes as long as the compiler may, and not the run's
    /// time. Whoever waits for it is told. What is wrong with the artifact, its run tells.
    ///
    /// # Errors
    /// Those of loading it.
    pub(crate) fn prepare(&self, artifact: &Artifact, limits: Limits) -> Result<(), Failure> {
        let (done, compiled) = mpsc::channel::<()>();
        let told = std::thread::spawn(move || {
            let late = compiled.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            // For a person, and not for what reads the words of a command.
            if late && std::io::stderr().is_terminal() {
                crate::show::tell!("compiling it for this machine, once");
            }
        });
        let options = RunOptions::with_limits(Limits { wall: Some(COMPILE), ..limits });
        let loaded = self.manager.load(artifact, &options);
        drop(done);
        drop(told.join());
        if let Ok(loaded) = loaded? {
            self.manager.keep(loaded);
        }
        Ok(())
    }
}

/// What this program is told when it is to compile one module, and end.
pub(crate) const COMPILE_WORKER: &str = "compile-worker";

/// What the engine is opened with, for this many calls at once.
pub(crate) fn engine_config(calls: u16) -> Result<EngineConfig, Failure> {
    let admitted = bindings::admitted()?;
    let usual = Settings::default().code_cache_bytes;
    Ok(EngineConfig::from(Settings {
        code_cache: Some(cache("code")?),
        code_cache_bytes: if admitted.is_empty() { usual } else { RUNTIMES_CACHE },
        compiler: Compiler::Process {
            program: this_program()?,
            arguments: vec![COMPILE_WORKER.to_owned()],
        },
        sandboxes: calls.into(),
        plugins: bindings::read()?,
        admitted,
        ..Settings::default()
    }))
}

/// This very program, also after its file was replaced.
fn this_program() -> Result<PathBuf, Failure> {
    let running = Path::new("/proc/self/exe");
    if running.exists() {
        return Ok(running.to_owned());
    }
    std::env::current_exe().map_err(|error| Failure::host(&error))
}

/// The limits that the command names.
pub(crate) fn limits(args: &LimitArgs) -> Limits {
    Limits {
        memory: args.memory.map(|bytes| bytes.as_u64()),
        wall: Some(args.wall.unwrap_or(WALL)),
        fuel: args.fuel,
        now: args.now,
        seed: args.seed,
        ..Limits { memory: None, ..Limits::COMMAND_LINE }
    }
}

/// The memory that a guest may have.
pub(crate) fn memory(args: &LimitArgs) -> u64 {
    args.memory.map_or(MEMORY, |bytes| bytes.as_u64())
}
