//! Computes and stacks over HTTP.
//!
//! A [`Server`] holds what requests share: the tenants, each with artifacts, stacks, secrets and traces of its own
//! in its part of the [`compute_state::State`]; the one manager that runs for all of them; the [`compute_state::Tokens`] that say who is who; the
//! places for work of each kind; the memory that requests may take. [`router`] is the routes, [`openapi`] their description; [`serve`] answers on a listener until
//! it is told to stop, and then finishes what it accepted.
//!
//! Every error is `application/problem+json` (RFC 9457) with a stable `code`. Dropping a request cancels its run.
//!
//! ```
//! use axum::body::Body;
//! use axum::http::Request;
//! use compute::Manager;
//! use compute_state::Location;
//! use compute_server::{Server, Settings, router};
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let location = Location::new("memory:", folder.path());
//! let vault = location.vault()?;
//! let settings = Settings { dev: true, ..Settings::default() };
//! let server = Server::open(location, vault, Manager::builder(), settings)?;
//! let request = Request::get("/v1/stacks").body(Body::empty())?;
//! assert_eq!(router(server).oneshot(request).await?.status(), 200);
//! # Ok(())
//! # }
//! ```

mod connections;
mod errors;
mod http;
mod jobs;
mod observe;
mod routes;
mod server;
mod settings;
mod telemetry;
mod tenants;
mod work;

use compute_api as wire;
pub use connections::{run_jobs, serve};
pub use http::Problem;
pub use jobs::{WebhookOrigin, WebhookOriginError};
pub use routes::{differences, openapi, router};
pub use server::{Server, ServerError};
pub use settings::{Allowance, Quotas, Settings};
pub use telemetry::TelemetryError;
pub use tenants::Storage;
pub use work::{Admission, Full, Permit};
