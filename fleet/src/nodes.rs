//! The servers, the database and the store.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use compute_guests::S3Server;
use compute_postgres::testing::Cluster;
use reqwest::Method;
use reqwest::blocking::{Client, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::proxy::Proxy;
use crate::receiver::Receiver;

/// How many servers there are.
pub(crate) const NODES: usize = 3;
const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
/// How long whoever asks waits for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Servers on one database and one store.
pub(crate) struct Fleet {
    pub(crate) cluster: Cluster,
    pub(crate) proxy: Proxy,
    s3: S3Server,
    program: PathBuf,
    nodes: Vec<Node>,
    /// A token of the operator's.
    pub(crate) token: String,
    pub(crate) client: Client,
    pub(crate) receiver: Receiver,
}

struct Node {
    home: TempDir,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl Fleet {
    /// Starts all of it.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let program = program.canonicalize().context("the program `compute`")?;
        let cluster = Cluster::start();
        let address = cluster.database("fleet");
        let (_, folder) = address.split_once("?host=").context("the database's folder")?;
        let proxy = Proxy::open(&Path::new(folder).join(".s.PGSQL.5432"))?;
        let s3 = S3Server::start();
        s3.make_bucket("artifacts");
        let nodes = (0..NODES).map(|_| {
            // A port that is free now, which the server takes again each time.
            let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
            Ok(Node { home: tempfile::tempdir()?, port, child: Mutex::default() })
        });
        let nodes = nodes.collect::<Result<Vec<_>>>()?;
        let client = Client::builder().timeout(PATIENCE).build()?;
        let mut fleet = Self {
            cluster,
            proxy,
            s3,
            program,
            nodes,
            token: String::new(),
            client,
            receiver: Receiver::start()?,
        };
        let made = fleet.command(0).args(["token", "create", "--scope", "admin"]).output()?;
        ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fleet.token = String::from_utf8(made.stdout)?.trim().to_owned();
        for node in 0..NODES {
            fleet.begin(node)?;
        }
        fleet.until_ready()?;
        Ok(fleet)
    }

    fn command(&self, node: usize) -> Command {
        let mut command = Command::new(&self.program);
        let home = self.nodes[node].home.path();
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
            .env("HOME", home)
            .env(
                "COMPUTE_STATE",
                format!("postgres://compute@127.0.0.1:{}/fleet?sslmode=disable", self.proxy.port),
            )
            .env("COMPUTE_STORE", "s3://artifacts/fleet")
            .env("COMPUTE_SECRET_KEY", KEY)
            .envs(self.s3.variables())
            .stdin(Stdio::null());
        command
    }

    fn child(&self, node: usize) -> MutexGuard<'_, Option<Child>> {
        self.nodes[node].child.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server.
    pub(crate) fn begin(&self, node: usize) -> Result<()> {
        let mut child = self.child(node);
        if child.is_some() {
            return Ok(());
        }
        let mut command = self.command(node);
        let listen = format!("127.0.0.1:{}", self.nodes[node].port);
        command
            .args(["serve", "--wall", "10s", "--listen", &listen])
            .args(["--webhook-origin", &self.receiver.origin])
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut started = command.spawn()?;
        let words = started.stderr.take().context("its words")?;
        let told = std::env::var_os("FLEET_WORDS").is_some();
        std::thread::spawn(move || {
            for line in BufReader::new(words).lines().map_while(Result::ok) {
                if told {
                    eprintln!("[{node}] {line}");
                }
            }
        });
        *child = Some(started);
        Ok(())
    }

    /// Ends a server at once.
    pub(crate) fn kill(&self, node: usize) {
        if let Some(mut child) = self.child(node).take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends a server that is told to, and may finish what it has.
    pub(crate) fn end(&self, node: usize) {
        self.signal(node, Signal::TERM);
        if let Some(mut child) = self.child(node).take() {
            let _ = child.wait();
        }
    }

    /// Sends a server a signal.
    pub(crate) fn signal(&self, node: usize, signal: Signal) {
        if let Some(child) = &*self.child(node) {
            let _ = kill_process(Pid::from_child(child), signal);
        }
    }

    /// Everything works again.
    pub(crate) fn heal(&self) -> Result<()> {
        self.proxy.mend();
        for node in 0..NODES {
            self.signal(node, Signal::CONT);
            self.begin(node)?;
        }
        self.until_ready()
    }

    fn until_ready(&self) -> Result<()> {
        let begun = Instant::now();
        for node in 0..NODES {
            loop {
                let asked = self.client.get(self.url(node, "/readyz")).send();
                if asked.is_ok_and(|answer| answer.status() == 200) {
                    break;
                }
                if begun.elapsed() > Duration::from_secs(120) {
                    bail!("server {node} is not ready");
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }

    fn url(&self, node: usize, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.nodes[node].port)
    }

    /// A request to a server, with the operator's token.
    pub(crate) fn ask(&self, node: usize, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(node, path)).bearer_auth(&self.token)
    }

    /// What a server answers that must answer.
    pub(crate) fn answer(
        &self,
        node: usize,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Value> {
        let answer = self.ask(node, method.clone(), path).body(body).send()?;
        let (status, text) = (answer.status(), answer.text()?);
        ensure!(status.is_success(), "{method} {path}: {status} {text}");
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// What a single server of its own gives, which knows nothing of the others.
    pub(crate) fn alone(&self) -> Result<Alone> {
        let home = tempfile::tempdir()?;
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new(&self.program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", home.path()).stdin(Stdio::null()).stderr(Stdio::null());
        command.args(["serve", "--dev", "--wall", "10s", "--listen", &format!("127.0.0.1:{port}")]);
        let alone =
            Alone { child: command.spawn()?, port, client: self.client.clone(), _home: home };
        let begun = Instant::now();
        while !alone.client.get(alone.url("/healthz")).send().is_ok_and(|one| one.status() == 200) {
            ensure!(begun.elapsed() < Duration::from_secs(60), "the single server does not begin");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(alone)
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        (0..NODES).for_each(|node| self.kill(node));
    }
}

/// A server alone.
pub(crate) struct Alone {
    child: Child,
    port: u16,
    client: Client,
    _home: TempDir,
}

impl Alone {
    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// What it answers that must answer.
    pub(crate) fn answer(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Value> {
        Ok(serde_json::from_str(&self.text(method, path, headers, body)?).unwrap_or_default())
    }

    /// The same as a text.
    pub(crate) fn text(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<String> {
        let mut request = self.client.request(method, self.url(path)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send()?;
        let (status, text) = (answer.status(), answer.text()?);
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(text)
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
