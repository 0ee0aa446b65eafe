//! What the audit log says of changes to stacks, secrets and artifacts.

use compute::Ref;
use serde_json::{Value, json};

use super::{Draft, RecordPolicy, Rollout, Shadow};
use crate::{AuditOf, Deed, StackName};

fn version(Draft { stack, number, .. }: &Draft) -> Value {
    json!({ "stack": stack, "number": number })
}

fn versions(versions: &[Draft]) -> Value {
    let versions: Vec<_> = versions.iter().map(version).collect();
    json!({ "versions": versions })
}

impl Deed {
    fn to_stacks(what: &'static str, subject: Value) -> Self {
        Self::new(AuditOf::Stacks, what, subject)
    }

    /// A version is made, with files of this hash.
    #[must_use]
    pub fn draft_create(draft: &Draft, hash: &str) -> Self {
        let mut subject = version(draft);
        subject["hash"] = json!(hash);
        Self::to_stacks("draft.create", subject)
    }

    /// A file of a version is written or taken away; all of them have this hash then.
    #[must_use]
    pub fn draft_edit(draft: &Draft, path: &str, hash: &str) -> Self {
        let mut subject = version(draft);
        (subject["path"], subject["hash"]) = (json!(path), json!(hash));
        Self::to_stacks("draft.edit", subject)
    }

    /// Versions that were never active go, if any do.
    #[must_use]
    pub fn draft_delete(drafts: &[Draft]) -> Option<Self> {
        (!drafts.is_empty()).then(|| Self::to_stacks("draft.delete", versions(drafts)))
    }

    /// Versions become active.
    #[must_use]
    pub fn activate(drafts: &[Draft]) -> Self {
        Self::to_stacks("activate", versions(drafts))
    }

    /// What is recorded changes.
    #[must_use]
    pub fn record_policy(stack: Option<&StackName>, policy: Option<&RecordPolicy>) -> Self {
        Self::to_stacks("record.policy", json!({ "stack": stack, "policy": policy }))
    }

    /// A version gets a part of the documents besides the active one.
    #[must_use]
    pub fn shadow_set(Shadow { stack, number, share }: &Shadow) -> Self {
        let subject = json!({ "stack": stack, "number": number, "share": share });
        Self::to_stacks("shadow.set", subject)
    }

    /// The active version alone gets documents.
    #[must_use]
    pub fn shadow_remove(stack: &StackName) -> Self {
        Self::to_stacks("shadow.remove", json!({ "stack": stack }))
    }

    /// A version answers a part of the documents.
    #[must_use]
    pub fn rollout_set(Rollout { stack, number, share, by }: &Rollout) -> Self {
        let by = by.to_string();
        let subject = json!({ "stack": stack, "number": number, "share": share, "by": by });
        Self::to_stacks("rollout.set", subject)
    }

    /// It becomes active.
    #[must_use]
    pub fn rollout_complete(draft: &Draft) -> Self {
        Self::to_stacks("rollout.complete", version(draft))
    }

    /// The active version answers all documents.
    #[must_use]
    pub fn rollout_remove(draft: &Draft) -> Self {
        Self::to_stacks("rollout.remove", version(draft))
    }

    /// A secret is set.
    #[must_use]
    pub fn secret_set(name: &str) -> Self {
        Self::to_stacks("secret.set", json!({ "name": name }))
    }

    /// A secret goes.
    #[must_use]
    pub fn secret_delete(name: &str) -> Self {
        Self::to_stacks("secret.delete", json!({ "name": name }))
    }

    /// Artifacts go, which are kept elsewhere.
    #[must_use]
    pub fn artifact_delete(artifacts: &[Ref]) -> Self {
        let refs: Vec<_> = artifacts.iter().map(Ref::as_str).collect();
        Self::to_stacks("artifact.delete", json!({ "refs": refs }))
    }
}
