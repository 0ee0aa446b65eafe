//! Keeps the values of secrets out of what is shown.

use serde_json::Value;

/// The shortest secret that is looked for, in bytes: shorter ones are found in everything.
const MIN: usize = 4;
/// What stands for what is masked.
pub(crate) const MASK: &str = "[redacted]";

/// Keeps the values of secrets out of what is shown. Those of less than 4 bytes are not looked for.
///
/// ```
/// use compute_flow::Mask;
///
/// let mut text = "no account for hunter2".to_owned();
/// Mask::new(["hunter2"]).text(&mut text);
/// assert_eq!(text, "no account for [redacted]");
/// ```
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first: one that another contains would leave the rest of it to see.
    secrets: Vec<String>,
}

impl Mask {
    /// A mask for these values.
    pub fn new(secrets: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut mask = Self::default();
        mask.add(secrets);
        mask
    }

    /// Looks for these, too.
    pub(crate) fn add(&mut self, secrets: impl IntoIterator<Item = impl Into<String>>) {
        for secret in secrets {
            let secret = secret.into();
            if secret.len() >= MIN && !self.secrets.contains(&secret) {
                self.secrets.push(secret);
            }
        }
        self.secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Masks them in a text.
    pub fn text(&self, text: &mut String) {
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                *text = text.replace(secret.as_str(), MASK);
            }
        }
    }

    /// Masks them in every text of a value; keys are left as they are.
    pub fn value(&self, value: &mut Value) {
        if self.secrets.is_empty() {
            return;
        }
        match value {
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => map.values_mut().for_each(|value| self.value(value)),
            _ => {}
        }
    }
}

impl std::fmt::Debug for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mask").field("secrets", &self.secrets.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;

    #[test]
    fn a_secret_within_another_leaves_nothing_of_it() {
        let mask = Mask::new(["bcde", "abcdef", "abc", "abcdef"]);
        let mut text = "xabcdefx bcde abc".to_owned();
        mask.text(&mut text);
        assert_eq!(text, "x[redacted]x [redacted] abc");
    }
}
