//! What is kept about stacks, tenants and secrets, behind traits that say what is atomic and what is durable.
//!
//! - [`Stacks`] are the versions of stacks and which of them are active; a [`Catalogue`] is these and a tenant's
//!   [`SealedSecrets`], with what whoever takes documents through them needs besides.
//! - [`Tokens`] say who may do what; [`TokenCheck`] checks them. A [`Vault`] seals secrets; [`Secrets`] are those that are
//!   set and never shown.
//! - An [`AuditLog`] says who changed what: each change of the above writes its entry as it is made, for the [`Actor`] of the thread.
//! - [`Traces`] are the texts of what happened to documents; a [`TraceStore`] takes new ones.
//! - [`Jobs`] is work that is kept until it has a result; a [`JobQueue`] has those of all tenants, for those who run them.
//! - [`Schedules`] are jobs that are submitted when their time comes, again and again.
//! - A [`UsageLog`] is what tenants used, by day. [`Shares`] are the parts that nodes have of what a tenant may use in a second.
//! - [`Bindings`] are the names of plugins.
//! - [`State`] opens all of this, [`TenantState`] what of it is one tenant's.
//!
//! The wider traits are for those who serve documents, the narrower ones for everybody, through a server too. All
//! are used as trait objects. [`LocalState`] keeps everything in a folder, in SQLite files; a [`Location`] is such a
//! folder and a store of artifacts. What versions mean is for others: here they are files.
//!
//! ```
//! use compute_state::{File, LocalState, State, TenantName};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! let state = LocalState::new(folder.path());
//! let catalogue = state.tenant(&TenantName::default())?.catalogue()?;
//!
//! let rule = File::new("100_GREET/hello.txcl", "EMIT .greeting = \"Hello\"");
//! let draft = catalogue.draft(&"greeter".parse()?, &[rule])?;
//! catalogue.activate(&[draft])?;
//! assert_eq!(catalogue.all_active()?[0].number, 1);
//! # Ok(())
//! # }
//! ```

#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
mod jobs;
mod local;
mod names;
mod secrets;
mod sqlite;
mod stacks;
mod state;
mod tokens;
mod traces;

pub use error::{BoxError, RELEASING, StateError};
pub use jobs::{
    Begun, CatchUp, Claim, Claimed, ClaimedJob, CronTimes, CronTimesError, DELETING, DueSchedule,
    EndNotice, EndedPart, Fired, Firing, Job, JobEnd, JobFilter, JobId, JobIdError, JobInfo,
    JobLoad, JobParts, JobQueue, JobResult, JobState, JobStateError, JobTime, JobWork, Jobs,
    JobsError, KeptJob, Lease, NamedBy, NewJob, NewPart, NewSchedule, PartOf, Schedule,
    ScheduleInfo, ScheduleName, ScheduleNameError, ScheduleQueue, Schedules, SchedulesError,
    Submitted, Swept, Takes, TenantJobs, Webhook, WebhookError,
};
pub use local::{FileBindings, FolderTraces, LocalState, Location, tenant_folder, tenant_store};
pub use names::{Bindings, StackName, StackNameError, TenantError, TenantName};
pub use secrets::{
    SealedSecrets, SecretError, SecretInfo, Secrets, Vault, VaultError, VaultSecrets, check_secret,
    check_secret_name,
};
pub use sqlite::{SqliteCatalogue, SqliteJobs, SqliteTokens};
pub use stacks::{
    ActiveStack, Catalogue, Draft, File, RecordPolicies, RecordPolicy, Recorded, RecordedError,
    Rollout, RolloutPath, RolloutPathError, Running, Shadow, Share, ShareError, Stacks,
    StacksError, Version, VersionInfo, manifest_hash,
};
pub use state::{
    CatalogueSizes, Copied, CopyError, DayUsage, Rated, Released, Shares, State, StateQuotas,
    TenantState, USAGE_DAYS, Usage, UsageLog, UsedToday, WantedShare, copy,
};
pub use tokens::{
    Actor, AuditBroken, AuditEntry, AuditHead, AuditLog, AuditOf, AuditPage, Deed, KeptToken,
    NewToken, ScopeError, TokenCheck, TokenInfo, TokenScope, Tokens, TokensError,
    verify as verify_audit,
};
pub use traces::{TraceRoom, TraceStore, TraceText, Traces, TracesError, WriteText};
