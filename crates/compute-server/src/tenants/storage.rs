//! Where what tenants have is kept.

use std::path::PathBuf;
use std::sync::Arc;

use compute_state::{State, Vault};

/// Where a server keeps what its tenants have.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The URL of the store of artifacts, as [`compute_store::open`] takes it; each tenant has its own below it.
    pub store: String,
    /// What is kept of stacks, secrets, tokens and traces.
    pub state: Arc<dyn State>,
    /// A folder of this machine in which each tenant's requests are recorded, below a name of its own; without one, none are.
    pub records: Option<PathBuf>,
    /// Seals and opens the secrets.
    pub vault: Vault,
}
