//! `compute serve`: computes and stacks over HTTP, until it is told to stop.

use std::io::{self, Write as _};
use std::net::SocketAddr;

use bytesize::ByteSize;
use compute::{Algorithm, Limits, Manager, Ref};
use compute_flow::ProcessorSettings;
use compute_postgres::PostgresSettings;
use compute_server::{Allowance, Quotas, Server, Settings, Storage};
use compute_store::{Store, StoreError};
use compute_wasm::NAME;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, LogFormat, ServeArgs, ServeOptions};
use crate::failure::Failure;
use crate::user::{bindings, plugins};
use crate::{home, host};

/// How many lines of log wait to be written; what comes beyond is dropped, and nobody waits for it.
const WAITING_LINES: usize = 10_000;
/// How much address space a sandbox reserves, and for how many there is room besides.
const SANDBOX_RESERVES: u64 = 4 << 30;
const OTHER_RESERVED: u64 = 8;
/// Files that are open besides connections.
const OTHER_FILES: u64 = 256;
/// How many connections may wait to be accepted; the system may have fewer.
const BACKLOG: u32 = 4096;
/// With files for fewer connections a server does not begin, unless no more are wanted.
const LEAST_CONNECTIONS: u64 = 64;
/// With less memory for requests it could not take one of the usual size.
const LEAST_REQUEST_MEMORY: u64 = 16 << 20;

pub(crate) fn serve(cli: &Cli, args: &ServeArgs) -> Result<(), Failure> {
    let options = &args.options;
    if options.dev && !options.listen.ip().is_loopback() {
        return Err(Failure::usage(format!(
            "with --dev it listens to this machine only, and {} is more: use 127.0.0.1, or tokens",
            options.listen.ip()
        )));
    }
    if let (Some(all), Some(own)) = (options.max_concurrency, options.max_tenant_concurrency)
        && own > all
    {
        return Err(Failure::usage(format!(
            "--max-tenant-concurrency {own} is more than --max-concurrency {all}"
        )));
    }
    let most = options.max_concurrency.map_or(Settings::default().max_concurrency, usize::from);
    if let Some(jobs) = options.max_jobs.filter(|jobs| usize::from(*jobs) > most) {
        return Err(Failure::usage(format!(
            "--max-jobs {jobs} is more than --max-concurrency {most}: each job takes one of these sandboxes"
        )));
    }
    if options.request_memory.as_u64() < LEAST_REQUEST_MEMORY {
        return Err(Failure::usage(format!(
            "--request-memory {} is too little: it must be {} at least",
            options.request_memory,
            ByteSize::b(LEAST_REQUEST_MEMORY)
        )));
    }
    let place = home::place_for(cli, args.state.state.as_deref(), "serve")?;
    let place = place.with_settings(PostgresSettings {
        stale: options.stale,
        connections: usize::from(options.state_connections),
        ..PostgresSettings::default()
    });
    let _log = log(options)?;
    let mut settings = settings(options);
    settings.max_connections = files_for(settings.max_connections)?;
    let calls = u16::try_from(settings.max_concurrency).unwrap_or(u16::MAX);
    let declared = options.declared_memory.as_u64();
    let manager = Manager::builder()
        .engine(NAME, host::engine_config(calls)?.with("declared-memory", declared))
        .cache_bytes(options.cache.as_u64());
    if !options.dev && place.tokens()?.list(None)?.is_empty() {
        tell(
            "warning: there are no tokens, so it refuses everybody: `compute token create --scope admin` makes one, --dev asks for none"
                .to_owned(),
        );
    }
    let asked = place.open_store()?;
    std::thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || ask(&*asked))
        .map_err(|error| Failure::Host(format!("the server failed: {error}")))?;
    let storage = Storage {
        vault: place.vault(options.secret_key_file.as_deref())?,
        state: place.state()?,
        records: Some(options.records.clone().map_or_else(|| place.server_folder(), Ok)?),
        store: place.store,
    };
    let server =
        Server::open_on(storage, manager, settings).map_err(|error| Failure::host(&error))?;
    let server = server
        .with_webhooks(options.webhook_origin.iter().cloned())
        .with_plugins(bindings::read()?.into_values())
        .with_carried_plugins([compute_js_plugin::plugin()].into_iter().chain(plugins::all()?));

    check_threads()?;
    check_address_space(settings.max_concurrency)?;
    server.check().map_err(|error| {
        Failure::Host(format!(
            "computes cannot run here: {}; compiling takes a process, its files and its threads (`ulimit -a` tells what there is)",
            compute::with_causes(&error)
        ))
    })?;
    let failed = |error: io::Error| Failure::Host(format!("the server failed: {error}"));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(failed)?;
    let warmed = server.clone();
    let warming = std::thread::Builder::new().name("warm".to_owned()).spawn(move || warm(&warmed));
    drop(warming.map_err(failed)?);
    runtime.block_on(async {
        let listener = listen(options.listen).map_err(|error| {
            Failure::usage(format!("cannot listen on {}: {error}", options.listen))
        })?;
        let address = listener.local_addr().map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        tell(format!("listening on http://{address}; ctrl-c ends it"));
        let told = async move {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            tell("finishing what was accepted".to_owned());
        };
        compute_server::serve(listener, server, told).await.map_err(|error| Failure::host(&error))
    })
}

/// Says that the store does not answer, if it does not: what is loaded runs without it, so nobody else would.
fn ask(store: &dyn Store) {
    let none = Ref::of(Algorithm::Sha256, b"");
    match pollster::block_on(store.head(&none)) {
        Ok(_) | Err(StoreError::NotFound { .. }) => {}
        Err(error) => tell(format!(
            "warning: the store of artifacts does not answer: {}",
            compute::with_causes(&error)
        )),
    }
}

/// Makes the plugins of JavaScript and Python ready: on a machine that has not compiled them yet the one takes some seconds, and the
/// other some minutes. What fails is only slower then.
fn warm(server: &Server) {
    let warmed = server.warm(|| {
        let compiler = compute_js::compiler(host::engine_config(1)?);
        compute_js::empty(&compiler).map_err(|error| Failure::Host(error.to_string()))
    });
    if let Err(failure) = warmed {
        tracing::warn!(target: "request", "JavaScript's plugin is not ready: {failure}");
    }
    let Ok(python) = bindings::python() else { return };
    tracing::info!(
        target: "request",
        "making Python ready: where it is not compiled yet that takes minutes, and ops in Python wait for it"
    );
    match server.warm(|| Ok::<_, Failure>(compute_python::reader(&python))) {
        Err(failure) => {
            tracing::warn!(target: "request", "Python's plugin is not ready: {failure}");
        }
        Ok(()) => tracing::info!(target: "request", "Python is ready"),
    }
}

/// Says something to whoever started it. Nobody waits for that, and it may fail: stderr may be full, or not be read.
fn tell(text: String) {
    let told = move || drop(writeln!(anstream::stderr(), "{text}"));
    drop(std::thread::Builder::new().name("tell".to_owned()).spawn(told));
}

/// That there is as much address space as sandboxes may reserve: pools for calls that are metered and for those that are
/// not, and what images are made in.
fn check_address_space(sandboxes: usize) -> Result<(), Failure> {
    let Some(limit) = getrlimit(Resource::As).current else { return Ok(()) };
    let wanted = (2 * sandboxes as u64 + OTHER_RESERVED) * SANDBOX_RESERVES;
    if limit >= wanted {
        return Ok(());
    }
    Err(Failure::Host(format!(
        "{sandboxes} sandboxes at once reserve up to {} GiB of address space, and the limit (ulimit -v) is {} GiB: raise it, which costs no memory, or give a smaller --max-concurrency",
        wanted >> 30,
        limit >> 30
    )))
}

/// That there may be as many threads as the runtime begins with: it panics where there may not.
fn check_threads() -> Result<(), Failure> {
    let wanted = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) + 4;
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Arc::new(std::sync::Mutex::new(wait));
    let mut threads = Vec::new();
    for _ in 0..wanted {
        let wait = std::sync::Arc::clone(&wait);
        let held = move || drop(wait.lock().map(|wait| wait.recv()));
        let started = std::thread::Builder::new().spawn(held).map_err(|error| {
            Failure::Host(format!(
                "cannot start {wanted} threads: {error}; see `ulimit -u` and `ulimit -v`"
            ))
        });
        threads.push(started?);
    }
    drop(go);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

fn settings(options: &ServeOptions) -> Settings {
    let standard = Settings::default();
    let max_concurrency = options.max_concurrency.map_or(standard.max_concurrency, usize::from);
    let memory = options.request_memory.as_u64();
    let limits = Limits {
        memory: Some(options.memory.as_u64()),
        wall: Some(options.wall),
        ..Limits::DEFAULT
    };
    Settings {
        dev: options.dev,
        max_concurrency,
        max_tenant_concurrency: options
            .max_tenant_concurrency
            .map_or(max_concurrency.div_ceil(2), usize::from),
        max_queue: options.max_queue as usize,
        max_jobs: options.max_jobs.map_or(max_concurrency.div_ceil(2), usize::from),
        max_tenant_jobs: options.max_tenant_jobs as usize,
        job_age: options.job_age,
        limits,
        documents: ProcessorSettings {
            // That of a run by itself, or what a language's runtime wants.
            limits: Limits { memory: None, ..limits },
            deadline: options.document_wall,
            // As for a run by itself; a rule may say less.
            timeout: options.wall,
            max_timeout: options.wall,
            mocks: options.allow_mocks,
            ..ProcessorSettings::default()
        },
        memory,
        tenant_memory: memory / 2,
        request_memory: memory / 4,
        quotas: Quotas {
            artifacts: options.max_artifacts,
            artifact_bytes: options.max_artifact_bytes.as_u64(),
        },
        allowance: Allowance {
            requests: options.tenant_requests,
            documents: options.tenant_documents,
            time: options.tenant_time,
        },
        result_memory: options.result_cache.as_u64(),
        verify_results: options.verify_cache,
        record_bytes: options.record_bytes.as_u64(),
        record_age: options.record_age,
        sign_records: options.sign_records,
        max_connections: options.max_connections as usize,
        idle_timeout: options.idle_timeout,
        drain_timeout: options.drain_timeout,
        ..standard
    }
}

/// A listener for whom more may wait than a burst of connections: one that finds no room waits a second before it asks
/// again.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6()? } else { TcpSocket::new_v4()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Asks for as many files as that many connections need; gives back for how many there are enough.
fn files_for(connections: usize) -> Result<usize, Failure> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHER_FILES;
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if enough(current) {
        return Ok(connections);
    }
    let most = if enough(maximum) { Some(wanted) } else { maximum };
    let got = match setrlimit(Resource::Nofile, Rlimit { current: most, maximum }) {
        Ok(()) => most,
        Err(_) => current,
    };
    let files = got.unwrap_or(wanted);
    let least = OTHER_FILES + LEAST_CONNECTIONS;
    if files < least && connections as u64 >= LEAST_CONNECTIONS {
        return Err(Failure::Host(format!(
            "the limit of open files (ulimit -n) is {files}, and a server needs {least} at least"
        )));
    }
    let got = usize::try_from(files.saturating_sub(OTHER_FILES)).unwrap_or(connections);
    let got = got.clamp(1, connections);
    if got < connections {
        tell(format!(
            "warning: the limit of open files allows {got} connections, not {connections}"
        ));
    }
    Ok(got)
}

/// Logs to stderr, as told, until the answer is dropped.
fn log(options: &ServeOptions) -> Result<WorkerGuard, Failure> {
    let filter = EnvFilter::try_new(&options.log)
        .map_err(|error| Failure::usage(format!("--log `{}`: {error}", options.log)))?;
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(WAITING_LINES)
        .finish(io::stderr());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    match options.log_format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(guard)
}
