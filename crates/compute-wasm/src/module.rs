//! What a module is made of, and what it is refused for: read from its bytes, before anything is compiled. Nothing here
//! knows how it runs.

mod bodies;
mod caps;
mod check;
mod inspection;
mod names;
mod plugin;
mod refusal;
mod shape;

pub(crate) use bodies::check_bodies;
pub use caps::Caps;
pub(crate) use check::{Offered, check, check_linked};
pub use inspection::{Inspection, linked_plugin, takes_envelope};
pub(crate) use names::{
    ENVIRONMENT_SECTION, FILE_SECTION, HOST, INIT_SECTION, INTERRUPT_FLAG, JAVY_INITIALIZE,
    MEMORY_IMPORT, MEMORY_SECTION, NOTES_REQUEST, PREPARE, WASI,
};
pub(crate) use plugin::{check_calls, check_links, check_plugin};
pub use refusal::Refusal;
pub(crate) use refusal::cut;
pub(crate) use shape::{Shape, join_signature, malformed};
