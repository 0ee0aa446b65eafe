//! Artifacts that went a moment ago: nothing that names one is kept meanwhile.

use compute::Ref;
use tokio_postgres::Error;

use super::Change;

/// For how long nothing is kept that names what was released, in milliseconds.
pub(crate) const RELEASING: i64 = compute_state::RELEASING.as_secs() * 1000;

/// A schedule of a tenant that runs an artifact.
pub(crate) const SCHEDULED: &str = "SELECT name FROM compute.schedules
    WHERE tenant = $1 AND kind = 0 AND target = $2 ORDER BY name LIMIT 1";

/// Whether an artifact of the tenant's went a moment ago. Whoever asks has the turn of the tenant's changes, as who releases one has.
pub(crate) async fn is_released(change: &Change<'_>, artifact: &Ref) -> Result<bool, Error> {
    let query = "SELECT 1 FROM compute.released WHERE tenant = $1 AND ref = $2
        AND at > (extract(epoch FROM clock_timestamp()) * 1000)::bigint - $3";
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
        [&change.tenant, &artifact.as_str(), &RELEASING];
    Ok(change.row_if_any(query, &values).await?.is_some())
}
