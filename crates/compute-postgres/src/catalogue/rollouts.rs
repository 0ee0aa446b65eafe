//! Which versions answer a part of a stack's documents in place of the active ones.

use compute_state::{Deed, Draft, Rollout, Share, StackName, StacksError, VersionInfo};
use tokio_postgres::Row;

use super::{PostgresCatalogue, Stopped, info_of, no_version, number_of, unreadable, whole};
use crate::database::{Change, Seen, Stop};

/// All of them, by stack, each with what is known of its version, which comes first.
const ROLLOUTS: &str = "
SELECT v.stack, v.number, v.hash, v.created, v.activated, COALESCE(v.number = s.active, false), v.rules, r.share, r.path
FROM compute.rollouts r
JOIN compute.versions v ON v.tenant = $1 AND v.stack = r.stack AND v.number = r.number
JOIN compute.stacks s ON s.tenant = $1 AND s.name = r.stack
WHERE r.tenant = $1 ORDER BY r.stack";

pub(super) async fn all(read: &Change<'_>) -> Result<Vec<(Rollout, VersionInfo)>, Stopped> {
    let rollout = |row: &Row| {
        let info = info_of(row)?;
        let wrong = || unreadable("a rollout");
        let share = Share::from_millionths(whole(row.get(7))).ok_or_else(wrong)?;
        let by = std::str::from_utf8(row.get(8)).ok().and_then(|path| path.parse().ok());
        let by = by.ok_or_else(wrong)?;
        Ok((Rollout { stack: info.stack.clone(), number: info.number, share, by }, info))
    };
    read.rows(ROLLOUTS, &[&read.tenant]).await?.iter().map(rollout).collect()
}

pub(super) async fn delete(
    change: &Change<'_>,
    stack: &StackName,
) -> Result<u64, tokio_postgres::Error> {
    let delete = "DELETE FROM compute.rollouts WHERE tenant = $1 AND stack = $2";
    change.does(delete, &[&change.tenant, &stack.as_str()]).await
}

impl PostgresCatalogue {
    pub(super) fn put_rollout(
        &self,
        rollout: &Rollout,
        hash: Option<&str>,
    ) -> Result<(), StacksError> {
        let Rollout { stack, number, share, by } = rollout;
        let (name, kept, path) = (stack.as_str(), number_of(*number), by.to_string());
        let (share, path) = (number_of(share.millionths()), path.as_bytes());
        let version = Draft::new(stack.clone(), *number).with_hash(hash);
        let limit = self.quotas.rollouts;
        let deed = |&(): &()| Some(Deed::rollout_set(rollout));
        self.change(Seen::ByDocuments, deed, async |change| {
            let active = "SELECT s.active FROM compute.stacks s
                JOIN compute.versions v ON v.tenant = $1 AND v.stack = s.name
                WHERE s.tenant = $1 AND s.name = $2 AND v.number = $3";
            let row = change.row_if_any(active, &[&change.tenant, &name, &kept]).await?;
            let active = row.ok_or_else(|| no_version(stack, *number))?.get::<_, Option<i32>>(0);
            if active.is_none_or(|active| active == kept) {
                let (stack, number) = (stack.clone(), *number);
                return Err(Stop::Told(StacksError::NotBeside { stack, number }));
            }
            let put = "INSERT INTO compute.rollouts (tenant, stack, number, share, path)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (tenant, stack) DO UPDATE
                SET number = excluded.number, share = excluded.share, path = excluded.path";
            change.does(put, &[&change.tenant, &name, &kept, &share, &path]).await?;
            Self::freeze(change, &version).await?;
            let count = "SELECT count(*) FROM compute.rollouts WHERE tenant = $1";
            let count: i64 = change.row(count, &[&change.tenant]).await?.get(0);
            if count.unsigned_abs() > limit {
                return Err(Stop::Told(StacksError::Quota {
                    what: "stacks with a rollout",
                    limit,
                }));
            }
            Ok(())
        })
    }

    pub(super) fn end_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        let (name, kept) = (version.stack.as_str(), number_of(version.number));
        let deed = |&(): &()| Some(Deed::rollout_complete(version));
        self.change(Seen::ByDocuments, deed, async |change| {
            let query = "SELECT 1 FROM compute.rollouts
                WHERE tenant = $1 AND stack = $2 AND number = $3";
            if change.row_if_any(query, &[&change.tenant, &name, &kept]).await?.is_none() {
                let (stack, number) = (version.stack.clone(), version.number);
                return Err(Stop::Told(StacksError::NoRollout { stack, number }));
            }
            Self::make_active(change, std::slice::from_ref(version)).await
        })
    }

    pub(super) fn delete_rollout(&self, version: &Draft) -> Result<(), StacksError> {
        let (name, kept) = (version.stack.as_str(), number_of(version.number));
        let deed = |&(): &()| Some(Deed::rollout_remove(version));
        self.change(Seen::ByDocuments, deed, async |change| {
            let delete = "DELETE FROM compute.rollouts
                WHERE tenant = $1 AND stack = $2 AND number = $3";
            if change.does(delete, &[&change.tenant, &name, &kept]).await? == 0 {
                let (stack, number) = (version.stack.clone(), version.number);
                return Err(Stop::Told(StacksError::NoRollout { stack, number }));
            }
            Ok(())
        })
    }
}
