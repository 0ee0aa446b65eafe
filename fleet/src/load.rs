//! Who asks the servers for documents, jobs, activations and tokens, and what they were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use compute::{Algorithm, Artifact};
use reqwest::Method;
use serde_json::{Value, json};
use stateright::semantics::register::{RegisterOp, RegisterRet};

use crate::history::{Event, History};
use crate::nodes::{Fleet, NODES};

/// How many stacks are activated in turn, for how long each, and how many versions each has.
const STACKS: usize = 40;
const TURN: Duration = Duration::from_secs(8);
const VERSIONS: u32 = 6;
/// How long whoever has no answer goes on asking.
const AGAIN: Duration = Duration::from_secs(120);

/// Those who ask.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    fleet: Arc<Fleet>,
    done: Arc<AtomicBool>,
    begun: Instant,
    reference: String,
    history: History,
    /// Who asks next: whoever gets no answer is never heard of again.
    who: AtomicU64,
    documents: AtomicU64,
    activations: AtomicU64,
    looks: AtomicU64,
    tokens: AtomicU64,
    /// The jobs that were accepted: by key, what they are, and all ids that were said.
    jobs: Mutex<BTreeMap<String, Submitted>>,
    wrong: Mutex<Vec<String>>,
}

/// A job that was accepted.
#[derive(Clone, Debug)]
pub(crate) struct Submitted {
    body: Value,
    ids: BTreeSet<String>,
}

/// What was told.
pub(crate) struct Told {
    pub(crate) documents: u64,
    pub(crate) activations: u64,
    pub(crate) looks: u64,
    pub(crate) tokens: u64,
    pub(crate) jobs: BTreeMap<String, Submitted>,
    pub(crate) wrong: Vec<String>,
    pub(crate) history: Vec<Event>,
}

/// The versions that there are, and what jobs run.
fn prepare(fleet: &Fleet) -> Result<String> {
    let draft = |stack: &str, version: u32, rules: [(&str, String); 2]| -> Result<()> {
        let files = rules.map(|(path, text)| json!({"path": path, "text": text}));
        let made = fleet.answer(
            0,
            Method::POST,
            &format!("/v1/stacks/{stack}/drafts"),
            json!({"files": files}).to_string().into(),
        )?;
        ensure!(made["number"] == version, "{made}");
        Ok(())
    };
    for stack in 0..STACKS {
        for version in 1..=VERSIONS {
            let rules = [
                ("100/a.txcl", format!("EMIT .a = {version}")),
                ("200/b.txcl", format!("EMIT .b = {version}")),
            ];
            draft(&format!("reg{stack}"), version, rules)?;
        }
        fleet.answer(
            0,
            Method::POST,
            &format!("/v1/stacks/reg{stack}/versions/1/activate"),
            Vec::new(),
        )?;
    }
    let secret = json!({"value": "whsec_aG9vaw=="}).to_string();
    fleet.answer(0, Method::PUT, "/v1/secrets/hook", secret.into())?;
    draft("job", 1, job_rules())?;
    fleet.answer(0, Method::POST, "/v1/stacks/job/versions/1/activate", Vec::new())?;
    let artifact = slow_echo()?;
    let path = format!("/v1/computes/sha256/{}", artifact.reference().digest());
    fleet.answer(0, Method::PUT, &path, artifact.wasm().to_vec())?;
    Ok(artifact.reference().to_string())
}

fn job_rules() -> [(&'static str, String); 2] {
    [
        ("100/a.txcl", "EMIT .id = &uuid(), .at = &now(nanos)".to_owned()),
        ("200/b.txcl", "EMIT .n = &add(.n, 1)".to_owned()),
    ]
}

/// Gives back its input, after a while if that is a text.
fn slow_echo() -> Result<Artifact> {
    let text = r#"(module
  (import "wasi_snapshot_preview1" "fd_read" (func $fd_read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 34)) (then
      (i32.store (i32.const 16) (i32.const 300000000))
      (loop
        (i32.store (i32.const 16) (i32.sub (i32.load (i32.const 16)) (i32.const 1)))
        (br_if 0 (i32.load (i32.const 16))))))
    (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
    Ok(Artifact::new(Algorithm::Sha256, "wasm", wat::parse_str(text)?))
}

impl Load {
    /// Starts them.
    pub(crate) fn start(fleet: &Arc<Fleet>, done: &Arc<AtomicBool>, seed: u64) -> Result<Self> {
        let reference = prepare(fleet)?;
        let shared = Arc::new(Shared {
            fleet: Arc::clone(fleet),
            done: Arc::clone(done),
            begun: Instant::now(),
            reference,
            history: History::default(),
            who: AtomicU64::new(0),
            documents: AtomicU64::new(0),
            activations: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            tokens: AtomicU64::new(0),
            jobs: Mutex::default(),
            wrong: Mutex::default(),
        });
        let kinds: [fn(&Shared, &mut fastrand::Rng); 8] = [
            Shared::document,
            Shared::document,
            Shared::job,
            Shared::job,
            Shared::activation,
            Shared::activation,
            Shared::look,
            Shared::token,
        ];
        let threads = kinds.into_iter().zip(1_u64..).map(|(kind, number)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed ^ (number << 32));
                while !shared.done.load(Ordering::Relaxed) {
                    kind(&shared, &mut random);
                    std::thread::sleep(Duration::from_millis(random.u64(0..20)));
                }
            })
        });
        Ok(Self { threads: threads.collect(), shared })
    }

    /// Waits until they have ended.
    pub(crate) fn finish(self) -> Told {
        for thread in self.threads {
            if thread.join().is_err() {
                self.shared.wrong("one who asks panicked".to_owned());
            }
        }
        let shared = &self.shared;
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        Told {
            documents: count(&shared.documents),
            activations: count(&shared.activations),
            looks: count(&shared.looks),
            tokens: count(&shared.tokens),
            jobs: shared.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            wrong: shared.wrong.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            history: shared.history.take(),
        }
    }
}

impl Shared {
    fn wrong(&self, what: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// The stack whose turn it is.
    fn stack(&self) -> usize {
        let turn = self.begun.elapsed().as_millis() / TURN.as_millis();
        usize::try_from(turn).unwrap_or(0) % STACKS
    }

    /// Takes a document through a stack whose versions change.
    fn document(&self, random: &mut fastrand::Rng) {
        let path = format!("/stacks/reg{}", self.stack());
        let Ok(answer) =
            self.fleet.ask(random.usize(0..NODES), Method::POST, &path).body("{}").send()
        else {
            return;
        };
        if answer.status() != 200 {
            return;
        }
        if let Ok(document) = answer.json::<Value>() {
            self.documents.fetch_add(1, Ordering::Relaxed);
            if document["a"] != document["b"] || !document["a"].is_u64() {
                self.wrong(format!("a document went through two versions: {document}"));
            }
        }
    }

    /// Makes a version active.
    fn activation(&self, random: &mut fastrand::Rng) {
        let (stack, version) = (self.stack(), random.u32(1..=VERSIONS));
        let who = self.who.fetch_add(1, Ordering::Relaxed);
        let path = format!("/v1/stacks/reg{stack}/versions/{version}/activate");
        self.history.push(Event::Begun(who, stack, RegisterOp::Write(version)));
        let answer = self.fleet.ask(random.usize(0..NODES), Method::POST, &path).send();
        // What has another answer may have been done all the same.
        if answer.is_ok_and(|answer| answer.status() == 200) {
            self.history.push(Event::Ended(who, stack, RegisterRet::WriteOk));
            self.activations.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(random.u64(50..300)));
    }

    /// Looks which version is active.
    fn look(&self, random: &mut fastrand::Rng) {
        let stack = self.stack();
        let who = self.who.fetch_add(1, Ordering::Relaxed);
        self.history.push(Event::Begun(who, stack, RegisterOp::Read));
        let path = format!("/v1/stacks/reg{stack}");
        let answer = self.fleet.ask(random.usize(0..NODES), Method::GET, &path).send();
        let answer = answer.ok().filter(|answer| answer.status() == 200);
        if let Some(versions) = answer.and_then(|answer| answer.json::<Value>().ok()) {
            let all = versions["versions"].as_array();
            let active = all.into_iter().flatten().find(|one| one["active"] == true);
            let Some(number) = active.and_then(|one| one["number"].as_u64()) else {
                return self.wrong(format!("no version of reg{stack} is active: {versions}"));
            };
            let number = u32::try_from(number).unwrap_or(0);
            self.history.push(Event::Ended(who, stack, RegisterRet::ReadOk(number)));
            self.looks.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(random.u64(50..300)));
    }

    /// Submits a job, until it is accepted.
    fn job(&self, random: &mut fastrand::Rng) {
        let key = format!("{:032x}", random.u128(..));
        let n = random.u32(0..1_000_000);
        let mut body = match random.u32(0..20) {
            0 => {
                let inputs = (0..random.u32(1..60)).map(|number| json!({"n": n + number}));
                json!({"stack": "job", "inputs": inputs.collect::<Vec<_>>()})
            }
            1 => json!({"ref": self.reference, "input": format!("slow {n}")}),
            2..8 => json!({"ref": self.reference, "input": {"n": n}}),
            _ => json!({"stack": "job", "input": {"n": n}}),
        };
        body["attempts"] = 20.into();
        body["priority"] = random.u32(0..10).into();
        if random.u32(0..5) == 0 {
            body["webhook"] = json!({"url": self.fleet.receiver.origin, "secret": "hook"});
        }
        let begun = Instant::now();
        // Some are sent again though they were accepted.
        let mut more = random.u32(0..10) == 0;
        while begun.elapsed() < AGAIN {
            let request = self.fleet.ask(random.usize(0..NODES), Method::POST, "/v1/jobs");
            let sent = request.header("idempotency-key", &key).body(body.to_string()).send();
            let accepted = sent.ok().filter(|answer| answer.status().is_success());
            if let Some(job) = accepted.and_then(|answer| answer.json::<Value>().ok()) {
                let id = job["id"].as_str().unwrap_or_default().to_owned();
                let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
                let new = || Submitted { body: body.clone(), ids: BTreeSet::new() };
                jobs.entry(key.clone()).or_insert_with(new).ids.insert(id);
                if !std::mem::take(&mut more) {
                    return;
                }
            }
            if self.done.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(Duration::from_millis(random.u64(10..100)));
        }
    }

    /// Makes a token, and ends it.
    fn token(&self, random: &mut fastrand::Rng) {
        let fleet = &self.fleet;
        let body = json!({"name": "", "scopes": ["run"]}).to_string();
        let made = fleet.ask(random.usize(0..NODES), Method::POST, "/v1/tokens");
        let made = made.header("content-type", "application/json").body(body).send();
        let made = made.ok().filter(|answer| answer.status().is_success());
        let Some(made) = made.and_then(|answer| answer.json::<Value>().ok()) else { return };
        let (Some(token), Some(id)) = (made["token"].as_str(), made["id"].as_str()) else {
            return self.wrong(format!("a token: {made}"));
        };
        let works = |node: usize| {
            let ask = fleet.ask(node, Method::POST, "/stacks/job");
            let headers = [("authorization", format!("Bearer {token}"))];
            let mut request = fleet.client.request(Method::POST, ask.build().ok()?.url().clone());
            for (name, value) in headers {
                request = request.header(name, value);
            }
            let answer = request.body("{\"n\":1}").send().ok()?;
            // One that says that it is cut off goes by what it knew.
            let is_away = answer.headers().contains_key("x-compute-state-away");
            Some((answer.status().as_u16(), is_away))
        };
        for node in 0..NODES {
            // Known there from now on.
            let _ = works(node);
        }
        let path = format!("/v1/tokens/{id}");
        let revoked = fleet.ask(random.usize(0..NODES), Method::DELETE, &path).send();
        if !revoked.is_ok_and(|answer| answer.status() == 204) {
            return;
        }
        self.tokens.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(1));
        for node in 0..NODES {
            if works(node) == Some((200, false)) {
                let at = self.begun.elapsed().as_secs_f64();
                self.wrong(format!(
                    "server {node} takes a token a second after it was revoked, at {at:.1} s"
                ));
            }
        }
    }
}

/// What is wrong with the jobs.
pub(crate) fn check_jobs(fleet: &Fleet, told: &Told) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    let alone = fleet.alone()?;
    let artifact = slow_echo()?;
    let of_artifact = format!("sha256/{}", artifact.reference().digest());
    alone.answer(
        Method::PUT,
        &format!("/v1/computes/{of_artifact}"),
        &[],
        artifact.wasm().to_vec(),
    )?;
    let files = job_rules().map(|(path, text)| json!({"path": path, "text": text}));
    let draft = json!({"files": files}).to_string();
    alone.answer(Method::POST, "/v1/stacks/job/drafts", &[], draft.into())?;
    alone.answer(Method::POST, "/v1/stacks/job/versions/1/activate", &[], Vec::new())?;
    let begun = Instant::now();
    for (key, Submitted { body, ids }) in &told.jobs {
        let [id] = &ids.iter().collect::<Vec<_>>()[..] else {
            wrong.push(format!("the key {key} has several jobs: {ids:?}"));
            continue;
        };
        let job = loop {
            let path = format!("/v1/jobs/{id}?wait_ms=5000");
            let job = fleet.answer(0, Method::GET, &path, Vec::new())?;
            if job["ended"].is_string() {
                break job;
            }
            if begun.elapsed() > Duration::from_secs(300) {
                bail!("a job does not end: {job}");
            }
        };
        let seed = job["seed"].as_str().context("a seed")?;
        let now = job["now"].as_str().context("a time")?;
        let headers = [("x-compute-seed", seed), ("x-compute-now", now)];
        if body.get("webhook").is_some() {
            while fleet.receiver.told(id).is_empty() {
                if begun.elapsed() > Duration::from_secs(300) {
                    bail!("nobody was told of the end of {job}");
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let told = fleet.receiver.told(id);
            if told.iter().any(|how| how != "job.done") {
                wrong.push(format!("it was told of {job}: {told:?}"));
            }
        }
        if let Some(inputs) = body["inputs"].as_array() {
            let lines: String = inputs.iter().map(|input| format!("{input}\n")).collect();
            let headers = [&headers[..], &[("content-type", "application/x-ndjson")]].concat();
            let expected = alone.text(Method::POST, "/stacks/job/batch", &headers, lines.into())?;
            let outputs = |lines: Vec<Value>| -> Vec<Value> {
                lines.into_iter().map(|line| line["output"].clone()).collect()
            };
            let expected: Result<Vec<_>, _> = expected.lines().map(serde_json::from_str).collect();
            let got = job["output"].as_array().cloned().unwrap_or_default();
            if outputs(got) != outputs(expected?) {
                wrong.push(format!("a batch has another result than a single server: {job}"));
            }
            continue;
        }
        let path = match body["stack"].as_str() {
            Some(stack) => format!("/stacks/{stack}"),
            None => format!("/run/{of_artifact}"),
        };
        let expected =
            alone.answer(Method::POST, &path, &headers, body["input"].to_string().into())?;
        if job["state"] != "done" || job["output"] != expected {
            wrong.push(format!("a job has another result than {expected}: {job}"));
        }
    }
    // None but these.
    let mut before = String::new();
    let mut number = 0;
    loop {
        let path = format!("/v1/jobs?last=1000{before}");
        let listed = fleet.answer(0, Method::GET, &path, Vec::new())?;
        let jobs = listed["jobs"].as_array().context("a list")?;
        number += jobs.len();
        match jobs.last().and_then(|job| job["id"].as_str()) {
            Some(last) => before = format!("&before={last}"),
            None => break,
        }
    }
    // Some may have been accepted whose submitters had no answer.
    if number < told.jobs.len() {
        wrong.push(format!("{} jobs were accepted, and {number} are kept", told.jobs.len()));
    }
    Ok(wrong)
}
