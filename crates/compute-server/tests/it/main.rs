//! The server's routes, called without a socket, and a few things through a real one.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod access;
mod admission;
mod batches;
mod isolation;
mod jobs;
mod openapi;
mod rollouts;
mod routes;
mod schedules;
mod sockets;
mod usage;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use compute::{Algorithm, Artifact, Manager};
use compute_server::{Server, Settings, router};
use compute_state::{Catalogue, File, Location, Vault};
use compute_wasm as _;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

/// A server on a store in memory, and a catalogue in a folder of its own.
struct Home {
    folder: tempfile::TempDir,
    server: Server,
}

impl Home {
    fn new(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = Location::new("memory:", folder.path());
        let vault = location.vault().unwrap();
        let server = Server::open(location, vault, Manager::builder(), settings).unwrap();
        Self { folder, server }
    }

    /// One that has plugins of its own.
    fn carrying(settings: Settings, plugins: impl IntoIterator<Item = Artifact>) -> Self {
        let Self { folder, server } = Self::new(settings);
        Self { folder, server: server.with_carried_plugins(plugins) }
    }

    /// Another server on the same state.
    fn another(&self, settings: Settings) -> Server {
        let vault = self.vault();
        Server::open(self.location(), vault, Manager::builder(), settings).unwrap()
    }

    fn router(&self) -> Router {
        router(self.server.clone())
    }

    /// Where it keeps things, as another process sees it.
    fn location(&self) -> Location {
        Location::new("memory:", self.folder.path())
    }

    fn vault(&self) -> Vault {
        self.location().vault().unwrap()
    }

    fn catalogue(&self) -> Arc<dyn Catalogue> {
        self.location().catalogue().unwrap()
    }

    fn apply(&self, stack: &str, rule: &str) {
        let catalogue = self.catalogue();
        let draft = catalogue.draft(&stack.parse().unwrap(), &[File::new("100/rule.txcl", rule)]);
        catalogue.activate(&[draft.unwrap()]).unwrap();
    }

    async fn send(&self, method: &str, path: &str, body: impl Into<Body>) -> Answer {
        self.send_with(method, path, &[], body).await
    }

    async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        Answer::read(response).await
    }

    /// Stores a module, and gives back its path: `sha256/<digest>`.
    async fn put(&self, module: &[u8]) -> String {
        let path = path_of(module);
        let answer = self.send("PUT", &format!("/v1/computes/{path}"), module.to_vec()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        path
    }
}

/// The settings of a server that asks for no token.
fn dev() -> Settings {
    Settings { dev: true, ..Settings::default() }
}

fn path_of(module: &[u8]) -> String {
    format!("sha256/{}", Algorithm::Sha256.hex_digest(module))
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    async fn read(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Self { status: parts.status, headers: parts.headers, body }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }

    /// That it is a problem of this status and code.
    #[track_caller]
    fn is_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }
}

/// A module that gives back its input.
fn echo() -> Vec<u8> {
    wat::parse_str(include_str!("../../../compute-cli/tests/cmd/guests/echo.wat")).unwrap()
}

/// A module that never ends.
fn spin() -> Vec<u8> {
    wat::parse_str(
        r#"(module (memory (export "memory") 1) (func (export "_start") (loop (br 0))))"#,
    )
    .unwrap()
}

#[test]
fn a_server_is_shared_by_threads() {
    fn shared<T: Send + Sync + 'static>(_: &T) {}
    shared(&Arc::new(Home::new(dev()).server));
}
