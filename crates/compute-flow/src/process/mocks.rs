//! Which rules answer with their fixtures because the document asks for it.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde_json::Value;
use txcl::TXC;

/// How many patterns a document may have, and how long each may be, in bytes.
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN: usize = 256;

/// Which rules answer with their fixtures: `_txc.mocks` of a document, a pattern of `stack/scope/name` or a list of them.
/// `*` is within a part, `**` are any parts; with a `!` before it, a pattern takes out what it means. The last that means a
/// rule counts.
#[derive(Debug, Default)]
pub(super) struct Mocks {
    patterns: GlobSet,
    /// Whether each takes in what it means.
    takes_in: Vec<bool>,
}

impl Mocks {
    /// What a document asks for, and what of it cannot be understood.
    pub(super) fn read(document: &Value) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let asked = document.get(TXC).and_then(|txc| txc.get("mocks"));
        let asked = match asked {
            Some(Value::Array(items)) => items.as_slice(),
            None | Some(Value::Null) => &[],
            Some(one) => std::slice::from_ref(one),
        };
        if asked.len() > MAX_PATTERNS {
            warnings.push(format!("`{TXC}.mocks` has more than {MAX_PATTERNS} patterns"));
        }
        let (mut set, mut takes_in) = (GlobSetBuilder::new(), Vec::new());
        for one in asked.iter().take(MAX_PATTERNS) {
            let Some(text) = one.as_str().filter(|text| text.len() <= MAX_PATTERN) else {
                warnings.push(format!(
                    "`{TXC}.mocks` has what is no pattern: texts of at most {MAX_PATTERN} bytes are"
                ));
                continue;
            };
            let pattern = text.strip_prefix('!').unwrap_or(text);
            match GlobBuilder::new(pattern).literal_separator(true).build() {
                Ok(glob) => {
                    set.add(glob);
                    takes_in.push(pattern == text);
                }
                Err(error) => warnings.push(format!("`{TXC}.mocks`: {error}")),
            }
        }
        match set.build() {
            Ok(patterns) => (Self { patterns, takes_in }, warnings),
            Err(error) => {
                warnings.push(format!("`{TXC}.mocks`: {error}"));
                (Self::default(), warnings)
            }
        }
    }

    /// Whether this rule, `stack/scope/name`, answers with its fixture.
    pub(super) fn has(&self, op: &str) -> bool {
        let last = self.patterns.matches(op).into_iter().max();
        last.is_some_and(|last| self.takes_in[last])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::Mocks;

    #[test]
    fn the_last_pattern_that_means_a_rule_counts() {
        let op = "shop/eu/100/greet";
        for (asked, has) in [
            (json!(null), false),
            (json!("shop/**"), true),
            (json!("shop/*"), false),
            (json!("other/**"), false),
            (json!(["**"]), true),
            (json!([]), false),
            (json!(["**", "!shop/eu/100/greet"]), false),
            (json!(["**", "!shop/eu/100/other"]), true),
            (json!(["!**", "**/100/*"]), true),
            (json!(["**/200/*"]), false),
            (json!(["**/{100,200}/gr?et", 7, "["]), true),
        ] {
            let (mocks, _) = Mocks::read(&json!({ "_txc": { "mocks": asked } }));
            assert_eq!(mocks.has(op), has, "{asked}");
        }
        assert!(!Mocks::read(&Value::Null).0.has(op));
        let warnings = |asked: Value| Mocks::read(&json!({ "_txc": { "mocks": asked } })).1.len();
        assert_eq!(warnings(json!(["**", 7, "[", "a".repeat(300)])), 3);
        assert_eq!(warnings(json!(vec!["a"; 100])), 1);
        assert_eq!(warnings(json!(null)), 0);
    }
}
