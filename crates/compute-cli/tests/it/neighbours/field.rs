//! A server with two tenants, and what is needed to be a bad neighbour on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use compute::Algorithm;
use serde_json::{Value, json};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(90);
/// How often the good neighbour calls.
const EVERY: Duration = Duration::from_millis(20);

/// A server, its folder, and a token of each tenant.
pub(crate) struct Field {
    folder: tempfile::TempDir,
    program: PathBuf,
    child: Child,
    port: u16,
    tokens: BTreeMap<&'static str, String>,
}

/// An answer over HTTP/1.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first of it, for a message.
    pub(crate) fn brief(&self) -> String {
        format!("{} {}", self.status, self.text().chars().take(200).collect::<String>())
    }

    pub(crate) fn is(&self, statuses: &[u16]) -> Result<()> {
        ensure!(statuses.contains(&self.status), "expected {statuses:?}, got {}", self.brief());
        Ok(())
    }
}

/// The tenant who means no good.
pub(crate) const MALLORY: &str = "mallory";
/// The one whose calls are counted.
pub(crate) const ALICE: &str = "alice";

impl Field {
    /// A server of this program with the default settings and these options.
    pub(crate) fn new(program: &Path, options: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut tokens = BTreeMap::new();
        for tenant in [MALLORY, ALICE] {
            let made = command(program, folder.path())
                .args(["token", "create", "--tenant", tenant, "--scope", "admin"])
                .output()?;
            let token = String::from_utf8_lossy(&made.stdout).trim().to_owned();
            ensure!(token.starts_with("compute_"), "{}", String::from_utf8_lossy(&made.stderr));
            tokens.insert(tenant, token);
        }
        let log = folder.path().join("log.txt");
        let child = command(program, folder.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let mut field = Self { folder, program: program.to_owned(), child, port: 0, tokens };
        let begun = Instant::now();
        while field.port == 0 {
            ensure!(begun.elapsed() < PATIENCE, "no server: {}", field.log());
            let text = field.log();
            let port = text.split("listening on http://127.0.0.1:").nth(1);
            let port = port.and_then(|rest| rest.split(|c: char| !c.is_ascii_digit()).next());
            field.port = port.and_then(|port| port.parse().ok()).unwrap_or(0);
            std::thread::yield_now();
        }
        Ok(field)
    }

    pub(crate) fn token(&self, tenant: &str) -> &str {
        &self.tokens[tenant]
    }

    /// What the server has written to its log.
    pub(crate) fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log.txt")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(crate) fn connect(&self) -> Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The head of a request with so many bytes of body.
    pub(crate) fn head(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        bytes: usize,
    ) -> String {
        let more: String =
            headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let token = self.token(tenant);
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{more}content-length: {bytes}\r\n\r\n"
        )
    }

    pub(crate) fn ask(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        body: &[u8],
    ) -> Result<Answer> {
        self.ask_with(tenant, method, path, &[], body)
    }

    pub(crate) fn ask_with(
        &self,
        tenant: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut stream = self.connect()?;
        stream.write_all(self.head(tenant, method, path, headers, body.len()).as_bytes())?;
        // It may refuse before it has read all of it.
        let _ = stream.write_all(body);
        let mut all = Vec::new();
        let read = stream.read_to_end(&mut all);
        let at = all.windows(4).position(|part| part == b"\r\n\r\n");
        let at = at.with_context(|| format!("{method} {path}: no answer: {read:?}"))?;
        let head = String::from_utf8_lossy(&all[..at]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| head.clone())?;
        Ok(Answer { status, body: all.split_off(at + 4) })
    }

    /// Sends a request and goes away without its answer.
    pub(crate) fn send_and_leave(&self, method: &str, path: &str, body: &[u8]) -> Result<()> {
        let mut stream = self.connect()?;
        stream.write_all(self.head(MALLORY, method, path, &[], body.len()).as_bytes())?;
        let _ = stream.write_all(body);
        Ok(())
    }

    /// Stores a module; gives back `sha256/<digest>`.
    pub(crate) fn put(&self, tenant: &str, module: &[u8]) -> Result<String> {
        let (path, answer) = self.try_put(tenant, module)?;
        answer.is(&[200])?;
        Ok(path)
    }

    pub(crate) fn try_put(&self, tenant: &str, module: &[u8]) -> Result<(String, Answer)> {
        let path = format!("sha256/{}", Algorithm::Sha256.hex_digest(module));
        let answer = self.ask(tenant, "PUT", &format!("/v1/computes/{path}"), module)?;
        Ok((path, answer))
    }

    /// Makes a version of a stack, and gives back its number.
    pub(crate) fn draft(&self, tenant: &str, stack: &str, rules: &[String]) -> Result<u64> {
        let file = |(at, text): (usize, &String)| json!({"path": format!("100/r{at:04}.txcl"), "text": text});
        let files: Vec<_> = rules.iter().enumerate().map(file).collect();
        let body = json!({ "files": files }).to_string();
        let answer =
            self.ask(tenant, "POST", &format!("/v1/stacks/{stack}/drafts"), body.as_bytes())?;
        answer.is(&[201])?;
        let value: Value = serde_json::from_slice(&answer.body)?;
        value["number"].as_u64().context("a version's number")
    }

    /// Makes a stack of these rules active.
    pub(crate) fn stack(&self, tenant: &str, stack: &str, rules: &[String]) -> Result<()> {
        let number = self.draft(tenant, stack, rules)?;
        let path = format!("/v1/stacks/{stack}/versions/{number}/activate");
        self.ask(tenant, "POST", &path, b"")?.is(&[200])
    }

    /// Builds and stores an op, and gives back its path.
    pub(crate) fn put_source(&self, tenant: &str, source: &str) -> Result<String> {
        let file = self.folder.path().join("op.js");
        fs::write(&file, source)?;
        let server = format!("http://127.0.0.1:{}", self.port);
        let put = command(&self.program, self.folder.path())
            .arg("put")
            .arg(&file)
            .args(["--server", &server])
            .env("COMPUTE_TOKEN", self.token(tenant))
            .output()?;
        let reference = String::from_utf8_lossy(&put.stdout).trim().to_owned();
        match reference.strip_prefix("compute://") {
            Some(path) => Ok(path.to_owned()),
            None => bail!("{}", String::from_utf8_lossy(&put.stderr)),
        }
    }

    /// What the system says of the server's process, in a line of its status: kB or a count.
    pub(crate) fn status(&self, name: &str) -> u64 {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim_start_matches(':')
            .split_whitespace()
            .next()
            .and_then(|n| n.parse().ok())
            .unwrap_or(0)
    }

    /// How many files the server has open.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }

    pub(crate) fn is_alive(&self) -> bool {
        Path::new(&format!("/proc/{}/fd", self.child.id())).exists()
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program, with everything it keeps in one folder.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COMPUTE_") {
            command.env_remove(name);
        }
    }
    for (name, part) in [
        ("XDG_DATA_HOME", "data"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_CONFIG_HOME", "config"),
        ("HOME", ""),
    ] {
        command.env(name, folder.join(part));
    }
    command.stdin(Stdio::null());
    command
}

/// What happened meanwhile.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// How long the neighbour's calls took.
    pub(crate) times: Vec<Duration>,
    /// What went wrong with them.
    pub(crate) lost: Vec<String>,
    /// The most resident memory of the server, in MiB, and how many threads it had at most.
    pub(crate) memory: u64,
    pub(crate) threads: u64,
}

impl Seen {
    #[allow(dead_code, reason = "only the benchmark asks")]
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get((times.len().max(1) - 1) * percent / 100).copied().unwrap_or_default()
    }
}

/// Calls 50 times a second as the good neighbour, and watches the server, while something else is done.
pub(crate) fn watch<T>(field: &Field, path: &str, work: impl FnOnce() -> T) -> (T, Seen) {
    let (ended, seen) = (AtomicBool::new(false), Arc::new(Mutex::new(Seen::default())));
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                let (memory, threads) = (field.status("VmRSS") >> 10, field.status("Threads"));
                if let Ok(mut seen) = seen.lock() {
                    (seen.memory, seen.threads) =
                        (seen.memory.max(memory), seen.threads.max(threads));
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        scope.spawn(|| {
            let mut due = Instant::now();
            while !ended.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let answer = field.ask(ALICE, "POST", path, b"{}");
                let took = begun.elapsed();
                if let Ok(mut seen) = seen.lock() {
                    match answer {
                        Ok(answer) if answer.status == 200 => seen.times.push(took),
                        Ok(answer) => seen.lost.push(answer.brief()),
                        Err(error) => seen.lost.push(format!("{error:#}")),
                    }
                }
                due += EVERY;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        });
        let result = work();
        // A moment after it, too: what it leaves behind may still hurt.
        std::thread::sleep(Duration::from_millis(300));
        ended.store(true, Ordering::Relaxed);
        result
    });
    let seen = seen.lock().map(|seen| seen.clone()).unwrap_or_default();
    (result, seen)
}
