//! Work that requests ask for: how much there may be of each kind, whose turn it is, and the threads that do it.

mod admission;
mod classes;
mod rate;
mod requests;
mod workers;

pub use admission::{Admission, Full, Permit};
pub(crate) use classes::{Class, Classes, Slot};
pub(crate) use rate::{Asks, Rate};
pub(crate) use requests::{Present, Requests, TooMany};
