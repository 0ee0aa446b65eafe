//! Compiled code: where it comes from, where it is kept, and what it runs in.

mod compiler;
mod disk_cache;
mod guest_store;
mod options;
mod prepared;
mod profile;
mod shared;
mod slots;
mod stack;
mod threads;
mod ticker;

pub use compiler::compile_worker;
pub(crate) use compiler::{Compilers, Uncompiled, compile_here, nameless_file};
pub(crate) use disk_cache::{Compiled, DiskCache, held, write_sparse};
pub(crate) use guest_store::GuestStore;
pub use options::{CompileLimits, Compiler};
pub(crate) use prepared::{Command, Image, Library, Prepared};
pub(crate) use profile::{Language, ProfileEngines, Shard, validate};
pub(crate) use shared::{Abandoned, SharedCache};
pub(crate) use slots::Slots;
pub(crate) use stack::on_guest_stack;
pub(crate) use threads::number as thread_number;
pub(crate) use ticker::Ticker;
