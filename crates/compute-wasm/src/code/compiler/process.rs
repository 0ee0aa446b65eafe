//! A process that compiles one module, as whoever waits for it sees it.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use compute::Load;

use super::worker::{CANNOT, Job, REFUSED};
use super::{Uncompiled, nameless_file};
use crate::module::{Refusal, cut};

/// How often it is looked whether somebody still waits.
const POLL: Duration = Duration::from_millis(5);
/// How much of what a compiler says last is kept, in bytes.
const KEPT_WORDS: u64 = 4 << 10;
/// What Rust says when there is no memory.
const NO_MEMORY: &str = "memory allocation of ";

/// A compiler's process. It ends when its stdin does, and at the latest when this is dropped.
pub(super) struct Process {
    child: Child,
    /// Where it writes the code.
    code: File,
}

/// How a process ended.
enum End {
    Exited { status: ExitStatus, said: String },
    Unwanted,
}

impl Process {
    /// Starts a process, which waits for its job.
    pub(super) fn start(program: &Path, arguments: &[String]) -> io::Result<Self> {
        let code = nameless_file()?;
        let child = Command::new(program)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(code.try_clone()?)
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(Self { child, code })
    }

    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Has it compile a module, as long as somebody wants it.
    pub(super) fn compile(
        mut self,
        job: &Job,
        wasm: &[u8],
        load: &Load<'_>,
        meanwhile: impl FnOnce(),
    ) -> Result<Vec<u8>, Uncompiled> {
        let failed = |error: io::Error| Uncompiled::Failed(format!("compiling failed: {error}"));
        match self.run(job, wasm, load, meanwhile).map_err(failed)? {
            End::Unwanted => Err(Uncompiled::Stopped),
            End::Exited { status, said } => self.result(job, status, &said),
        }
    }

    fn run(
        &mut self,
        job: &Job,
        wasm: &[u8],
        load: &Load<'_>,
        meanwhile: impl FnOnce(),
    ) -> io::Result<End> {
        // Held until it has ended: it ends itself when its stdin does.
        let mut stdin = self.child.stdin.take();
        let stderr = self.child.stderr.take();
        let said = std::thread::scope(|scope| {
            let (ended, end) = channel();
            scope.spawn(|| {
                // If it does not take all, how it ended says why.
                let _ = stdin.as_mut().map(|stdin| give(stdin, job, wasm));
            });
            scope.spawn(move || {
                let _ = ended.send(stderr.map(listen).unwrap_or_default());
            });
            meanwhile();
            loop {
                match end.recv_timeout(POLL) {
                    Ok(said) => return Some(said),
                    Err(RecvTimeoutError::Disconnected) => return Some(String::new()),
                    Err(RecvTimeoutError::Timeout) if load.must_stop() => {
                        let _ = self.child.kill();
                        return None;
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                }
            }
        });
        let Some(said) = said else {
            self.child.wait()?;
            return Ok(End::Unwanted);
        };
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(End::Exited { status, said });
            }
            // It has closed its stderr, so it ends, unless something is wrong with it.
            if load.must_stop() {
                self.child.kill()?;
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    fn result(&mut self, job: &Job, status: ExitStatus, said: &str) -> Result<Vec<u8>, Uncompiled> {
        let read = self.read(job.limits.code);
        let read = read.map_err(|error| Uncompiled::Failed(format!("compiling failed: {error}")));
        let limit = |limit: String| Err(Uncompiled::Refused(Refusal::CompileLimit { limit }));
        match status.code().and_then(|code| u8::try_from(code).ok()) {
            Some(0) => return read,
            Some(REFUSED) => {
                let message = String::from_utf8_lossy(&read?).into_owned();
                return Err(Uncompiled::Refused(Refusal::Invalid { message }));
            }
            Some(CANNOT) => return Err(Uncompiled::Failed(cut(said))),
            _ => {}
        }
        if said.contains(NO_MEMORY) {
            return limit(format!("its limit of {} bytes of address space", job.limits.memory));
        }
        match signal(status) {
            Some(Signal::Time) => {
                limit(format!("its limit of {} seconds of processor time", job.limits.seconds))
            }
            Some(Signal::File) => {
                limit(format!("its limit of {} bytes of compiled code", job.limits.code))
            }
            // By whom, nobody knows: an operator, or a system without memory.
            Some(Signal::Kill) => Err(Uncompiled::Failed("the compiler was killed".into())),
            None => {
                let said = if said.is_empty() { String::new() } else { format!(": {said}") };
                let message = format!("{status}{}", cut(said.trim_end()));
                Err(Uncompiled::Refused(Refusal::CompilerCrashed { message }))
            }
        }
    }

    fn read(&mut self, most: u64) -> io::Result<Vec<u8>> {
        let size = self.code.metadata()?.len();
        if size > most {
            return Err(io::Error::other("it wrote more than it may"));
        }
        let mut code = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
        self.code.rewind()?;
        (&self.code).take(size).read_to_end(&mut code)?;
        Ok(code)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // So that none is left as a zombie; one that has ended is not signalled.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn give(stdin: &mut ChildStdin, job: &Job, wasm: &[u8]) -> io::Result<()> {
    stdin.write_all(&job.header())?;
    stdin.write_all(wasm)?;
    stdin.flush()
}

/// What it says until it ends.
fn listen(mut stderr: impl io::Read) -> String {
    let mut said = Vec::new();
    let _ = stderr.by_ref().take(KEPT_WORDS).read_to_end(&mut said);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&said).into_owned()
}

/// The signals that tell of a limit, or of nothing that the module has done.
enum Signal {
    Time,
    File,
    Kill,
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<Signal> {
    use rustix::process::Signal as Number;
    let number = std::os::unix::process::ExitStatusExt::signal(&status)?;
    let is = |signal: Number| number == signal.as_raw();
    if is(Number::XCPU) {
        Some(Signal::Time)
    } else if is(Number::XFSZ) {
        Some(Signal::File)
    } else if is(Number::KILL) {
        Some(Signal::Kill)
    } else {
        None
    }
}

#[cfg(not(unix))]
fn signal(_status: ExitStatus) -> Option<Signal> {
    None
}
