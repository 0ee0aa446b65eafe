//! The tables, and how older ones become the newest.

use compute_state::StateError;
use deadpool_postgres::{Client, GenericClient};

use crate::database::{Database, Stop};

/// Each step from one format to the next; `compute.format` counts those that were taken. Steps that were released are never changed.
///
/// Times are milliseconds since 1970, by the database's clock. What may be any text is kept as UTF-8 in `bytea`, as `text` has no
/// U+0000; where it is part of a key, its SHA-256 is, as an index has a longest key.
const MIGRATIONS: [&str; 1] = [include_str!("schema/1.sql")];

/// Taken by whoever changes the tables, so that one does at a time: any number that others don't take.
const LOCK: i64 = 0x0063_6f6d_7075_7465;
/// The oldest version that has what is used here.
const OLDEST: i32 = 140_000;

/// Makes the tables what this program knows.
pub(crate) async fn migrate(database: &Database, client: &mut Client) -> Result<(), StateError> {
    let step = async |client: &mut Client| -> Result<(), Stop<StateError>> {
        let server: String = client.query_one("SHOW server_version_num", &[]).await?.get(0);
        if server.parse().is_ok_and(|version: i32| version < OLDEST) {
            return Err(Stop::Told(StateError::failed(
                database.shown(),
                "it is older than PostgreSQL 14, which is the oldest that can be used",
            )));
        }
        if found(client).await? == known() {
            return Ok(());
        }
        let change = client.transaction().await?;
        change.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
        // Another may have been faster.
        let found = found(&change).await?;
        if found > known() {
            let (what, known) = (database.shown().to_owned(), known() as u32);
            return Err(Stop::Told(StateError::Newer { what, found: found as u32, known }));
        }
        for migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            change.batch_execute(migration).await?;
        }
        change.execute("UPDATE compute.format SET version = $1", &[&known()]).await?;
        Ok(change.commit().await?)
    };
    step(client).await.map_err(|stop| database.stopped(stop))
}

fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

async fn found(client: &impl GenericClient) -> Result<i32, tokio_postgres::Error> {
    // By a statement that sees what was committed before it: what is cached of names may be older.
    let there = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'compute' AND c.relname = 'format')";
    if !client.query_one(there, &[]).await?.get::<_, bool>(0) {
        return Ok(0);
    }
    Ok(client.query_one("SELECT version FROM compute.format", &[]).await?.get(0))
}
