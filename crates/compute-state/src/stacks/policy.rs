//! What is done with a tenant's documents besides answering them: which are recorded, and which another version gets as well.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use compute::RecordKeep;
use serde::{Deserialize, Serialize};

use crate::StackName;

/// Which requests are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Recorded {
    /// `off`: none.
    #[default]
    Off,
    /// `failures`: those that failed, or of which a step did.
    Failures,
    /// `1/N`: of so many one, by chance.
    Sample(NonZeroU32),
    /// `all`.
    All,
}

/// A text that does not say which requests are recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` does not say what is recorded: `off`, `failures`, `all`, or of N requests one, as in `1/100`"
)]
pub struct RecordedError(String);

impl FromStr for Recorded {
    type Err = RecordedError;

    fn from_str(text: &str) -> Result<Self, RecordedError> {
        Ok(match text {
            "off" => Self::Off,
            "failures" => Self::Failures,
            "all" => Self::All,
            _ => {
                let every = text.strip_prefix("1/").and_then(|every| every.parse().ok());
                Self::Sample(every.ok_or_else(|| RecordedError(text.chars().take(50).collect()))?)
            }
        })
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Failures => f.write_str("failures"),
            Self::Sample(every) => write!(f, "1/{every}"),
            Self::All => f.write_str("all"),
        }
    }
}

impl TryFrom<String> for Recorded {
    type Error = RecordedError;

    fn try_from(text: String) -> Result<Self, RecordedError> {
        text.parse()
    }
}

impl From<Recorded> for String {
    fn from(recorded: Recorded) -> Self {
        recorded.to_string()
    }
}

/// What is recorded of a stack's documents, or of all that a tenant runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RecordPolicy {
    /// Which requests: `off`, `failures`, `1/N` or `all`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "failures", pattern = "^(off|failures|all|1/[1-9][0-9]{0,8})$"))]
    pub which: Recorded,
    /// How much of each: `bytes`, which can be run again anywhere, or `digests` alone.
    #[serde(default = "bytes")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, example = "bytes", pattern = "^(bytes|digests)$"))]
    pub keep: RecordKeep,
}

const fn bytes() -> RecordKeep {
    RecordKeep::Bytes
}

/// What is recorded of everything that a tenant has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RecordPolicies {
    /// Of runs, and of documents of stacks that say nothing of their own; nothing, if it is not said.
    pub tenant: Option<RecordPolicy>,
    /// Of the documents of a stack.
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, RecordPolicy>))]
    pub stacks: BTreeMap<StackName, RecordPolicy>,
}

impl RecordPolicies {
    /// What is recorded of a stack's documents, or of single runs.
    #[must_use]
    pub fn of(&self, stack: Option<&StackName>) -> RecordPolicy {
        let own = stack.and_then(|stack| self.stacks.get(stack)).copied();
        own.or(self.tenant).unwrap_or_default()
    }
}

/// A part of all documents, to the millionth: more than none, and all of them at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(u32);

/// How many parts the whole has.
const WHOLE: u32 = 1_000_000;

/// What is no part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no share: write a percentage, as in `5%`, or a number above 0 and up to 1")]
pub struct ShareError(String);

impl Share {
    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(millionths: u32) -> Option<Self> {
        if 0 < millionths && millionths <= WHOLE { Some(Self(millionths)) } else { None }
    }

    /// How many millionths it is.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// Whether one of which this was drawn is in it: of numbers that are drawn evenly, it takes this part.
    #[must_use]
    pub const fn takes(self, drawn: u64) -> bool {
        drawn % (WHOLE as u64) < self.0 as u64
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    fn try_from(part: f64) -> Result<Self, ShareError> {
        let millionths = (part * f64::from(WHOLE)).round();
        let fits = part > 0.0 && millionths >= 1.0 && part <= 1.0;
        if fits { Ok(Self(millionths as u32)) } else { Err(ShareError(part.to_string())) }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.0) / Self::from(WHOLE)
    }
}

impl FromStr for Share {
    type Err = ShareError;

    fn from_str(text: &str) -> Result<Self, ShareError> {
        let wrong = |_| ShareError(text.chars().take(50).collect());
        let part = match text.strip_suffix('%') {
            Some(percent) => percent.parse::<f64>().map_err(wrong)? / 100.0,
            None => text.parse::<f64>().map_err(wrong)?,
        };
        Self::try_from(part).map_err(|_| ShareError(text.chars().take(50).collect()))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(*self) * 100.0)
    }
}

/// A version that gets a part of a stack's documents besides the active one, and answers nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Shadow {
    /// The stack.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub stack: StackName,
    /// The version's number.
    pub number: u32,
    /// Which part of the documents: above 0, and 1 at most.
    #[cfg_attr(feature = "openapi", schema(value_type = f64, example = 0.05))]
    pub share: Share,
}

#[cfg(test)]
mod tests {
    use super::{Recorded, Share};

    #[test]
    fn what_is_recorded_is_read_as_it_is_written() {
        for text in ["off", "failures", "1/100", "all"] {
            assert_eq!(text.parse::<Recorded>().unwrap().to_string(), text);
        }
        for wrong in ["", "1/0", "1/", "2/3", "1/-1", "some", "1/4294967296"] {
            assert!(wrong.parse::<Recorded>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_read_as_percentages_and_numbers() {
        for (text, millionths) in [
            ("5%", 50_000),
            ("0.05", 50_000),
            ("100%", 1_000_000),
            ("1", 1_000_000),
            ("0.0001%", 1),
        ] {
            assert_eq!(text.parse::<Share>().unwrap().millionths(), millionths, "{text}");
        }
        for wrong in ["0", "0%", "101%", "-1%", "NaN", "inf", "five", "", "%", "0.00000001%"] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
        assert_eq!("12.5%".parse::<Share>().unwrap().to_string(), "12.5%");
        let share: Share = "25%".parse().unwrap();
        assert_eq!((0..1_000_000).filter(|drawn| share.takes(*drawn)).count(), 250_000);
    }
}
