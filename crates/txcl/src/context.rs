//! What evaluation may use: a clock, random numbers, and a bounded amount of memory.

use std::time::SystemTime;

use compute::Seed;
use jiff::Timestamp;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde_json::Value;

use crate::Span;

/// How many bytes one evaluation may make: 16 MiB.
const MAX_BYTES: usize = 16 << 20;
/// How deep the values may be that it makes; what JSON's readers take is 128.
const MAX_DEPTH: usize = 100;
/// What a value costs besides its text.
const NODE: usize = 16;

/// What the evaluation of one rule may use. The same context gives the same values.
#[derive(Clone, Debug)]
pub struct Context {
    now: Timestamp,
    seed: Seed,
    /// Made when it is first used: few rules use it.
    random: Option<Box<ChaCha20Rng>>,
    left: usize,
}

impl Default for Context {
    /// The clock at the Unix epoch, and a seed of zeros.
    fn default() -> Self {
        Self::new(SystemTime::UNIX_EPOCH, Seed::new([0; 32]))
    }
}

impl Context {
    /// A context with this clock, which stands still, and this seed.
    #[must_use]
    pub fn new(now: SystemTime, seed: Seed) -> Self {
        Self {
            now: Timestamp::try_from(now).unwrap_or(Timestamp::UNIX_EPOCH),
            seed,
            random: None,
            left: MAX_BYTES,
        }
    }

    pub(crate) const fn now(&self) -> Timestamp {
        self.now
    }

    pub(crate) fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let seed = *self.seed.as_bytes();
        let random = self.random.get_or_insert_with(|| Box::new(ChaCha20Rng::from_seed(seed)));
        random.fill_bytes(&mut bytes);
        bytes
    }

    /// Accounts for bytes that are about to be made.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), String> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                Err(format!("the rule's values are larger than its limit of {MAX_BYTES} bytes"))
            }
        }
    }

    /// Accounts for a value.
    pub(crate) fn charge_value(&mut self, value: &Value) -> Result<(), String> {
        let bytes = measure(value, MAX_DEPTH)
            .ok_or_else(|| format!("the value is nested deeper than {MAX_DEPTH} levels"))?;
        self.charge(bytes)
    }

    /// A copy that is accounted for.
    pub(crate) fn copy(&mut self, value: &Value) -> Result<Value, String> {
        self.charge_value(value)?;
        Ok(value.clone())
    }
}

/// About how many bytes of memory a value takes; none if it is nested deeper than so many levels.
///
/// ```
/// use serde_json::json;
///
/// assert!(txcl::measure(&json!({"a": ["b"]}), 2).is_some());
/// assert!(txcl::measure(&json!({"a": ["b"]}), 1).is_none());
/// ```
#[must_use]
pub fn measure(value: &Value, depth: usize) -> Option<usize> {
    let inner = |value| measure(value, depth.checked_sub(1)?);
    Some(
        NODE + match value {
            Value::String(text) => text.len(),
            Value::Array(items) => items.iter().map(inner).sum::<Option<usize>>()?,
            Value::Object(map) => map
                .iter()
                .map(|(key, value)| Some(NODE + key.len() + inner(value)?))
                .sum::<Option<usize>>()?,
            _ => 0,
        },
    )
}

/// A value that could not be worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct EvalError {
    /// Where it stands in the rule's text.
    pub span: Span,
    /// What is wrong.
    pub message: String,
}
