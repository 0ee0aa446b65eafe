//! It passes the suite that every implementation passes.

use std::sync::Arc;

use compute_postgres::testing::Cluster;
use compute_postgres::{PostgresSettings, PostgresState};
use compute_state::{State, conformance};

#[test]
fn a_database_passes() {
    let cluster = Cluster::start();
    let mut number = 0;
    conformance::all(&mut |quotas| {
        number += 1;
        let address = cluster.database(&format!("d{number}"));
        let settings = PostgresSettings { quotas, connections: 4, ..PostgresSettings::default() };
        Box::new(move || {
            let state = PostgresState::open(&address, settings).unwrap();
            Arc::new(state) as Arc<dyn State>
        })
    });
}
