//! What `EXEC` names: an op of the workspace, by its name, or a compute, by its ref.

use std::fmt;

use compute::Ref;

const OP: &str = "op://";

/// What `EXEC` names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Exec {
    /// `op://name`, to be resolved when the workspace is applied.
    Op(OpName),
    /// `compute://<alg>/<digest>`.
    Compute(Ref),
}

impl Exec {
    /// Reads what stands in the quotes after `EXEC`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix(OP) {
            return OpName::parse(name).map(Self::Op).ok_or_else(|| {
                format!(
                    "`{name}` is not the name of an op: it has 1 to {} letters, digits, `_` and `-`",
                    OpName::MAX
                )
            });
        }
        if text.starts_with("compute:") {
            return Ref::parse(text).map(Self::Compute).map_err(|error| error.to_string());
        }
        Err(match text.split_once("://") {
            Some((scheme, _)) => format!("`{scheme}://` names nothing that can be run here"),
            None => format!("`{text}` names neither an op nor a compute"),
        })
    }
}

/// The name of an op: 1 to 64 letters, digits, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpName(String);

impl OpName {
    /// The longest name, in bytes.
    pub const MAX: usize = 64;

    /// The name, if the text is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        let fits = (1..=Self::MAX).contains(&text.len()) && text.bytes().all(valid);
        fits.then(|| Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
