//! Run content-addressed functions: JSON in, JSON out, each call in a fresh sandbox.
//!
//! This crate is the seam of the system. It names the parts and joins them, and is light: it knows no
//! WebAssembly and brings no async runtime.
//!
//! - A [`Ref`] is the address of a compute, `compute://<alg>/<digest>`.
//! - A [`Resolver`] turns a ref into an [`Artifact`]; the crate `compute-store` has one for every kind
//!   of storage, [`ArtifactMap`] is one for a handful of artifacts in memory.
//! - An [`Engine`] prepares an artifact and runs it in a fresh sandbox. Engines register themselves by
//!   name at link time ([`register_engine!`]); the crate `compute-wasm` is the first.
//! - A [`Manager`] joins them: it resolves, opens the engine, loads, invokes, under one deadline.
//! - A [`Runner`] is what the rest of a program holds: anything that can run a ref.
//!
//! A guest's failure is a value, [`Outcome`]; a host's failure is an [`Error`].
//!
//! ```
//! use compute::{Algorithm, Artifact, ArtifactMap, Manager, RunOptions, Runner};
//!
//! # fn main() -> Result<(), compute::Error> {
//! // The identity engine is built in: it gives back its input, whatever the artifact's bytes.
//! let artifact = Artifact::new(Algorithm::Sha256, "identity", b"anything".to_vec());
//! let reference = artifact.reference().clone();
//!
//! let manager = Manager::builder().resolver(ArtifactMap::from([artifact])).build();
//! let outcome = manager.run_blocking(&reference, br#"{"name":"Ada"}"#, &RunOptions::default())?;
//!
//! assert_eq!(outcome.result.as_deref(), Ok(br#"{"name":"Ada"}"#.as_slice()));
//! # Ok(())
//! # }
//! ```

mod account;
mod artifact;
mod cancel;
mod engine;
mod error;
mod identity;
mod json;
mod limits;
mod manager;
mod mask;
mod op;
mod outcome;
mod reference;
mod registry;
mod resolver;
mod runner;
mod scan;
mod text;

pub use account::{Account, Charge, OverLimit};
pub use artifact::Artifact;
pub use cancel::{Cancel, CancelOnDrop};
pub use engine::{Call, Engine, EngineConfig, Instance, Load, Profile, SharedPart};
pub use error::{Error, ErrorKind, with_causes};
pub use identity::IdentityEngine;
pub use json::{JsonError, MAX_JSON_DEPTH, json_size, parse_json};
pub use limits::{Bounds, Limits, Seed, SeedError};
pub use manager::{LoadedArtifact, Manager, ManagerBuilder};
pub use mask::{MASKED, Mask};
pub use op::{Env, Meta, OpCall, Secrets};
pub use outcome::{
    Event, Failure, Level, Log, LogLine, Metrics, Outcome, Phase, PhaseTimes, Reason, StackFrame,
    Status,
};
pub use reference::{Algorithm, Ref, RefError};
pub use registry::{EngineRegistration, engine_names, open_engine};
pub use resolver::{ArtifactMap, Resolver};
pub use runner::{LogWriter, MetricsSink, NoRunner, RunOptions, Runner};
pub use scan::scan_refs;
pub use text::Printable;

#[doc(hidden)]
pub use inventory;

/// A future that owns its place on the heap, so that a trait with async methods stays object-safe.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
