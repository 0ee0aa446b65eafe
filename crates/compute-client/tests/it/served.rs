//! A real server, on a port of its own.

use std::thread::JoinHandle;

use compute::{Algorithm, Artifact, Manager};
use compute_client::ClientBuilder;
use compute_client::Mode;
use compute_client::blocking::Client;
use compute_server::{Server, Settings};
use compute_state::Location;
use compute_wasm as _;
use tokio::sync::oneshot;

use crate::QUICK;

/// A server that asks for no token, and ends with the test.
pub(crate) struct Served {
    pub(crate) url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _folder: tempfile::TempDir,
}

impl Served {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::new("memory:", folder.path());
        let vault = location.vault().unwrap();
        let settings = Settings { dev: true, ..Settings::default() };
        let server = Server::open(location, vault, Manager::builder(), settings).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let stopped = async {
                    let _ = stopped.await;
                };
                compute_server::serve(listener, server, stopped).await.unwrap();
            });
        });
        let url = format!("http://{}", told.recv().unwrap());
        Self { url, stop: Some(stop), thread: Some(thread), _folder: folder }
    }

    pub(crate) fn client(&self) -> Client {
        self.builder().build().unwrap()
    }

    pub(crate) fn builder<M: Mode>(&self) -> ClientBuilder<M> {
        compute_client::ApiClient::builder(&self.url).retries(QUICK)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// A module that gives back its input.
pub(crate) fn echo() -> Artifact {
    let module =
        wat::parse_str(include_str!("../../../compute-cli/tests/cmd/guests/echo.wat")).unwrap();
    Artifact::new(Algorithm::Sha256, "wasm", module)
}

/// As many modules that differ.
pub(crate) fn modules(count: usize) -> Vec<Artifact> {
    let module = |number| {
        let text = format!(
            "(module (memory (export \"memory\") 1) (func (export \"_start\")) (data (i32.const 0) \"{number}\"))"
        );
        Artifact::new(Algorithm::Sha256, "wasm", wat::parse_str(text).unwrap())
    };
    (0..count).map(module).collect()
}
