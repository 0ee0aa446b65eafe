//! Commands that run a server, or say who may use it.

pub(crate) mod audit;
pub(crate) mod config;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod state;
pub(crate) mod token;
pub(crate) mod usage;
