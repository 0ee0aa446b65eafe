//! What runs in a process that compiles: it takes one job on stdin, and writes code to stdout.
//!
//! A job is a header of fixed size, then the module. The process limits itself before it reads the module, and
//! ends when its stdin does, so that it does not outlive whoever started it.

use std::io::{self, Read, Write as _};
use std::process::ExitCode;

use compute::Profile;
use wasmtime::Engine;

use super::{Uncompiled, compile};
use crate::code::options::CompileLimits;
use crate::code::profile::{Language, ProfileEngines, compatibility, config};

/// The module is refused: why is on stdout.
pub(super) const REFUSED: u8 = 2;
/// Nothing could be compiled: why is on stderr.
pub(super) const CANNOT: u8 = 3;

/// What a job starts with, and how long a header is.
const MAGIC: [u8; 8] = *b"compute1";
const NUMBERS: usize = 8;
const HEADER: usize = MAGIC.len() + NUMBERS * 8;
/// How many files a compiler may have open.
const FILES: u64 = 16;
/// How much it lets others go first.
#[cfg(unix)]
const NICE: i32 = 10;

/// What is to be compiled, and within which limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Job {
    profile: Profile,
    language: Language,
    /// What the code must run on.
    compatibility: u64,
    pub(super) limits: CompileLimits,
    /// The module's size.
    size: usize,
}

impl Job {
    pub(super) fn new(
        engines: &ProfileEngines,
        limits: CompileLimits,
        size: usize,
    ) -> Result<Self, Uncompiled> {
        let failed = |error: wasmtime::Error| Uncompiled::Failed(format!("{error:#}"));
        let compatibility = engines.compatibility().map_err(failed)?;
        let (profile, language) = (engines.profile(), engines.language());
        Ok(Self { profile, language, compatibility, limits, size })
    }

    pub(super) fn header(&self) -> Vec<u8> {
        let CompileLimits { memory, seconds, code } = self.limits;
        let metered = u64::from(self.profile.metered());
        let (stack, size) = (self.profile.stack(), self.size as u64);
        let exceptions = u64::from(self.language == Language::Exceptions);
        let numbers = [metered, stack, exceptions, self.compatibility, memory, seconds, code, size];
        let mut header = MAGIC.to_vec();
        numbers.iter().for_each(|number| header.extend_from_slice(&number.to_le_bytes()));
        header
    }

    fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; HEADER];
        from.read_exact(&mut header)?;
        let (magic, numbers) = header.split_at(MAGIC.len());
        let mut values = [0; NUMBERS];
        for (value, bytes) in values.iter_mut().zip(numbers.as_chunks().0) {
            *value = u64::from_le_bytes(*bytes);
        }
        let [metered, stack, exceptions, compatibility, memory, seconds, code, size] = values;
        let language = if exceptions == 0 { Language::Usual } else { Language::Exceptions };
        if magic != MAGIC {
            return Err(io::Error::other("this is no job for this compiler"));
        }
        Ok(Self {
            profile: Profile::new(metered != 0, stack),
            language,
            compatibility,
            limits: CompileLimits { memory, seconds, code },
            size: usize::try_from(size).map_err(io::Error::other)?,
        })
    }
}

/// Compiles one module from stdin to stdout, for an engine in another process: what a program does that is
/// named in [`crate::Compiler::Process`], before it does anything else.
///
/// It takes no notice of its environment, limits its own memory, processor time and files, and ends when its
/// stdin is closed.
#[must_use]
pub fn compile_worker() -> ExitCode {
    // Made ready while nobody waits: most jobs are of this profile.
    let usual = Profile::default();
    let engine = config(usual, Language::Usual).and_then(|config| Engine::new(&config));
    match work(usual, engine) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(message)) => {
            let _ = io::stdout().write_all(message.as_bytes());
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(CANNOT)
        }
    }
}

/// The inner error is why the module is refused.
fn work(usual: Profile, engine: wasmtime::Result<Engine>) -> io::Result<Result<(), String>> {
    let failed = |error: wasmtime::Error| io::Error::other(format!("{error:#}"));
    let job = Job::read(&mut io::stdin().lock())?;
    limit(&job.limits)?;
    let mut wasm = vec![0; job.size];
    io::stdin().lock().read_exact(&mut wasm)?;
    end_with_stdin();
    let engine = if (job.profile, job.language) == (usual, Language::Usual) {
        engine
    } else {
        drop(engine);
        config(job.profile, job.language).and_then(|config| Engine::new(&config))
    };
    let engine = engine.map_err(failed)?;
    if compatibility(&engine) != job.compatibility {
        return Err(io::Error::other("the compiler is not of the version that runs its code"));
    }
    match compile(&engine, &wasm).map_err(failed)? {
        Ok(code) => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(&code).and_then(|()| stdout.flush()).map(Ok)
        }
        Err(refusal) => Ok(Err(match refusal {
            crate::Refusal::Invalid { message } => message,
            other => other.to_string(),
        })),
    }
}

/// Ends the process when whoever started it is gone.
fn end_with_stdin() {
    std::thread::spawn(|| {
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(CANNOT.into());
    });
}

#[cfg(unix)]
fn limit(limits: &CompileLimits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setpriority_process, setrlimit};
    // Whatever holds already and is less stays: it cannot be more again.
    let at_most = |resource: Resource, current: u64, hard: u64| {
        let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let limit = Rlimit { current: Some(current.min(most)), maximum: Some(hard.min(most)) };
        setrlimit(resource, limit)
    };
    let CompileLimits { memory, seconds, code } = *limits;
    at_most(Resource::As, memory, memory)?;
    // The soft limit of processor time sends its own signal, the hard one kills.
    at_most(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    at_most(Resource::Core, 0, 0)?;
    at_most(Resource::Fsize, code, code)?;
    at_most(Resource::Nofile, FILES, FILES)?;
    setpriority_process(None, NICE)?;
    Ok(())
}

#[cfg(not(unix))]
fn limit(_limits: &CompileLimits) -> io::Result<()> {
    Ok(())
}
