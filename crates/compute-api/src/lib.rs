//! What requests and answers of the HTTP API carry as JSON: the one description that a server and its clients share.
//!
//! It knows neither how they are sent nor how they are served. What other crates describe already, such as a
//! [`Manifest`] or a [`VersionInfo`], is theirs, and is found here, too, so that a client needs to name no other crate.
//! With the feature `openapi`, the types describe themselves for the server's OpenAPI document.
//!
//! ```
//! use compute_api::ProblemBody;
//!
//! # fn main() -> Result<(), serde_json::Error> {
//! let text = r#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_found","detail":"there is no such route"}"#;
//! let problem: ProblemBody = serde_json::from_str(text)?;
//! assert_eq!((problem.status, problem.code.as_str()), (404, "not_found"));
//! # Ok(())
//! # }
//! ```

mod access;
mod artifacts;
mod jobs;
mod lines;
mod problem;
mod records;
mod rollouts;
mod run;
mod schedules;
mod stacks;
mod traces;

pub use access::{SecretList, SecretValue, TokenList, TokenRequest, UsageList};
pub use artifacts::{Attached, Computes, Uploaded};
pub use compute::{RecordHead, RecordKeep, RecordQuery};
pub use compute_flow::{Problem as ActivationProblem, ProblemCode, Trace};
pub use compute_state::{
    ActiveStack, Actor, AuditEntry, AuditHead, AuditOf, AuditPage, CatchUp, DayUsage, Draft, File,
    JobId, JobState, NewToken, RecordPolicies, RecordPolicy, Recorded, Rollout, RolloutPath,
    ScheduleName, SecretInfo, Shadow, Share, StackName, TenantName, TokenInfo, TokenScope, Usage,
    Version, VersionInfo,
};
pub use compute_store::Manifest;
pub use jobs::{
    JobAnswer, JobDetails, JobHead, JobList, JobRequest, JobRequestError, PartsHead, WebhookRequest,
};
pub use lines::{Line, LineAnswer, Lines, MAX_LINE, MAX_RID, end_line, line_rid};
pub use problem::ProblemBody;
pub use records::{NewShadow, RecordList, ShadowGroup, ShadowList, ShadowReport, ShadowWay};
pub use rollouts::{CompletedRollout, NewRollout, RolloutList, RolloutReport};
pub use run::{
    RunAnswer, RunError, RunEvent, RunFrame, RunLimits, RunLog, RunMetrics, RunRequest, RunSecrets,
};
pub use schedules::{ScheduleAnswer, ScheduleHead, ScheduleList, ScheduleRequest};
pub use stacks::{
    Activation, FileDiff, NewDraft, RuleFile, StackVersion, Stacks, Validated, VersionDiff,
    VersionFiles, Versions,
};
pub use traces::TraceList;
