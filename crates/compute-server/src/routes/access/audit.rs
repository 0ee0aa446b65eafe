//! Who changed what of the caller's own tenant.

use axum::response::Response;
use compute_state::{AuditEntry, AuditOf, AuditPage};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::Problem;
use crate::http;
use crate::routes::caller::{Admin, Caller};
use crate::routes::extract::Query;
use crate::routes::{Answer, Refusals};

/// How many entries are listed at most.
const MAX_LISTED: usize = 1000;
/// What an entry takes in memory at most, about: its text, and that once more while it is read.
const ENTRY: usize = 8 << 10;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct Wanted {
    /// Which log; `stacks` has stacks, secrets, artifacts and what is recorded. What is done with jobs is in none
    #[serde(default = "stacks")]
    #[param(inline)]
    of: AuditOf,
    /// Those after this number; without it the newest
    #[serde(default)]
    after: Option<u64>,
    /// How many at most, up to 1,000; with 0 the head alone is told
    #[serde(default = "last")]
    #[param(minimum = 0, maximum = 1000, default = 100)]
    last: usize,
}

const fn stacks() -> AuditOf {
    AuditOf::Stacks
}

const fn last() -> usize {
    100
}

/// Who changed what
///
/// A change and its entry are kept together or not at all. Each entry carries the hash of the one before, so that `compute audit verify`
/// finds one that was altered. The oldest go.
#[utoipa::path(
    get, path = "/v1/audit", tag = "access", security(("token" = ["admin"])),
    params(Wanted), responses((status = 200, body = AuditPage), Refusals)
)]
pub(in crate::routes) async fn list(
    caller: Caller<Admin>,
    Query(Wanted { of, after, last }): Query<Wanted>,
) -> Answer<Response> {
    if last > MAX_LISTED {
        return Err(Problem::bad("invalid_query", format!("`last` is at most {MAX_LISTED}")));
    }
    let memory = caller.memory.clone();
    let admitted = caller.admin().await?;
    let written = admitted.run(move |tenant, _| {
        let mut read = memory.charge(last * (ENTRY + size_of::<AuditEntry>()))?;
        let page = tenant.state.audit(of)?.page(after, last)?;
        read.resize(page.entries.len() * (ENTRY + size_of::<AuditEntry>()))?;
        http::written(&memory, &page)
    });
    written.await?
}
