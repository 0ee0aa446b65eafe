//! Whether a server lives, and what it does.

use serde_json::Value;

use super::ApiClient;
use crate::mode::Mode;
use crate::request::Request;

impl<M: Mode> ApiClient<M> {
    /// Whether the server lives: `ok`.
    pub fn live(&self) -> M::Answer<'_, String> {
        self.call(Request::get(["healthz"]).text())
    }

    /// Whether the server takes work: `ready`. Not while it shuts down, or while what it keeps does not answer
    /// ([`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable)); then it is asked again as often as
    /// [`Retries`](crate::Retries) say.
    pub fn ready(&self) -> M::Answer<'_, String> {
        self.call(Request::get(["readyz"]).text())
    }

    /// What the server does, in Prometheus' text format. For a token of the tenant `default` with the scope `admin`.
    pub fn metrics(&self) -> M::Answer<'_, String> {
        self.call(Request::get(["metrics"]).text())
    }

    /// What the server can be asked for, as OpenAPI 3.1 has it.
    pub fn openapi(&self) -> M::Answer<'_, Value> {
        self.call(Request::get(["openapi.json"]).json())
    }
}
