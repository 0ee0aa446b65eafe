//! What is recorded, and which versions get documents besides the active ones.

use compute_state::{
    Deed, Draft, RecordPolicies, RecordPolicy, Shadow, Share, StackName, StacksError, StateError,
};

use super::{PostgresCatalogue, Stopped, number_of, stack_of, whole};
use crate::database::{Seen, Stop};

fn policy(json: &str) -> Result<RecordPolicy, Stopped> {
    serde_json::from_str(json).map_err(|source| {
        Stop::Told(StateError::failed("what is recorded cannot be read", source).into())
    })
}

impl PostgresCatalogue {
    pub(super) fn policies(&self) -> Result<RecordPolicies, StacksError> {
        self.read(async |read| {
            let query = "SELECT record FROM compute.tenants WHERE name = $1 AND record IS NOT NULL";
            let tenant = read.row_if_any(query, &[&read.tenant]).await?;
            let tenant = tenant.map(|row| policy(row.get(0))).transpose()?;
            let query = "SELECT name, record FROM compute.stacks
                WHERE tenant = $1 AND record IS NOT NULL ORDER BY name";
            let rows = read.rows(query, &[&read.tenant]).await?;
            let stacks = rows.iter().map(|row| Ok((stack_of(row, 0)?, policy(row.get(1))?)));
            Ok(RecordPolicies { tenant, stacks: stacks.collect::<Result<_, Stopped>>()? })
        })
    }

    pub(super) fn set_policy(
        &self,
        stack: Option<&StackName>,
        policy: Option<RecordPolicy>,
    ) -> Result<(), StacksError> {
        let deed = |&(): &()| Some(Deed::record_policy(stack, policy.as_ref()));
        let json = policy.as_ref().map(|policy| serde_json::to_string(policy).unwrap_or_default());
        self.change(Seen::ByDocuments, deed, async |change| {
            let Some(stack) = stack else {
                let update = "UPDATE compute.tenants SET record = $2 WHERE name = $1";
                change.does(update, &[&change.tenant, &json]).await?;
                return Ok(());
            };
            let update = "UPDATE compute.stacks SET record = $3 WHERE tenant = $1 AND name = $2";
            if change.does(update, &[&change.tenant, &stack.as_str(), &json]).await? == 0 {
                return Err(Stop::Told(StacksError::NoStack(stack.clone())));
            }
            Ok(())
        })
    }

    pub(super) fn all_shadows(&self) -> Result<Vec<Shadow>, StacksError> {
        self.read(async |read| {
            let query =
                "SELECT stack, number, share FROM compute.shadows WHERE tenant = $1 ORDER BY stack";
            let rows = read.rows(query, &[&read.tenant]).await?;
            let shadows = rows.iter().filter_map(|row| {
                let share = Share::from_millionths(whole(row.get(2)))?;
                Some(stack_of(row, 0).map(|stack| Shadow {
                    stack,
                    number: whole(row.get(1)),
                    share,
                }))
            });
            shadows.collect()
        })
    }

    pub(super) fn put_shadow(
        &self,
        shadow: &Shadow,
        hash: Option<&str>,
    ) -> Result<(), StacksError> {
        let Shadow { stack, number, share } = shadow;
        let share = number_of(share.millionths());
        let version = Draft::new(stack.clone(), *number).with_hash(hash);
        let limit = self.quotas.shadows;
        let deed = |&(): &()| Some(Deed::shadow_set(shadow));
        self.change(Seen::ByDocuments, deed, async |change| {
            Self::freeze(change, &version).await?;
            let put = "INSERT INTO compute.shadows (tenant, stack, number, share)
                VALUES ($1, $2, $3, $4)
                ON CONFLICT (tenant, stack) DO UPDATE SET number = excluded.number, share = excluded.share";
            let name = stack.as_str();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&change.tenant, &name, &number_of(*number), &share];
            change.does(put, &values).await?;
            let count = "SELECT count(*) FROM compute.shadows WHERE tenant = $1";
            let count: i64 = change.row(count, &[&change.tenant]).await?.get(0);
            if count.unsigned_abs() > limit {
                return Err(Stop::Told(StacksError::Quota { what: "stacks with a shadow", limit }));
            }
            Ok(())
        })
    }

    pub(super) fn delete_shadow(&self, stack: &StackName) -> Result<(), StacksError> {
        let deed = |gone: &u64| (*gone > 0).then(|| Deed::shadow_remove(stack));
        let gone = self.change(Seen::ByDocuments, deed, async |change| {
            let delete = "DELETE FROM compute.shadows WHERE tenant = $1 AND stack = $2";
            Ok(change.does(delete, &[&change.tenant, &stack.as_str()]).await?)
        });
        gone.map(drop)
    }
}
