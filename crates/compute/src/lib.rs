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

mod artifact;
mod engine;
mod error;
mod manager;
mod memory;
mod record;
mod reference;
mod run;
mod text;

pub use artifact::{Artifact, ArtifactMap, Resolver, engine_name};
pub use engine::{
    Call, Engine, EngineConfig, EngineRegistration, IdentityEngine, Instance, Load, SharedPart,
    engine_names, open_engine,
};
pub use error::{Error, ErrorKind, with_causes};
pub use manager::{LoadedArtifact, Manager, ManagerBuilder, ResultStats};
pub use memory::{Account, Charge, JsonError, MAX_JSON_DEPTH, OverLimit, json_size, parse_json};
pub use record::{
    Content, Data, DocumentRecord, OpRecord, RECORD_JSON_SCHEMA, RECORD_SCHEMA, Record,
    RecordError, RecordHead, RecordKeep, RecordKey, RecordQuery, RecordSignature, RecordSink,
    RecordedLimits, RecordedSecrets, Recorder, Recording, RunRecord, StepRecord, Subject,
};
pub use reference::{Algorithm, Ref, RefError, scan_refs};
pub use run::{
    Bounds, Cancel, CancelOnDrop, Env, Event, Failure, Level, Limits, Log, LogLine, LogWriter,
    Meta, Metrics, MetricsSink, NoRunner, OpCall, Origin, Outcome, Phase, PhaseTimes, Profile,
    Reason, RunOptions, RunSink, Runner, Secrets, Seed, SeedError, StackFrame, Status, check_json,
};
pub use text::{MASKED, Mask, Printable};

#[doc(hidden)]
pub use inventory;

/// A future that owns its place on the heap, so that a trait with async methods stays object-safe.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
