//! State on PostgreSQL: one truth that any number of servers share.
//!
//! [`PostgresState`] is a [`compute_state::State`]: versions of stacks, sealed secrets, tokens, traces and jobs of all tenants, in one schema
//! named `compute`. Each change is one transaction, on the database's disk when it is answered. Who takes documents asks memory: a
//! connection listens for what others change, and asks every few seconds besides.
//!
//! When PostgreSQL is away, what is known goes on being used for [`PostgresSettings::stale`]; changes fail at once with
//! [`compute_state::StateError::Unavailable`], and so does everything after that time.
//!
//! ```no_run
//! use compute_postgres::{PostgresSettings, PostgresState};
//! use compute_state::State as _;
//!
//! # fn main() -> Result<(), compute_state::StateError> {
//! let state = PostgresState::open("postgres://compute@db.example.org/compute", PostgresSettings::default())?;
//! let catalogue = state.tenant(&"acme".parse().unwrap())?.catalogue()?;
//! println!("{} stacks in {}", catalogue.stacks().unwrap().len(), state.location());
//! # Ok(())
//! # }
//! ```

mod address;
mod catalogue;
mod database;
mod jobs;
mod schema;
mod state;
#[cfg(feature = "testing")]
pub mod testing;
mod token_rows;
mod tokens;
mod traces;
mod watch;

pub use address::{AddressError, is_address, without_password};
pub use state::{PostgresSettings, PostgresState};
