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
mod problem;
mod records;
mod run;
mod stacks;
mod traces;

pub use access::{SecretList, SecretValue, TokenList, TokenRequest};
pub use artifacts::{Attached, Computes, Uploaded};
pub use compute::{RecordHead, RecordKeep, RecordQuery};
pub use compute_flow::{Problem as ActivationProblem, ProblemCode, Trace};
pub use compute_state::{
    ActiveStack, Draft, File, NewToken, RecordPolicies, RecordPolicy, Recorded, SecretInfo, Shadow,
    Share, StackName, TenantName, TokenInfo, TokenScope, Version, VersionInfo,
};
pub use compute_store::Manifest;
pub use problem::ProblemBody;
pub use records::{NewShadow, RecordList, ShadowGroup, ShadowList, ShadowReport, ShadowWay};
pub use run::{
    RunAnswer, RunError, RunEvent, RunFrame, RunLimits, RunLog, RunMetrics, RunRequest, RunSecrets,
};
pub use stacks::{
    Activation, FileDiff, NewDraft, RuleFile, StackVersion, Stacks, Validated, VersionDiff,
    VersionFiles, Versions,
};
pub use traces::TraceList;
