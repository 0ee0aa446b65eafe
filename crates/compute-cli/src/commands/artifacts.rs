//! Commands on what is stored.

pub(crate) mod gc;
pub(crate) mod get;
pub(crate) mod inspect;
pub(crate) mod ls;
mod named;
pub(crate) mod plugin;
pub(crate) mod put;
pub(crate) mod rebuild;
pub(crate) mod refs;
pub(crate) mod verify;
