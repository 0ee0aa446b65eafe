//! The parts that nodes have of what they share.

use std::sync::Arc;
use std::time::Duration;

use compute_state::{Rated, Shares, StateError, WantedShare};
use tokio_postgres::Row;

use crate::database::Database;

/// One statement, whose function takes the limits one after the other.
const SHARE: &str = "SELECT compute.share($1, $2, $3::text[], $4::smallint[], $5::float8[])";

#[derive(Debug)]
pub(crate) struct PostgresShares {
    pub(crate) database: Arc<Database>,
}

impl Shares for PostgresShares {
    fn share(
        &self,
        node: u64,
        wanted: &[WantedShare],
        lease: Duration,
    ) -> Result<Vec<f64>, StateError> {
        let (node, lease) = (node.cast_signed(), i64::try_from(lease.as_millis()));
        let lease = lease.unwrap_or(i64::MAX / 4);
        let tenants: Vec<_> = wanted.iter().map(|one| one.tenant.as_str()).collect();
        let of = |one: &WantedShare| match one.of {
            Rated::Requests => 0_i16,
            Rated::Documents => 1,
        };
        let of: Vec<_> = wanted.iter().map(of).collect();
        let demands: Vec<_> = wanted.iter().map(WantedShare::told).collect();
        let read = |row: Row| row.try_get(0);
        self.database.ask(SHARE, &[&node, &lease, &tenants, &of, &demands], read)
    }
}
