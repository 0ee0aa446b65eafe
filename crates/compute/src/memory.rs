//! What things take in memory, counted.

mod account;
mod json;

pub use account::{Account, Charge, OverLimit};
pub use json::{JsonError, MAX_JSON_DEPTH, json_size, parse_json};
