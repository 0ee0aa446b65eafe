//! Which documents a version gets that answers a part of a stack's in place of the active one.

use std::collections::BTreeSet;
use std::sync::Arc;

use compute_state::{Rollout, StackName};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use super::stack::Stack;

/// How long a text is that decides, in bytes: no id is longer.
const MAX_TEXT: usize = 1024;

/// A version that answers a part of a stack's documents, made ready.
#[derive(Clone, Debug)]
pub(crate) struct RolledOut {
    pub(crate) rollout: Rollout,
    pub(crate) stack: Arc<Stack>,
}

/// The stacks whose rollout a document gets.
pub(crate) type Chosen = BTreeSet<StackName>;

impl RolledOut {
    /// Whether a document gets it, as it came in.
    pub(crate) fn takes(&self, document: &Value) -> bool {
        let Rollout { stack, share, by, .. } = &self.rollout;
        by.path()
            .get(document)
            .and_then(|value| draw(stack, value))
            .is_some_and(|drawn| share.takes(drawn))
    }
}

/// The number that a value draws for a stack, evenly, the same everywhere and always: a share that is raised keeps whom it had,
/// and another version gets the same ones. What is no text of up to 1,024 bytes, no number and no bool draws none.
fn draw(stack: &StackName, value: &Value) -> Option<u64> {
    let text = match value {
        Value::String(text) if text.len() <= MAX_TEXT => value.to_string(),
        Value::Number(number) => number_text(number)?,
        Value::Bool(_) => value.to_string(),
        _ => return None,
    };
    let mut hash = Sha256::new();
    hash.update(stack.as_str());
    hash.update([0]);
    hash.update(text);
    let hash: [u8; 32] = hash.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = hash;
    Some(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// A number by its value, however it is written: 7.0 is 7. Whole ones of 64 bits are exact.
fn number_text(number: &Number) -> Option<String> {
    let whole = number.as_i64().map(|whole| whole.to_string());
    let whole = whole.or_else(|| number.as_u64().map(|whole| whole.to_string()));
    // Without the sign of zero.
    whole.or_else(|| number.as_f64().map(|value| (value + 0.0).to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{MAX_TEXT, draw};

    fn drawn(value: Value) -> Option<u64> {
        draw(&"pricing".parse().unwrap(), &value)
    }

    #[test]
    fn what_a_value_draws_never_changes() {
        // Whoever got a version gets it from a later version of this program, too: these are written down once and for all.
        for (value, expected) in [
            (json!("c-1"), DRAWN[0]),
            (json!("ä\"\n"), DRAWN[1]),
            (json!(7), DRAWN[2]),
            (json!(true), DRAWN[3]),
        ] {
            assert_eq!(drawn(value.clone()), Some(expected), "{value}");
        }
        assert_ne!(draw(&"pricing/eu".parse().unwrap(), &json!("c-1")), Some(DRAWN[0]));
    }

    /// The first 8 bytes of the SHA-256 of `pricing`, a zero byte, and the value as JSON.
    const DRAWN: [u64; 4] = [
        7_739_733_166_178_191_181,
        7_324_383_748_116_851_623,
        6_978_074_989_248_580_572,
        16_341_520_611_510_434_491,
    ];

    #[test]
    fn the_same_number_draws_the_same_and_a_text_is_none() {
        assert_eq!(drawn(json!(7.0)), drawn(json!(7)));
        let read = |text: &str| drawn(serde_json::from_str(text).unwrap());
        for (text, same) in [
            ("-0", "0"),
            ("-0.0", "0"),
            ("7.00", "7"),
            ("1e3", "1000"),
            ("1.50", "1.5"),
            ("18446744073709551616", "1.8446744073709551616e19"),
        ] {
            assert!(read(text).is_some() && read(text) == read(same), "{text}");
        }
        assert_ne!(drawn(json!("7")), drawn(json!(7)));
        // Ids that a fraction cannot tell apart.
        assert_ne!(
            drawn(json!(9_007_199_254_740_993_u64)),
            drawn(json!(9_007_199_254_740_992_u64))
        );
    }

    #[test]
    fn what_is_no_id_draws_none() {
        for none in [json!(null), json!([1]), json!({"a": 1}), json!("x".repeat(MAX_TEXT + 1))] {
            assert_eq!(drawn(none), None);
        }
        assert!(drawn(json!("x".repeat(MAX_TEXT))).is_some());
        assert!(drawn(json!("")).is_some());
    }
}
