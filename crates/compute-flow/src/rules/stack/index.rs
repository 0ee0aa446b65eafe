//! Finds the rules of a scope that may match a document, without asking each of them.
//!
//! Many rules ask for one value of one path: `.kind == "order"`. Those are found by the value that the
//! document has there.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;
use txcl::Path;

use super::StackRule;

/// Where rules are by what they ask for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// For each path, the rules that ask for a value there.
    by_path: Vec<(Path, Asked)>,
    /// The rules that ask for nothing that can be looked up.
    rest: Vec<usize>,
}

/// The rules that ask for a value of one path, by the value, whose type says as what the document is read.
#[derive(Clone, Debug, Default)]
struct Asked {
    texts: HashMap<String, Vec<usize>>,
    /// By the bits of a float, which is no zero below 0.
    numbers: HashMap<u64, Vec<usize>>,
    /// For false, and for true.
    bools: [Vec<usize>; 2],
}

impl Asked {
    /// Where rules are that ask for this value; nothing if such values are not looked up.
    fn place(&mut self, value: &Value) -> Option<&mut Vec<usize>> {
        match value {
            // What a list or an object may be as a text is not looked up.
            Value::String(text) if text.starts_with(['[', '{']) => None,
            Value::String(text) => Some(self.texts.entry(text.clone()).or_default()),
            Value::Bool(bool) => Some(&mut self.bools[usize::from(*bool)]),
            Value::Number(number) => Some(self.numbers.entry(bits(number.as_f64()?)).or_default()),
            _ => None,
        }
    }

    /// The rules that ask for what this value reads as.
    fn for_value(&self, value: &Value, found: &mut Vec<usize>) {
        if !self.texts.is_empty()
            && let Some(text) = txcl::text_of(value)
        {
            found.extend(self.texts.get(&*text).into_iter().flatten());
        }
        if !self.numbers.is_empty() {
            let number = bits(txcl::number_of(value));
            found.extend(self.numbers.get(&number).into_iter().flatten());
        }
        found.extend(&self.bools[usize::from(txcl::bool_of(value))]);
    }
}

fn bits(number: f64) -> u64 {
    (number + 0.0).to_bits()
}

impl Index {
    pub(crate) fn new(rules: &[StackRule]) -> Self {
        let mut by_path: BTreeMap<Path, Asked> = BTreeMap::new();
        let mut rest = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            let asked = rule.program.required().and_then(|(path, value)| {
                // A rule that cannot be looked up leaves no path behind.
                Asked::default().place(value)?;
                by_path.entry(path.clone()).or_default().place(value)
            });
            asked.unwrap_or(&mut rest).push(at);
        }
        Self { by_path: by_path.into_iter().collect(), rest }
    }

    /// The places of the rules that may match, in order.
    pub(crate) fn candidates(&self, document: &Value) -> Vec<usize> {
        let mut found = self.rest.clone();
        for (path, asked) in &self.by_path {
            asked.for_value(path.get(document).unwrap_or(&Value::Null), &mut found);
        }
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use compute_state::File;
    use serde_json::{Value, json};

    use crate::rules::Stack;

    /// The names of the rules that may match.
    fn candidates(rules: &[(&str, &str)], document: &Value) -> Vec<String> {
        let files: Vec<_> = rules
            .iter()
            .map(|(name, when)| {
                File::new(format!("1/{name}.txcl"), format!("WHEN {when} EMIT .x = 1"))
            })
            .collect();
        let stack = Stack::compile("s".parse().expect("a name"), &files).expect("rules");
        stack.scopes()[0].candidates(document).map(|rule| rule.name.clone()).collect()
    }

    #[test]
    fn rules_are_found_by_what_they_ask_for() {
        let rules = [
            ("a", ".kind == \"x\" && .n > 1"),
            ("b", ".kind == \"y\""),
            ("c", ".n > 1"),
            ("d", ".n == 3"),
            ("e", ".ok == false"),
            ("f", ".kind == \"x\" || .n == 1"),
            ("g", "!.kind == \"x\""),
            ("h", ".kind == \"\""),
        ];
        let always = ["c", "f", "g"];
        let expect = |document: Value, more: &[&str]| {
            let mut names: Vec<_> = always.iter().chain(more).copied().collect();
            names.sort_unstable();
            assert_eq!(candidates(&rules, &document), names, "{document}");
        };
        expect(json!({"kind": "x", "n": 2, "ok": true}), &["a"]);
        expect(json!({"kind": "y", "n": 3, "ok": false}), &["b", "d", "e"]);
        expect(json!({"kind": "z", "n": 3.0, "ok": true}), &["d"]);
        expect(json!({"kind": "z", "n": 3.5, "ok": true}), &[]);
        expect(json!({"kind": "z", "n": "3", "ok": "true"}), &["d"]);
        expect(json!({"n": 1}), &["e", "h"]);
        expect(json!({"kind": null, "n": [3], "ok": "false"}), &["e", "h"]);
    }
}
