//! From JavaScript and TypeScript to computes.
//!
//! [`build`] takes a file and gives back an op: it bundles the file with all that it imports (rolldown, in
//! process), compiles the bundle to bytecode (in the sandbox: the plugin run as a command is the compiler)
//! and links the bytecode to the plugin by the plugin's ref. The same sources give the same bytes in any
//! folder and on any machine.
//!
//! [`Sources`] is what an op was built from, to be kept with it: anybody can build it again and compare digests.
//!
//! Only building needs this crate. To run an op, a program needs the engine (`compute-wasm`) and a resolver
//! that has the plugin (`compute-js-plugin`, or a store that the plugin was put in).

mod build;
mod bundle;
mod compile;
mod diagnostic;
mod error;
mod lower;
mod node;
mod options;
mod sdk;
mod sources;

pub use build::{Built, build, compiler, empty};
pub use bundle::BundledModule;
pub use diagnostic::Diagnostic;
pub use error::BuildError;
pub use options::BuildOptions;
pub use sdk::{GLOBAL_TYPES, SDK, SdkModule};
pub use sources::{SourceFile, Sources};
