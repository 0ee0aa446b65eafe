//! What the host keeps for one call, and the functions that its guest can call.

mod caller;
mod clock;
mod failure;
mod functions;
mod host;
mod interrupt;
mod state;
mod stop;
mod surroundings;
mod thrown;
mod usage;
mod wasi;

pub(crate) use failure::{reason, unlinked};
pub use functions::{HostFunction, host_functions};
pub(crate) use functions::{define, offered};
pub(crate) use interrupt::tick;
pub(crate) use state::State;
pub(crate) use stop::Stop;
pub(crate) use surroundings::Surroundings;
