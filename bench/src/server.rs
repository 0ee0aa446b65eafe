//! The server under load: requests a second beside workerd's, and what one tenant's load does to another.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use compute::Algorithm;
use reqwest::blocking::Client;

/// What the op and the worker are called with.
const INPUT: &str = r#"{"name":"Ada"}"#;
const RECORDED: &str = "compute, each run recorded";
const CONNECTIONS: u32 = 8;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(6);
/// How often the short calls of the fairness measurement come, and for how long.
const EVERY: Duration = Duration::from_millis(20);
const FAIR: Duration = Duration::from_secs(20);

/// The same handler as `bench/ops/trivial.js`, for workerd.
const WORKER: &str = r#"export default {
  async fetch(request) {
    const input = await request.json();
    return Response.json({ ...input, greeting: "hi " + input.name });
  },
};
"#;

/// Prints both.
pub(crate) fn server(peers: bool) -> Result<()> {
    let ops = PathBuf::from(std::env::var_os("COMPUTE_OPS").context("cargo xtask bench sets it")?);
    let op = std::fs::read(ops.join("trivial.wasm"))?;
    load(&op, peers)?;
    fairness(&op, "guests at once spin to their deadline of 250 ms", &spin()?, 504)?;
    fairness(&op, "guests at once log a MiB each", &flood()?, 200)
}

/// A process that ends with this.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server of this program, with a folder of its own.
pub(crate) struct Served {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) url: String,
    port: u16,
    pub(crate) running: Option<Running>,
    options: Vec<&'static str>,
}

pub(crate) fn compute() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var_os("COMPUTE").context("cargo xtask sets COMPUTE")?))
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Served {
    pub(crate) fn start(options: &[&'static str]) -> Result<Self> {
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        let url = format!("http://127.0.0.1:{port}");
        let mut served = Self { folder, url, port, running: None, options: options.to_vec() };
        served.restart()?;
        Ok(served)
    }

    /// A command on this server's folders.
    pub(crate) fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(compute()?);
        command
            .args(args)
            .env("COMPUTE_STORE", self.folder.path().join("store"))
            .env("COMPUTE_STATE", self.folder.path().join("state"))
            .env("XDG_CACHE_HOME", self.folder.path().join("cache"))
            .env("XDG_CONFIG_HOME", self.folder.path().join("config"));
        Ok(command)
    }

    /// Starts it, in place of the one that was killed; waits until it takes work.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.running = None;
        let listen = format!("127.0.0.1:{}", self.port);
        let mut command = self.command(&["serve", "--listen", &listen])?;
        command.args(&self.options).stderr(Stdio::null());
        self.running = Some(Running(command.spawn()?));
        let client = Client::new();
        for _ in 0..500 {
            if client.get(format!("{}/readyz", self.url)).send().is_ok_and(|it| it.status() == 200)
            {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("the server does not get ready")
    }

    fn token(&self, tenant: &str) -> Result<String> {
        let args = ["token", "create", "--tenant", tenant, "--scope", "run,update"];
        let output = self.command(&args)?.stderr(Stdio::null()).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

/// Stores a module, and gives back the path that runs it.
pub(crate) fn put(
    client: &Client,
    url: &str,
    token: Option<&str>,
    module: &[u8],
) -> Result<String> {
    let digest = Algorithm::Sha256.hex_digest(module);
    let mut request = client.put(format!("{url}/v1/computes/sha256/{digest}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.body(module.to_vec()).send()?;
    ensure!(answer.status() == 200, "an upload got {}: {}", answer.status(), answer.text()?);
    Ok(format!("/run/sha256/{digest}"))
}

/// Requests a second, and the time that 50 and 99 of 100 take at most.
struct Measured {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// One round of wrk.
fn wrk(script: &Path, url: &str) -> Result<Measured> {
    let wrk = std::env::var_os("COMPUTE_WRK").context("cargo xtask bench sets it")?;
    let output = Command::new(wrk)
        .args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{}s", ROUND.as_secs()), "-s"])
        .arg(script)
        .arg(url)
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().find_map(|line| line.strip_prefix("measured "));
    let line = line.with_context(|| format!("wrk said: {text}"))?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [rate, p50, p99, errors] = numbers[..] else { bail!("wrk said: {text}") };
    ensure!(errors == 0.0, "{errors} requests failed: {text}");
    Ok(Measured { rate, p50, p99 })
}

/// What wrk sends, and what it says of it: microseconds, and answers that were none.
const SCRIPT: &str = r#"wrk.method = "POST"
wrk.body = '{"name":"Ada"}'
wrk.headers["content-type"] = "application/json"
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("measured %f %f %f %d\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

fn load(op: &[u8], peers: bool) -> Result<()> {
    let ours = Served::start(&["--dev"])?;
    let client = Client::new();
    put(&client, &ours.url, None, compute_js_plugin::plugin().wasm())?;
    let path = put(&client, &ours.url, None, op)?;
    let mut contenders =
        vec![("compute, fresh sandbox per request", format!("{}{path}", ours.url), Vec::new())];
    // The same, where each run is recorded with its bytes.
    let recording = Served::start(&["--dev"])?;
    put(&client, &recording.url, None, compute_js_plugin::plugin().wasm())?;
    let path = put(&client, &recording.url, None, op)?;
    let policy = client.put(format!("{}/v1/record-policies", recording.url));
    let answer = policy.body(r#"{"which":"all"}"#).send()?;
    ensure!(answer.status() == 204, "a policy got {}", answer.status());
    contenders.push((RECORDED, format!("{}{path}", recording.url), Vec::new()));
    let theirs = if peers { Some(Workerd::start()?) } else { None };
    if let Some(workerd) = &theirs {
        contenders.push(("workerd, isolate reused", workerd.url.clone(), Vec::new()));
    }
    contenders.push(("compute, /healthz: HTTP alone", format!("{}/healthz", ours.url), Vec::new()));
    let script = ours.folder.path().join("post.lua");
    std::fs::write(&script, SCRIPT)?;
    let get = ours.folder.path().join("get.lua");
    std::fs::write(&get, SCRIPT.replace("\"POST\"", "\"GET\"").replace("wrk.body", "-- wrk.body"))?;
    for (name, url, _) in &contenders {
        if !name.contains("healthz") {
            let answer = client.post(url).body(INPUT).send()?.text()?;
            ensure!(answer == r#"{"name":"Ada","greeting":"hi Ada"}"#, "{name} answers {answer}");
        }
    }
    for round in 0..=ROUNDS {
        for (name, url, measured) in &mut contenders {
            let script = if name.contains("healthz") { &get } else { &script };
            let one = wrk(script, url)?;
            // The first round warms them up.
            if round > 0 {
                measured.push(one);
            }
        }
    }
    println!(
        "POST {INPUT}, {CONNECTIONS} connections, wrk on the same machine, {ROUNDS} rounds of {ROUND:?} in turn\n"
    );
    println!("{:<38} {:>12} {:>10} {:>10}", "", "requests/s", "p50", "p99");
    let mut rates = Vec::new();
    for (name, _, measured) in &mut contenders {
        measured.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let one = &measured[measured.len() / 2];
        let micros = |time: f64| format!("{time:.0} µs");
        println!("{name:<38} {:>12.0} {:>10} {:>10}", one.rate, micros(one.p50), micros(one.p99));
        rates.push(one.rate);
    }
    println!("\nrecording makes {:.2} × the requests", rates[1] / rates[0]);
    for line in client.get(format!("{}/metrics", recording.url)).send()?.text()?.lines() {
        if line.starts_with("compute_records") {
            println!("{line}");
        }
    }
    if peers {
        println!("compute makes {:.2} × the requests of workerd", rates[0] / rates[2]);
    }
    println!();
    Ok(())
}

/// workerd with the same handler.
struct Workerd {
    url: String,
    _running: Running,
    _folder: tempfile::TempDir,
}

impl Workerd {
    fn start() -> Result<Self> {
        let program = std::env::var_os("COMPUTE_WORKERD").context("cargo xtask bench sets it")?;
        let (folder, port) = (tempfile::tempdir()?, free_port()?);
        std::fs::write(folder.path().join("worker.js"), WORKER)?;
        let config = format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n\
             services = [(name = \"main\", worker = (modules = [(name = \"worker\", esModule = embed \"worker.js\")], compatibilityDate = \"2025-01-01\"))],\n\
             sockets = [(name = \"http\", address = \"127.0.0.1:{port}\", http = (), service = \"main\")]);\n"
        );
        let file = folder.path().join("config.capnp");
        std::fs::write(&file, config)?;
        let child = Command::new(program).arg("serve").arg(&file).spawn()?;
        let workerd = Self {
            url: format!("http://127.0.0.1:{port}/"),
            _running: Running(child),
            _folder: folder,
        };
        let client = Client::new();
        for _ in 0..500 {
            if client.post(&workerd.url).body(INPUT).send().is_ok() {
                return Ok(workerd);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("workerd does not get ready")
    }
}

/// A module that never ends.
pub(crate) fn spin() -> Result<Vec<u8>> {
    let text = r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#;
    Ok(wat::parse_str(text)?)
}

/// A module that logs a MiB, in lines of 16 bytes.
fn flood() -> Result<Vec<u8>> {
    let text = r#"(module
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (data (i32.const 0) "\10\00\00\00\00\00\01\00")
        (func (export "_start") (local $at i32)
          (loop $fill
            (i64.store (i32.add (i32.const 16) (local.get $at)) (i64.const 0x6161616161616161))
            (i64.store (i32.add (i32.const 24) (local.get $at)) (i64.const 0x0a61616161616161))
            (local.set $at (i32.add (local.get $at) (i32.const 16)))
            (br_if $fill (i32.lt_u (local.get $at) (i32.const 65536))))
          (local.set $at (i32.const 16))
          (loop $more
            (drop (call $write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
            (local.set $at (i32.sub (local.get $at) (i32.const 1)))
            (br_if $more (local.get $at)))
          (i32.store (i32.const 8) (i32.const 65552))
          (i32.store (i32.const 12) (i32.const 2))
          (i32.store16 (i32.const 65552) (i32.const 0x7d7b))
          (drop (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))))"#;
    Ok(wat::parse_str(text)?)
}

/// Tenant A's guests do their worst, twice as many at once as there are processors; tenant B makes 50 short calls a
/// second.
fn fairness(op: &[u8], what: &str, module: &[u8], status: u16) -> Result<()> {
    let served = Served::start(&[])?;
    let (a, b) = (served.token("a")?, served.token("b")?);
    let client = Client::new();
    let spin = format!("{}{}", served.url, put(&client, &served.url, Some(&a), module)?);
    put(&client, &served.url, Some(&b), compute_js_plugin::plugin().wasm())?;
    let short = format!("{}{}", served.url, put(&client, &served.url, Some(&b), op)?);

    let processors = std::thread::available_parallelism()?.get();
    let stop = Arc::new(AtomicBool::new(false));
    let spun = Arc::new(AtomicU64::new(0));
    let spinners: Vec<_> = (0..processors * 2)
        .map(|_| {
            let (stop, spun, spin, a) =
                (Arc::clone(&stop), Arc::clone(&spun), spin.clone(), a.clone());
            std::thread::spawn(move || {
                let client = Client::new();
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.post(&spin).bearer_auth(&a).body("{}").send();
                    if answer.is_ok_and(|answer| answer.status() == status) {
                        spun.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();

    let times = Arc::new(Mutex::new(Vec::new()));
    let lost = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let calls = FAIR.as_millis() / EVERY.as_millis();
    // Each call has its moment, whether the one before it was answered or not.
    let callers: Vec<_> = (0..4_u32)
        .map(|caller| {
            let (times, lost, short, b) =
                (Arc::clone(&times), Arc::clone(&lost), short.clone(), b.clone());
            std::thread::spawn(move || {
                let client = Client::new();
                for call in (caller..calls as u32).step_by(4) {
                    let moment = begun + EVERY * call;
                    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
                    let answer = client.post(&short).bearer_auth(&b).body(INPUT).send();
                    if answer.is_ok_and(|answer| answer.status() == 200) {
                        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
                        times.push(moment.elapsed());
                    } else {
                        lost.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    for caller in callers {
        caller.join().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
    }
    stop.store(true, Ordering::Relaxed);
    for spinner in spinners {
        spinner.join().map_err(|_| anyhow::anyhow!("a spinner panicked"))?;
    }
    let mut times = std::mem::take(&mut *times.lock().unwrap_or_else(PoisonError::into_inner));
    times.sort_unstable();
    let percentile = |percent: usize| times[(times.len() - 1) * percent / 100];
    println!("tenant A: {} {what}, {} in {FAIR:?}", processors * 2, spun.load(Ordering::Relaxed));
    println!(
        "tenant B: {} short calls at 50/s: p50 {:.2?}, p90 {:.2?}, p99 {:.2?}, max {:.2?}; {} lost",
        times.len(),
        percentile(50),
        percentile(90),
        percentile(99),
        times[times.len() - 1],
        lost.load(Ordering::Relaxed)
    );
    Ok(())
}
