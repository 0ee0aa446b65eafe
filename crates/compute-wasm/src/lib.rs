//! The WebAssembly engine of `compute`, on wasmtime.
//!
//! It runs WASI preview-1 commands: a module with `_start` that reads its input on stdin and writes its
//! output on stdout. Each call gets a fresh sandbox with a memory cap, a deadline, a virtual clock, a
//! seeded random stream and a log; it gets no file system, network or environment.
//!
//! Linking this crate registers the engine under the name `wasm`; a program needs only
//! `use compute_wasm as _;`. What is not told in `compute`'s own terms is here: [`Settings`], and
//! [`inspect`] for looking at a module without running it.
//!
//! This is the only crate that names wasmtime.
//!
//! ```
//! use compute::{Algorithm, Artifact, ArtifactMap, Manager, RunOptions, Runner};
//! use compute_wasm as _;
//!
//! let module = wat::parse_str(r#"
//!     (module
//!       (import "wasi_snapshot_preview1" "fd_write"
//!         (func $fd_write (param i32 i32 i32 i32) (result i32)))
//!       (memory (export "memory") 1)
//!       (data (i32.const 0) "\08\00\00\00\0f\00\00\00{\"hello\":\"Ada\"}")
//!       (func (export "_start")
//!         (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))))
//! "#).unwrap();
//! let artifact = Artifact::new(Algorithm::Sha256, "wasm", module);
//! let reference = artifact.reference().clone();
//!
//! let manager = Manager::builder().resolver(ArtifactMap::from([artifact])).build();
//! let outcome = manager.run_blocking(&reference, b"{}", &RunOptions::default())?;
//! assert_eq!(outcome.result.unwrap(), br#"{"hello":"Ada"}"#);
//! # Ok::<(), compute::Error>(())
//! ```

mod code;
mod engine;
mod guest;
mod image;
mod inspect;
mod link;
mod module;
mod program;
mod sandbox;
mod settings;

pub use code::{CompileLimits, Compiler, compile_worker};
pub use engine::{OpModules, WasmEngine};
pub use guest::{HostFunction, host_functions};
pub use inspect::{inspect, inspect_bound};
pub use link::{link, link_with_files};
pub use module::{Caps, Inspection, Refusal, linked_plugin, takes_envelope};
pub use settings::Settings;

/// The name under which the engine is registered.
pub const NAME: &str = "wasm";

/// What decides how runs come out, as records name it: the sandbox's own rules, and wasmtime's major version, which decides what
/// fuel counts and how deep calls go.
pub const VERSION: &str = "1+wasmtime-48";

/// Makes the README's example a test.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}
