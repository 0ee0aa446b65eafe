//! Which part each node has of a limit that all nodes hold together.

use std::fmt;
use std::time::Duration;

use crate::{StateError, TenantName};

/// Of what a tenant may use so much a second on all nodes together, the parts that the nodes have. All methods block.
///
/// A part is leased: a node has it for so long after it asked, by the clock of whoever keeps it, and asks again before. All parts of one
/// limit that are leased at any moment are one whole at most, whoever asks when.
pub trait Shares: fmt::Debug + Send + Sync {
    /// Tells what a node wants, and gives back which part of each it has from now on, from 0 to 1: that of its demand in all that is
    /// told, as far as others have not got it still. A node that wants nothing gives back what it had. Each limit is named once.
    ///
    /// # Errors
    /// [`StateError`]; then it has what it had, until the lease ends.
    fn share(
        &self,
        node: u64,
        wanted: &[WantedShare],
        lease: Duration,
    ) -> Result<Vec<f64>, StateError>;
}

/// What there may be so much of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rated {
    /// Requests.
    Requests,
    /// Documents.
    Documents,
}

/// What a node wants of a limit.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedShare {
    /// Whose.
    pub tenant: TenantName,
    /// Of what.
    pub of: Rated,
    /// How many a second. What is no number, or less than nothing, is nothing.
    pub demand: f64,
}

impl WantedShare {
    /// The demand, as it is reckoned with.
    #[must_use]
    pub const fn told(&self) -> f64 {
        if self.demand > 0.0 { self.demand.min(1e12) } else { 0.0 }
    }

    /// The part that a node of this demand gets, where the others have these demands and these parts together.
    #[must_use]
    pub fn part(demand: f64, others_demand: f64, others_parts: f64) -> f64 {
        if demand > 0.0 {
            let fair = demand / (demand + others_demand);
            fair.min(1.0 - others_parts).max(0.0)
        } else {
            0.0
        }
    }
}
