//! Computes and stacks over HTTP.
//!
//! [`Server`] holds what requests share: the store, the manager, the catalogue, the places for work.
//! [`router`] is the routes; [`serve`] answers on a listener until it is told to stop, and then finishes what it
//! accepted. The caller binds, and opens what the server stands on.
//!
//! | route | what it does |
//! |---|---|
//! | `PUT /v1/computes/{alg}/{digest}?engine=NAME` | checks, compiles and stores an artifact |
//! | `HEAD`, `GET`, `DELETE /v1/computes/{alg}/{digest}`, `GET /v1/computes` | what is stored |
//! | `POST /run/{alg}/{digest}` | runs a compute: the body is its input |
//! | `POST /stacks/{stack}`, `POST /stacks/{stack}/{scope}` | takes a document through the active versions |
//! | `GET /v1/stacks`, `GET /v1/stacks/{stack}` | stacks and their versions; a `/` in a name is written `%2F` |
//! | `POST /v1/stacks/{stack}/versions/{number}/activate` | makes a version active |
//! | `GET /v1/traces`, `GET /v1/traces/{id}` | what happened to documents |
//! | `GET /healthz`, `GET /readyz` | whether it lives; whether it takes work |
//!
//! Every error is `application/problem+json` (RFC 9457) with a stable `code`.

mod admission;
mod live;
mod problem;
mod routes;
mod server;

pub use admission::{Admission, Full, Permit};
pub use problem::Problem;
pub use routes::router;
pub use server::{Server, ServerError, Settings, serve};
