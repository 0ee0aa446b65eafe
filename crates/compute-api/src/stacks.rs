//! Stacks, their versions and drafts.

use serde::{Deserialize, Serialize};

use crate::{ActivationProblem, ActiveStack, StackName, VersionInfo};

/// All stacks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stacks {
    /// By name.
    pub stacks: Vec<ActiveStack>,
}

/// The versions of a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Versions {
    /// The newest first.
    pub versions: Vec<VersionInfo>,
}

/// A rule's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// `<NNN[_label]>/<name>.txcl`
    #[cfg_attr(
        feature = "openapi",
        schema(
            example = "100/greet.txcl",
            pattern = r"^[0-9]{1,9}(_[A-Za-z0-9_-]{0,64})?/[A-Za-z0-9_-]{1,64}\.txcl$"
        )
    )]
    pub path: String,
    /// The rule's text.
    #[cfg_attr(feature = "openapi", schema(example = "EMIT .greeting = \"Hello\""))]
    pub text: String,
}

/// A version, with its files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionFiles {
    /// What is known of it.
    #[serde(flatten)]
    pub info: VersionInfo,
    /// Its files, by path.
    pub files: Vec<RuleFile>,
}

/// The files of a new version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NewDraft {
    /// Its files.
    pub files: Vec<RuleFile>,
}

/// Whether a version could become active.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Validated {
    /// Whether nothing keeps it from it.
    pub valid: bool,
    /// What does.
    pub problems: Vec<ActivationProblem>,
}

/// A version of a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StackVersion {
    /// The stack.
    #[cfg_attr(feature = "openapi", schema(value_type = String, pattern = "^[A-Za-z0-9_-]{1,32}(/[A-Za-z0-9_-]{1,32})?$"))]
    pub stack: StackName,
    /// The version's number.
    #[cfg_attr(feature = "openapi", schema(minimum = 1, maximum = 4294967295_u64))]
    pub number: u32,
}

/// Versions that become active at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The versions, one of a stack.
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub versions: Vec<StackVersion>,
}

/// How two versions differ.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionDiff {
    /// The files that differ, by path.
    pub files: Vec<FileDiff>,
}

/// How a file differs.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FileDiff {
    /// Its path.
    pub path: String,
    /// `added`, `removed` or `changed`
    pub change: String,
    /// A unified diff.
    pub diff: String,
}
