//! Versions that answer a part of a stack's documents in place of the active one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use txcl::Path;

use super::policy::Share;
use crate::{StackName, VersionInfo};

/// A version that answers a part of a stack's documents in place of the active one: those whose value at a path falls into the
/// share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rollout {
    /// The stack.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// The version's number.
    pub number: u32,
    /// Which part of the values: above 0, and 1 at most.
    #[cfg_attr(feature = "openapi", schema(value_type = f64, example = 0.1))]
    pub share: Share,
    /// Where in a document the value is that decides.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = ".customer.id"))]
    pub by: RolloutPath,
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, share, by, .. } = self;
        write!(f, "version {number} answers {share} by {by}")
    }
}

/// Where in a document the value is that decides which version it gets: a path as rules write it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RolloutPath(Path);

/// A text that is no such path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no path of at most {MAX_PATH} bytes into a document: write one as rules do, as in `.customer.id`"
)]
pub struct RolloutPathError(String);

/// How many bytes of text a path has.
const MAX_PATH: usize = 512;

impl RolloutPath {
    /// The path.
    #[must_use]
    pub const fn path(&self) -> &Path {
        &self.0
    }
}

impl FromStr for RolloutPath {
    type Err = RolloutPathError;

    fn from_str(text: &str) -> Result<Self, RolloutPathError> {
        let wrong = || RolloutPathError(text.chars().take(100).collect());
        // What it is kept as may have quotes that it came without.
        let fits = |path: &Path| path.to_string().len() <= MAX_PATH;
        let path = if text.len() <= MAX_PATH { Path::parse(text).filter(fits) } else { None };
        path.map(Self).ok_or_else(wrong)
    }
}

impl fmt::Display for RolloutPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for RolloutPath {
    type Error = RolloutPathError;

    fn try_from(text: String) -> Result<Self, RolloutPathError> {
        text.parse()
    }
}

impl From<RolloutPath> for String {
    fn from(path: RolloutPath) -> Self {
        path.to_string()
    }
}

/// All versions that answer documents, as they are at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Running {
    /// The active ones, by stack.
    pub active: Vec<VersionInfo>,
    /// Those that answer a part in place of an active one, by stack: one of each at most.
    pub rollouts: Vec<(Rollout, VersionInfo)>,
}

#[cfg(test)]
mod tests {
    use super::RolloutPath;

    #[test]
    fn paths_are_read_as_rules_write_them_and_are_kept_so() {
        for (text, kept) in [
            (".customer.id", ".customer.id"),
            ("customer.id", ".customer.id"),
            ("@web.req.headers.x-tenant", "@web.req.headers.x-tenant"),
            ("._txc.web.req.query.c", "@web.req.query.c"),
            (".items.0.\"a b\"", ".items.0.\"a b\""),
        ] {
            let path: RolloutPath = text.parse().unwrap();
            assert_eq!(path.to_string(), kept);
            assert_eq!(kept.parse::<RolloutPath>().unwrap(), path);
        }
        let long = format!(".{}", "a".repeat(512));
        let deep = ".a".repeat(65);
        for wrong in ["", ".", "@", ".a b", ".a = 1", "1 +", ".a.", &long, &deep] {
            assert!(wrong.parse::<RolloutPath>().is_err(), "{wrong}");
        }
    }
}
